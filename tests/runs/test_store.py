"""The store: what was read is read again only where something changed, and never decides what a list says."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stallgate.compare.history import StoredRun, listed_runs, series_of, stored_runs
from stallgate.project.load import load_project
from stallgate.render.index import write_index
from stallgate.runs import store as stores
from stallgate.runs.store import STORE_FILE, KeptParts, Source, Store
from tests.conftest import ROOT, Stallgate, environment
from tests.runs.many_runs import make_runs

METRICS = ["duration", "roof_fraction", "dram_throughput"]


@pytest.fixture
def reports(replayed_square: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five copies of a run and the run itself; what has just been written counts as settled."""
    monkeypatch.setattr(stores, "_SETTLED_S", 0.0)
    make_runs(replayed_square, 5)
    return replayed_square.parent


class Reading:
    """A source that counts what is read: the content of ``run.json``."""

    def __init__(self, version: str = "1") -> None:
        self.folders: list[str] = []
        self.source = Source(name="text", files=("run.json", "verdicts.json"), read=self._read, version=version)

    def _read(self, folder: Path) -> KeptParts:
        self.folders.append(folder.name)
        return {"text": (folder / "run.json").read_bytes(), "length": b"%d" % (folder / "run.json").stat().st_size}


def read_again(reports: Path, version: str = "1") -> list[str]:
    """The folders that are read by whoever asks now."""
    reading = Reading(version)
    found = Store(reports).parts(reading.source, ["text"])
    assert {folder: parts["text"] for folder, parts in found.items()} == {
        path.parent: path.read_bytes() for path in reports.glob("[!.lr]*/run.json")
    }
    return reading.folders


def everything(reports: Path) -> tuple[list[StoredRun], list[StoredRun]]:
    return listed_runs(Store(reports)), stored_runs(Store(reports), METRICS)


def from_folders(reports: Path) -> tuple[list[StoredRun], list[StoredRun]]:
    """What the folders say where there is no store."""
    (reports / STORE_FILE).unlink(missing_ok=True)
    return everything(reports)


def test_only_what_is_new_changed_or_gone_is_read_again(reports: Path) -> None:
    folders = sorted(path.parent.name for path in reports.glob("2*/run.json"))
    assert read_again(reports) == folders
    assert read_again(reports) == []
    (reports / folders[1] / "report.html").write_text("drawn")
    assert read_again(reports) == [], "no source reads pages"
    (reports / folders[1] / "verdicts.json").unlink()
    run = reports / folders[2] / "run.json"
    run.write_bytes(run.read_bytes() + b"\n")
    shutil.rmtree(reports / folders[3])
    shutil.copytree(reports / folders[4], reports / "20300101-000000-new")
    assert read_again(reports) == [folders[1], folders[2], "20300101-000000-new"]
    assert read_again(reports) == []
    assert read_again(reports, "2") == sorted({*folders, "20300101-000000-new"} - {folders[3]})


