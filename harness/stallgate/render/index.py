"""``reports/index.html``: all runs of this machine, with their numbers plotted over commits."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, Literal
from urllib.parse import quote

from markupsafe import Markup

from stallgate.compare.history import Measurement, Series, StoredRun, series_of, stored_runs, targeted_metrics
from stallgate.compare.steps import Step, steps_of
from stallgate.compare.words import compare_metric
from stallgate.formatting import counted_verdicts, is_text, number, quantity, rounded
from stallgate.judge.bounds import bound_now
from stallgate.model import Case, FrozenStruct, Metric, Role, Status
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.commit import forge_of, subjects_of
from stallgate.project.digests import workload_digest
from stallgate.project.load import Project
from stallgate.project.paths import slug
from stallgate.render.compare_page import COMPARED
from stallgate.render.figures import Dot, FigureRow, Limit
from stallgate.render.gpu_models import model_sections
from stallgate.render.loop_listing import LoopListed, loops_listed
from stallgate.render.loop_page import LOOP_PAGE
from stallgate.render.sheet import page_svg
from stallgate.render.sweep import SWEEP_PAGE
from stallgate.render.sweep_listing import SWEEP_ANSWERS, SweepListed, sweeps_listed, with_folders
from stallgate.render.template import template
from stallgate.render.trend_figure import Stretch, Trend, Trends, trends_figure
from stallgate.runs.folder import RECORDED, as_argument, write_whole
from stallgate.runs.outlines import Circumstances, MeasurementTime
from stallgate.runs.store import Store

_MOST_MARKS = 100
"""Most marks of a line over time: more of them would cover each other."""

_MOST_ROWS = 500
"""Most measurements of a workload in the table under its figures."""

_MOST_OFFERED = 200
"""Most runs that the page offers to compare."""

ANSWERS = {0: "meets its targets", 1: "does not meet its targets", 3: "cannot be decided"}


class TrendCell(FrozenStruct, frozen=True):
    """A number of a run in a table, or the gap where it should be."""

    text: str
    title: str
    gap: bool


class RunEntry(FrozenStruct, frozen=True):
    """A run in the list."""

    name: str
    page: str
    """The run's page, relative to the index; empty if there is none."""
    compared: list[tuple[str, str]]
    """The bases that it was compared with, each with its page."""
    kind: str
    gpus: list[str]
    problems: list[str]
    files: list[str]
    """The names of the ncu reports that an imported run is of."""
    commits: list[CommitShown]
    when: str
    replays: list[str]
    """When the recordings were made that it replays."""
    measured: str
    status: Status | Literal[""]
    """Empty where nothing was asked of an imported run."""
    mark: str
    answer: str
    gaps: list[str]
    counters: str = ""
    """The page of the run with a sweep's counters, relative to the index."""

    @property
    def subject(self) -> str:
        """What it is of: ncu reports, or problems."""
        return ", ".join(self.files or self.problems)

    @property
    def verdict(self) -> str:
        """The gate's latest answer in a word or two, or what a sweep advises, to filter by."""
        return (self.mark.partition(" ")[2] if self.status else self.mark) or "not judged"


class CommitShown(FrozenStruct, frozen=True):
    """A commit for a reader."""

    label: str
    subject: str
    """The first line of its message; empty where the repository does not have it."""
    url: str
    """Its page at the forge; empty where that is not known."""


class TrendTableRow(FrozenStruct, frozen=True):
    """A row of the table under the figures: one variant, measured once."""

    when: str
    commit: CommitShown | None
    conditions: str
    variant: str
    cells: list[TrendCell]
    steps: list[str]
    """The change points that begin with this measurement, in words."""


class ChangePoint(FrozenStruct, frozen=True):
    """A step of a series in words, and the commit that it begins with."""

    words: str
    commit: CommitShown


class TrendSection(FrozenStruct, frozen=True):
    """One workload of one problem over time."""

    anchor: str
    title: str
    finding: str
    picture: str
    """Empty where nothing was measured twice."""
    steps: list[ChangePoint]
    single: str
    """A sentence about what was measured only once."""
    each: int
    """How many measurements share a mark."""
    headings: list[str]
    rows: list[TrendTableRow]
    older: int
    """How many older measurements have no row."""


