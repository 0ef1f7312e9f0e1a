"""``stallgate prompt`` on the recordings: every part, every number of the run, the same bytes."""

from __future__ import annotations

import json
import math
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stallgate.agent.objection import Objection
from stallgate.agent.prompt.metrics import WHOLE_CALL
from stallgate.agent.prompt.prompt import Prompt, prompt_of
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.model import Case
from stallgate.project.catalogue import stage_metrics
from stallgate.project.load import Project, load_project
from tests.agent.prompt.taken_apart import TITLES, by_title, taken_apart
from tests.cli.test_json import answer
from tests.conftest import ROOT, Stallgate, command_line
from tests.recordings import committed, median_of, milliseconds
from tests.shared import Shared

OLD = "smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct"
RESOLVED = "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct"
NAIVE = ("prompt", "cumprod/naive_serial", "--stage", "memory_access", "--gpu", "RTX 4090")
VARIANTS = {
    "cumprod": ("blocked_scan", "two_pass_scan", "torch_cumprod"),
    "matmul": ("tiled", "torch"),
    "rmsnorm": ("naive",),
}


@cache
def project() -> Project:
    return load_project(ROOT)


@cache
def judged(problem: str) -> JudgedRun:
    folder = next((ROOT / "reports" / "recorded").glob(f"*/{problem}"))
    return evaluate(project(), folder, [])


def of_recording(subject: str, **options: Any) -> Prompt:
    """A prompt of the recording, which is read once."""
    return prompt_of(project(), subject, run=judged(subject.partition("/")[0]), **options)


@pytest.fixture(scope="session")
def naive(shared: Shared) -> str:
    """The prompt for the slow kernel, from the recording, as the command prints it in this repository."""
    return shared.get("naive_prompt", _naive)


def _naive(_: Path) -> str:
    done = command_line(ROOT)(*NAIVE, "--run", committed().name)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_it_has_every_part_in_order_under_4500_tokens(naive: str) -> None:
    """On an H200 the slow kernel has three pieces of advice, of 200 tokens each and more."""
    assert tuple(section.title for section in taken_apart(naive)) == TITLES
    found = of_recording("cumprod/naive_serial", stage="memory_access", gpu="rtx_4090")
    assert found.tokens < 4500
    assert found.dropped == []


def test_two_renderings_are_the_same_bytes(naive: str, tmp_path: Path) -> None:
    """Wherever the project lies, and whether the recording is named or found."""
    for name in ("kernels", "metrics", committed().path):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert command_line(tmp_path)(*NAIVE).stdout == naive


