"""No two statements of a run's page, its compare page, the index, the terminal and JSON contradict each other."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from stallgate.cli import output
from stallgate.cli import shared as shared_by_commands
from stallgate.cli.group import stallgate as group
from stallgate.errors import StallgateError
from stallgate.extract import read_run as reading
from stallgate.extract.imported import import_reports
from stallgate.extract.read_run import ReadRun
from stallgate.judge import evaluate
from stallgate.judge.evaluate import write_results
from stallgate.model import Baseline
from stallgate.project.load import Project, load_project
from stallgate.render import compare_page, index, pictures
from stallgate.render import page as page_module
from stallgate.render.sheet import Drawing
from stallgate.render.terminal_text import err, out
from tests.cli import said_in_json, said_in_terminal, said_on_pages
from tests.cli.generated_projects import ProjectPlan, project_of, project_plans
from tests.cli.generated_runs import RunPlan, as_read, placed, run_plans, with_configurations
from tests.cli.statements import Json, Statement, contradictions
from tests.conftest import ROOT, command_line, copy_problems
from tests.shared import Shared
from tests.small_recording import narrow, only, unpacked

VARIANTS = ("copy_roof", "blocked_scan", "adaptive_scan", "torch_cumprod", "cublas", "tiled", "copy", "fused", "torch")
WORKLOADS = ("square", "page", "bf16", "fp32")
CONFIGURATIONS = {("matmul", "tiled"): "stages3", ("rmsnorm", "fused"): "warps4"}
PROBLEMS = ("cumprod", "matmul", "rmsnorm")

WIDE = 3000
"""Columns of a terminal that wraps nothing."""


# --- what runs are derived from ---------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A tree, and the runs in it as they were read."""

    tree: Path
    measured: ReadRun
    """Of three problems, with a configuration beside the default ones."""
    recorded: dict[str, ReadRun]
    """Problem -> its recording, which a first run is held against."""
    imported: ReadRun
    """An ncu report made elsewhere."""
    accepted: dict[str, list[Baseline]]
    """Problem -> its accepted baselines."""

    def __repr__(self) -> str:
        return f"Model({str(self.tree)!r})"  # the default would print megabytes in a failing test


def _made(folder: Path) -> Model:
    tree = narrow(copy_problems(folder, PROBLEMS), VARIANTS, WORKLOADS)
    done = command_line(tree)("profile")
    assert (tree / "reports" / "latest" / "run.json").is_file(), done.stderr
    project = load_project(tree)
    run = (tree / "reports" / "latest").resolve()
    measured = with_configurations(reading.read_run(project, run), CONFIGURATIONS)
    recordings = (tree / "reports" / "recorded").glob("*/*/run.json")
    recorded = {path.parent.name: reading.read_run(project, path.parent) for path in sorted(recordings)}
    made = import_reports([_foreign(tree)], tree / "reports", [])
    imported = reading.read_run(project, made)
    for each in (run, made):
        shutil.rmtree(each)
    (tree / "reports" / "latest").unlink()
    return Model(tree, measured, recorded, imported, load_project(ROOT).baselines)


def _foreign(tree: Path) -> Path:
    """An ncu report of two kernels, whose ranges are not stallgate's."""
    report = unpacked(next((tree / "reports" / "recorded").glob("*/cumprod/ncu/*")))
    calls = ("blocked_scan/default/page/0", "blocked_scan/default/page/1", "torch_cumprod/default/page/0")
    labels = [f"stallgate/cumprod/{call}".encode() for call in calls]
    path = tree / "elsewhere.ncu-rep"
    path.write_bytes(only(report, labels).replace(b"stallgate/", b"elsewhere/"))
    return path


@pytest.fixture(scope="module")
def model(shared: Shared) -> Model:
    return Model(*shared.get("one-truth", lambda folder: tuple(_made(folder))))


# --- the views --------------------------------------------------------------------------------------------------------


