"""``report.html``, ``summary.md`` and PNGs of a run: their content and its order."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

from markupsafe import Markup
from msgspec.structs import replace

from stallgate.compare.since import ChangesSinceLast, since_last
from stallgate.formatting import (
    SIGNS,
    aliases,
    listed,
    on_several,
    scaled,
    spaced,
    variant_of,
    verdict_mark,
    with_unit,
    workload_of,
)
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.headroom import missed_by, value_and_bound
from stallgate.judge.warp_states import state_words
from stallgate.model import Environment, FrozenStruct, GpuSpec, Metric, Origin, Run, Settings, Stage, Status, Verdict
from stallgate.project.load import Project
from stallgate.project.paths import Slugs
from stallgate.project.staleness import measured_workload, written_workload
from stallgate.render.advice import AdviceRow, advice_part
from stallgate.render.case_table import CaseTable, case_table
from stallgate.render.changes import Changes, changes_of
from stallgate.render.detail import MOST_HOT_LINES, Said, said
from stallgate.render.first_screen import FirstScreen, first_screen
from stallgate.render.imports import remarks
from stallgate.render.index import write_index
from stallgate.render.next_command import next_command
from stallgate.render.pictures import Picture, charted_metrics, pictures, program_picture, workload_finding
from stallgate.render.program import program_part
from stallgate.render.progress import counted_parts
from stallgate.render.rightness import ChoiceRow, Rightness, choices, packages, rightness
from stallgate.render.summary import summary
from stallgate.render.tables import Grid, KernelRow, grid, kernel_metrics, kernels, unit_in_heading
from stallgate.render.template import template
from stallgate.render.verdict_words import stage_label
from stallgate.render.view import MOST_ROWS, View
from stallgate.runs.conditions import joined_environment, problems_in, settings_of
from stallgate.runs.folder import attempts_of, pretty, write_whole
from stallgate.runs.naming import place_name

MOST_PICTURED = 12
"""Most workloads with figures. With more, those with a candidate come first; the tables have all."""

MOST_UNFOLDED = 6
"""Rows of advice that are not folded."""

MOST_ANSWERS, MOST_TOLD, LONGEST_SENTENCE = 6, 3, 400
"""Lines at the top of the page, sentences in one, characters in a sentence: the table of verdicts has all."""

WORST: tuple[Status, ...] = ("fail", "not_measured", "undecided", "waived", "excused", "pass")


class PageSection(FrozenStruct, frozen=True):
    """One workload of one problem."""

    anchor: str
    title: str
    finding: str
    needs: str
    troubles: list[str]
    has_ranges: bool
    """Whether its cases are NVTX ranges, which are of several launches together."""
    rightness: Rightness
    choices: list[ChoiceRow]
    pictures: list[tuple[str, Picture]]
    """Each with the name of its PNG."""
    folded: list[tuple[str, Picture]]
    """Further pictures of a workload with many cases."""
    is_folded: bool
    """Whether its pictures are folded: other workloads are judged, and this one is not."""
    cases: CaseTable
    grid: Grid
    kernels: list[KernelRow]
    kernel_columns: list[Metric]
    wrong: list[str]
    """Cases with numbers whose results are wrong."""
    said: list[Said]

    @property
    def drawn(self) -> list[tuple[str, Picture]]:
        """All pictures."""
        return [*self.pictures, *self.folded]


class StageAnswer(FrozenStruct, frozen=True):
    """The gate's answer for one candidate and one stage."""

    variant: str
    stage: str
    status: Status
    mark: str
    words: str


class MeasuredAt(FrozenStruct, frozen=True):
    """Where, when and how the numbers of a problem were measured; of a live run, those of all its problems."""

    problem: str
    """Empty for all problems of the run."""
    gpus: list[str]
    """Of imported reports, whose cases can be of several GPUs; else empty."""
    origin: Origin | None
    environment: Environment | None
    settings: Settings | None
    gpu_spec: GpuSpec | None
    """The GPU's data sheet: shown, never judged by."""
    packages: list[str]
    """Installed packages that variants loaded, in words."""


def draw(project: Project, result: JudgedRun) -> list[Path]:
    """Writes the page, its summary and the PNGs into the run's folder, and the index of all runs.

    Returns their paths, the page first and the index last.
    """
    last = since_last(project, result, charted_metrics(project.catalogue))
    bases = {since.problem: since for since in last}
    views = [View(project, result, problem, load, bases.get(problem)) for problem, load in _places(result)]
    changes = [_changes(result, since, named=len(last) > 1) for since in last]
    pictured = sorted(range(len(views)), key=lambda i: not _has_candidate(views[i]))[:MOST_PICTURED]
    stems = Slugs()  # of the PNGs' names
    sections: list[PageSection] = []
    files: list[Path] = []
    for place, view in enumerate(counted_parts(views)):
        sections.append(_section(view, place, place in pictured, stems.of(f"{view.problem}/{view.workload}")))
        files += [_write(result, file, picture) for file, picture in sections[-1].drawn]
    page, text = result.folder / "report.html", result.folder / "summary.md"
    picture = program_picture(result.run.program) if result.run.program is not None else None
    advised, fault = advice_part(project, result)
    write_whole(result.folder / "advice.json", pretty(advised))
    screen = first_screen(project, result, views, last, advised)
    write_whole(page, _html(project, result, sections, changes, screen, picture, advised, fault).encode())
    write_whole(
        text,
        summary(result, project.catalogue, views, [[file for file, _ in s.drawn] for s in sections], changes).encode(),
    )
    files += [_write(result, f"{picture.name}.png", picture)] if picture is not None else []
    return [page, text, *files, write_index(project)]