def write_index(project: Project) -> Path:
    """Writes the page that lists all runs; returns its path."""
    metrics = {name: targeted_metrics(project, name) for name in project.problems}
    wanted = list(dict.fromkeys(["duration", *(metric.name for found in metrics.values() for metric in found)]))
    store = Store(project.reports)
    runs = stored_runs(store, [*wanted, ROOF_FRACTION])
    drawn = [line for line in series_of(runs, wanted) if line.key.metric in _names(metrics, line.key.case.problem)]
    places = dict.fromkeys((line.key.case.problem, line.key.case.workload) for line in drawn)
    commits = _Commits(project.root, runs)
    sweeps, loops = sweeps_listed(store, project), loops_listed(store)
    names = _names_of_pages(project, runs)
    listed = [
        _swept(sweeps[stored.folder], stored, commits, store.files(stored.folder))
        if stored.folder in sweeps
        else _looped(loops[stored.folder], stored, commits, store.files(stored.folder))
        if stored.folder in loops
        else _listed(stored, commits, store.files(stored.folder), names)
        for stored in with_folders(runs, [*sweeps, *loops])
    ]
    html = template("index.html.j2").render(
        runs=listed,
        facets=_facets(listed),
        most_offered=_MOST_OFFERED,
        sections=[_Place(project, commits, drawn, problem, workload).section() for problem, workload in places],
        models=model_sections(project, runs),
        markup=Markup,
    )
    path = project.reports / "index.html"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, html.encode(errors="replace"))  # a folder's name need not be text
    return path


def _names(metrics: dict[str, list[Metric]], problem: str) -> list[str]:
    return [metric.name for metric in metrics[problem]] if problem in metrics else ["duration"]


# --- the list ---------------------------------------------------------------------------------------------------------


class _Commits:
    """The commits of all runs, with their subjects and pages: git is asked once."""

    def __init__(self, root: Path, runs: list[StoredRun]) -> None:
        outlines = [stored.outline for stored in runs if stored.outline is not None]
        times = [time for outline in outlines for time in (outline.time, *outline.measured.values())]
        hashes = {time.commit for time in times if time.commit}
        self._subjects = subjects_of(root, sorted(hashes)) if hashes else {}
        self._forge = forge_of(root) if self._subjects else ""

    def shown(self, time: MeasurementTime) -> CommitShown:
        """The commit of a measurement. Only one that the repository has gets a link."""
        subject = self._subjects.get(time.commit, "")
        known = time.commit in self._subjects and self._forge
        return CommitShown(label=time.label, subject=subject, url=f"{self._forge}{time.commit}" if known else "")


def _facets(runs: list[RunEntry]) -> list[tuple[str, str, list[str]]]:
    """What the list can be filtered by: a key, its name, and the values that there are."""
    values = {
        "problem": ("Problem", [problem for run in runs for problem in run.problems]),
        "gpu": ("GPU", [gpu for run in runs for gpu in run.gpus]),
        "verdict": ("Verdict", [run.verdict for run in runs]),
    }
    return [(key, name, sorted(set(found))) for key, (name, found) in values.items()]


def _names_of_pages(project: Project, runs: Sequence[StoredRun]) -> dict[str, str]:
    """What the file of a comparison says of the earlier run -> that run as commands take it."""
    recordings = sorted(path.parent for path in project.reports.glob(f"{RECORDED}/*/*/run.json"))
    names = [stored.folder.name for stored in runs] + [as_argument(project.reports, path) for path in recordings]
    return {slug(name): name for name in names if is_text(name)}


def _listed(stored: StoredRun, commits: _Commits, files: Collection[str], names: Mapping[str, str]) -> RunEntry:
    status = (stored.answer or "") if stored.judgement is not None else "not_measured"
    return RunEntry(
        name=stored.folder.name,
        page=_place(stored.folder, "report.html", files),
        compared=[
            (_base_of(name, names), _place(stored.folder, name, files))
            for name in sorted(files)
            if name.startswith(COMPARED) and name.endswith(".html")
        ],
        status=status,
        mark=stored.mark if stored.judgement is not None else "○ not judged",
        answer=_answer(stored),
        gaps=stored.gaps,
        **_facts(stored, commits),
    )


def _base_of(page: str, names: Mapping[str, str]) -> str:
    """The earlier run of a comparison by the name of its file."""
    known = Path(page).stem.removeprefix(COMPARED)
    return names.get(known, known)