class Views:
    """The commands, run in this process; what they read instead of ncu reports is generated."""

    def __init__(self, project: Project, runs: dict[str, ReadRun]) -> None:
        self.project = project
        """As the commands find it."""
        self._runs = runs

    def read(self, project: Project, folder: Path, *, only_judge: bool = False) -> ReadRun:
        """A run, with the roles that the project gives its variants now."""
        read = self._runs[folder.name]
        return ReadRun(**{**asdict(read), "run": reading.with_roles(read.run, project)})

    def text(self, *arguments: str) -> tuple[int, str]:
        """What a command prints, and its exit status."""
        stream = io.StringIO()
        with redirect_stdout(stream), redirect_stderr(io.StringIO()):
            try:
                status = group([*arguments, "--root", str(self.project.root)], standalone_mode=False)
            except StallgateError as error:
                return error.status, stream.getvalue()
        return int(status or 0), stream.getvalue()

    def json(self, *arguments: str) -> tuple[int, Json]:
        """The object of a command."""
        output._answer.plain = None
        status, _ = self.text(*arguments, "--json")
        return status, output._answer.plain or {}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[Project, list[ReadRun]], Views]:
    """Makes the commands of a tree whose runs are generated. Figures have their titles, and are not drawn."""
    monkeypatch.setattr(out, "width", WIDE)
    monkeypatch.setattr(err, "width", WIDE)
    monkeypatch.setattr(pictures, "drawing", lambda layout: Drawing(lay_out=layout, svg=""))
    monkeypatch.setattr(index, "page_svg", lambda *_: "<svg></svg>")
    monkeypatch.setattr(compare_page, "page_svg", lambda *_: "<svg></svg>")
    monkeypatch.setattr(page_module, "_write", lambda result, file, _picture: result.folder / file)

    def make(project: Project, runs: list[ReadRun]) -> Views:
        views = Views(project, {run.folder.name: run for run in runs})
        monkeypatch.setattr(evaluate, "read_run", views.read)
        monkeypatch.setattr(shared_by_commands, "load_project", lambda _root: views.project)
        return views

    return make


BASE, RUN = "20270101-000000-before", "20270102-000000-after"
CREATED = {BASE: "2027-01-01T00:00:00Z", RUN: "2027-01-02T00:00:00Z"}


def _statements(views: Views) -> Iterator[Statement]:
    """Everything that every view says of the run RUN, and of RUN beside BASE."""
    folder = views.project.reports / RUN
    titles = {metric.title: name for name, metric in views.project.catalogue.metrics.items()}
    _, shown = views.json("show", "run", RUN)
    names = said_on_pages.names_of(said_in_terminal.cases_in(shown))
    yield from said_in_json.of_show(shown)
    yield from said_on_pages.beside_the_roof(shown)
    yield from said_on_pages.right_by_place(shown)
    status, gate = views.json("gate", RUN)
    assert status in ((2,) if shown["verdict"] == "not_judged" else (0, 1, 3))
    views.text("report", RUN)
    told = json.loads((folder / "verdicts.json").read_text())
    yield from said_in_json.of_gate(told, told["exit_status"], "verdicts.json")
    verdicts = gate.get("verdicts", [])
    page = said_on_pages.PageView((folder / "report.html").read_text(), verdicts, names, BASE)
    yield from page.statements()
    if gate:
        yield from _of_gate(views, status, gate, page.headline)
        yield from said_in_json.of_junit((folder / "junit.xml").read_bytes(), gate)
    words = views.text("show", "run", RUN)[1]
    yield from said_in_terminal.of_terminal(words, "show")
    yield from said_in_terminal.of_tables(words, names, titles)
    yield from said_in_terminal.of_digest(words, names)
    yield from said_on_pages.of_index(
        (views.project.reports / "index.html").read_text(), RUN, CREATED[RUN], names, titles
    )
    yield from said_on_pages.of_summary((folder / "summary.md").read_text(), verdicts, names, titles)
    yield from said_on_pages.notes_cut(told["notes"])
    yield from said_in_json.of_runs(views.json("show", "runs")[1], RUN)
    yield from said_in_terminal.of_runs_table(views.text("show", "runs")[1], RUN)
    _, advice = views.json("advise", RUN, "--limit", "9")
    yield from said_in_json.of_advise(advice)
    yield from said_in_terminal.of_advice_text(views.text("advise", RUN, "--limit", "9")[1], names)
    yield from _compared(views, page, shown)


def _of_gate(views: Views, status: int, gate: Json, headline: str) -> Iterator[Statement]:
    """What the gate says: its object, its lines for every target, and its short answer."""
    yield from said_in_json.of_gate(gate, status)
    yield from said_in_json.junit_of_gate(gate)
    yield from said_on_pages.of_cases(gate["verdicts"])
    short, every = views.text("gate", RUN), views.text("gate", RUN, "--all")
    assert short[0] == every[0] == status
    for (_, words), where in ((short, "gate"), (every, "gate --all")):
        yield from said_in_terminal.of_terminal(words, where)
        yield from said_in_terminal.of_conclusion(words, gate, where)
        yield from said_in_terminal.of_headline(words, headline)
        yield from said_in_terminal.of_gate_lines(words, gate["verdicts"])
    yield from said_in_terminal.of_met(short[1], gate["verdicts"])


