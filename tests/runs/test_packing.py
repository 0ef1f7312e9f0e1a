"""A recording that would be too large for git: which launches it keeps."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from stallgate.cli.profile import keep
from stallgate.errors import BadArgument
from stallgate.extract.evidence import read_attempt
from stallgate.model import (
    DETAIL,
    RUN_FORMAT,
    Attempt,
    Case,
    CaseResult,
    Detail,
    Environment,
    HotLine,
    Run,
    Settings,
    Subject,
)
from stallgate.project.digests import file_digest
from stallgate.project.load import Project, load_project
from stallgate.runs import packing
from stallgate.runs.folder import load, save
from stallgate.runs.packing import LARGEST_RECORDING, PackedRecording, pack
from stallgate.runs.recording import record
from stallgate.runs.report_blocks import cases_in, only, taken_apart
from tests.conftest import small_tree
from tests.shared import Shared
from tests.small_recording import unpacked

GPU = Environment(
    gpu="NVIDIA H100 80GB HBM3",
    device=0,
    compute_capability="9.0",
    chip="GH100",
    driver="1",
    ncu="1",
    python="3",
    torch="2",
    triton="3",
    cuda="13",
)


@pytest.fixture(autouse=True)
def _in_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs at zstd's usual level: the highest takes half a minute for these reports, and noise stays as large."""
    monkeypatch.setattr(packing, "_packed", zstandard.compress)


def case(variant: str) -> Case:
    return Case(problem="cumprod", variant=variant, configuration="default", workload="square")


SIZES = {"small": 400_000, "large": 1_600_000, "middle": 900_000}
"""Variant -> bytes of its launch with every section, which cannot be packed."""

CASES = [case(variant) for variant in SIZES]


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def block(label: str, size: int, *, launches: int = 1) -> bytes:
    """A block of an ncu report with so many bytes of noise, the same at every time."""
    payload = label.encode() + b"\x12" + random.Random(label).randbytes(size)
    head = b"\x10" + varint(launches) + b"\x28" + varint(len(payload))
    return struct.pack("<I", len(head)) + head + payload


def report(sizes: dict[str, int], sample: str) -> bytes:
    """A made-up ncu report: a launch of each variant, and a block of what is not a launch before it."""
    head = b"NVR\0" + struct.pack("<I", 4) + b"head"
    blocks = [block("a table", 50, launches=0) + block(case(v).label(sample), size) for v, size in sizes.items()]
    return head + b"".join(blocks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "ncu").mkdir(parents=True)
    return tmp_path / "run"


