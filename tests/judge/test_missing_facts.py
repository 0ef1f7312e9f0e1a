"""What a run does not say is never taken for good: no check is passed by the lack of what it checks.

A run is read and judged as the command line does it, after parts of its ``run.json`` were taken away. What was no yes
before is none after, and nothing but a refusal is raised.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.errors import StallgateError
from stallgate.judge.evaluate import evaluate
from stallgate.judge.verdicts import Judgement
from stallgate.model import Target
from stallgate.project.digests import subject_digests, workload_digest
from stallgate.project.load import Project, load_project
from tests.cli.test_robust import edit
from tests.conftest import Stallgate, copy_tree, without_waivers
from tests.judge.judging import STALL, reasons, target, with_one_candidate, with_stage, with_variant

VARIANTS = ("copy_roof", "blocked_scan", "naive_serial", "torch_cumprod")


class Recorded(NamedTuple):
    """A short recording in a tree of its own, to be judged with other contents of its ``run.json``."""

    project: Project
    folder: Path
    run: dict[str, Any]

    def judge(self, project: Project, run: Any) -> Judgement:
        (self.folder / "run.json").write_bytes(msgspec.json.encode(run))
        return evaluate(project, self.folder, [], only_judge=True).judgement


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    tree = copy_tree(tmp_path_factory.mktemp("facts") / "project")
    folder = next((tree / "reports/recorded").glob("*/cumprod"))
    without_waivers(tree)
    project = with_one_candidate(load_project(tree))
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    run["cases"] = [c for c in run["cases"] if c["case"]["workload"] == "square" and c["case"]["variant"] in VARIANTS]
    digests = subject_digests(project.problem("cumprod"))
    needed = ["the measuring child", "the reference", "workload square", *(f"variant {name}" for name in VARIANTS)]
    subject = run["subjects"]["cumprod"]
    subject["digests"] = {key: digests[key] for key in needed}
    subject["workloads"] = {"square": subject["workloads"]["square"]}
    run["settings"]["metrics"] = run["settings"]["metrics"][:1]  # so that a part that is drawn is one that matters
    return Recorded(project, folder, run)


# --- runs that are no yes ---------------------------------------------------------------------------------------------

ON_SQUARE = target(STALL, below=100)
"""Met by every case of the recording: whatever keeps the gate shut, it is not the target."""


def by(project: Project, *targets: Target) -> Project:
    return with_stage(project, *(targets or (ON_SQUARE,)), workloads=["square"])


def needing_more_bytes(project: Project, run: Any) -> None:
    """The same run, measured when its workload needed more bytes than went through L2."""
    more = replace(project.problem("cumprod").workloads["square"], bytes=10**13)
    project.problem("cumprod").workloads["square"] = more
    subject = run["subjects"]["cumprod"]
    subject["workloads"]["square"]["bytes"] = more.bytes
    subject["digests"]["workload square"] = workload_digest(more)


class Shut(NamedTuple):
    """What keeps the gate shut, and its reason code."""

    reason: str
    project: Callable[[Project], Project] = by
    change: Callable[[Project, Any], None] = lambda project, run: None


def outcome(run: Any, variant: str, **changes: Any) -> None:
    for case in run["cases"]:
        if case["case"]["variant"] == variant:
            case.update(changes)


SHUT: dict[str, Shut] = {
    "a missed target": Shut("missed", lambda project: by(project, target(STALL, below=0.01))),
    "a wrong result": Shut("wrong_result", by, lambda _, run: outcome(run, "blocked_scan", outcome="wrong_result")),
    "a crash": Shut("crashed", by, lambda _, run: outcome(run, "blocked_scan", outcome="crashed", reason="why")),
    "a fault on edge cases": Shut(
        "wrong_result", by, lambda _, run: outcome(run, "blocked_scan", edge_case_fault="on 3x7 of zeros")
    ),
    "kernels of others": Shut(
        "foreign_kernel",
        lambda project: with_variant(by(project), "torch_cumprod", role="candidate"),
        lambda _, run: outcome(run, "torch_cumprod", edge_case_fault=""),
    ),
    "too few bytes": Shut("implausible", by, needing_more_bytes),
    "faster than the roof": Shut(
        "implausible",
        lambda project: with_variant(
            with_variant(by(project), "copy_roof", role="baseline", ceiling=None),
            "naive_serial",
            role="roof",
            ceiling="bytes",
        ),
        lambda _, run: run["subjects"]["cumprod"]["roles"].update(copy_roof="baseline", naive_serial="roof"),
    ),
    "a roof that is a candidate now": Shut(
        "stale",
        lambda project: with_variant(by(project), "copy_roof", role="candidate", ceiling=None),
    ),
    "other code": Shut("stale", lambda project: with_variant(by(project), "blocked_scan", digest="other")),
    "too few samples": Shut("damaged_report", by, lambda _, run: run["settings"].update(samples=6)),
    "no GPU": Shut("facts_missing", by, lambda _, run: run["attempts"][0].update(environment=None)),
    "another report": Shut("damaged_report", by, lambda _, run: run["attempts"][0].update(sha256="other")),
    "no baseline": Shut("no_baseline", lambda project: by(project, ON_SQUARE, target("duration", tolerance=0.02))),
}


def shut(recorded: Recorded, name: str) -> tuple[Project, Any]:
    """A project and the contents of a run.json that it does not say yes to."""
    problem = recorded.project.problem("cumprod")
    own = replace(problem, workloads=dict(problem.workloads))
    project = SHUT[name].project(replace(recorded.project, problems={"cumprod": own}, baselines={}))
    run = copy.deepcopy(recorded.run)
    SHUT[name].change(project, run)
    return project, run


@pytest.mark.parametrize("name", SHUT)
def test_the_gate_is_shut_for_the_reason_that_is_meant(recorded: Recorded, name: str) -> None:
    found = recorded.judge(*shut(recorded, name))
    assert found.exit_status in (1, 3)
    assert {reason for status, reason in reasons(found) if status != "pass"} == {SHUT[name].reason}


def test_without_a_reason_it_is_open(recorded: Recorded) -> None:
    assert recorded.judge(by(replace(recorded.project, baselines={})), recorded.run).exit_status == 0


# --- less is never more -----------------------------------------------------------------------------------------------

Place = tuple[Any, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """The path to every part of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*here, key)
        yield from places(part, (*here, key))