def _swept(listed: SweepListed, stored: StoredRun, commits: _Commits, files: Collection[str]) -> RunEntry:
    """A sweep in the list: its word is what it advises, and its page is its own."""
    return RunEntry(
        name=stored.folder.name,
        page=_place(stored.folder, SWEEP_PAGE, files),
        compared=[],
        counters=_place(stored.folder, "report.html", files),
        kind="sweep",
        gpus=listed.gpus,
        problems=[listed.problem],
        files=[],
        commits=[commits.shown(listed.time)] if listed.time.commit else [],
        when=_moment(listed.time.created),
        replays=[],
        measured=listed.timed,
        status="",
        mark=SWEEP_ANSWERS[listed.advised],
        answer=listed.headline,
        gaps=[*stored.gaps, *([] if listed.complete else ["the sweep did not come to its end"])],
    )


def _looped(listed: LoopListed, stored: StoredRun, commits: _Commits, files: Collection[str]) -> RunEntry:
    """A loop in the list: its word is how it ended, and its page is its own."""
    return RunEntry(
        name=stored.folder.name,
        page=_place(stored.folder, LOOP_PAGE, files),
        compared=[],
        kind="loop",
        gpus=listed.gpus,
        problems=[listed.problem],
        files=[],
        commits=[commits.shown(listed.time)] if listed.time.commit else [],
        when=_moment(listed.time.created),
        replays=[],
        measured=listed.accepted,
        status="",
        mark=listed.word,
        answer=listed.headline,
        gaps=stored.gaps,
    )


def _place(folder: Path, page: str, files: Collection[str]) -> str:
    """The URL of a folder's page, relative to the index; empty where the folder does not have it."""
    return f"{quote(os.fsencode(folder.name))}/{quote(os.fsencode(page))}" if page in files else ""


def _facts(stored: StoredRun, commits: _Commits) -> dict[str, Any]:
    """The facts of ``run.json``; empty if it cannot be read."""
    run = stored.outline
    if run is None:
        texts, lists = ("kind", "when", "measured"), ("gpus", "problems", "files", "commits", "replays")
        return {**dict.fromkeys(texts, ""), **{name: [] for name in lists}}
    times = sorted(set(run.measured.values())) or [run.time]
    return {
        "kind": run.kind,
        "gpus": run.gpus,
        "problems": run.problems if run.kind != "imported" else [],
        "files": run.files,
        "commits": list(dict.fromkeys(commits.shown(time) for time in times if time.commit)),
        "when": _moment(run.time.created),
        "replays": list(dict.fromkeys(_moment(time.created) for time in times)) if run.replays else [],
        "measured": f"{run.outcomes.get('profiled', 0)} of {run.cases}",
    }


def _answer(stored: StoredRun) -> str:
    if stored.judgement is None or stored.judgement.exit_status is None:
        return "not judged"
    counted = counted_verdicts((verdict.status, verdict.reason) for verdict in stored.judgement.verdicts)
    covered = any(verdict.status in ("waived", "excused") for verdict in stored.judgement.verdicts)
    passes = stored.judgement.exit_status == 0 and covered  # a waived target is not met
    return f"{'passes' if passes else ANSWERS[stored.judgement.exit_status]}: {counted or 'nothing was judged'}"


# --- trends -----------------------------------------------------------------------------------------------------------


class _Scale(FrozenStruct, frozen=True):
    """A readable unit, and the factor that converts a value to it."""

    factor: float
    unit: str


