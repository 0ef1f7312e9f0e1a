"""What is offered as an ncu report: its content counts, not its name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from stallgate.errors import BadArgument, BrokenFile, DamagedReport
from stallgate.extract.file_kind import check_is_report
from stallgate.extract.imported import import_reports
from stallgate.extract.launches import read_report
from stallgate.model import Launch
from stallgate.runs.folder import load
from stallgate.runs.report_blocks import taken_apart
from tests.conftest import ROOT, Stallgate
from tests.extract.fuzz import beginning


@pytest.fixture(scope="module")
def report() -> bytes:
    """The first launches of the recorded report, not packed."""
    recording = next((ROOT / "reports/recorded").glob("*/cumprod"))
    packed = (recording / str(load(recording).attempts[0].report)).read_bytes()
    return beginning(zstandard.ZstdDecompressor().decompressobj().decompress(packed), 3)


def launches_of(folder: Path) -> list[Launch]:
    run = load(folder)
    return read_report(folder / str(run.attempts[0].report), []).launches


# --- what is a report ---

NAMES = [
    "step.ncu-rep",
    "step.nsight-cuprof-report",
    "step.NCU-REP",
    "step.ncu-repz",  # not packed
    "step",
    "step.txt",
    "step.csv",
    "step.gz",  # neither
]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_one_under_any_name(tmp_path: Path, report: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(report)
    folder = import_reports([tmp_path / name], tmp_path / "reports", [])
    (kept,) = (folder / "ncu").iterdir()
    assert kept.read_bytes() == report
    assert kept.suffix == ".ncu-rep"
    assert len(launches_of(folder)) == 3


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.compress,
    "zstd in gzip": lambda content: gzip.compress(zstandard.compress(content)),
    "gzip in two streams": lambda content: gzip.compress(content[:5000]) + gzip.compress(content[5000:]),
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["step.ncu-rep.gz", "step.ncu-rep"])
def test_a_packed_report_is_unpacked(tmp_path: Path, report: bytes, packer: str, name: str) -> None:
    (tmp_path / name).write_bytes(PACKERS[packer](report))
    (tmp_path / "plain.ncu-rep").write_bytes(report)
    folder = import_reports([tmp_path / name], tmp_path / "reports", [])
    (kept,) = (folder / "ncu").iterdir()
    assert kept.name == ("step.ncu-repz" if packer == "zstd" else "step.ncu-rep")
    assert launches_of(folder) == read_report(tmp_path / "plain.ncu-rep", []).launches


def test_a_link_is_what_it_leads_to(tmp_path: Path, report: bytes) -> None:
    (tmp_path / "blob").write_bytes(report)
    (tmp_path / "link").symlink_to("blob")
    assert len(launches_of(import_reports([tmp_path / "link"], tmp_path / "reports", []))) == 3


# --- what is none ---


def packed_as_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("step.ncu-rep", "x")


def packed_as_tar(path: Path) -> None:
    (path.parent / "member").write_text("x")
    with tarfile.open(path, "w:gz") as file:
        file.add(path.parent / "member", "member")


def database(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("create table x (y)")


def holds(content: bytes | str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content) and None


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
CSV = '"ID","Process ID","Process Name"\n"0","1","python"\n'

OTHERS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "lfs": (holds(LFS), "it seems to be a Git LFS pointer", "git lfs pull"),
    "annex": (holds("/annex/objects/SHA256E-s12--aa.ncu-rep\n"), "a git-annex pointer", "git annex get"),
    "annex link as text": (holds("../.git/annex/objects/a/b/c"), "a git-annex pointer", "git annex get"),
    "csv of ncu": (holds(CSV), "a CSV table that ncu printed", "--export"),
    "csv": (holds("a,b\n1,2\n"), "a CSV table", "--export"),
    "csv in gzip": (holds(gzip.compress(CSV.encode())), "a CSV table that ncu printed, compressed by gzip", "--export"),
    "output": (holds("==PROF== Connected to process 1\n==PROF== Disconnected\n"), "what ncu printed", "--export"),
    "zip": (packed_as_zip, "a zip archive", "unpack it"),
    "tar": (packed_as_tar, "a tar archive, compressed by gzip", "unpack it"),
    "database": (database, "an SQLite database", "--export"),
    "page": (holds("\n<!DOCTYPE html>\n<html>"), "a web page", "download the file itself"),
    "json": (holds('{"a": 1}'), "JSON", "--export"),
    "readme": (holds("# Reports\n\nMade on an A100, last week.\n"), "text", "--export"),
    "text of Windows": (holds("ID\r\nname".encode("utf-16")), "text", "--export"),
    "cut in a character": (holds(b"x" * 4095 + "é".encode()), "text", "--export"),
    "empty": (holds(b""), "it is empty", "copy it again"),
    "zeros": (holds(bytes(9000)), "it begins with zeros", "copy it again"),
    "noise": (holds(bytes(range(1, 256)) * 40), "it does not begin as ncu's reports do", "--export"),
    "folder": (Path.mkdir, "it is a folder", "*.ncu-rep"),
    "pipe": (os.mkfifo, "it is not a regular file", "copy it"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_report_is_named_with_what_to_do(tmp_path: Path, what: str) -> None:
    make, said, hint = OTHERS[what]
    path = tmp_path / "step.ncu-rep"
    make(path)
    with pytest.raises(BrokenFile, match="is no ncu report") as refusal:
        check_is_report(path)
    assert refusal.value.status == 2
    assert said in refusal.value.message
    assert hint in refusal.value.hint


@pytest.mark.parametrize("suffix", [".nsys-rep", ".qdrep", ".QDSTRM"])
def test_a_report_of_nsight_systems_is_none_of_ncu(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"step{suffix}"
    path.write_bytes(bytes(range(1, 200)))
    with pytest.raises(BrokenFile, match="a report of Nsight Systems"):
        check_is_report(path)


def test_a_link_to_an_annexed_file_that_is_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "step.ncu-rep"
    path.symlink_to(".git/annex/objects/a/b")
    with pytest.raises(BadArgument, match="does not exist: it is a link") as refusal:
        check_is_report(path)
    assert "git annex get" in refusal.value.hint


def test_a_pointer_makes_no_run(stallgate: Stallgate, tree: Path) -> None:
    (tree / "step.ncu-rep").write_text(LFS)
    done = stallgate("import", "step.ncu-rep")
    assert done.returncode == 2
    assert "git lfs pull" in done.stderr
    assert not (tree / "reports/latest").exists()


# --- reports that are not whole ---


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_report_that_was_cut_short_is_damaged(
    tmp_path: Path, report: bytes, share: float, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "step.ncu-rep"
    path.write_bytes(pack(report[: int(share * len(report))]))
    with pytest.raises(DamagedReport, match="it was cut short"):
        check_is_report(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lzma.compress])
def test_a_packed_report_that_was_cut_short_is_damaged(
    tmp_path: Path, report: bytes, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "step.ncu-rep"
    path.write_bytes(pack(report)[:-100])
    with pytest.raises(DamagedReport, match="it was cut short"):
        check_is_report(path)


def test_a_report_without_a_launch_says_so(tmp_path: Path, report: bytes) -> None:
    head, blocks = taken_apart(report)
    path = tmp_path / "step.ncu-rep"
    path.write_bytes(head + b"".join(block.content for block in blocks if not block.launches))
    with pytest.raises(DamagedReport, match="holds no launch: ncu profiled no kernel") as refusal:
        check_is_report(path)
    assert refusal.value.status == 3


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
def test_a_report_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr("stallgate.extract.file_kind.LARGEST_REPORT", 2**20)
    path = tmp_path / "step.ncu-rep"
    path.write_bytes(pack(b"NVR\0" + b"\xff" * 4 + bytes(2**22)))
    with pytest.raises(DamagedReport, match="it unpacks to more than"):
        check_is_report(path)