EMPTY: dict[type, Any] = {dict: {}, list: [], str: "", int: 0, float: 0.0, bool: False}


def holder_of(run: Any, place: Place) -> Any:
    """What holds a part, if it is still there."""
    found = run
    for key in place:
        holder = found
        try:
            found = holder[key]
        except (KeyError, IndexError, TypeError):
            return None
    return holder


def take_away(run: Any, place: Place, how: str) -> None:
    """Deletes, nulls or empties a part; ``edge_case_fault`` is not emptied, as '' says that there is none."""
    holder, key = holder_of(run, place), place[-1]
    if holder is None or isinstance(holder, str):
        return
    if how == "delete":
        del holder[key]
    elif how == "null" or key == "edge_case_fault":
        holder[key] = None
    else:
        holder[key] = EMPTY.get(type(holder[key]))


def status(recorded: Recorded, project: Project, run: Any) -> int:
    """The exit status of judging; a refusal has one of its own, and anything else is raised."""
    try:
        return recorded.judge(project, run).exit_status
    except StallgateError as refusal:
        return refusal.status


@pytest.mark.parametrize("name", SHUT)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_what_is_taken_away_never_opens_the_gate(recorded: Recorded, name: str, data: st.DataObject) -> None:
    project, run = shut(recorded, name)
    known = sorted(places(run), key=len)
    deep = [place for place in known if place[0] in ("cases", "subjects", "attempts", "settings")]
    chosen = data.draw(st.lists(st.sampled_from(known) | st.sampled_from(deep), min_size=1, max_size=4))
    for place in chosen:
        take_away(run, place, data.draw(st.sampled_from(["delete", "null", "empty"])))
    assert status(recorded, project, run) in (1, 2, 3)


