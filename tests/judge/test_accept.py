"""Accepting numbers: which runs make a baseline, what is written, and what a gate makes of it."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from msgspec.structs import replace

from stallgate.errors import BadArgument, BrokenFile, NotMeasured, StallgateError
from stallgate.extract.launches import read_report
from stallgate.extract.read_run import with_roles
from stallgate.extract.table import Summary
from stallgate.judge.accept import accept, baseline_text, write
from stallgate.judge.evaluate import JudgedRun, evaluate, judge
from stallgate.model import Attempt, Baseline
from stallgate.project.digests import file_digest
from stallgate.project.load import Project, load_project
from tests.conftest import Stallgate
from tests.extract.patching import patched
from tests.judge.judging import TODAY, environment, numbers, read, run_of, summary, usual
from tests.recordings import committed

FOLDER = "metrics/baselines/h100_sxm"
"""Of the GPU of the runs that are made up."""


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


class Runs:
    """Makes runs of the usual cases, each in a folder with an ncu report of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def one(
        self, project: Project, name: str, candidate: dict[str, Summary] | None = None, **changes: Any
    ) -> JudgedRun:
        """A run with these numbers of its candidate; the content of its report is its name."""
        folder = self._folder / name
        (folder / "ncu").mkdir(parents=True, exist_ok=True)
        (folder / "ncu/1.ncu-rep").write_text(name)
        run = with_roles(run_of(project, usual(), **{"name": name, "attempts": [ATTEMPT], **changes}), project)
        return judge(read(run, numbers(run.cases, candidate), folder=folder), project, [], today=TODAY)

    def several(self, project: Project, *durations: float) -> list[JudgedRun]:
        """A run for each median of the duration; samples lie 1 ns around it."""
        times = {f"run{number}": summary(d - 1, d, d + 1) for number, d in enumerate(durations)}
        return [self.one(project, name, {"duration": found}) for name, found in times.items()]

    def with_odd(self, project: Project, **changes: Any) -> list[JudgedRun]:
        """Three runs of which the last differs."""
        return [*self.several(project, 100.0, 101.0), self.one(project, "odd", **changes)]


ATTEMPT = Attempt(name="1", kind="samples", command=[], started="", report="ncu/1.ncu-rep", environment=environment())


def test_the_median_of_medians_and_the_range_of_all_samples_are_accepted(repository: Project, runs: Runs) -> None:
    [baseline] = accept(repository, runs.several(repository, 100.0, 104.0, 101.0), TODAY)
    assert (baseline.problem, baseline.gpu) == ("cumprod", "NVIDIA H100 80GB HBM3")
    assert list(baseline.cases) == ["blocked_scan/default/page", "blocked_scan/default/square"]
    square = baseline.cases["blocked_scan/default/square"]
    duration = square.metrics["duration"]
    assert (square.runs, duration.low, duration.median, duration.high) == (3, 99.0, 101.0, 105.0)
    assert duration.spread == 6.0
    assert set(square.digests) == {"the reference", "workload square", "variant copy_roof"}


def test_only_metrics_with_a_direction_that_every_run_has_are_accepted(repository: Project, runs: Runs) -> None:
    several = [runs.one(repository, f"run{n}", {"l2_hit_rate": summary(50.0)}) for n in range(2)]
    several.append(runs.one(repository, "run2", {"dram_throughput": summary(state="absent")}))
    [baseline] = accept(repository, several, TODAY)
    metrics = baseline.cases["blocked_scan/default/square"].metrics
    assert set(metrics) == {"duration", "roof_fraction", "memory_dependency_stall"}


