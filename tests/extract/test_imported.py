"""Reports from elsewhere: under any name, through any link, of any content; nothing is made of one that is not good."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from stallgate.errors import DamagedReport
from stallgate.extract.evidence import gather
from stallgate.extract.foreign import identify_foreign
from stallgate.extract.imported import import_reports
from stallgate.extract.launches import read_report
from stallgate.model import Launch, RawMetric
from stallgate.project.load import Project
from stallgate.runs.folder import load
from tests.cli.test_failures import said
from tests.conftest import Stallgate, environment
from tests.extract.fuzz import beginning


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
    (tmp_path / "packed").write_bytes(zstandard.compress(report))
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
        paths[-1].write_bytes(zstandard.compress(report) if name.endswith("z") else report)
    folder = imported(repository, tmp_path / "reports", *paths)
    names = sorted(path.name for path in (folder / "ncu").iterdir())
    assert names == ["x-2.ncu-rep", "x-3.ncu-rep", "x-4.ncu-repz", "x.ncu-rep"]


def test_latest_may_be_imported_from(repository: Project, tmp_path: Path, report: bytes) -> None:
    (tmp_path / "x.ncu-rep").write_bytes(report)
    reports = tmp_path / "reports"
    first = imported(repository, reports, tmp_path / "x.ncu-rep")
    second = imported(repository, reports, reports / "latest" / "ncu" / "x.ncu-rep")
    assert first != second


def launch(index: int, kernel: str, text: str = "") -> Launch:
    geometry = {name: RawMetric(True, 8.0, "") for name in ("launch__grid_size", "launch__block_size")}
    return Launch(index=index, kernel=kernel, ranges=[text] if text else [], metrics=geometry)


def test_kernels_and_ranges_of_one_slug_are_cases_of_their_own() -> None:
    kernels = ["k<int>", "k[int]", "K_int", "k" * 100 + "a", "k" * 100 + "b", "k<int>"]
    ranges = ["step/large/0", "Step/large/0", "step/Large/0", "step/large/1"]
    launches = [launch(index, kernel) for index, kernel in enumerate(kernels)]
    launches += [launch(index, "k", text) for index, text in enumerate(ranges)]
    labels = [label for label, _ in identify_foreign(launches, "file")]
    assert len({label.case for label in labels}) == len({*kernels}) + 3
    assert labels[0].case == labels[5].case
    assert labels == [label for label, _ in identify_foreign(launches, "file")]


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
    assert time.monotonic() - begin < 20
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
