"""No two statements of a run's page, its compare page, the index, the terminal and JSON contradict each other."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from stallgate.cli import output
from stallgate.cli import shared as shared_by_commands
from stallgate.cli.group import stallgate as group
from stallgate.errors import StallgateError
from stallgate.extract import read_run as reading
from stallgate.extract.read_run import ReadRun
from stallgate.judge import evaluate
from stallgate.judge.evaluate import write_results
from stallgate.project.load import load_project
from stallgate.render import compare_page, index
from stallgate.render import page as page_module
from stallgate.render.terminal_text import err, out
from tests.cli import statements as said
from tests.cli.generated_runs import RunPlan, as_read, placed, run_plans
from tests.conftest import command_line, copy_tree
from tests.shared import Shared
from tests.small_recording import narrow

VARIANTS = ("copy_roof", "blocked_scan", "adaptive_scan", "torch_cumprod")
WORKLOADS = ("square", "page")
CASES = len(VARIANTS) * len(WORKLOADS)

WIDE = 3000
"""Columns of a terminal that wraps nothing."""


class Model:
    """A tree, and the recording in it as it was read."""

    def __init__(self, tree: Path, read: ReadRun, recorded: ReadRun) -> None:
        self.tree = tree
        self.read = read
        self.recorded = recorded
        """The recording itself, which a first run is held against."""


def _made(folder: Path) -> tuple[Path, ReadRun, ReadRun]:
    tree = narrow(copy_tree(folder / "project"), VARIANTS, WORKLOADS)
    done = command_line(tree)("profile", "-w", "square", "-w", "page")
    assert (tree / "reports" / "latest" / "run.json").is_file(), done.stderr
    run = (tree / "reports" / "latest").resolve()
    project = load_project(tree)
    read = reading.read_run(project, run)
    recorded = reading.read_run(project, next((tree / "reports" / "recorded").glob("*/cumprod")))
    shutil.rmtree(run)
    (tree / "reports" / "latest").unlink()
    return tree, read, recorded


@pytest.fixture(scope="module")
def model(shared: Shared) -> Model:
    return Model(*shared.get("one-truth", _made))


class Views:
    """The commands, run in this process; what they read instead of ncu reports is generated."""

    def __init__(self, tree: Path, runs: dict[str, ReadRun]) -> None:
        self._tree = tree
        self._runs = runs

    def read(self, _project: object, folder: Path, *, only_judge: bool = False) -> ReadRun:
        return self._runs[folder.name]

    def text(self, *arguments: str) -> tuple[int, str]:
        """What a command prints, and its exit status."""
        stream = io.StringIO()
        with redirect_stdout(stream), redirect_stderr(io.StringIO()):
            try:
                status = group([*arguments, "--root", str(self._tree)], standalone_mode=False)
            except StallgateError as error:
                return error.exit_status, stream.getvalue()
        return int(status or 0), stream.getvalue()

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The object of a command."""
        output._answer.plain = None
        status, _ = self.text(*arguments, "--json")
        return status, output._answer.plain or {}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Views]:
    """Makes the commands of a tree whose runs are generated."""
    monkeypatch.setattr(out, "width", WIDE)
    monkeypatch.setattr(err, "width", WIDE)

    project = cache(load_project)
    monkeypatch.setattr(shared_by_commands, "load_project", project)

    def make(tree: Path, runs: list[ReadRun], *, pictures: bool) -> Views:
        views = Views(tree, {run.folder.name: run for run in runs})
        monkeypatch.setattr(evaluate, "read_run", views.read)
        if not pictures:
            monkeypatch.setattr(page_module, "pictures", lambda _view: [])
            monkeypatch.setattr(index, "page_svg", lambda *_: "")
            monkeypatch.setattr(compare_page, "page_svg", lambda *_: "")
        return views

    return make


BASE, RUN = "20270101-000000-before", "20270102-000000-after"