@pytest.mark.parametrize("how", ["delete", "null", "empty"])
@pytest.mark.parametrize("name", ["too few bytes", "a fault on edge cases", "faster than the roof"])
def test_no_single_fact_opens_the_gate(recorded: Recorded, name: str, how: str) -> None:
    """Every place once, but what is shown only."""
    project, start = shut(recorded, name)
    for place in places(start):
        if place[0] in ("arguments", "origins") or place[2:3] in (("details",), ("command",), ("environment",)):
            continue
        run = copy.deepcopy(start)
        take_away(run, place, how)
        assert status(recorded, project, run) in (1, 2, 3), place


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_of_a_good_run_anything_may_be_missing_and_nothing_breaks(recorded: Recorded, data: st.DataObject) -> None:
    run = copy.deepcopy(recorded.run)
    for place in data.draw(st.lists(st.sampled_from(list(places(run))), min_size=1, max_size=4)):
        take_away(run, place, data.draw(st.sampled_from(["delete", "null", "empty"])))
    assert status(recorded, by(replace(recorded.project, baselines={})), run) in (0, 1, 2, 3)


# --- the same through the command line --------------------------------------------------------------------------------


def without_workloads(run: Any) -> None:
    run["subjects"]["cumprod"]["workloads"] = {}


def without_settings(run: Any) -> None:
    run["settings"] = None


def without_edge_case_faults(run: Any) -> None:
    for case in run["cases"]:
        del case["edge_case_fault"]


def with_few_bytes(run: Any) -> None:
    run["subjects"]["cumprod"]["workloads"]["square"]["bytes"] = 1


def with_no_bytes(run: Any) -> None:
    run["subjects"]["cumprod"]["workloads"]["square"]["bytes"] = 0


@pytest.mark.parametrize(
    ("change", "status_", "words"),
    [
        (without_workloads, 0, "PASS"),  # the tree says the same of them, by their digests
        (with_few_bytes, 0, "PASS"),
        (without_settings, 3, "run.json does not say how many samples were planned"),
        (without_edge_case_faults, 3, "is right on small edge-case inputs"),
        (with_no_bytes, 2, "`bytes` has to be above 0"),
    ],
)
def test_facts_that_the_gate_needs(
    stallgate: Stallgate, replayed_square: Path, change: Callable[[Any], None], status_: int, words: str
) -> None:
    edit(replayed_square / "run.json", change)
    done = stallgate("gate")
    assert done.returncode == status_, done.stdout + done.stderr
    assert words in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bytes = 8_589_934_592", "bytes = 0", "workloads.square: `bytes` has to be above 0"),
        ("bytes = 8_589_934_592", "bytes = -1", "workloads.square: `bytes` has to be above 0"),
        ("flops = 1_073_741_824", "flops = -1", "workloads.square: `flops` cannot be below 0"),
    ],
)
def test_a_workload_that_needs_nothing_is_refused(
    stallgate: Stallgate, tree: Path, old: str, new: str, words: str
) -> None:
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    done = stallgate("gate", str(next((tree / "reports/recorded").glob("*/cumprod"))))
    assert done.returncode == 2
    assert f"kernels/cumprod/problem.toml: {words}" in " ".join(done.stderr.split())


def test_a_problem_whose_cases_are_lost_is_missed(recorded: Recorded) -> None:
    """That the run was made for it stands in its subjects."""
    run = copy.deepcopy(recorded.run)
    run["cases"] = []
    found = recorded.judge(by(replace(recorded.project, baselines={})), run)
    assert reasons(found) == {("not_measured", "no_case")}


def test_no_report_and_no_run_is_left(recorded: Recorded, tmp_path: Path) -> None:
    folder = shutil.copytree(recorded.folder, tmp_path / "run")
    for path in folder.glob("ncu/*"):
        path.unlink()
    (folder / "run.json").write_bytes(msgspec.json.encode(recorded.run))
    judgement = evaluate(by(replace(recorded.project, baselines={})), folder, [], only_judge=True).judgement
    assert {reason for _, reason in reasons(judgement)} == {"damaged_report"}