def _changes(result: JudgedRun, since: ChangesSinceLast, *, named: bool) -> Changes:
    verdicts = [verdict for verdict in result.judgement.verdicts if verdict.problem == since.problem]
    return changes_of(since, verdicts, named=named)


def _write(result: JudgedRun, file: str, picture: Picture) -> Path:
    write_whole(result.folder / file, picture.drawing.png)
    return result.folder / file


def _places(result: JudgedRun) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r.case.problem, r.case.workload) for r in result.run.cases))


def _has_candidate(view: View) -> bool:
    return any(case.role in ("candidate", "unknown") for case in view.cases)


_IN_WORDS = {
    "verdict_mark": verdict_mark,
    "signs": SIGNS,
    "quoted": shlex.join,
    "markup": Markup,
    "with_unit": with_unit,
    "pair": value_and_bound,
    "unit_in_heading": unit_in_heading,
    "workload_of": workload_of,
    "state_words": state_words,
}
"""What the template writes values with."""


def _html(
    project: Project,
    result: JudgedRun,
    sections: list[PageSection],
    changes: list[Changes],
    screen: FirstScreen,
    picture: Picture | None,
    advised: list[AdviceRow],
    advice_fault: str,
) -> str:
    return template("report.html.j2").render(
        run=replace(result.run, name=result.argument),
        all_advice=f"stallgate advise {shlex.quote(result.argument)}",
        judgement=result.judgement,
        judging=next_command(result.run, result.judgement, result.argument),
        headline=(screen.word.style, screen.word.words),
        screen=screen,
        most_rows=MOST_ROWS,
        answers=answers(project, result),
        most_answers=MOST_ANSWERS,
        changes=changes,
        stage_label=partial(stage_label, project),
        titles={name: metric.title for name, metric in project.catalogue.metrics.items()},
        measured_at=_measured_at(project, result.run),
        stages=[project.stage(name) for name in result.judgement.stages],
        aliases=aliases(result.judgement.verdicts),
        sections=sections,
        program=program_part(result.run.program) if result.run.program is not None else None,
        program_picture=picture,
        most_lines=MOST_HOT_LINES,
        states=[metric for metric in project.catalogue.metrics.values() if metric.state is not None],
        advised=advised,
        most_advised=MOST_UNFOLDED,
        advice_fault=advice_fault,
        reports=[attempt for attempt in result.run.attempts if attempt.report],
        attempted=_attempted(result.run),
        names=_ncu_names(project, result),
        variant_of=partial(variant_of, with_problem=on_several(result.judgement.verdicts)),
        **_IN_WORDS,
    )


def _ncu_names(project: Project, result: JudgedRun) -> list[tuple[Metric, str]]:
    """The metrics that a run has, each with the name or the arithmetic that it was read by."""
    read: dict[str, str] = {}
    for (_, name), found in result.summaries.items():
        if found.state != "absent":
            read.setdefault(name, found.ncu_name)
    return [(metric, read[name]) for name, metric in project.catalogue.metrics.items() if name in read]


def _measured_at(project: Project, run: Run) -> list[MeasuredAt]:
    """Where the run was measured; each problem's place in a replay of several. Imported reports name their GPUs."""
    problems = problems_in(run)
    one_place = run.kind != "recorded" or len(problems) < 2
    gpus = [place_name(r.identity) for r in run.cases if r.identity is not None and r.identity.kind != "call"]
    return [
        MeasuredAt(
            gpus=list(dict.fromkeys(gpus)),
            problem="" if one_place else problem,
            origin=run.origins.get(problem),
            environment=(environment := joined_environment(run, problem)),
            settings=settings_of(run, problem) if environment is not None else None,
            gpu_spec=project.gpu_spec_of(environment.gpu) if environment is not None else None,
            packages=packages(r for r in run.cases if one_place or r.case.problem == problem),
        )
        for problem in (problems[:1] or [""] if one_place else problems)
    ]


def _attempted(run: Run) -> dict[str, str]:
    """Attempt -> the problems that it measured, in words; nothing where the run has one problem."""
    problems = problems_in(run)
    found: dict[str, list[str]] = {attempt.name: [] for attempt in run.attempts}
    for problem in problems if len(problems) > 1 else []:
        for attempt in attempts_of(run, problem):
            found[attempt.name].append(problem)
    return {name: f" of {listed(measured)}" if measured else "" for name, measured in found.items()}


