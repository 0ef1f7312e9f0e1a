"""``report.html`` and PNGs of a run: what is drawn, in which order, and what is said beside it."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.catalogue import ROOF_FRACTION, resolve
from harness.flow import Result
from harness.model import Case, CaseResult, Metric, Noun, Stage, Verdict
from harness.project.tree import Project
from harness.render.figures import Dot, Drawing, Limit, Panel, Row, Share, rendered, targets_figure, warp_states_figure
from harness.runs import write_whole
from harness.words import MARKS, aliases, number, provenance, spaced

TEMPLATES = Path(__file__).parent / "templates"


class Picture(Noun, frozen=True):
    """A figure on the page and beside it."""

    file: str
    """The PNG's name."""
    svg: str
    alt: str


class Cell(Noun, frozen=True):
    """A metric of a case in a table."""

    text: str
    title: str
    """Said on hover: the spread, or why there is no value."""
    gap: bool


class Line(Noun, frozen=True):
    """A row of a table of metrics."""

    heading: str
    about: str
    cells: list[Cell]


class Section(Noun, frozen=True):
    """One workload of one problem."""

    anchor: str
    title: str
    finding: str
    needs: str
    variants: list[Row]
    troubles: list[str]
    pictures: list[Picture]
    lines: list[Line]


def draw(project: Project, result: Result) -> list[Path]:
    """Writes the page and the PNGs into the run's folder, and the index of all runs; returns paths, the page first."""
    from harness.render.index import write_index  # it takes its template from here

    sections = [_section(project, result, problem, workload) for problem, workload in _places(result)]
    page = result.folder / "report.html"
    write_whole(page, _html(project, result, sections).encode())
    pictures = [result.folder / picture.file for section in sections for picture in section.pictures]
    return [page, *pictures, write_index(project)]


def _html(project: Project, result: Result, sections: list[Section]) -> str:
    environment = next((a.environment for a in result.run.attempts if a.environment is not None), None)
    return template("report.html.j2").render(
        run=result.run,
        judgement=result.judgement,
        answer=_answer(result),
        provenance=provenance(result.run),
        environment=environment,
        card=project.card_of(environment.gpu) if environment is not None else None,
        stages=[project.stage(name) for name in result.judgement.stages],
        marks=MARKS,
        aliases=aliases(result.judgement.verdicts),
        sections=sections,
        states=[metric for metric in project.catalogue.metrics.values() if metric.state is not None],
        markup=Markup,
    )


def template(name: str) -> jinja2.Template:
    """A page's template; whatever is put into it is escaped."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template(name)


def _answer(result: Result) -> tuple[str, str]:
    """The verdict of the whole run: a class of the page's style, and words."""
    match result.judgement.exit_status:
        case 0:
            return "pass", "Meets its targets"
        case 1:
            return "fail", "Does not meet its targets"
    return "open", "Cannot be decided"


def _places(result: Result) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r.case.problem, r.case.workload) for r in result.run.cases))


def _section(project: Project, result: Result, problem: str, workload: str) -> Section:
    cases = [r for r in result.run.cases if (r.case.problem, r.case.workload) == (problem, workload)]
    rows = [Row(name=_name(case), role=case.role) for case in cases]
    title = f"{problem} · {workload}"
    finding = _finding(result, cases)
    stem = f"{problem}-{workload}"
    stages = [project.stage(name) for name in result.judgement.stages]
    panels = [_panel(result, cases, metric) for metric in _stage_metrics(project, stages)]
    shares = _shares(project, result, cases)
    pictures = []
    if panels:
        drawing = rendered(targets_figure(finding, rows, panels))
        pictures.append(_picture(result, f"{stem}-targets.png", drawing, _alt(rows, panels)))
    if any(value is not None for share in shares for value in share.shares):
        heading = f"What the warps waited for, {title}"
        drawing = rendered(warp_states_figure(heading, rows, shares))
        pictures.append(_picture(result, f"{stem}-warp-states.png", drawing, f"{heading}: the table has every share"))
    return Section(
        anchor=stem,
        title=title,
        finding=finding,
        needs=_needs(result, problem, workload),
        variants=rows,
        troubles=_troubles(result, cases),
        pictures=pictures,
        lines=[_line(result, cases, metric) for metric in project.catalogue.metrics.values()],
    )


def _name(result: CaseResult) -> str:
    case = result.case
    return case.variant if case.configuration == "default" else f"{case.variant} ({case.configuration})"


def _finding(result: Result, cases: list[CaseResult]) -> str:
    """What the workload's numbers say, in a sentence."""
    workload = cases[0].case.workload
    found = []
    for case in cases:
        summary = result.summaries.get((case.case, ROOF_FRACTION))
        if case.role == "candidate" and summary is not None and summary.median is not None:
            found.append(f"{_name(case)} runs at {summary.median:.1%} of the roof on {workload}")
    return "; ".join(found) or f"{len(cases)} measured on {workload}"


