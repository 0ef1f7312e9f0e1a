"""A variant over GPU models: of each the newest comparable measurement, and what differs or is left out is said."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stallgate.compare import gpu_models
from stallgate.compare.gpu_models import OverModels, cases_of, over_models, shown_metrics
from stallgate.compare.history import StoredRun, stored_runs
from stallgate.extract.table import Summary
from stallgate.model import Case
from stallgate.project.digests import workload_digest
from stallgate.project.load import Project, load_project
from stallgate.render.gpu_models import models_figure
from stallgate.render.index import write_index
from stallgate.runs.conditions import Conditions
from stallgate.runs.outlines import CaseOutline, Circumstances, MeasurementTime, RunOutline
from stallgate.runs.store import Store
from tests.conftest import Stallgate
from tests.recordings import OTHER, THIRD, committed
from tests.render.test_index import live, on_gpu
from tests.runs.many_runs import make_runs

RECORDED = committed().gpu
METRICS = ["duration", "roof_fraction", "dram_throughput", "memory_dependency_stall"]
SQUARE = Case(problem="cumprod", variant="blocked_scan", configuration="default", workload="square")


def chart(tree: Path, *, with_recordings: bool = False) -> OverModels:
    """The candidate on the judged workload."""
    project = load_project(tree)
    runs = stored_runs(Store(project.reports), METRICS)
    (found,) = over_models(project, runs, [SQUARE], with_recordings=with_recordings)
    return found


def both(*changes: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        for each in changes:
            each(run)

    return change


def with_environment(**values: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        for attempt in run["attempts"]:
            attempt["environment"] |= values

    return change


def with_digest(key: str, digest: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        run["subjects"]["cumprod"]["digests"][key] = digest

    return change


def with_outcome(outcome: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        for result in run["cases"]:
            if result["case"]["variant"] == "blocked_scan":
                result |= {"outcome": outcome, "reason": "made up"}

    return change


def with_clocks(control: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        run["settings"]["clock_control"] = control

    return change


def longer(folder: Path, factor: float) -> None:
    """Multiplies every duration of a run."""
    path = folder / "metrics.csv"
    head, *lines = path.read_text().splitlines()
    place = head.split(",").index("value")
    changed = []
    for line in lines:
        cells = line.split(",")
        if "duration" in cells and cells[place]:
            cells[place] = str(float(cells[place]) * factor)
        changed.append(",".join(cells))
    path.write_text("\n".join([head, *changed]) + "\n")


def test_of_each_model_there_is_the_newest(replayed_square: Path, tree: Path) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    newest = live(replayed_square, 3, "b", on_gpu(OTHER))
    longer(newest, 2.0)
    other = live(replayed_square, 2, "c", on_gpu(THIRD))
    found = chart(tree)
    assert [(each.gpu, each.run, each.kind) for each in found.models] == sorted(
        [(THIRD, other.name, "live"), (RECORDED, replayed_square.name, "recorded"), (OTHER, newest.name, "live")]
    )
    assert shown_metrics(load_project(tree), found) == METRICS
    of = {each.gpu: each.summaries["duration"].median for each in found.models}
    assert of[OTHER] == pytest.approx(2 * (of[RECORDED] or 0.0))
    assert found.differences == found.left_out == []
    assert all(each.stale == [] for each in found.models)


def test_what_differs_beside_the_gpu_is_said(replayed_square: Path, tree: Path) -> None:
    changes = [on_gpu(OTHER), with_environment(driver="600.1", ncu="2026.1")]
    live(replayed_square, 1, "a", both(*changes, with_digest("variant blocked_scan", "f" * 64)))
    found = chart(tree)
    assert [sentence.partition(" differs")[0] for sentence in found.differences] == [
        "driver",
        "ncu",
        "variant blocked_scan",
    ]
    assert f"600.1 on {OTHER}" in found.differences[0]
    assert f"fffffff on {OTHER}" in found.differences[2]
    stale = {each.gpu: (each.stale, each.standing) for each in found.models}
    assert stale == {RECORDED: ([], "recorded"), OTHER: (["variant blocked_scan"], "live, stale")}


def test_a_stale_model_is_stale_again_where_the_tree_changes(replayed_square: Path, tree: Path) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    path = tree / "kernels/cumprod/blocked_scan.py"
    path.write_text(path.read_text() + "\n# changed\n")
    assert {each.standing for each in chart(tree).models} == {"recorded, stale", "live, stale"}


@pytest.mark.parametrize("outcome", ["wrong_result", "crashed", "timed_out"])
def test_a_model_whose_newest_result_is_bad_does_not_show_an_older_number(
    replayed_square: Path, tree: Path, outcome: str
) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    live(replayed_square, 2, "b", both(on_gpu(OTHER), with_outcome(outcome)))
    (mine,) = [each for each in chart(tree).models if each.gpu == OTHER]
    assert (mine.outcome, mine.gap, mine.summaries) == (outcome, outcome.replace("_", " "), {})


@pytest.mark.parametrize("outcome", ["planned", "skipped"])
def test_what_was_not_tried_hides_nothing(replayed_square: Path, tree: Path, outcome: str) -> None:
    older = live(replayed_square, 1, "a", on_gpu(OTHER))
    live(replayed_square, 2, "b", both(on_gpu(OTHER), with_outcome(outcome)))
    assert [each.run for each in chart(tree).models if each.gpu == OTHER] == [older.name]


def test_other_clock_control_and_other_workloads_are_left_out_with_the_reason(
    replayed_square: Path, tree: Path
) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    clocks = live(replayed_square, 2, "b", both(on_gpu(THIRD), with_clocks("base")))
    load = live(replayed_square, 3, "c", both(on_gpu("NVIDIA A100"), with_digest("workload square", "0" * 64)))
    found = chart(tree)
    assert [each.gpu for each in found.models] == sorted([RECORDED, OTHER])
    assert found.left_out == [
        f"NVIDIA A100: {load.name} measured another square than the tree's",
        f"{THIRD}: {clocks.name} measured under clock control base and cache control all",
    ]


def test_recordings_are_read_by_the_command_and_named_by_the_index(stallgate: Stallgate, tree: Path) -> None:
    done = stallgate("show", "models", "cumprod/blocked_scan", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = [each for each in json.loads(done.stdout)["cases"] if each["case"] == SQUARE.name]
    (mine,) = found["models"]
    assert (mine["gpu"], mine["kind"], mine["run"]) == (RECORDED, "recorded", committed().name)
    assert list(mine["metrics"]) == METRICS
    assert all(value["state"] == "measured" for value in mine["metrics"].values())
    project = load_project(tree)
    assert over_models(project, [], [SQUARE], with_recordings=False) == []


def test_a_recording_that_no_run_replays_is_named_in_the_index(replayed_square: Path, tree: Path) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    live(replayed_square, 2, "b", on_gpu(THIRD))
    for path in replayed_square.iterdir():
        if path.is_file():
            path.unlink()
    (told,) = chart(tree).left_out
    assert told.startswith(f"{RECORDED}: no run here replays the recording of {committed().run.created[:10]}")
    assert "`stallgate show models cumprod/blocked_scan` reads it" in told
    assert [each.gpu for each in chart(tree, with_recordings=True).models] == sorted([THIRD, RECORDED, OTHER])
    assert html.escape("no run here replays") in write_index(load_project(tree)).read_text()


def test_the_terminal_and_the_index_have_the_same_numbers(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    longer(live(replayed_square, 1, "a", both(on_gpu(OTHER), with_environment(driver="600.1"))), 0.5)
    done = stallgate("show", "models", "cumprod", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    page = write_index(load_project(tree)).read_text()
    section = page[page.index('<section id="models-cumprod-blocked_scan"') :]
    section = section[: section.index("</section>")]
    rows = re.findall(r"<tr><th scope=\"row\">square.*?</tr>", section, re.DOTALL)
    cells = [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>([^<]*)</td>", row)] for row in rows]
    assert [row[0] for row in cells] == sorted([RECORDED, OTHER])
    for row in cells:
        for text in row[1:5]:
            assert text in done.stdout
    (driver,) = [line for line in re.findall(r"<li>(.*?)</li>", section) if "driver differs" in line]
    assert html.unescape(driver) in " ".join(done.stdout.split())
    assert section.count("<svg") == 2


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_of_many_models_no_value_is_broken_in_a_narrow_terminal(
    stallgate: Stallgate, replayed_square: Path, tree: Path, width: int
) -> None:
    names = [f"NVIDIA Card {number}" for number in range(11)]
    for number, name in enumerate(names):
        live(replayed_square, number, "a", on_gpu(name))
    said = stallgate("show", "models", "cumprod/blocked_scan", COLUMNS=str(width)).stdout
    rows = {
        name: re.findall(rf"^{name} +(.*)$", said, re.MULTILINE) for name in ("duration", "roof_fraction", "numbers")
    }
    assert max(map(len, said.splitlines())) <= width
    for name, pattern in (("duration", r"\d+\.\d+ ms"), ("roof_fraction", r"\d\.\d{3}"), ("numbers", "live|recorded")):
        values = [value for row in rows[name] for value in re.split(" {2,}", row.strip())]
        assert len(values) == len(names) + 1, "each model, and the recorded one"
        assert all(re.fullmatch(pattern, value) for value in values), values


def test_the_figure_has_a_mark_of_every_value_and_no_line_between_models(replayed_square: Path, tree: Path) -> None:
    live(replayed_square, 1, "a", on_gpu(OTHER))
    project, found = load_project(tree), chart(tree)
    sheet = models_figure("title", project, [found])
    hovers = {mark.hover for mark in sheet.marks if getattr(mark, "hover", "")}
    for each in found.models:
        assert sum(hover.startswith(f"{each.gpu} ({each.standing}): ") for hover in hovers) == len(METRICS)


def test_one_model_is_no_section_of_the_index(replayed_square: Path, tree: Path) -> None:
    assert "over GPU models" not in write_index(load_project(tree)).read_text()


def test_an_unknown_name_is_answered_with_those_there_are(stallgate: Stallgate) -> None:
    done = stallgate("show", "models", "cumprod/blocked_scam")
    assert done.returncode == 2
    assert "cumprod/blocked_scan" in done.stderr


def test_of_many_runs_only_the_chosen_are_opened(
    replayed_square: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is chosen is known from the store: a run.json a model is opened, however many runs there are."""
    made = make_runs(replayed_square, 60)
    for number, folder in enumerate(made):
        run = json.loads((folder / "run.json").read_text())
        on_gpu((RECORDED, OTHER, THIRD)[number % 3])(run)
        (folder / "run.json").write_text(json.dumps(run))
    project = load_project(tree)
    stored = stored_runs(Store(project.reports), METRICS)
    opened: list[Path] = []
    original = gpu_models.load
    monkeypatch.setattr(gpu_models, "load", lambda folder: (opened.append(folder), original(folder))[1])
    cases = [*cases_of(project, "cumprod", "blocked_scan"), *cases_of(project, "cumprod", "copy_roof")]
    found = over_models(project, stored, cases, with_recordings=False)
    assert len(found) == 2
    assert {each.gpu for one in found for each in one.models} == {RECORDED, OTHER, THIRD}
    assert len(opened) == len(set(opened)) == 3