def _statements(views: Views, tree: Path) -> Iterator[said.Statement]:
    """Everything that every view says of the run RUN, and of RUN beside BASE."""
    reports = tree / "reports"
    write_results(evaluate.evaluate(load_project(tree), reports / BASE, []))
    status, gate = views.json("gate", RUN)
    yield from said.of_gate(gate, status)
    verdicts = gate["verdicts"]
    gate_status, words = views.text("gate", RUN, "--all")
    assert gate_status == status
    yield from said.of_terminal(words, "gate")
    yield from said.of_gate_lines(words, verdicts)
    yield from said.of_terminal(views.text("gate", RUN)[1], "gate")
    _, shown = views.json("show", "run", RUN)
    yield from said.of_show(shown)
    names = {f"{c.split('/')[1]} on {c.split('/')[3]}": c for c in shown["metrics"]}
    _, words = views.text("show", "run", RUN)
    yield from said.of_terminal(words, "show")
    yield from said.of_tables(words, shown["metrics"])
    yield from said.of_digest(words, names)
    views.text("report", RUN)
    page = said.PageView((reports / RUN / "report.html").read_text(), verdicts)
    yield from page.statements()
    stored = json.loads((reports / RUN / "verdicts.json").read_text())
    yield from said.of_gate(stored, stored["exit_status"], "verdicts.json")
    yield from said.of_index((reports / "index.html").read_text(), RUN)
    yield from said.of_summary((reports / RUN / "summary.md").read_text())
    yield from said.of_runs(views.json("show", "runs")[1], RUN)
    _, advice = views.json("advise", RUN, "--limit", "9")
    yield from said.of_advise(advice)
    titles = {f"{c.split('/')[0]}: {c.split('/')[1]} on {c.split('/')[3]}": c for c in shown["metrics"]}
    yield from said.of_advice_text(views.text("advise", RUN, "--limit", "9")[1], titles)
    yield from _compared(views, reports, page)


def _compared(views: Views, reports: Path, page: said.PageView) -> Iterator[said.Statement]:
    status, compared = views.json("compare", BASE, RUN, "--all", "--report")
    if status != 0:
        return
    yield from said.of_compare(compared)
    yield from said.of_compare_text(views.text("compare", BASE, RUN, "--all")[1], compared)
    html = (reports / RUN / f"compare-{BASE}.html").read_text()
    names = {(c.split("/")[3], c.split("/")[1]): c for c in (pair["case"] for pair in compared["pairs"])}
    yield from said.of_compare_page(html, names)
    if page.since == BASE:
        yield from page.changed()


def _check(commands: Callable[..., Views], model: Model, plans: tuple[RunPlan, RunPlan], *, pictures: bool) -> None:
    project = load_project(model.tree)
    for name in (BASE, RUN):
        shutil.rmtree(model.tree / "reports" / name, ignore_errors=True)
    runs = [
        placed(as_read(model.read, plan, model.tree / "reports" / name, created, project))
        for plan, name, created in zip(
            plans, (BASE, RUN), ("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"), strict=True
        )
    ]
    views = commands(model.tree, [*runs, model.recorded], pictures=pictures)
    found = list(_statements(views, model.tree))
    event(f"{len(found) // 500 * 500} statements")
    assert said.contradictions(found) == []


_QUICK = settings(
    max_examples=12,
    phases=(Phase.generate,),  # a pair takes two seconds: shrinking one would take minutes
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
_PLANS = st.tuples(run_plans(("live", "recorded"), CASES), run_plans(("live", "recorded"), CASES))


@_QUICK
@given(plans=_PLANS)
def test_no_two_statements_of_a_pair_of_runs_contradict(
    commands: Callable[..., Views], model: Model, plans: tuple[RunPlan, RunPlan]
) -> None:
    _check(commands, model, plans, pictures=False)


@pytest.mark.long
@settings(_QUICK, max_examples=300, derandomize=False)
@given(plans=_PLANS)
def test_no_two_statements_of_many_pairs_contradict(
    commands: Callable[..., Views], model: Model, plans: tuple[RunPlan, RunPlan]
) -> None:
    _check(commands, model, plans, pictures=False)