def measured(folder: Path, samples: int, details: bytes) -> Run:
    """A run with a report of samples, of a size, and one with every section."""
    (folder / "ncu" / "1.ncu-rep").write_bytes(report({name: samples // len(SIZES) for name in SIZES}, "0"))
    (folder / "ncu" / "2.ncu-rep").write_bytes(details)
    lines = [HotLine(file="a.py", line=1, text="x", samples=1, reason="wait", reason_samples=1)]
    run = Run(
        format=RUN_FORMAT,
        name=folder.name,
        kind="live",
        created="2026-11-01T00:00:00Z",
        stallgate="0",
        reader="1",
        commit=None,
        dirty=False,
        arguments=[],
        settings=Settings(samples=1, timeout_s=1, clock_control="none", cache_control="all", metrics=[]),
        subjects={"cumprod": Subject(title="", workloads={}, roles={}, digests={})},
        cases=[CaseResult(case=each, role="candidate", outcome="profiled", attempt="1") for each in CASES],
        attempts=[
            Attempt(name="1", kind="samples", command=[], started="", report="ncu/1.ncu-rep", environment=GPU),
            Attempt(
                name="2",
                kind="detail",
                command=[],
                started="",
                report="ncu/2.ncu-rep",
                environment=GPU,
                details=[Detail(case=each, kernel="k", samples=1, advice=[], lines=lines) for each in CASES],
            ),
        ],
        complete=True,
    )
    save(folder, run)
    return run


def written(packed: PackedRecording, name: str, folder: Path) -> bytes:
    """A packed report, unpacked again."""
    path = folder / "packed"
    path.write_bytes(packed.reports[name])
    return unpacked(path)


def test_what_fits_is_kept_as_it_is(folder: Path) -> None:
    details = report({"small": 400_000, "large": 500_000, "middle": 900_000}, DETAIL)
    packed = pack(folder, measured(folder, 600_000, details), "cumprod")
    assert packed.left_out == []
    assert written(packed, "ncu/2.ncu-repz", folder) == details
    assert len(packed.run.attempts[1].details) == 3
    assert packed.size < LARGEST_RECORDING


def test_the_largest_launches_are_left_out_first(folder: Path) -> None:
    run = measured(folder, 600_000, report(SIZES, DETAIL))
    packed = pack(folder, run, "cumprod")
    assert packed.left_out == [case("large")]
    assert packed.size <= LARGEST_RECORDING
    assert [detail.case.variant for detail in packed.run.attempts[1].details] == ["small", "middle"]
    assert written(packed, "ncu/2.ncu-repz", folder) == report(SIZES, DETAIL).replace(
        block(case("large").label(DETAIL), SIZES["large"]), b""
    )
    samples = (folder / "ncu" / "1.ncu-rep").read_bytes()
    assert written(packed, "ncu/1.ncu-repz", folder) == samples, "samples are judged, and kept whole"


def test_the_first_launch_of_a_report_is_left_out_last(folder: Path) -> None:
    """It stays in the report as long as any other does: leaving out the rest of its case would gain nothing."""
    sizes = {"large": 1_600_000, "small": 400_000, "middle": 900_000}
    packed = pack(folder, measured(folder, 600_000, report(sizes, DETAIL)), "cumprod")
    assert packed.left_out == [case("middle")]
    packed = pack(folder, measured(folder, 1_800_000, report(sizes, DETAIL)), "cumprod")
    assert packed.left_out == [case("middle"), case("small"), case("large")]


def test_no_more_are_left_out_than_have_to_be(folder: Path) -> None:
    """With the largest two of them gone there would be room for the larger of the two."""
    packed = pack(folder, measured(folder, 1_500_000, report(SIZES, DETAIL)), "cumprod")
    assert packed.left_out == [case("large")]
    packed = pack(folder, measured(folder, 2_000_000, report(SIZES, DETAIL)), "cumprod")
    assert packed.left_out == [case("large"), case("middle")]


def test_without_room_for_any_the_whole_attempt_is_left_out(folder: Path) -> None:
    packed = pack(folder, measured(folder, 2_900_000, report(SIZES, DETAIL)), "cumprod")
    assert packed.left_out == [case("large"), case("middle"), case("small")]
    assert list(packed.reports) == ["ncu/1.ncu-repz"]
    assert [attempt.name for attempt in packed.run.attempts] == ["1"]


def test_a_report_that_cannot_be_taken_apart_is_left_out_whole(folder: Path) -> None:
    packed = pack(folder, measured(folder, 600_000, random.Random(1).randbytes(2_800_000)), "cumprod")
    assert packed.left_out == CASES
    assert list(packed.reports) == ["ncu/1.ncu-repz"]
    assert not any(attempt.details for attempt in packed.run.attempts)


def test_samples_that_do_not_fit_are_refused_and_nothing_is_replaced(folder: Path, tree: Path) -> None:
    project = load_project(tree)
    before = {path: path.read_bytes() for path in (tree / "reports").rglob("*") if path.is_file()}
    with pytest.raises(BadArgument, match=r"the recording of cumprod would have 3\.. MB") as refused:
        record(project, folder, measured(folder, 3_200_000, report(SIZES, DETAIL)))
    assert "fewer workloads" in refused.value.hint
    assert before == {path: path.read_bytes() for path in (tree / "reports").rglob("*") if path.is_file()}


def test_a_recording_says_what_it_left_out(folder: Path, tree: Path) -> None:
    project = load_project(tree)
    (kept,) = record(project, folder, measured(folder, 600_000, report(SIZES, DETAIL)))
    assert kept.left_out == [case("large")]
    recorded = load(kept.path)
    assert recorded.kind == "recorded"
    for attempt in recorded.attempts:
        assert attempt.sha256 == file_digest(kept.path / str(attempt.report))
    files = [path for path in kept.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_RECORDING


def test_the_command_names_what_it_left_out(folder: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(folder, 600_000, report(SIZES, DETAIL))
    keep(load_project(tree), folder)
    told = " ".join(capsys.readouterr().err.split())
    assert "recorded: " in told
    assert "without the launches with every section of cumprod/large/default/square: they do not fit in 3 MB" in told


# --- blocks ---


def test_bytes_that_are_no_report_are_refused() -> None:
    whole = report(SIZES, DETAIL)
    for damaged in (b"", b"NVR\0", whole[:-1], whole + b"\xff\xff", random.Random(2).randbytes(5000)):
        with pytest.raises(ValueError, match="ncu report"):
            taken_apart(damaged)


def test_a_name_that_begins_like_another_is_another() -> None:
    """A label ends where the next field begins, whose first byte may be a digit."""
    cases = [case("scan"), case("scan2")]
    _, blocks = taken_apart(report({"scan2": 10}, "0"))
    assert [cases_in(found, cases) for found in blocks] == [[], [case("scan2")]]


@pytest.fixture(scope="module")
def detailed(shared: Shared) -> Path:
    """A tree whose recording has launches with every section."""
    return shared.get("detailed", lambda folder: small_tree(folder / "project", detail=True))


def test_ncu_reads_a_report_with_launches_left_out(
    detailed: Path, repository: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = next(detailed.glob("reports/recorded/*/cumprod"))
    run = load(recording)
    (tmp_path / "ncu").mkdir()
    for attempt in run.attempts:
        name = Path(str(attempt.report)).stem
        (tmp_path / "ncu" / f"{name}.ncu-rep").write_bytes(unpacked(recording / str(attempt.report)))
    attempts = [replace(a, report=f"ncu/{Path(str(a.report)).stem}.ncu-rep") for a in run.attempts]
    run = replace(run, attempts=attempts)
    monkeypatch.setattr(packing, "LARGEST_RECORDING", pack(tmp_path, run, "cumprod").size - 1)
    packed = pack(tmp_path, run, "cumprod")
    assert [found.variant for found in packed.left_out] == ["blocked_scan"]
    for name, content in packed.reports.items():
        (tmp_path / name).write_bytes(content)
    detail = next(attempt for attempt in packed.run.attempts if attempt.kind == "detail")
    calls = read_attempt(tmp_path, packed.run, detail, repository.catalogue).calls
    assert {call.case.variant for call in calls} == {"copy_roof"}


def test_only_keeps_the_first_launch_for_the_names_of_the_metrics() -> None:
    kept = only(report(SIZES, DETAIL), [case("middle")])
    _, blocks = taken_apart(kept)
    assert [found for each in blocks for found in cases_in(each, CASES)] == [case("small"), case("middle")]