# --- random histories -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_measured_each_model_has_its_newest_comparable_measurement(tree: Path, seed: int) -> None:
    drawn, project = random.Random(seed), load_project(tree)
    runs = [_drawn_run(drawn, project, number) for number in range(drawn.randrange(1, 40))]
    drawn.shuffle(runs)
    known = {run.folder.name: run for run in runs}
    counted = [run for run in runs if _counts(project, run)]
    found = over_models(project, runs, [SQUARE], with_recordings=False)
    if not counted:
        assert found == []
        return
    (one,) = found
    controls = (one.clock_control, one.cache_control)
    gpus = {_conditions(run).gpu for run in counted}
    here = {each.gpu for each in one.models}
    assert len(here) == len(one.models)
    assert here == {_conditions(run).gpu for run in counted if _controls(run) == controls}
    assert {told.partition(":")[0] for told in one.left_out} >= gpus - here
    for each in one.models:
        mine = [run for run in counted if _controls(run) == controls and _conditions(run).gpu == each.gpu]
        times = [run.outline.time.created for run in mine if run.outline is not None]
        assert each.time.created == max(times)
        assert each.run in {run.folder.name for run in mine}
        assert each.outcome == known[each.run].cases[0].outcome
        assert bool(each.summaries) == (each.outcome == "profiled")
    for other in {_controls(run) for run in counted}:
        assert len({_conditions(run).gpu for run in counted if _controls(run) == other}) <= len(here)