class _Place:
    """All measurements of one workload of one problem."""

    def __init__(self, project: Project, commits: _Commits, drawn: list[Series], problem: str, workload: str) -> None:
        cases = [(line, line.key.case) for line in drawn]
        self._lines = [line for line, case in cases if (case.problem, case.workload) == (problem, workload)]
        self._problem, self._workload = problem, workload
        self._project, self._commits = project, commits
        self._trends = [line for line in self._lines if len(line.measured) >= 2]
        times = {point.time for line in self._trends for point in line.points}
        self._times = sorted(times)
        self._each = -(-len(self._times) // _MOST_MARKS) or 1
        self._circumstances = list(dict.fromkeys(line.key.circumstances for line in self._trends))
        names = list(dict.fromkeys(line.key.metric for line in self._lines))
        self._metrics = [project.catalogue.metrics[name] for name in names]
        self._steps = [(line, step) for line in self._trends for step in steps_of(line)]
        self._scales = {metric.name: self._scale(metric) for metric in self._metrics}

    def section(self) -> TrendSection:
        """The figures and what is said beside them."""
        rows, finding = self._rows(), self._finding()
        return TrendSection(
            anchor=f"{self._problem}-{self._workload}",
            title=f"{self._problem} · {self._workload}",
            finding=finding,
            picture=page_svg(partial(trends_figure, finding, self._figure(rows))) if rows else "",
            steps=self._change_points(),
            single=self._single(),
            each=self._each,
            headings=[self._heading(metric) for metric in self._metrics],
            **self._table(),
        )

    def _scale(self, metric: Metric) -> _Scale:
        """Times as s, ms or µs, whichever the longest one is read in; everything else as it is."""
        mine = [line for line in self._lines if line.key.metric == metric.name]
        longest = max((point.median or 0.0 for line in mine for point in line.points), default=0.0)
        if metric.unit != "ns" or longest < 1e3:
            return _Scale(factor=1.0, unit=metric.unit)
        scales = ((1e10, _Scale(factor=1e-9, unit="s")), (1e6, _Scale(factor=1e-6, unit="ms")))
        return next((scale for least, scale in scales if longest >= least), _Scale(factor=1e-3, unit="µs"))

    def _heading(self, metric: Metric) -> str:
        unit = self._scales[metric.name].unit
        return f"{metric.title} [{unit}]" if unit else metric.title

    def _words(self, found: Circumstances) -> str:
        """Circumstances for a reader; a workload that the tree no longer has is named by its digest."""
        problem = self._project.problems.get(self._problem)
        workload = problem.workloads.get(self._workload) if problem is not None else None
        now = workload is not None and workload_digest(workload) == found.workload_digest
        other = "" if now else f", another {self._workload} than the tree's ({found.workload_digest[:7]})"
        under = found.conditions
        control = f"clock control {under.clock_control}, cache control {under.cache_control}"
        return f"{under.gpu}, device {under.device}, {control}{other}"

    # --- figures ---

    def _rows(self) -> dict[tuple[str, str], FigureRow]:
        """(variant, configuration) -> its row, of everything that has a line."""
        return {
            _who(line.key.case): FigureRow(name=line.key.case.display_name, role=_role(line)) for line in self._trends
        }

    def _figure(self, rows: dict[tuple[str, str], FigureRow]) -> Trends:
        newest = self._times[:: -self._each][::-1]
        return Trends(
            labels=[time.label for time in newest],
            conditions=[self._words(found) for found in self._circumstances],
            rows=list(rows.values()),
            columns=[self._heading(metric) for metric in self._metrics],
            panels=[[self._panel(who, row, metric) for metric in self._metrics] for who, row in rows.items()],
        )

    def _panel(self, who: tuple[str, str], row: FigureRow, metric: Metric) -> Trend:
        mine = [n for n in self._trends if _who(n.key.case) == who and n.key.metric == metric.name]
        return Trend(
            stretches=[self._stretch(line) for line in mine],
            limit=self._limit(metric) if row.role == "candidate" else None,
            steps=sorted({self._places[step.at.time] for line, step in self._steps if line in mine}),
        )

    @cached_property
    def _places(self) -> dict[MeasurementTime, int]:
        """Measurement -> its place on the axis; several neighbours share one where there are too many for the axis."""
        last = len(self._times) - 1
        return {time: last // self._each - (last - place) // self._each for place, time in enumerate(self._times)}

    def _stretch(self, line: Series) -> Stretch:
        factor = self._scales[line.key.metric].factor
        shared = [(place, list(points)) for place, points in groupby(line.points, lambda p: self._places[p.time])]
        return Stretch(
            conditions=self._circumstances.index(line.key.circumstances),
            places=[place for place, _ in shared],
            dots=[_dot(points, factor) for _, points in shared],
        )

    def _limit(self, metric: Metric) -> Limit | None:
        """The bound of today's stages, where it is a value and not a fraction of the roof's."""
        found = bound_now(self._project, self._problem, self._workload, metric.name)
        if found is None:
            return None
        comparison, bound = found
        return Limit(comparison=comparison, bound=bound * self._scales[metric.name].factor)

    # --- sentences ---

    def _finding(self) -> str:
        """How the newest duration of a candidate compares with the one before it."""
        timed = [line for line in self._trends if line.key.metric == "duration"]
        if not timed:
            return f"{self._workload}: trends need two measurements under the same conditions"
        line = max(timed, key=lambda line: (_role(line) == "candidate", line.measured[-1].time))
        before, after = line.measured[-2:]
        scale = self._scales["duration"]
        took = quantity((after.median or 0.0) * scale.factor, scale.unit)
        what = f"{line.key.case.display_name} takes {took} on {self._workload} at {after.time.label}"
        return f"{what}, {_change(self._project.catalogue.metrics['duration'], before, after)} at {before.time.label}"

    def _change_points(self) -> list[ChangePoint]:
        """Every step of the series, newest first."""
        newest = sorted(self._steps, key=lambda found: found[1].at.time, reverse=True)
        return [
            ChangePoint(
                words=f"{line.key.case.display_name}: {self._step(line, step)}",
                commit=self._commits.shown(step.at.time),
            )
            for line, step in newest
        ]

    def _step(self, line: Series, step: Step) -> str:
        """A step in words: shares differ in points, everything else in per cent."""
        metric, difference = self._project.catalogue.metrics[line.key.metric], step.after - step.before
        sign = "+" if difference > 0 else "−"
        if metric.unit == "%":
            return f"{metric.title} {sign}{rounded(abs(difference))} points"
        return f"{metric.title} {sign}{rounded(100 * abs(difference / step.before))} %"

    def _single(self) -> str:
        """What is not plotted because it was measured only once."""
        drawn = {(*_who(line.key.case), line.key.circumstances) for line in self._trends}
        rest = {
            f"{line.key.case.display_name} on {self._words(line.key.circumstances)}": None
            for line in self._lines
            if (*_who(line.key.case), line.key.circumstances) not in drawn
        }
        return f"Not plotted (fewer than two measurements): {'; '.join(rest)}." if rest and self._trends else ""

    # --- the table ---

    def _table(self) -> dict[str, Any]:
        """The newest measurements of every variant, the newest first, and how many older ones there are."""
        found: dict[tuple[MeasurementTime, Circumstances, Case], dict[str, Measurement]] = {}
        for line in self._lines:
            for point in line.points:
                key = (point.time, line.key.circumstances, line.key.case)
                found.setdefault(key, {})[line.key.metric] = point
        newest = sorted(found.items(), key=lambda item: item[0][0], reverse=True)
        rows = [self._measured(*key, points) for key, points in newest[:_MOST_ROWS]]
        return {"rows": rows, "older": len(newest) - len(rows)}

    def _measured(
        self, time: MeasurementTime, found: Circumstances, case: Case, points: dict[str, Measurement]
    ) -> TrendTableRow:
        return TrendTableRow(
            when=_moment(time.created),
            commit=self._commits.shown(time) if time.commit else None,
            conditions=self._words(found),
            variant=case.display_name,
            cells=[self._cell(metric, points.get(metric.name)) for metric in self._metrics],
            steps=[
                self._step(line, step)
                for line, step in self._steps
                if (line.key.case, line.key.circumstances, step.at.time) == (case, found, time)
            ],
        )

    def _cell(self, metric: Metric, point: Measurement | None) -> TrendCell:
        if point is None or point.median is None or point.low is None or point.high is None:
            return TrendCell(text=point.gap if point is not None else "–", title="not measured", gap=True)
        factor = self._scales[metric.name].factor
        spread = f"{rounded(point.low * factor, 6)} to {rounded(point.high * factor, 6)}"
        return TrendCell(text=number(point.median * factor), title=spread, gap=False)


# --- helpers ----------------------------------------------------------------------------------------------------------


def _moment(time: str) -> str:
    """A time in UTC without the letters of ISO 8601."""
    return time.replace("T", " ").replace("Z", "")


def _who(case: Case) -> tuple[str, str]:
    return case.variant, case.configuration


def _role(line: Series) -> Role:
    return line.points[-1].role


def _dot(points: list[Measurement], factor: float) -> Dot:
    """The mark of neighbouring measurements: the median of their medians, with the spread of all samples."""
    known = [point.summary for point in points if point.summary is not None and point.summary.state == "measured"]
    if not known:
        return Dot(median=None, low=None, high=None, gap=points[-1].gap)
    return Dot(
        median=factor * median(found.median for found in known if found.median is not None),
        low=factor * min(found.low for found in known if found.low is not None),
        high=factor * max(found.high for found in known if found.high is not None),
        gap="",
    )


def _change(metric: Metric, before: Measurement, after: Measurement) -> str:
    """The change of a time in the words of ``stallgate compare``."""
    change = compare_metric(metric, before.summary, after.summary)
    return f"{change.size} {change.word} than" if change.word in ("faster", "slower") else "no change from what it took"