def test_a_file_that_has_just_been_written_is_read_again(
    replayed_square: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_SETTLED_S", 1000.0)  # it may be written once more within the same tick of the clock
    assert read_again(replayed_square.parent) == [replayed_square.name]
    assert read_again(replayed_square.parent) == [replayed_square.name]


def test_lists_and_series_are_the_same_with_the_store_and_without(reports: Path) -> None:
    first = everything(reports)
    assert everything(reports) == first
    assert from_folders(reports) == first
    assert len(first[0]) == 6
    measured = [line for line in series_of(first[1], METRICS) if line.measured]
    assert {line.key.metric for line in measured} >= {"duration", "dram_throughput"}


def test_a_run_that_is_removed_is_gone_from_every_list(reports: Path) -> None:
    gone = everything(reports)[0][2].folder
    shutil.rmtree(gone)
    assert gone not in [run.folder for runs in everything(reports) for run in runs]
    with sqlite3.connect(reports / STORE_FILE) as file:
        rows = file.execute("SELECT count(*) FROM parts WHERE folder = ?", (gone.name.encode(),)).fetchone()
    file.close()
    assert rows == (0,)


def damaged(kind: str, path: Path) -> None:
    if kind == "text":
        path.write_text("this is no store\n" * 500)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        statements = {
            "other_format": "PRAGMA user_version = 99",
            "no_tables": "DROP TABLE parts",
            "other_columns": "ALTER TABLE marks DROP COLUMN parts",
            "lost_parts": "DELETE FROM parts",
            "other_content": "UPDATE parts SET content = x'00'",
            "other_type": "UPDATE parts SET content = 'text'",
            "other_folder": "UPDATE parts SET folder = 7",
        }
        file = sqlite3.connect(path)
        file.execute(statements[kind])
        file.commit()
        file.close()


@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "cut",
        "empty",
        "other_format",
        "no_tables",
        "other_columns",
        "lost_parts",
        "other_content",
        "other_type",
    ],
)
def test_a_damaged_store_is_made_again_and_says_nothing(reports: Path, kind: str) -> None:
    first = everything(reports)
    damaged(kind, reports / STORE_FILE)
    assert everything(reports) == first
    everything(reports)
    assert read_again(reports)
    assert read_again(reports) == [], "it is whole again"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_what_a_list_says(reports: Path, place: float, bit: int) -> None:
    first = everything(reports)
    path = reports / STORE_FILE
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert everything(reports) == first
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["folder", "held"])
def test_without_a_place_for_the_store_folders_are_read(
    reports: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_WAIT_S", 0.05)
    first = everything(reports)
    if kind == "folder":
        (reports / STORE_FILE).unlink()
        (reports / STORE_FILE).mkdir()
        assert everything(reports) == first
        return
    other = sqlite3.connect(reports / STORE_FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert everything(reports) == first
    other.close()


def test_processes_that_read_at_once_agree(replayed_square: Path, tree: Path) -> None:
    make_runs(replayed_square, 30)
    words = [sys.executable, "-m", "stallgate", "show", "runs", "--json"]
    started = [
        subprocess.Popen(words, cwd=tree, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert {error for _, error in said} == {b""}
    assert len({out for out, _ in said}) == 1
    assert len(msgspec.json.decode(said[0][0])["runs"]) == 31


def test_the_store_is_ignored_by_git_and_no_run(stallgate: Stallgate, reports: Path) -> None:
    assert stallgate("show", "runs").returncode == 0
    assert (reports / STORE_FILE).is_file()
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", f"reports/{STORE_FILE}"], cwd=ROOT, check=False, capture_output=True
    )
    assert ignored.returncode == 0
    assert STORE_FILE not in stallgate("show", "runs").stdout


# --- many runs --------------------------------------------------------------------------------------------------------


class Times:
    """Seconds of processor time: what other processes do does not count."""

    def __init__(self, tree: Path) -> None:
        self._project = load_project(tree)
        self.cold = self._timed(self.page)
        self.warm_list = min(self._timed(self.list) for _ in range(3))
        self.warm_page = min(self._timed(self.page) for _ in range(2))

    def list(self) -> None:
        listed_runs(Store(self._project.reports))

    def page(self) -> None:
        write_index(self._project)

    def _timed(self, work: object) -> float:
        assert callable(work)
        begun = time.process_time()
        work()
        return time.process_time() - begun


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stores, "_SETTLED_S", 0.0)
    return


@pytest.mark.usefixtures("settled")
def test_a_run_more_costs_a_list_next_to_nothing(replayed_square: Path, tree: Path) -> None:
    make_runs(replayed_square, 300)
    times = Times(tree)
    assert times.warm_list / 300 < 1e-3, "ten thousand would take ten seconds, and take 0.6"
    assert times.warm_page < times.cold / 2
    text = (tree / "reports/index.html").read_text()
    assert text.count('<th scope="row"><a') + text.count('<th scope="row">2') >= 301
    assert "A mark stands for up to 4 measurements" in text
    assert "The newest 500 measurements of cumprod · square" in text


@pytest.mark.long
def test_ten_thousand_runs_are_listed_in_two_seconds_and_drawn_in_five(replayed_square: Path, tree: Path) -> None:
    """Of processor time, without the start of Python: seconds by the clock depend on what else the machine does."""
    make_runs(replayed_square, 10_000)
    times = Times(tree)
    assert times.warm_list < 2
    assert times.warm_page < 5
    assert (tree / "reports/index.html").stat().st_size < 10e6