def _compared(views: Views, page: said_on_pages.PageView, shown: Json) -> Iterator[Statement]:
    status, compared = views.json("compare", BASE, RUN, "--all", "--report")
    if status != 0:
        yield Statement(("comparable with", BASE), False, "compare --json")
        for base in page.since:
            yield Statement(("comparable with", base), True, "the page")
        return
    yield from said_in_json.of_compare(compared)
    yield from said_on_pages.time_changes(compared)
    then = json.loads((views.project.reports / BASE / "verdicts.json").read_text())
    stages = views.json("show", "stages")[1]
    yield from said_in_json.of_bounds(then, stages, shown["stages"], compared["notes"])
    every = views.text("compare", BASE, RUN, "--all")[1]
    short = views.text("compare", BASE, RUN)[1]
    yield from said_in_terminal.of_compare_text(every, compared)
    yield from said_in_terminal.of_compare_text(short, compared)
    yield from said_in_terminal.of_unchanged(short, compared)
    html = (views.project.reports / RUN / f"compare-{BASE}.html").read_text()
    yield from said_on_pages.of_compare_page(html, compared)
    if page.since == [BASE]:
        yield from page.changed()


# --- pairs of runs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairPlan:
    """Two runs, and what the project asked when each of them was judged."""

    before: RunPlan
    after: RunPlan
    asked_before: ProjectPlan
    asked: ProjectPlan


_PROBLEMS = st.sampled_from([*[(problem,) for problem in PROBLEMS], ("matmul", "rmsnorm"), PROBLEMS])


def _measured_pairs(cases: int) -> st.SearchStrategy[PairPlan]:
    """Two runs that were measured, or replayed; now and then of other problems."""

    def runs(problems: tuple[str, ...]) -> st.SearchStrategy[RunPlan]:
        return run_plans(("live", "live", "recorded"), cases, problems)

    return _PROBLEMS.flatmap(lambda problems: _pairs(runs(problems), runs(problems)))


def _imported_pairs(cases: int) -> st.SearchStrategy[PairPlan]:
    """Two imported runs, which no stage, or one, is for."""
    named = st.sampled_from([(), (), ("memory_access",), ("block_tiling",)])
    runs = st.builds(replace_stages, run_plans(("imported",), cases), named)
    return _pairs(runs, runs)


def replace_stages(plan: RunPlan, stages: tuple[str, ...]) -> RunPlan:
    """A plan of a run that was imported to be judged by some stages."""
    return dataclass_replace(plan, stages=stages)


def _pairs(before: st.SearchStrategy[RunPlan], after: st.SearchStrategy[RunPlan]) -> st.SearchStrategy[PairPlan]:
    same = st.builds(lambda one, two, asked: PairPlan(one, two, asked, asked), before, after, project_plans())
    return st.one_of(same, st.builds(PairPlan, before, after, project_plans(), project_plans()))


def _check(commands: Callable[[Project, list[ReadRun]], Views], model: Model, plan: PairPlan) -> None:
    project = load_project(model.tree)
    today = datetime.now(UTC).date()
    problems = plan.after.problems or PROBLEMS
    then, now = (
        project_of(project, asked, model.accepted, today, problems) for asked in (plan.asked_before, plan.asked)
    )
    runs = []
    for made, name in ((plan.before, BASE), (plan.after, RUN)):
        shutil.rmtree(model.tree / "reports" / name, ignore_errors=True)
        of = model.imported if made.kind == "imported" else model.measured
        runs.append(placed(as_read(of, made, model.tree / "reports" / name, CREATED[name], now)))
    views = commands(now, [*runs, *model.recorded.values()])
    write_results(evaluate.evaluate(then, model.tree / "reports" / BASE, []))
    found = list(_statements(views))
    event(f"{len(found) // 500 * 500} statements")
    assert contradictions(found) == []


QUICK = settings(
    max_examples=8,
    phases=(Phase.generate,),  # a pair takes a second or two: shrinking one would take minutes
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
LONG = settings(QUICK, max_examples=300, derandomize=False)

MEASURED, IMPORTED = 20, 8
"""Cases of the runs that others are derived from."""


@QUICK
@given(plan=_measured_pairs(MEASURED))
def test_no_two_statements_of_a_pair_of_runs_contradict(
    commands: Callable[[Project, list[ReadRun]], Views], model: Model, plan: PairPlan
) -> None:
    _check(commands, model, plan)


@settings(QUICK, max_examples=4)
@given(plan=_imported_pairs(IMPORTED))
def test_no_two_statements_of_a_pair_of_imports_contradict(
    commands: Callable[[Project, list[ReadRun]], Views], model: Model, plan: PairPlan
) -> None:
    _check(commands, model, plan)


@pytest.mark.long
@LONG
@given(plan=st.one_of(*[_measured_pairs(MEASURED)] * 4, _imported_pairs(IMPORTED)))
def test_no_two_statements_of_many_pairs_contradict(
    commands: Callable[[Project, list[ReadRun]], Views], model: Model, plan: PairPlan
) -> None:
    _check(commands, model, plan)