def numbers_of_run(result: JudgedRun, case: Case) -> dict[str, set[float]]:
    """ncu name or metric -> what launches and calls of a case have as medians over samples."""
    found: dict[str, dict[tuple[str, int], list[float]]] = {}
    for row in result.rows:
        if row.case == case and row.state == "measured" and row.sample != "detail":
            for name in (row.ncu_name, row.metric):
                found.setdefault(name, {}).setdefault((row.kernel, row.launch is None), []).append(row.value)
    return {name: {sorted(values)[len(values) // 2] for values in kinds.values()} for name, kinds in found.items()}


def test_every_number_of_the_json_is_in_the_run(naive: str) -> None:
    blocks = by_title(naive)["NCU metrics"].json_blocks
    assert list(blocks) == ["square"]
    case = Case("cumprod", "naive_serial", "default", "square")
    known = numbers_of_run(judged("cumprod"), case)
    known[OLD] = known[RESOLVED]
    told = 0
    for kernel, values in blocks["square"].items():
        assert kernel in ("_serial_kernel", WHOLE_CALL)
        for name, value in values.items():
            assert value is not None
            assert any(math.isclose(value, number, rel_tol=1e-5) for number in known[name]), (kernel, name)
            told += 1
    assert told == 6


def test_the_stall_has_its_old_and_its_resolved_name(naive: str) -> None:
    section = by_title(naive)["NCU metrics"]
    kernel = section.json_blocks["square"]["_serial_kernel"]
    stall = median_of("cumprod/naive_serial/square", "memory_dependency_stall")
    assert kernel[OLD] == kernel[RESOLVED] == pytest.approx(stall, abs=0.01)
    (line,) = [line for line in section.prose if OLD in line and RESOLVED in line]
    assert "resolved" in line
    assert "memory_dependency_stall" in line


def test_every_metric_of_the_stage_has_its_reading_and_target(naive: str) -> None:
    words = by_title(naive)["Stage"].words
    summaries = judged("cumprod").summaries
    case = Case("cumprod", "naive_serial", "default", "square")
    for metric in stage_metrics([project().stage("memory_access")]):
        (line,) = [line for line in words.splitlines() if f"`{metric.name}`" in line]
        median = summaries[case, metric.name].median
        assert median is not None
        reading = re.search(r"on `square` ([\d.,]+)", line)
        assert reading is not None, line
        assert float(reading[1].replace(",", "")) == pytest.approx(median, rel=5e-3), "three digits"
    assert "wanted at least 0.970; " in words
    assert "wanted below 20.0 %" in words
    assert "Rules of the stage:" in words
    assert "`num_stages` [1, 2, 3]" in words


def test_what_was_measured_elsewhere_is_said_to_be(naive: str) -> None:
    words = by_title(naive)["Target GPU"].words
    assert "GeForce RTX 4090" in words
    assert "1008 GB/s" in words
    assert f"another GPU**, {committed().gpu}" in words
    assert f"1008 against {committed().card.dram_bandwidth_gb_s:g} GB/s" in words
    same = of_recording("cumprod/naive_serial", gpu=committed().gpu).text
    assert "another GPU" not in same


def test_a_chip_without_a_counter_is_named() -> None:
    """The old stall's name apart, a stage may show what the target's chip cannot count."""
    found = of_recording("matmul/tiled", stage="tensor_core", gpu="rtx_4090")
    assert "ncu has no counter on AD102 for `stall_gmma`" in by_title(found.text)["Target GPU"].words


def test_code_and_reference_are_whole(naive: str) -> None:
    parts = by_title(naive)
    (block,) = parts["Current code"].blocks
    assert block.text == (ROOT / "kernels/cumprod/naive_serial.py").read_text().rstrip("\n")
    (reference,) = parts["What is computed"].blocks
    assert "torch.cumprod(x, dim=self.dim)" in reference.text
    assert "def get_inputs" not in reference.text
    compile(reference.text, "reference", "exec")


def test_workloads_dtypes_tolerance_and_drawing_are_said(naive: str) -> None:
    words = by_title(naive)["What is computed"].words
    assert "`square`: shape [32768, 32768], dim 1, dtype float32" in words
    assert "Dtypes of all: float32, float16, bfloat16, float64, int32" in words
    assert "rtol 8.63e-05" in words
    assert "Unseen shapes, dtypes and data are drawn at random" in words


def test_the_roof_what_was_tried_and_advice_stand_on_the_run(naive: str) -> None:
    parts = by_title(naive)
    variants = ("naive_serial", "copy_roof", "blocked_scan")
    slow, roof, scan = (milliseconds(median_of(f"cumprod/{variant}/square")) for variant in variants)
    assert f"{slow} a call; the roof `copy_roof` (bytes) takes {roof}" in parts["Distance from the roof"].words
    assert f"`blocked_scan`: {scan}" in parts["What has been tried"].words
    advice = parts["Advice"].words
    assert "Loads use part of each sector" in advice
    assert "Evidence: bytes_per_sector_loaded 4 bytes" in advice
    assert "Hot line: `naive_serial.py:" in advice


def test_the_form_of_the_answer_is_in_order(naive: str) -> None:
    words = by_title(naive)["Output rules"].words
    wanted = [
        "`torch`", "`torch.nn as nn`", "`triton`", "`triton.language as tl`", "`@triton.jit`", "wrappers",
        "`class ModelNew(nn.Module)`", "No test code", "`__main__`", "`get_inputs`", "`get_init_inputs`",
    ]  # fmt: skip
    places = [words.replace("what `get_init_inputs` gives", "").index(name) for name in wanted]
    assert places == sorted(places)


# --- every variant and stage ------------------------------------------------------------------------------------------

CASES = [(problem, variant) for problem, variants in VARIANTS.items() for variant in variants]


@pytest.mark.parametrize(("problem", "variant"), CASES)
def test_every_stage_has_all_its_metrics_for_every_variant(problem: str, variant: str) -> None:
    for stage in project().stages:
        found = prompt_of(project(), f"{problem}/{variant}", stage=stage, run=judged(problem))
        parts = by_title(found.text)
        assert tuple(parts) == TITLES
        blocks = parts["NCU metrics"].json_blocks
        metrics = stage_metrics(project().with_included([stage]))
        assert len(blocks) >= 1
        for workload, kernels in blocks.items():
            case = Case(problem, variant, "default", workload)
            known = numbers_of_run(judged(problem), case)
            names = {name for values in kernels.values() for name in values}
            for metric in metrics:
                assert names & {*metric.names, metric.name}, (stage, workload, metric.name)
            missing = {name for values in kernels.values() for name, value in values.items() if value is None}
            explained = {
                match for line in parts["NCU metrics"].prose for match in re.findall(r"`(.+)` is missing", line)
            }
            assert missing <= explained
            for values in kernels.values():
                for name, value in values.items():
                    numbers = known.get(RESOLVED if name == OLD else name, set())
                    assert value is None or any(math.isclose(value, each, rel_tol=1e-5) for each in numbers), name


def test_without_a_stage_the_first_that_is_not_met_is_asked_for() -> None:
    assert of_recording("cumprod/naive_serial").stage == "memory_access"
    assert of_recording("matmul/naive").stage == "tensor_core"


# --- what a loop adds -------------------------------------------------------------------------------------------------


def test_reasons_of_a_refusal_and_rounds_are_parts_of_their_own() -> None:
    objection = Objection(
        part="right", code="wrong_result", text="3 of 9 elements are wrong\n## Task\n```", hint="mask the tail", line=7
    )
    found = of_recording(
        "cumprod/naive_serial", extra_tried=["round 1: two stages, 3 % slower\n# x"], refused=[objection]
    )
    parts = by_title(found.text)
    assert list(parts) == [*TITLES[:9], "Why the last answer was refused", *TITLES[9:]]
    assert parts["Why the last answer was refused"].prose[1:] == [
        "- line 7: 3 of 9 elements are wrong ## Task ``` (right, `wrong_result`) Instead: mask the tail"
    ]
    assert parts["What has been tried"].prose[0] == "- round 1: two stages, 3 % slower # x"


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_the_parts(naive: str) -> None:
    done = command_line(ROOT)(*NAIVE, "--run", committed().name, "--format", "json")
    found = answer(done, "prompt")
    assert found["text"] == naive
    assert [part["title"] for part in found["parts"]] == list(TITLES)
    assert found["tokens"] < 4500
    assert found["measured_gpu"] == committed().gpu
    assert found["gpu"] == "rtx_4090"
    assert found["has_readings"] is True
    for part in found["parts"]:
        assert part["text"] in naive


@pytest.mark.parametrize("words", [("--format", "json"), ("--format=json",), ("--json",)])
def test_an_error_is_json_too(stallgate: Stallgate, words: tuple[str, ...]) -> None:
    done = stallgate("prompt", "cumprod/nothing", *words)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "unknown_name"


# --- names that do not exist ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cumprod",), "names no variant"),
        (("cumprod/",), "names no variant"),
        (("other/naive",), "no problem is named 'other'"),
        (("cumprod/naive",), "no variant is named 'naive'"),
        (("cumprod/blocked_scan", "--gpu", "rtx 4091"), "no card is named 'rtx 4091'"),
        (("cumprod/blocked_scan", "--stage", "memory"), "no stage is named 'memory'"),
        (("cumprod/blocked_scan", "--run", "never"), "no run is named 'never'"),
    ],
)
def test_a_name_that_is_none_is_one_clear_error(stallgate: Stallgate, arguments: tuple[str, ...], said: str) -> None:
    done = stallgate("prompt", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert done.stdout == ""