def _needs(result: Result, problem: str, workload: str) -> str:
    subject = result.run.subjects.get(problem)
    if subject is None or workload not in subject.workloads:
        return ""
    found = subject.workloads[workload]
    arguments = ", ".join(f"{name} {value}" for name, value in found.arguments.items())
    return f"{arguments}; needs {found.bytes / 1e9:.4g} GB of memory traffic"


def _troubles(result: Result, cases: list[CaseResult]) -> list[str]:
    """Every case that has no numbers, with its reason."""
    unmeasured = [c for c in cases if c.outcome != "profiled"]
    troubles = [f"{_name(c)}: {spaced(c.outcome)}. {c.reason}" for c in unmeasured]
    faults = result.evidence.faults
    return troubles + [f"{_name(c)}: {faults[c.case.name]}" for c in cases if c.case.name in faults]


# --- figures ----------------------------------------------------------------------------------------------------------


def _stage_metrics(project: Project, stages: list[Stage]) -> list[Metric]:
    names = [target.metric for stage in stages for target in stage.targets]
    names += [name for stage in stages for name in stage.shown]
    metrics = [resolve(project.catalogue, name) for name in names]
    return list({metric.name: metric for metric in metrics}.values())


def _panel(result: Result, cases: list[CaseResult], metric: Metric) -> Panel:
    return Panel(
        metric=metric,
        dots=[_dot(result, case, metric) for case in cases],
        limit=_limit(result, cases[0].case, metric),
    )


def _dot(result: Result, case: CaseResult, metric: Metric) -> Dot:
    summary = result.summaries.get((case.case, metric.name))
    if summary is None:
        gap = case.outcome if case.outcome != "profiled" else "damaged_report"
        return Dot(median=None, low=None, high=None, gap=spaced(gap))
    return Dot(median=summary.median, low=summary.low, high=summary.high, gap=spaced(summary.state))


def _limit(result: Result, case: Case, metric: Metric) -> Limit | None:
    """The bound that verdicts of this metric were judged by on this workload."""
    for verdict in result.judgement.verdicts:
        same_place = (verdict.problem, verdict.workload) == (case.problem, case.workload)
        if same_place and verdict.metric == metric.name and verdict.comparison is not None and _is_absolute(verdict):
            assert verdict.bound is not None
            return Limit(comparison=verdict.comparison, bound=verdict.bound)
    return None


def _is_absolute(verdict: Verdict) -> bool:
    return verdict.reason not in ("no_roof", "no_case") and verdict.bound is not None


def _shares(project: Project, result: Result, cases: list[CaseResult]) -> list[Share]:
    states = [metric for metric in project.catalogue.metrics.values() if metric.state is not None]
    return [
        Share(
            state=metric.state or metric.name,
            family=metric.family or "other",
            shares=[_median(result, case.case, metric.name) for case in cases],
        )
        for metric in states
    ]


def _median(result: Result, case: Case, metric: str) -> float | None:
    summary = result.summaries.get((case, metric))
    return summary.median if summary is not None else None


def _picture(result: Result, file: str, drawing: Drawing, alt: str) -> Picture:
    """Writes a figure's PNG; the page takes the same figure as SVG."""
    write_whole(result.folder / file, drawing.png)
    return Picture(file=file, svg=drawing.svg, alt=alt)


def _alt(rows: list[Row], panels: list[Panel]) -> str:
    """The figure in words."""
    sentences = []
    for panel in panels:
        values = [
            f"{row.name} {dot.median:.3g}" if dot.median is not None else f"{row.name} {dot.gap}"
            for row, dot in zip(rows, panel.dots, strict=True)
        ]
        sentences.append(f"{panel.metric.title}: {', '.join(values)}")
    return ". ".join(sentences)


# --- the table of metrics ---------------------------------------------------------------------------------------------


def _line(result: Result, cases: list[CaseResult], metric: Metric) -> Line:
    unit = f" [{metric.unit}]" if metric.unit else ""
    return Line(
        heading=f"{metric.name}{unit}",
        about=metric.about,
        cells=[_cell(result, case, metric) for case in cases],
    )


def _cell(result: Result, case: CaseResult, metric: Metric) -> Cell:
    summary = result.summaries.get((case.case, metric.name))
    if summary is None:
        return Cell(text="–", title=case.reason or case.outcome, gap=True)
    if summary.median is None:
        return Cell(text=spaced(summary.state), title=summary.ncu_name, gap=True)
    spread = f"{summary.low:,.6g} to {summary.high:,.6g} in {summary.samples} samples; {summary.ncu_name}"
    return Cell(text=number(summary.median), title=spread, gap=False)
