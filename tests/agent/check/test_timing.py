"""What times and counters say of an answer, from recorded counters and made-up times: with a stage, and without one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.agent.check.adopt import Adopted
from stallgate.agent.check.timing import AnswerTimer, TimedAnswer, TimingOptions
from stallgate.agent.limits.isolate import default_limits, isolation
from stallgate.judge import soundness
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.measure.device import Device
from stallgate.model import CaseResult, Reason
from stallgate.project.load import load_project
from stallgate.runs.bench import Bench, BenchRow, Entry
from tests.agent.check.test_check import _Quiet
from tests.conftest import ROOT
from tests.recordings import committed

RECORDING = committed().folder
GPU = Device(0, "GPU-0", committed().gpu, "580", "9.0", 80000.0, 80000.0)
TIMES = {"copy_roof": 2850.0, "naive_serial": 21400.0, "blocked_scan": 2850.0, "two_pass_scan": 4220.0}
"""Microseconds of a call on `square`, as its kernels take them in the recording."""


class Replayed(AnswerTimer):
    """Its benches are planned, and then made up; its profile is the recording."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.contenders: list[set[str]] = []
        """Names of each bench's contenders."""

    def _timed(self, name: str, variants: list[str], rounds: int) -> Bench:
        (row,) = self._planned(variants, self._bench_options(rounds)).rows
        self.contenders.append({entry.name for entry in row.entries})
        load = self._project.problems["cumprod"].workloads["square"]
        entries = [entry(variant, rounds) for variant in ["copy_roof", *variants]]
        return Bench(
            format=1,
            name=name,
            created="2026-11-29T12:00:00Z",
            stallgate="0",
            commit=None,
            dirty=False,
            arguments=[],
            rounds=rounds,
            row_budget_s=60.0,
            timeout_s=60.0,
            clock_control="none",
            digests={},
            rows=[BenchRow("cumprod", load, entries)],
        )

    def _profiled(self) -> JudgedRun:
        stages = [self._options.stage] if self._options.stage is not None else []
        return evaluate(self._project, RECORDING, stages, only_judge=True)


def entry(variant: str, rounds: int) -> Entry:
    rng = random.Random(variant)
    samples = [TIMES[variant] * rng.uniform(1, 1.002) for _ in range(rounds)]
    return Entry(name=variant, role="candidate", outcome="timed", samples_us=samples)


def timed(answer: str, against: str, stage: str | None, tmp_path: Path) -> TimedAnswer:
    """What is said of a recorded variant as the answer to another."""
    project = load_project(ROOT)
    problem = project.problem("cumprod")
    stages = [stage] if stage is not None else []
    asked = replace(
        problem,
        stages=stages,
        variants={
            name: replace(variant, role="candidate" if name == answer else variant.role)
            for name, variant in problem.variants.items()
        },
    )
    adopted = Adopted(
        project=replace(project, problems={"cumprod": asked}, baselines={}),
        problem="cumprod",
        against=against,
        answer=answer,
        path=ROOT / f"kernels/cumprod/{answer}.py",
    )
    options = TimingOptions("python", GPU, stage, ["square"], 11, 3, 60.0, [])
    limits = default_limits(on_gpu=True)
    with isolation(limits, []) as isolated:
        timer = Replayed(adopted, options, isolated, limits, tmp_path, _Quiet())
        found = timer.measure()
    assert timer.contenders == [{"copy", "copy_roof", against}, {"copy", "copy_roof", against, answer}]
    return found


def test_a_problem_without_a_stage_has_answers_that_are_better(tmp_path: Path) -> None:
    found = timed("blocked_scan", "naive_serial", None, tmp_path)
    assert found.better.objections == []
    assert found.stage_met is None
    (gain,) = found.better.gains
    assert gain.low > 0.8


def test_a_problem_without_a_stage_has_answers_that_are_not(tmp_path: Path) -> None:
    found = timed("naive_serial", "blocked_scan", None, tmp_path)
    assert [each.code for each in found.better.objections] == ["slower"]


@pytest.mark.parametrize("stage", ["memory_access", None])
def test_numbers_that_are_no_measurement_are_refused_whatever_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str | None
) -> None:
    def moved(_read: object, _project: object, result: CaseResult) -> Reason | None:
        sentence = "implausible: too little went through L2"
        return Reason(code="implausible", sentence=sentence) if result.role == "candidate" else None

    monkeypatch.setattr(soundness, "_moved_too_little", moved)
    found = timed("blocked_scan", "naive_serial", stage, tmp_path)
    assert {each.code for each in found.better.objections} == {"implausible"}
    assert found.readings is None


def test_both_versions_are_read_in_the_run_that_timed_them(tmp_path: Path) -> None:
    """So that rules of a stage can be held against both."""
    found = timed("blocked_scan", "naive_serial", "memory_access", tmp_path)
    assert found.stage_met is not None
    assert found.readings is not None
    before, after = found.readings
    assert before.values["square", "waves"] == pytest.approx(7.76, abs=0.01)
    assert before.values["square", "duration"] > 5 * after.values["square", "duration"]
    assert [grid.shown for grid in before.grids["square", "_serial_kernel"]] == ["32768"]
    assert [grid.shown for grid in after.grids["square", "_blocked_scan_kernel"]] == ["32768"]


def test_of_several_kernels_each_has_its_grids(tmp_path: Path) -> None:
    found = timed("two_pass_scan", "naive_serial", "memory_access", tmp_path)
    assert found.readings is not None
    sizes = {
        kernel: [grid.size for grid in grids]
        for (load, kernel), grids in found.readings[1].grids.items()
        if load == "square"
    }
    assert sizes == {"_multiply_kernel": [262144], "_carry_kernel": [32768], "_scan_kernel": [262144]}
