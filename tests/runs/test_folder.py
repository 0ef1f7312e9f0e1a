"""A run's folder: made whole or not at all, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stallgate.errors import BadArgument, BrokenFile
from stallgate.runs.folder import (
    create_folder,
    find,
    is_recording,
    load,
    new_folder,
    remove_parts,
    whole_run,
    write_whole,
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def test_latest_points_to_a_run_when_it_is_whole(reports: Path) -> None:
    first = create_folder(reports, "cumprod")
    with whole_run(reports, "cumprod") as folder:
        assert (reports / "latest").resolve() == first
    assert (reports / "latest").resolve() == folder


def test_a_run_that_fails_on_the_way_leaves_nothing(reports: Path) -> None:
    first = create_folder(reports, "cumprod")
    with pytest.raises(FileNotFoundError), whole_run(reports, "cumprod") as folder:
        shutil.copyfile(reports / "nowhere", folder / "ncu" / "1.ncu-rep")
    assert sorted(path.name for path in reports.iterdir()) == sorted([first.name, "latest"])
    assert (reports / "latest").resolve() == first


@pytest.mark.parametrize("subject", ["../../victim", "/victim", "a/b", "n" * 300, "", ".."])
def test_a_run_is_named_inside_the_reports(reports: Path, subject: str) -> None:
    assert new_folder(reports, subject).parent == reports
    assert [path.parent for path in reports.iterdir()] == [reports]


# --- writing ---


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for name in ("file", f".file.{os.getpid()}.part"):
        (tmp_path / name).symlink_to(victim)
    write_whole(tmp_path / "file", b"new")
    assert victim.read_text() == "kept"
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file").is_symlink()


def test_a_file_that_cannot_be_written_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  (in the system's words)
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_our_own_parts_are_removed(tmp_path: Path) -> None:
    kept = [".notes", ".gitkeep", ".run.json.swp", ".env.12", "run.json", ".x.12.part.txt", "a.12.part"]
    parts = [".run.json.123.part", ".report.html.9.part"]
    for place in (tmp_path, tmp_path / "ncu", tmp_path / "ncu_metrics"):
        place.mkdir(exist_ok=True)
        for name in kept + parts:
            (place / name).write_text("")
        (place / ".folder.12.part").mkdir()
        (place / ".link.12.part").symlink_to("run.json")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / parts[0]).write_text("")
    remove_parts(tmp_path)
    for place in (tmp_path, tmp_path / "ncu", tmp_path / "ncu_metrics"):
        left = {path.name for path in place.iterdir()} - {"ncu", "ncu_metrics", "mine"}
        assert left == {*kept, ".folder.12.part", ".link.12.part"}
    assert (tmp_path / "mine" / parts[0]).exists()


# --- finding ---


@pytest.mark.parametrize("target", ["..", "../victim", "/", "."])
def test_latest_may_not_lead_out_of_the_reports(reports: Path, target: str) -> None:
    reports.mkdir()
    (reports.parent / "victim").mkdir()
    (reports / "latest").symlink_to(target)
    with pytest.raises(BrokenFile, match="latest leads out of"):
        find(reports, None)


def test_the_reports_may_be_a_link_and_so_may_the_recordings(tmp_path: Path) -> None:
    (tmp_path / "disk" / "recorded-of-all" / "gpu" / "p").mkdir(parents=True)
    (tmp_path / "disk" / "recorded").symlink_to("recorded-of-all")
    (tmp_path / "reports").symlink_to("disk")
    reports = tmp_path / "reports"
    folder = create_folder(reports, "p")
    assert find(reports, None) == folder.resolve()
    assert not is_recording(reports, folder)
    assert is_recording(reports, reports / "recorded" / "gpu" / "p")


def test_a_run_whose_name_is_no_text_is_refused(reports: Path) -> None:
    reports.mkdir()
    Path(os.fsdecode(os.fsencode(reports) + b"/caf\xe9")).mkdir()
    with pytest.raises(BadArgument, match=r"caf\\xe9 is not UTF-8"):
        find(reports, "caf\udce9")


# --- a run that is not what it should be ---


def test_a_run_of_names_that_lead_elsewhere_is_refused(replayed_square: Path) -> None:
    path = replayed_square / "run.json"
    run = msgspec.json.decode(path.read_bytes())
    for name in ("../../victim", "..", "a/b", ""):
        changed = {**run, "subjects": {name: run["subjects"]["cumprod"]}}
        path.write_bytes(msgspec.json.encode(changed))
        with pytest.raises(BrokenFile, match="is not a valid part of a case's name"):
            load(replayed_square)
        changed = {**run, "cases": [{**run["cases"][0], "case": {**run["cases"][0]["case"], "variant": name}}]}
        path.write_bytes(msgspec.json.encode(changed))
        with pytest.raises(BrokenFile, match="is not a valid part of a case's name"):
            load(replayed_square)


@pytest.mark.parametrize("change", [{"kind": "imported"}, {"kind": "imported", "settings": None, "subjects": {}}])
def test_a_run_that_was_measured_cannot_be_called_an_import(replayed_square: Path, change: dict[str, Any]) -> None:
    """An import has no digests, roles or plan to be held to."""
    path = replayed_square / "run.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **change}))
    with pytest.raises(BrokenFile, match="the run is not imported, by its other parts"):
        load(replayed_square)


def test_nor_can_an_attempt_of_a_measured_run(replayed_square: Path) -> None:
    path = replayed_square / "run.json"
    run = msgspec.json.decode(path.read_bytes())
    run["attempts"][0]["kind"] = "import"
    path.write_bytes(msgspec.json.encode(run))
    with pytest.raises(BrokenFile, match="the run is not recorded, by its other parts"):
        load(replayed_square)


@pytest.mark.whole_recording
def test_a_run_is_of_one_gpu(replayed_square: Path) -> None:
    """A roof of another GPU is no limit of this one."""
    path = replayed_square / "run.json"
    run = msgspec.json.decode(path.read_bytes())
    another = {**run["attempts"][0], "name": "2", "report": None}
    another["environment"] = {**another["environment"], "gpu": "NVIDIA A100-SXM4-80GB"}
    path.write_bytes(msgspec.json.encode({**run, "attempts": [*run["attempts"], another]}))
    with pytest.raises(BrokenFile, match="they are from different GPUs"):
        load(replayed_square)


@pytest.mark.parametrize("part", ["cases", "attempts"])
def test_what_is_there_twice_does_not_count_twice(replayed_square: Path, part: str) -> None:
    path = replayed_square / "run.json"
    run = msgspec.json.decode(path.read_bytes())
    run[part].append(run[part][0])
    path.write_bytes(msgspec.json.encode(run))
    with pytest.raises(BrokenFile, match="twice"):
        load(replayed_square)
    if part == "attempts":
        run[part][-1] = {**run[part][0], "name": "another"}
        path.write_bytes(msgspec.json.encode(run))
        with pytest.raises(BrokenFile, match="the same ncu report twice"):
            load(replayed_square)


@pytest.mark.parametrize("content", [b'{"format": 1, "x": ' + b"[" * 100_000, b"[" * 100_000])
def test_a_run_that_is_nested_too_deeply_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(BrokenFile, match=r"nested too deeply|run\.json: "):
        load(tmp_path)


def test_a_run_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BrokenFile, match="larger than 64 MiB"):
        load(tmp_path)
