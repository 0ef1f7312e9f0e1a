"""Accepting numbers: which runs make a baseline, what is written, and what a gate makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from msgspec.structs import replace

from stallgate.errors import BadArgument, BrokenFile, NotMeasured, StallgateError
from stallgate.extract.evidence import Evidence
from stallgate.extract.table import Summaries, Summary
from stallgate.judge.accept import accept, baseline_text, write
from stallgate.judge.evaluate import Result, evaluate, with_roles
from stallgate.judge.verdicts import judge
from stallgate.model import Attempt, Baseline
from stallgate.project.digests import file_digest
from stallgate.project.load import Project, load_project
from tests.conftest import Stallgate
from tests.judge.judging import GOOD, ROOF, TODAY, environment, run_of, summary, usual

FOLDER = "metrics/baselines/h100_sxm"


def result(project: Project, name: str, candidate: dict[str, Summary] | None = None, **changes: Any) -> Result:
    """A run of the usual cases with these numbers of its candidate."""
    attempt = Attempt(name="1", kind="samples", command=[], started="", sha256=f"of {name}", environment=environment())
    run = with_roles(run_of(project, usual(), **{"name": name, "attempts": [attempt], **changes}), project)
    summaries: Summaries = {
        (found.case, metric): value
        for found in run.cases
        for metric, value in (ROOF if found.role == "roof" else GOOD | (candidate or {})).items()
    }
    evidence = Evidence(calls=[], faults={}, reader="")
    judgement = judge(run, project, evidence, summaries, [], parts={}, foreign={}, today=TODAY)
    return Result(
        folder=Path(name),
        run=run,
        evidence=evidence,
        rows=[],
        summaries=summaries,
        judgement=judgement,  # type: ignore[arg-type]
    )


def results(project: Project, *durations: float) -> list[Result]:
    """A run for each median of the duration; samples lie 1 ns around it."""
    times = {f"run{number}": summary(d - 1, d, d + 1) for number, d in enumerate(durations)}
    return [result(project, name, {"duration": found}) for name, found in times.items()]


def test_the_median_of_medians_and_the_range_of_all_samples_are_accepted(repository: Project) -> None:
    [baseline] = accept(repository, results(repository, 100.0, 104.0, 101.0), TODAY)
    assert (baseline.problem, baseline.gpu) == ("cumprod", "NVIDIA H100 80GB HBM3")
    assert list(baseline.cases) == ["blocked_scan/default/page", "blocked_scan/default/square"]
    square = baseline.cases["blocked_scan/default/square"]
    duration = square.metrics["duration"]
    assert (square.runs, duration.low, duration.median, duration.high) == (3, 99.0, 101.0, 105.0)
    assert duration.spread == 6.0
    assert set(square.digests) == {"the reference", "workload square", "variant copy_roof"}


def test_only_metrics_with_a_direction_that_every_run_has_are_accepted(repository: Project) -> None:
    runs = [result(repository, f"run{n}", {"l2_hit_rate": summary(50.0)}) for n in range(2)]
    runs.append(result(repository, "run2", {"dram_throughput": summary(state="absent")}))
    [baseline] = accept(repository, runs, TODAY)
    metrics = baseline.cases["blocked_scan/default/square"].metrics
    assert set(metrics) == {"duration", "roof_fraction", "memory_dependency_stall"}


def others(project: Project, number: int = 2, **changes: Any) -> list[Result]:
    """Three runs of which one differs."""
    runs = results(project, 100.0, 101.0, 102.0)
    runs[number] = result(project, "odd", **changes)
    return runs


REFUSED: dict[str, tuple[Callable[[Project], list[Result]], type[StallgateError], str]] = {
    "too few": (lambda p: results(p, 100.0, 101.0), BadArgument, "takes 3 runs or more, and here are 2"),
    "the same measurement": (
        lambda p: others(p, attempts=result(p, "run0").run.attempts),
        BadArgument,
        "run0 and odd hold the same measurement",
    ),
    "imported": (lambda p: others(p, kind="imported"), BadArgument, "odd is imported"),
    "no candidate": (
        lambda p: [replace(r, run=replace(r.run, cases=r.run.cases[:1])) for r in results(p, 1.0, 2.0, 3.0)],
        BadArgument,
        "no candidate",
    ),
    "another GPU": (
        lambda p: others(
            p,
            attempts=[
                Attempt(name="1", kind="samples", command=[], started="", environment=environment(gpu="NVIDIA H200"))
            ],
        ),
        NotMeasured,
        "the GPU of the runs is NVIDIA H100 80GB HBM3 and NVIDIA H200",
    ),
    "unknown controls": (
        lambda p: [result(p, f"run{n}", settings=None) for n in range(3)],
        NotMeasured,
        "the clock control of the runs is unknown",
    ),
    "other cases": (
        lambda p: others(p, cases=usual()[:3]),
        NotMeasured,
        "odd has no cumprod/blocked_scan/default/page",
    ),
    "a crash": (
        lambda p: others(p, cases=[replace(r, outcome="crashed", reason="why") for r in usual()]),
        NotMeasured,
        "odd: cumprod/blocked_scan/default/square: crashed: why",
    ),
    "other code": (lambda p: others(p, subjects={}), NotMeasured, "measured before the problem changed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_baseline(repository: Project, name: str) -> None:
    make, kind, message = REFUSED[name]
    runs = make(repository)
    with pytest.raises(kind, match=message) as refused:
        accept(repository, runs, TODAY)
    assert refused.value.hint


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def baseline(repository: Project) -> Baseline:
    return accept(repository, results(repository, 100.0, 104.0, 101.0), TODAY)[0]


def test_a_file_is_what_was_accepted(tree: Path, baseline: Baseline) -> None:
    path = write(load_project(tree), baseline)
    assert path == tree / FOLDER / "cumprod.json"
    assert load_project(tree).baselines == {"cumprod": [baseline]}


def test_a_changed_number_is_a_changed_line(baseline: Baseline) -> None:
    moved = json.loads(baseline_text(baseline))
    moved["cases"]["blocked_scan/default/square"]["metrics"]["duration"]["median"] = 102.0
    after = baseline_text(msgspec.convert({**moved, "problem": "cumprod"}, Baseline))
    pairs = zip(baseline_text(baseline).splitlines(), after.splitlines(), strict=True)
    changed = [line.strip() for line, other in pairs if line != other]
    assert changed == ['"duration": {"low": 99.0, "median": 101.0, "high": 105.0, "unit": "ns"},']


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 1', '"format": 2', "format: it is 2; this stallgate reads 1"),
        ('"median": 101.0', '"median": NaN', "not valid JSON"),
        ('"median": 101.0', '"median": 98.0', "do not ascend"),
        ('"duration"', '"durations"', "no metric is named 'durations'"),
        ('"gpu"', '"gpus"', "unknown field `gpus`"),
    ],
)
def test_a_broken_baseline_is_refused(tree: Path, baseline: Baseline, old: str, new: str, message: str) -> None:
    path = write(load_project(tree), baseline)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BrokenFile) as refused:
        load_project(tree)
    assert refused.value.message.startswith(f"{FOLDER}/cumprod.json: ")
    assert message in refused.value.message


def test_a_gpu_has_one_baseline(tree: Path, baseline: Baseline) -> None:
    path = write(load_project(tree), baseline)
    shutil.copytree(path.parent, path.parent.with_name("another"))
    with pytest.raises(BrokenFile, match="has a baseline already"):
        load_project(tree)


def test_cases_that_were_not_measured_again_stay_accepted(repository: Project, baseline: Baseline) -> None:
    other = baseline.cases["blocked_scan/default/square"]
    kept = {"blocked_scan/default/flat": other, "gone/default/square": other}
    project = replace(repository, baselines={"cumprod": [replace(baseline, cases={**baseline.cases, **kept})]})
    [again] = accept(project, results(repository, 90.0, 91.0, 92.0), TODAY)
    assert list(again.cases) == [f"blocked_scan/default/{name}" for name in ("flat", "page", "square")]
    assert again.cases["blocked_scan/default/square"].metrics["duration"].median == 91.0


def test_cases_of_other_conditions_are_not_kept(repository: Project, baseline: Baseline) -> None:
    kept = {"blocked_scan/default/flat": baseline.cases["blocked_scan/default/square"]}
    project = replace(repository, baselines={"cumprod": [replace(baseline, clock_control="base", cases=kept)]})
    [again] = accept(project, results(repository, 90.0, 91.0, 92.0), TODAY)
    assert "blocked_scan/default/flat" not in again.cases


# --- through the command line -----------------------------------------------------------------------------------------


@pytest.fixture
def repeated(tree: Path, recording: Path) -> list[str]:
    """Runs that hold the recording's numbers and count as measured one by one: their ncu reports differ as files."""
    names = []
    for level in (1, 2, 3):
        folder = tree / "reports" / f"run{level}"
        shutil.copytree(recording, folder)
        run = msgspec.json.decode((folder / "run.json").read_bytes())
        for attempt in run["attempts"]:
            path = folder / attempt["report"]
            content = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
            path.write_bytes(zstandard.ZstdCompressor(level=level).compress(content))
            attempt["sha256"] = file_digest(path)
        (folder / "run.json").write_bytes(msgspec.json.encode({**run, "name": folder.name, "kind": "live"}))
        names.append(folder.name)
    return names