def _drawn_run(drawn: random.Random, project: Project, number: int) -> StoredRun:
    time = MeasurementTime(created=f"2026-12-{drawn.randrange(1, 28):02}T12:00:{number:02}Z", commit="", dirty=False)
    workload = project.problems["cumprod"].workloads["square"]
    circumstances = Circumstances(
        conditions=Conditions(
            gpu=drawn.choice([RECORDED, OTHER, THIRD, None]),
            device=drawn.randrange(2),
            clock_control=drawn.choice(["none", "base"]),
            cache_control="all",
        ),
        workload_digest=drawn.choice([workload_digest(workload)] * 3 + ["other"]),
    )
    outcome = drawn.choice(["profiled"] * 4 + ["crashed", "wrong_result", "planned", "skipped"])
    kind = drawn.choice(["live"] * 3 + ["imported"])
    outline = RunOutline(
        kind=kind,
        time=time,
        complete=True,
        gpus=[],
        problems=["cumprod"],
        measured={"cumprod": time},
        outcomes={outcome: 1},
        replays=False,
        files=[],
    )
    value = float(drawn.randrange(1, 1000))
    summary = Summary(state="measured", median=value, low=value, high=value, samples=5, ncu_name="")
    case = CaseOutline(case=SQUARE, role="candidate", outcome=outcome, circumstances=circumstances)
    folder = project.reports / f"run-{number}"
    return StoredRun(folder=folder, outline=outline, cases=[case], summaries={"duration": {SQUARE: summary}})


def _conditions(run: StoredRun) -> Conditions:
    circumstances = run.cases[0].circumstances
    assert circumstances is not None
    return circumstances.conditions


def _controls(run: StoredRun) -> tuple[str | None, str | None]:
    return _conditions(run).clock_control, _conditions(run).cache_control


def _counts(project: Project, run: StoredRun) -> bool:
    """Whether a run has measured the tree's workload on a known GPU, or has tried to."""
    (case,) = run.cases
    digest = workload_digest(project.problems["cumprod"].workloads["square"])
    assert run.outline is not None
    assert case.circumstances is not None
    of_the_tree = case.circumstances.workload_digest == digest and _conditions(run).gpu is not None
    return of_the_tree and run.outline.kind != "imported" and case.outcome not in ("planned", "skipped")