def answers(project: Project, result: JudgedRun) -> list[StageAnswer]:
    """A line for each judged variant and stage, the worst first; a case without numbers answers for all stages."""
    found = []
    several = on_several(result.judgement.verdicts)
    stages: list[Stage | None] = [None, *(project.stage(name) for name in result.judgement.stages)]
    for stage in stages:
        verdicts = [v for v in result.judgement.verdicts if v.stage == (stage.name if stage else None)]
        for variant in dict.fromkeys(variant_of(v, with_problem=several) for v in verdicts):
            mine = [v for v in verdicts if variant_of(v, with_problem=several) == variant]
            found.append(_answer(variant, stage_label(project, stage.name) if stage else "every stage", mine))
    return sorted(found, key=lambda answer: WORST.index(answer.status))


def _answer(variant: str, stage: str, verdicts: list[Verdict]) -> StageAnswer:
    statuses = [verdict.status for verdict in verdicts]
    worst = next(status for status in WORST if status in statuses)
    mark = next(verdict_mark(verdict) for verdict in verdicts if verdict.status == worst)
    if worst == "pass":
        many = "both" if len(verdicts) == 2 else f"all {len(verdicts)}"
        words = f"meets {many} targets" if len(verdicts) > 1 else "meets its target"
    else:
        words = _told([verdict for verdict in verdicts if verdict.status == worst])
    return StageAnswer(variant=variant, stage=stage, status=worst, mark=mark, words=words)


def _told(verdicts: list[Verdict]) -> str:
    """The first sentences of some verdicts, each with its workload, and how many more there are."""
    first = [
        f"on {workload_of(v)}, {v.sentence}{_short_by(v)}" if v.workload else v.sentence for v in verdicts[:MOST_TOLD]
    ]
    more = [f"{len(verdicts) - MOST_TOLD} more"] if len(verdicts) > MOST_TOLD else []
    return "; ".join([sentence[:LONGEST_SENTENCE] for sentence in first] + more)


def _short_by(verdict: Verdict) -> str:
    """By how much a target is missed: in points for a share, otherwise relative to the bound."""
    missed = missed_by(verdict)
    return f" (missed by {missed})" if missed else ""


def _section(view: View, place: int, pictured: bool, stem: str) -> PageSection:
    drawn = pictures(view) if pictured else []
    files = [(f"{stem}-{picture.name}.png", picture) for picture in drawn]
    kept = _kept_open(view, [picture.name for picture in drawn])
    return PageSection(
        anchor=f"workload-{place + 1}",
        title=view.title,
        finding=workload_finding(view),
        needs=_needs(view),
        troubles=[*_troubles(view), *remarks(view.cases, view.result.summaries, view.result.names)],
        has_ranges=any(case.identity is not None and case.identity.kind == "call" for case in view.cases),
        rightness=rightness(view),
        choices=choices(view),
        pictures=[each for each in files if each[1].name in kept],
        folded=[each for each in files if each[1].name not in kept],
        is_folded=bool(view.result.judgement.verdicts) and not any(view.verdicts()),
        cases=case_table(view),
        grid=grid(view),
        kernels=kernels(view),
        wrong=[case.case.name for case in view.cases if case.edge_case_fault],
        kernel_columns=kernel_metrics(view),
        said=said(view, f"workload-{place + 1}"),
    )


def _needs(view: View) -> str:
    """Arguments and traffic of the workload as it was measured, or ''."""
    run, case = view.result.run, view.cases[0].case
    written, measured = written_workload(run, view.project, case), measured_workload(run, view.project, case)
    if written is None:
        return ""
    if measured is None:
        return written.called_with
    derived = " (derived from inputs and outputs)" if written.bytes is None else ""
    return f"{written.called_with}; needs {scaled(measured.bytes or 0, 'byte')} of memory traffic{derived}"


_OF_MANY = ("targets", "trade")
"""Pictures that are not folded where a workload has more cases than a figure has rows."""


def _kept_open(view: View, names: list[str]) -> list[str]:
    """The pictures that are not folded: all, but of a workload with many cases the first and the trade."""
    if len(view.cases) <= MOST_ROWS:
        return names
    return [name for name in names if name in _OF_MANY] or names[:1]


_NO_REASON = "the run ended before it"


def _troubles(view: View) -> list[str]:
    """Every case that has no numbers, with its reason."""
    unmeasured = [case for case in view.cases if case.outcome != "profiled"]
    troubles = [f"{view.name(case.case)}: {spaced(case.outcome)}: {case.reason or _NO_REASON}" for case in unmeasured]
    faults = view.result.faults
    return troubles + [f"{view.name(c.case)}: {faults[c.case.name]}" for c in view.cases if c.case.name in faults]