def test_accepted_numbers_are_gated_by(
    stallgate: Stallgate, own_process: Stallgate, tree: Path, repeated: list[str]
) -> None:
    done = own_process("baseline", *repeated)
    assert done.returncode == 0, done.stderr
    assert f"baseline: {FOLDER}/cumprod.json" in done.stdout
    path = tree / FOLDER / "cumprod.json"
    assert path.stat().st_size < 8000
    same = evaluate(load_project(tree), tree / "reports/run1", ["advanced_memory"], only_judge=True)
    assert same.judgement.exit_status == 0

    accepted = json.loads(path.read_text())
    for case in accepted["cases"].values():
        for bound in ("low", "median", "high"):
            case["metrics"]["duration"][bound] *= 0.95
    path.write_text(json.dumps(accepted))
    slower = stallgate("gate", "run1", "--stage", "advanced_memory", "--json")
    assert slower.returncode == 1
    regressed = {v["metric"] for v in json.loads(slower.stdout)["verdicts"] if v["reason"] == "regressed"}
    assert regressed == {"duration"}


def test_a_replay_is_no_repeated_run(stallgate: Stallgate, tree: Path) -> None:
    recorded = "reports/recorded/h100_sxm/cumprod"
    done = stallgate("baseline", recorded, str(tree / recorded), f"{recorded}/../cumprod")
    assert done.returncode == 2
    assert "and here is 1" in done.stderr
    assert not (tree / "metrics/baselines").exists()
