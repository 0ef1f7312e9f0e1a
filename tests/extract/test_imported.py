"""Reports from elsewhere: under any name, through any link, of any content; nothing is made of one that is not good."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from stallgate.errors import BadArgument, DamagedReport
from stallgate.extract.evidence import foreign_calls, gather
from stallgate.extract.foreign import ForeignCase, foreign_cases
from stallgate.extract.imported import import_reports
from stallgate.extract.launches import (
    BLOCK_DIMENSIONS,
    BLOCK_SIZE,
    DEVICE_INDEX,
    DEVICE_NAME,
    DYNAMIC_SHARED,
    GRID_DIMENSIONS,
    GRID_SIZE,
    REGISTERS,
    STATIC_SHARED,
    Report,
    read_report,
)
from stallgate.extract.table import rows_of
from stallgate.model import RUN_FORMAT, CaseResult, Launch, RawMetric, Run
from stallgate.project.load import Project
from stallgate.runs.folder import load
from stallgate.runs.naming import case_names
from tests.cli.test_failures import said
from tests.conftest import Stallgate, environment
from tests.extract.fuzz import beginning
from tests.extract.patching import patched, recorded_report, repeated
from tests.recordings import committed


@pytest.fixture
def report(recording: Path) -> bytes:
    """The first launches of the recorded report, not packed."""
    packed = (recording / load(recording).attempts[0].report).read_bytes()  # type: ignore[operator]
    return beginning(zstandard.ZstdDecompressor().decompressobj().decompress(packed), 4)


def imported(project: Project, reports: Path, *paths: Path) -> Path:
    """The run of some reports, which can be read."""
    folder = import_reports(list(paths), reports, ["import"])
    run = load(folder)
    assert len(run.attempts) == len(paths)
    assert gather(folder, run, project.catalogue).faults == {}
    assert (reports / "latest").resolve() == folder.resolve()
    return folder


# --- names and links ---


def test_a_link_to_a_file_of_another_name_is_imported_under_its_own(
    repository: Project, tmp_path: Path, report: bytes
) -> None:
    (tmp_path / "blob").write_bytes(report)
    (tmp_path / "mine.ncu-rep").symlink_to("blob")
    (tmp_path / "packed").write_bytes(zstandard.compress(patched(report, {"_kernel": "akernel"})))
    (tmp_path / "packed.ncu-repz").symlink_to("packed")
    folder = imported(repository, tmp_path / "reports", tmp_path / "mine.ncu-rep", tmp_path / "packed.ncu-repz")
    assert sorted(path.name for path in (folder / "ncu").iterdir()) == ["mine.ncu-rep", "packed.ncu-repz"]
    assert not any(path.is_symlink() for path in (folder / "ncu").iterdir())


@pytest.mark.parametrize("packed", [False, True])
def test_a_report_whose_name_is_no_text_is_imported(
    repository: Project, tmp_path: Path, report: bytes, packed: bool
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/of \xff"))
    folder.mkdir()
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.ncu-rep" + b"z" * packed))
    path.write_bytes(zstandard.compress(report) if packed else report)
    whole, plain = read_report(path, []), tmp_path / "plain.ncu-rep"
    plain.write_bytes(report)
    assert whole == read_report(plain, [])
    made = imported(repository, tmp_path / "reports", path)
    assert [found.name for found in (made / "ncu").iterdir()] == [f"caf.ncu-rep{'z' * packed}"]


@pytest.mark.parametrize("name", ["..", "n" * 240, "日本", "a b", "-rf", "a\nb", "{{7*7}}", "latest", ".hidden"])
def test_a_report_of_any_name_is_kept_inside_the_run(
    repository: Project, tmp_path: Path, report: bytes, name: str
) -> None:
    path = tmp_path / f"{name}.ncu-rep"
    path.write_bytes(report)
    folder = imported(repository, tmp_path / "reports", path)
    (kept,) = folder.rglob("*.ncu-rep")
    assert kept.parent == folder / "ncu"


def test_reports_of_one_name_are_kept_apart(repository: Project, tmp_path: Path, report: bytes) -> None:
    paths = []
    for place, name in (("a", "x.ncu-rep"), ("b", "x.ncu-rep"), ("c", "X!.ncu-rep"), ("d", "x.ncu-repz")):
        (tmp_path / place).mkdir()
        paths.append(tmp_path / place / name)
        content = patched(report, {"_kernel": f"{place}kernel"})
        paths[-1].write_bytes(zstandard.compress(content) if name.endswith("z") else content)
    folder = imported(repository, tmp_path / "reports", *paths)
    names = sorted(path.name for path in (folder / "ncu").iterdir())
    assert names == ["x-2.ncu-rep", "x-3.ncu-rep", "x-4.ncu-repz", "x.ncu-rep"]


@pytest.mark.parametrize("second", ["a.ncu-rep", "b.ncu-rep", "c.ncu-rep", "d.ncu-repz", "e.ncu-rep.zst"])
def test_a_report_that_is_given_twice_is_refused(
    repository: Project, tmp_path: Path, report: bytes, second: str
) -> None:
    """Its launches would count twice; a copy and a copy that is packed in any way are the same report."""
    (tmp_path / "d.ncu-repz").write_bytes(zstandard.compress(report))
    (tmp_path / "e.ncu-rep.zst").write_bytes(zstandard.compress(report, 19))
    for name in ("a.ncu-rep", "b.ncu-rep"):
        (tmp_path / name).write_bytes(report)
    (tmp_path / "c.ncu-rep").write_bytes(gzip.compress(report))
    with pytest.raises(
        BadArgument, match=re.escape(f"{tmp_path / second} has the content of {tmp_path / 'a.ncu-rep'}")
    ):
        imported(repository, tmp_path / "reports", tmp_path / "a.ncu-rep", tmp_path / second)
    assert not list((tmp_path / "reports").glob("*"))


def test_latest_may_be_imported_from(repository: Project, tmp_path: Path, report: bytes) -> None:
    (tmp_path / "x.ncu-rep").write_bytes(report)
    reports = tmp_path / "reports"
    first = imported(repository, reports, tmp_path / "x.ncu-rep")
    second = imported(repository, reports, reports / "latest" / "ncu" / "x.ncu-rep")
    assert first != second


# --- what a case is ---


def launch(index: int, kernel: str, *ranges: str, **changed: Any) -> Launch:
    """A launch of a grid of 8 x 4 x 1 blocks of 32 x 16 x 1 threads."""
    facts: dict[str, Any] = dict(zip((*GRID_DIMENSIONS, *BLOCK_DIMENSIONS), (8, 4, 1, 32, 16, 1), strict=True))
    facts |= {GRID_SIZE: 32, BLOCK_SIZE: 512, REGISTERS: 40, STATIC_SHARED: 0, DYNAMIC_SHARED: 0}
    facts |= {DEVICE_NAME: "NVIDIA H100 80GB HBM3", DEVICE_INDEX: 0} | changed.pop("facts", {})
    metrics = {name: RawMetric(True, value, "") for name, value in facts.items() if value is not None}
    return Launch(index=index, kernel=kernel, ranges=list(ranges), metrics=metrics, **changed)


def test_kernels_and_ranges_of_one_slug_are_cases_of_their_own() -> None:
    kernels = ["k<int>", "k[int]", "K_int", "k" * 100 + "a", "k" * 100 + "b", "k<int>"]
    launches = [launch(index, kernel) for index, kernel in enumerate(kernels)]
    launches += [launch(index, "k", text) for index, text in enumerate(["step", "Step", "STEP", "step"])]
    cases = foreign_cases(launches, "file")
    assert len({found.case for found in cases}) == len(cases) == len({*kernels}) + 2 * 3
    assert [launch.kernel for launch in cases[0].samples["1"]] == ["k<int>"]
    assert cases == foreign_cases(launches, "file")


def grid(x: int, y: int, z: int) -> dict[str, int]:
    return dict(zip(GRID_DIMENSIONS, (x, y, z), strict=True))


def block(x: int, y: int, z: int) -> dict[str, int]:
    return dict(zip(BLOCK_DIMENSIONS, (x, y, z), strict=True))


@pytest.mark.parametrize(
    "other",
    [
        {"facts": block(16, 32, 1)},
        {"facts": grid(4, 8, 1)},
        {"facts": grid(8, 1, 4)},
        {"facts": {REGISTERS: 41}},
        {"facts": {STATIC_SHARED: 1024}},
        {"facts": {DYNAMIC_SHARED: 1024}},
        {"facts": {DEVICE_NAME: "NVIDIA A10G"}},
        {"facts": {DEVICE_INDEX: 1}},
        {"facts": dict.fromkeys([*GRID_DIMENSIONS, *BLOCK_DIMENSIONS])},
        {"signature": "void k<(int)64>(float *)"},
        {"kind": "graph"},
    ],
    ids=str,
)
def test_launches_that_differ_are_cases_of_their_own(other: dict[str, Any]) -> None:
    first = {"signature": "void k<(int)32>(float *)"}
    cases = foreign_cases([launch(0, "k", **first), launch(1, "k", **first | other), launch(2, "k", **first)], "file")
    found = [[launch.index for (launch,) in case.samples.values()] for case in cases]
    assert found == [[0, 2], [1]]
    assert len({case.case for case in cases}) == 2
    names = case_names(run_of_cases(cases))
    assert len(set(names.values())) == 2


def run_of_cases(cases: list[ForeignCase]) -> Run:
    results = [CaseResult(case=c.case, role="unknown", outcome="profiled", identity=c.identity) for c in cases]
    return Run(
        format=RUN_FORMAT,
        name="run",
        kind="imported",
        created="",
        stallgate="",
        reader="",
        commit=None,
        dirty=False,
        arguments=[],
        settings=None,
        subjects={},
        cases=results,
    )


def test_a_sweep_of_137_configurations_is_137_cases() -> None:
    sweep = [launch(i, "gemm", facts={**grid(137 - i, i + 1, 1), GRID_SIZE: (137 - i) * (i + 1)}) for i in range(137)]
    cases = foreign_cases(sweep, "sweep")
    assert len({case.case for case in cases}) == 137
    assert len(set(case_names(run_of_cases(cases)).values())) == 137


def test_105_launches_are_as_many_cases_as_are_distinct() -> None:
    launches = [launch(i, f"k{i % 3}", facts={REGISTERS: 32 + i % 2}) for i in range(105)]
    cases = foreign_cases(launches, "loop", "loop.ncu-rep")
    counts = {(c.identity.kernel, c.identity.registers): c.identity.launches for c in cases if c.identity}
    assert counts == {
        ("k0", 32): 18,
        ("k1", 33): 18,
        ("k2", 32): 18,
        ("k0", 33): 17,
        ("k1", 32): 17,
        ("k2", 33): 17,
    }
    for case in cases:
        assert case.identity is not None
        assert len(case.samples) == case.identity.launches


@pytest.mark.parametrize(
    ("one", "other"), [("setRowReadRow", "SetRowReadRow"), ("ядро", "другое"), ("k" * 90 + "a", "k" * 90 + "b")]
)
def test_kernels_of_one_slug_keep_their_names(one: str, other: str) -> None:
    cases = foreign_cases([launch(0, one), launch(1, other)], "file")
    assert len({case.case for case in cases}) == 2
    assert list(case_names(run_of_cases(cases)).values()) == [one, other]


# --- NVTX ranges ---


def test_a_range_is_a_call_of_all_its_launches() -> None:
    launches = [
        launch(0, "a", "step", "forward"),
        launch(1, "b", "step", "forward"),
        launch(2, "a", "step"),
        launch(3, "a", "mine/large/0"),
        launch(4, "b"),
    ]
    calls = {
        tuple(case.identity.ranges): case
        for case in foreign_cases(launches, "file")
        if case.identity and case.identity.kind == "call"
    }
    assert {path: [launch.index for launch in case.samples["0"]] for path, case in calls.items()} == {
        ("step",): [0, 1, 2],
        ("step", "forward"): [0, 1],
        ("mine/large/0",): [3],
    }
    assert all(list(case.samples) == ["0"] for case in calls.values())
    step = calls["step",].identity
    assert step is not None
    assert (step.kernels, step.launches) == (["a", "b"], 3)


def test_ranges_of_different_domains_do_not_nest() -> None:
    both = launch(0, "k", "lib@sort", "step", domains=[["lib@sort"], ["step"]])
    found = [case.identity for case in foreign_cases([both], "file")]
    assert [identity.ranges for identity in found if identity and identity.kind == "call"] == [["lib@sort"], ["step"]]


def test_the_rows_of_a_range_are_of_the_whole_call(repository: Project) -> None:
    times = {"gpu__time_duration.sum": 100.0}
    launches = [launch(0, "a", "step", facts=times), launch(1, "b", "step", facts={**times, DEVICE_INDEX: 1})]
    cases = foreign_cases(launches, "file")
    rows = rows_of(run_of_cases(cases), repository, foreign_calls(cases))
    told = [(row.kernel, row.launch, row.value, row.device) for row in rows if row.metric == "duration"]
    first, second = (f"NVIDIA H100 80GB HBM3, device {index}" for index in (0, 1))
    assert told == [
        ("a", 0, 100.0, first),
        ("", None, 100.0, first),
        ("b", 1, 100.0, second),
        ("", None, 100.0, second),
        ("", None, 200.0, f"{first}; {second}"),
    ]


# --- launches that ncu could not profile ---


def test_a_launch_without_counters_is_no_sample() -> None:
    reason = "it needs more memory"
    launches = [launch(0, "k", "step"), launch(1, "k", "step", has_counters=False, reason=reason)]
    alike, call = foreign_cases(launches, "file")
    assert alike.identity is not None
    assert (alike.identity.launches, alike.identity.without_counters, list(alike.samples)) == (2, 1, ["0"])
    assert alike.missing == ""
    assert call.samples == {}
    assert call.missing == f"ncu has no counters of 1 of its 2 launches: {reason}"
    (alone,) = foreign_cases([launch(0, "k", has_counters=False)], "file")
    assert alone.missing == "ncu has no counters of this launch"


def test_a_launch_of_statistics_alone_was_profiled(repository: Project) -> None:
    facts = {GRID_SIZE: 8, REGISTERS: 24}
    cases = foreign_cases([launch(0, "k", has_counters=False, has_statistics_alone=True, facts=facts)], "file")
    (case,) = cases
    assert case.identity is not None
    assert (case.identity.without_counters, case.missing, list(case.samples)) == (0, "", ["0"])
    rows = rows_of(run_of_cases(cases), repository, foreign_calls(cases))
    assert {row.value for row in rows if row.metric == "registers"} == {24.0}


def test_a_launch_of_not_a_number_is_imported_as_one_without_counters(
    repository: Project, tmp_path: Path, report: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.ncu-rep"
    path.write_bytes(patched(report, {"stallgate/": "mine__ate/"}))

    def without(*given: Any, **options: Any) -> Report:
        found = read_report(*given, **options)
        return replace(found, launches=[replace(found.launches[0], has_counters=False), *found.launches[1:]])

    monkeypatch.setattr("stallgate.extract.imported.read_report", without)
    run = load(import_reports([path], tmp_path / "reports", []))
    without_counters = [result.identity.without_counters for result in run.cases if result.identity is not None]
    assert sum(without_counters) == 2  # the launch's own case, and its range
    reasons = [result.reason for result in run.cases if result.outcome == "not_profiled"]
    assert reasons == ["ncu has no counters of this launch", "ncu has no counters of its only launch"]


# --- many launches ---


def test_many_launches_are_read_in_parts(recording: Path, tmp_path: Path, stallgate: Stallgate, tree: Path) -> None:
    whole = patched(recorded_report(recording), {"stallgate/cumprod/": "training/the step/"})
    (tree / "many.ncu-rep").write_bytes(repeated(whole, 1100))
    begin = time.monotonic()
    done = stallgate("import", "many.ncu-rep")
    took = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    assert took < 110  # a tenth of that, on a machine with nothing else to do
    run = load((tree / "reports/latest").resolve())
    identities = [result.identity for result in run.cases if result.identity is not None]
    assert sum(identity.launches for identity in identities if identity.kind == "launches") == 1100
    assert {identity.device for identity in identities} == {committed().gpu}


# --- nothing is made before all is known to be good ---


@pytest.mark.parametrize("bad", [b"", b"garbage", None], ids=["empty", "garbage", "nowhere"])
def test_one_bad_report_makes_no_run(
    stallgate: Stallgate, tree: Path, replayed_square: Path, report: bytes, bad: bytes | None
) -> None:
    (tree / "good.ncu-rep").write_bytes(report)
    if bad is not None:
        (tree / "bad.ncu-rep").write_bytes(bad)
    before = sorted((tree / "reports").iterdir())
    done = stallgate("import", "good.ncu-rep", "bad.ncu-rep")
    assert done.returncode in (2, 3)
    said(done, "bad.ncu-rep", "hint:")
    assert sorted((tree / "reports").iterdir()) == before
    assert (tree / "reports/latest").resolve() == replayed_square


def test_a_report_that_changes_meanwhile_makes_no_run(
    tmp_path: Path, report: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.ncu-rep"
    path.write_bytes(report)

    def growing(*given: Any, **options: Any) -> Any:
        found = read_report(*given, **options)
        path.write_bytes(report + report[8:])
        return found

    monkeypatch.setattr("stallgate.extract.imported.read_report", growing)
    with pytest.raises(DamagedReport, match="changed while it was imported"):
        import_reports([path], tmp_path / "reports", [])
    assert not list((tmp_path / "reports").iterdir())


# --- more than a report is ---


def bomb(path: Path, size: int, *, told: bool) -> None:
    """A report of so many zeros behind its head, packed; their size is in the head of the frame or not."""
    packer = zstandard.ZstdCompressor(write_content_size=told).compressobj(**({"size": size} if told else {}))
    zeros, head = bytes(1 << 24), b"NVR\0" + b"\xff" * 4
    with path.open("wb") as file:
        file.write(packer.compress(head + zeros[len(head) :]))
        for _ in range(1, size >> 24):
            file.write(packer.compress(zeros))
        file.write(packer.flush())


@pytest.mark.parametrize("told", [True, False])
def test_a_packed_report_of_four_gibibytes_is_refused_at_once(stallgate: Stallgate, tree: Path, told: bool) -> None:
    bomb(tree / "bomb.ncu-repz", 4 << 30, told=told)
    assert (tree / "bomb.ncu-repz").stat().st_size < 1 << 20
    begin = time.monotonic()
    done = stallgate("import", "bomb.ncu-repz")
    assert time.monotonic() - begin < 60
    assert done.returncode == 3
    said(done, "the ncu report bomb.ncu-repz", "it unpacks to more than 2 GiB", "hint:")


def frame_of_a_large_window(path: Path, report: bytes) -> None:
    settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    path.write_bytes(packer.compress(report) + packer.flush())


def another_behind(path: Path, report: bytes) -> None:
    bomb(path, 4 << 30, told=False)
    path.write_bytes(zstandard.compress(report) + path.read_bytes())


@pytest.mark.parametrize("make", [frame_of_a_large_window, another_behind])
def test_what_is_packed_in_another_way_is_refused(
    tmp_path: Path, report: bytes, make: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "x.ncu-repz"
    make(path, report)
    with pytest.raises(DamagedReport, match=r"the ncu report x\.ncu-repz"):
        read_report(path, [])


def test_the_reader_has_a_limit_of_memory() -> None:
    script = """
import resource, runpy, sys
import ncu_report
ncu_report.load_report = lambda path: sys.exit(f"limit {resource.getrlimit(resource.RLIMIT_AS)[0]}")
sys.argv = ["reader", "x.ncu-rep"]
runpy.run_module("stallgate.extract.reader", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == f"limit {8 << 30}"