REFUSED: dict[str, tuple[Callable[[Runs, Project], list[JudgedRun]], type[StallgateError], str]] = {
    "too few": (lambda runs, p: runs.several(p, 100.0, 101.0), BadArgument, "needs at least 3 runs; got 2"),
    "the same measurement": (
        lambda runs, p: [*runs.several(p, 100.0, 101.0), runs.one(p, "run0")],
        BadArgument,
        "(/.*/run0) and \\1 hold the same measurement",
    ),
    "imported": (lambda runs, p: runs.with_odd(p, kind="imported"), BadArgument, "odd is an imported run"),
    "no candidate": (
        lambda runs, p: [replace(r, run=replace(r.run, cases=r.run.cases[:1])) for r in runs.several(p, 1.0, 2.0, 3.0)],
        BadArgument,
        "no candidate",
    ),
    "another GPU": (
        lambda runs, p: runs.with_odd(
            p,
            attempts=[replace(ATTEMPT, environment=environment(gpu="NVIDIA H200"))],
        ),
        NotMeasured,
        "the GPU of the runs is NVIDIA H100 80GB HBM3 and NVIDIA H200",
    ),
    "unknown controls": (
        lambda runs, p: [runs.one(p, f"run{n}", settings=None) for n in range(3)],
        NotMeasured,
        "run0: cumprod/blocked_scan/default/square: run.json does not say how many samples were planned",
    ),
    "other controls": (
        lambda runs, p: runs.with_odd(p, settings=replace(run_of(p, []).settings, clock_control="base")),
        NotMeasured,
        "the clock control of the runs is base and none",
    ),
    "other cases": (
        lambda runs, p: runs.with_odd(p, cases=usual()[:3]),
        NotMeasured,
        "odd did not measure cumprod/blocked_scan/default/page",
    ),
    "a crash": (
        lambda runs, p: runs.with_odd(p, cases=[replace(r, outcome="crashed", reason="why") for r in usual()]),
        NotMeasured,
        "odd: cumprod/blocked_scan/default/square: crashed: why",
    ),
    "other code": (
        lambda runs, p: runs.with_odd(p, subjects={}),
        NotMeasured,
        "the problem changed since it was measured",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_baseline(repository: Project, runs: Runs, name: str) -> None:
    make, kind, message = REFUSED[name]
    found = make(runs, repository)
    with pytest.raises(kind, match=message) as refused:
        accept(repository, found, TODAY)
    assert refused.value.hint


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def baseline(repository: Project, runs: Runs) -> Baseline:
    return accept(repository, runs.several(repository, 100.0, 104.0, 101.0), TODAY)[0]


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


def test_cases_that_were_not_measured_again_stay_accepted(repository: Project, runs: Runs, baseline: Baseline) -> None:
    other = baseline.cases["blocked_scan/default/square"]
    kept = {"blocked_scan/default/flat": other, "gone/default/square": other}
    project = replace(repository, baselines={"cumprod": [replace(baseline, cases={**baseline.cases, **kept})]})
    [again] = accept(project, runs.several(repository, 90.0, 91.0, 92.0), TODAY)
    assert list(again.cases) == [f"blocked_scan/default/{name}" for name in ("flat", "page", "square")]
    assert again.cases["blocked_scan/default/square"].metrics["duration"].median == 91.0


def test_cases_of_other_conditions_are_not_kept(repository: Project, runs: Runs, baseline: Baseline) -> None:
    kept = {"blocked_scan/default/flat": baseline.cases["blocked_scan/default/square"]}
    project = replace(repository, baselines={"cumprod": [replace(baseline, clock_control="base", cases=kept)]})
    [again] = accept(project, runs.several(repository, 90.0, 91.0, 92.0), TODAY)
    assert "blocked_scan/default/flat" not in again.cases


# --- through the command line -----------------------------------------------------------------------------------------


def as_live(tree: Path, recording: Path, name: str, pack: Callable[[bytes], tuple[str, bytes]]) -> str:
    """The recording as a live run of a name, its ncu reports packed anew: content -> suffix and bytes."""
    folder = tree / "reports" / name
    shutil.copytree(recording, folder)
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    for attempt in run["attempts"]:
        old = folder / attempt["report"]
        suffix, packed = pack(zstandard.ZstdDecompressor().decompressobj().decompress(old.read_bytes()))
        old.unlink()
        path = old.with_suffix(suffix)
        path.write_bytes(packed)
        attempt.update(report=f"ncu/{path.name}", sha256=file_digest(path))
    (folder / "run.json").write_bytes(msgspec.json.encode({**run, "name": name, "kind": "live"}))
    return name


def test_a_baseline_stays_where_its_gpu_has_one(tree: Path, repository: Project, runs: Runs) -> None:
    """Also after a data sheet gave the GPU another folder."""
    project = load_project(tree)
    [baseline] = accept(repository, runs.several(repository, 100.0, 104.0, 101.0), TODAY)
    path = write(project, baseline)
    moved = path.parent.with_name("nvidia_h100")
    path.parent.rename(moved)
    assert write(load_project(tree), baseline) == moved / path.name


@pytest.mark.parametrize("change", [{"gpu": "NVIDIA H100 PCIe"}, {"clock_control": "base"}, {"cache_control": "none"}])
def test_a_baseline_does_not_replace_one_of_other_conditions(
    tree: Path, repository: Project, runs: Runs, change: dict[str, str]
) -> None:
    project = load_project(tree)
    [baseline] = accept(repository, runs.several(repository, 100.0, 104.0, 101.0), TODAY)
    path = write(project, replace(baseline, **change))
    if "gpu" in change:
        place = tree / FOLDER / path.name
        place.parent.mkdir(parents=True)
        path = path.rename(place)
    before = path.read_bytes()
    with pytest.raises(BadArgument, match="was accepted for"):
        write(project, baseline)
    assert path.read_bytes() == before


@pytest.fixture
def repeated(tree: Path, recording: Path) -> list[str]:
    """Runs with the recording's numbers that count as measured one by one: each time is some nanoseconds longer."""
    reports = read_report(next(recording.glob("ncu/*")), ["gpu__time_duration.sum"])
    times = {launch.metrics["gpu__time_duration.sum"].value for launch in reports.launches}

    def longer(by_ns: int) -> Callable[[bytes], tuple[str, bytes]]:
        changed = {struct.pack("<d", time): struct.pack("<d", time + by_ns) for time in times}
        pattern = re.compile(b"|".join(map(re.escape, changed)))
        return lambda content: (".ncu-rep", pattern.sub(lambda found: changed[found[0]], content))

    return [as_live(tree, recording, f"run{number}", longer(number)) for number in (1, 2, 3)]


PACKINGS: dict[str, Callable[[bytes], tuple[str, bytes]]] = {
    "as ncu wrote it": lambda content: (".ncu-rep", content),
    "at another level": lambda content: (".ncu-repz", zstandard.ZstdCompressor(level=1).compress(content)),
    "without its size": lambda content: (
        ".ncu-repz",
        zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(content),
    ),
    "in two frames": lambda content: (
        ".ncu-repz",
        zstandard.compress(content[: len(content) // 2]) + zstandard.compress(content[len(content) // 2 :]),
    ),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_run_and_its_own_recording_are_one_measurement(
    stallgate: Stallgate, tree: Path, recording: Path, repeated: list[str], packing: str
) -> None:
    live = as_live(tree, recording, "live", PACKINGS[packing])
    replay = f"recorded/{recording.parent.name}/{recording.name}"
    done = stallgate("baseline", live, replay, repeated[0])
    assert done.returncode == 2, done.stdout
    assert f"live and {replay} hold the same measurement" in " ".join(done.stderr.split())
    assert not (tree / "metrics/baselines").exists()
    compared = stallgate("compare", replay, live)
    assert "both runs hold the same ncu reports" in compared.stdout


@pytest.mark.parametrize("change", [lambda old: old + bytes(16), lambda old: patched(old, {"127.0.0.1": "127.0.0.2"})])
def test_what_ncu_read_makes_a_measurement_not_the_bytes_of_its_report(
    stallgate: Stallgate, tree: Path, recording: Path, repeated: list[str], change: Callable[[bytes], bytes]
) -> None:
    live = as_live(tree, recording, "live", lambda content: (".ncu-rep", change(content)))
    replay = f"recorded/{recording.parent.name}/{recording.name}"
    done = stallgate("baseline", live, replay, repeated[0])
    assert done.returncode == 2, done.stdout
    assert f"live and {replay} hold the same measurement" in " ".join(done.stderr.split())


def test_accepted_numbers_are_gated_by(
    stallgate: Stallgate, own_process: Stallgate, tree: Path, repeated: list[str]
) -> None:
    done = own_process("baseline", *repeated)
    assert done.returncode == 0, done.stderr
    name = f"metrics/baselines/{committed().card.name}/cumprod.json"
    assert f"baseline: {name}" in done.stdout
    path = tree / name
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
    recorded = committed().path
    done = stallgate("baseline", recorded, str(tree / recorded), f"{recorded}/../cumprod")
    assert done.returncode == 2
    assert "got 1" in done.stderr
    assert not (tree / "metrics/baselines").exists()
