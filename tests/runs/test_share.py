"""``push`` and ``pull``: both sides end up with the same runs and baselines, whatever each had, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.errors import BadArgument, BrokenFile, NoRun, RemoteRefused
from stallgate.project.load import Project, load_project
from stallgate.runs.archive import ArchiveName, pack_run
from stallgate.runs.remote import Remote
from stallgate.runs.share import pull, push
from tests.conftest import Stallgate
from tests.runs.many_runs import make_runs


@pytest.fixture
def measured(replayed_square: Path, repository: Project) -> list[Path]:
    """Four runs, which lie in the tree."""
    return [replayed_square, *make_runs(replayed_square, 3)]


def machine(repository: Project, root: Path, runs: list[Path]) -> Project:
    """A machine that has some runs."""
    (root / "reports").mkdir(parents=True)
    for run in runs:
        shutil.copytree(run, root / "reports" / run.name)
    return replace(repository, root=root)


def held(project: Project) -> dict[str, dict[str, bytes]]:
    """Run -> its files, without what was drawn."""
    return {
        run.parent.name: {
            path.relative_to(run.parent).as_posix(): path.read_bytes()
            for path in run.parent.rglob("*")
            if path.is_file() and path.suffix not in (".html", ".png")
        }
        for run in project.reports.glob("[!.]*/run.json")
    }


def accept(project: Project, accepted: str, median: float) -> Path:
    """A baseline of one case, accepted on a day."""
    path = project.root / "metrics/baselines/h100-sxm/cumprod.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    number = {"low": median, "median": median, "high": median, "unit": "ns"}
    case = {"runs": 3, "accepted": accepted, "commit": None, "digests": {}, "metrics": {"duration": number}}
    found = {"format": 1, "gpu": "NVIDIA H100 80GB HBM3", "clock_control": "none", "cache_control": "all"}
    path.write_bytes(msgspec.json.encode({**found, "cases": {"blocked_scan/default/square": case}}))
    return path


@pytest.mark.parametrize("kind", ["folder", "file", "memory"])
def test_what_one_machine_pushes_another_pulls(
    repository: Project, measured: list[Path], tmp_path: Path, kind: str
) -> None:
    place = {"folder": f"{tmp_path}/place", "file": f"file://{tmp_path}/place", "memory": f"memory://{uuid4().hex}"}[
        kind
    ]
    one, two = machine(repository, tmp_path / "one", measured), machine(repository, tmp_path / "two", [])
    sent = push(one, Remote(place))
    assert (len(sent.runs), sent.known, sent.incomplete) == (4, 0, [])
    assert push(one, Remote(place)).runs == []
    brought = pull(two, Remote(place))
    assert sorted(brought.runs) == sorted(sent.runs)
    assert held(two) == held(one)
    assert pull(two, Remote(place)).known == 4
    assert not list(two.reports.glob(".pull-*"))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sides=st.lists(st.sets(st.integers(0, 3)), min_size=2, max_size=3))
def test_all_sides_end_up_equal(
    repository: Project, measured: list[Path], tmp_path: Path, sides: list[set[int]]
) -> None:
    base = tmp_path / uuid4().hex
    machines = [
        machine(repository, base / str(number), [measured[run] for run in sorted(side)])
        for number, side in enumerate(sides)
    ]
    place = f"memory://{uuid4().hex}"
    everything = {name: files for each in machines for name, files in held(each).items()}
    for each in machines:
        push(each, Remote(place))
    for each in machines:
        if everything:
            pull(each, Remote(place))
        assert held(each) == everything


def test_a_drawn_or_judged_run_is_the_same_run(repository: Project, measured: list[Path], tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    one = machine(repository, tmp_path / "one", measured[:1])
    push(one, Remote(place))
    run = one.reports / measured[0].name
    (run / "report.html").write_text("drawn")
    (run / "verdicts.json").write_text("{}")
    again = push(one, Remote(place))
    assert (again.runs, again.known) == ([], 1)


def test_other_content_under_the_same_name_is_refused_and_nothing_is_copied(
    repository: Project, measured: list[Path], tmp_path: Path
) -> None:
    place = str(tmp_path / "place")
    one, two = machine(repository, tmp_path / "one", measured[:1]), machine(repository, tmp_path / "two", measured[:2])
    run = two.reports / measured[0].name / "run.json"
    run.write_bytes(run.read_bytes() + b"\n")
    push(one, Remote(place))
    for copy in (push, pull):
        with pytest.raises(BadArgument, match=f"not the same measurement.*{measured[0].name}") as refused:
            copy(two, Remote(place))
        assert "rename the folder" in refused.value.hint
    assert len(Remote(place).names("runs")) == 1


def test_two_that_push_one_name_at_once_lose_nothing_and_are_told(
    repository: Project, measured: list[Path], tmp_path: Path
) -> None:
    place = str(tmp_path / "place")
    one, two = (machine(repository, tmp_path / name, measured[:1]) for name in ("one", "two"))
    run = two.reports / measured[0].name / "run.json"
    run.write_bytes(run.read_bytes() + b"\n")
    for each in (one, two):  # neither saw the other's when it looked
        name, content = pack_run(each.reports / measured[0].name)
        Remote(place).write(f"runs/{name.file}", content)
    assert len(Remote(place).names("runs")) == 2
    for each in (one, two, machine(repository, tmp_path / "three", [])):
        with pytest.raises(BadArgument, match="not the same measurement"):
            pull(each, Remote(place))


def test_an_interrupted_push_leaves_nothing_that_is_seen(
    repository: Project, measured: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, remote = machine(repository, tmp_path / "one", measured), Remote(str(tmp_path / "place"))
    move, moves = remote._files.mv, iter([True, False])

    def once(*paths: str) -> None:
        if not next(moves):
            raise OSError("the connection was lost")
        move(*paths)

    monkeypatch.setattr(remote._files, "mv", once)
    with pytest.raises(RemoteRefused, match="the connection was lost"):
        push(one, remote)
    monkeypatch.undo()
    assert len(remote.names("runs")) == 1
    assert len(push(one, remote).runs) == 3
    assert len(remote.names("runs")) == 4


@pytest.mark.parametrize("damage", ["cut", "changed", "other_run"])
def test_what_was_damaged_there_is_not_brought(
    repository: Project, measured: list[Path], tmp_path: Path, damage: str
) -> None:
    place, two = tmp_path / "place", machine(repository, tmp_path / "two", [])
    push(machine(repository, tmp_path / "one", measured[:1]), Remote(str(place)))
    (file,) = (place / "runs").iterdir()
    content, name = file.read_bytes(), ArchiveName.read(file.name)
    assert name is not None
    if damage == "cut":
        file.write_bytes(content[:-9])
    elif damage == "changed":
        file.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    else:
        file.rename(file.with_name(replace(name, identity="0" * 32).file))
    with pytest.raises(BrokenFile):
        pull(two, Remote(str(place)))
    assert list(two.reports.iterdir()) == []


def test_an_ncu_report_that_is_not_the_measured_one_is_not_brought(
    repository: Project, measured: list[Path], tmp_path: Path
) -> None:
    one, two = machine(repository, tmp_path / "one", measured[:1]), machine(repository, tmp_path / "two", [])
    report = next((one.reports / measured[0].name / "ncu").glob("*.ncu-rep*"))
    report.write_bytes(b"another")
    push(one, Remote(str(tmp_path / "place")))
    with pytest.raises(BrokenFile, match="is not the ncu report that was measured"):
        pull(two, Remote(str(tmp_path / "place")))
    assert list(two.reports.iterdir()) == []


def test_a_run_that_did_not_end_stays_here(repository: Project, measured: list[Path], tmp_path: Path) -> None:
    one = machine(repository, tmp_path / "one", measured[:2])
    path = one.reports / measured[1].name / "run.json"
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"complete": False}))
    sent = push(one, Remote(str(tmp_path / "place")))
    assert (sent.runs, sent.incomplete) == ([measured[0].name], [measured[1].name])


# --- baselines --------------------------------------------------------------------------------------------------------


def test_the_later_baseline_is_taken_on_either_side(repository: Project, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    one, two = machine(repository, tmp_path / "one", []), machine(repository, tmp_path / "two", [])
    first = accept(one, "2026-11-01", 100.0)
    assert push(one, Remote(place)).baselines == ["h100-sxm/cumprod"]
    assert pull(two, Remote(place)).baselines == ["h100-sxm/cumprod"]
    mine = two.root / first.relative_to(one.root)
    assert mine.read_bytes() == first.read_bytes()
    accept(two, "2026-11-02", 90.0)
    assert pull(two, Remote(place)).baselines == [], "the older one does not come back"
    assert push(two, Remote(place)).baselines == ["h100-sxm/cumprod"]
    assert push(one, Remote(place)).baselines == [], "nor is it sent again"
    assert pull(one, Remote(place)).baselines == ["h100-sxm/cumprod"]
    assert mine.read_bytes() == first.read_bytes()


def test_baselines_of_one_day_that_differ_are_refused(repository: Project, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    one, two = machine(repository, tmp_path / "one", []), machine(repository, tmp_path / "two", [])
    accept(one, "2026-11-01", 100.0)
    accept(two, "2026-11-01", 90.0)
    push(one, Remote(place))
    for copy in (push, pull):
        with pytest.raises(BadArgument, match="h100-sxm/cumprod"):
            copy(two, Remote(place))


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_commands_say_what_they_copied(stallgate: Stallgate, replayed_square: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    done = stallgate("push", place)
    assert done.stdout.splitlines() == [
        f"sent  {replayed_square.name}",
        "1 run and 0 baselines sent; 0 runs were there",
    ]
    shutil.rmtree(replayed_square)
    done = stallgate("pull", place, "--json")
    found = msgspec.json.decode(done.stdout)
    assert (found["runs"], found["known"], found["place"]) == ([replayed_square.name], 0, place)
    assert stallgate("gate", replayed_square.name).returncode == 0, "it is whole: its ncu reports are read again"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nothing", "nothing was pushed to"),
        ("foo://bar", "Protocol not known"),
        ("", "the address is empty"),
        ("file:///proc/nowhere", "nothing was pushed to"),
    ],
)
def test_a_bad_address_is_one_error_with_a_hint(stallgate: Stallgate, tmp_path: Path, address: str, said: str) -> None:
    done = stallgate("pull", address if address != "nothing" else str(tmp_path / address))
    assert (done.returncode, done.stdout) in ((2, ""), (3, ""))
    assert said in " ".join(done.stderr.split())
    assert done.stderr.count("hint:") == 1


def test_a_password_is_not_shown() -> None:
    assert Remote("memory://me:secret@host/x").shown == "memory://host/x"


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stallgate.runs.remote.find_spec", lambda name: None)
    with pytest.raises(BadArgument) as refused:
        Remote(str(tmp_path))
    assert "stallgate[remote]" in refused.value.hint


def test_nothing_to_pull_is_no_run(tree: Path) -> None:
    with pytest.raises(NoRun):
        pull(load_project(tree), Remote("memory://empty"))
