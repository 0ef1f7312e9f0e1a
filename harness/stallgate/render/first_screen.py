"""The first screen of the page: ten questions, each answered by a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from stallgate.compare.since import ChangesSinceLast
from stallgate.formatting import listed, percent, scaled, spaced, spread_in_words, verdict_mark, within_sentence
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.headroom import badness
from stallgate.judge.roof import distance_from_roof
from stallgate.model import Case, CaseResult, FrozenStruct, Status, Verdict
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.render.advice import AdviceRow
from stallgate.render.changes import why_allowed
from stallgate.render.judged_row import JudgedRow, JudgedTarget, bar_scale, judged_target
from stallgate.render.next_command import NextStep
from stallgate.render.next_step import judged_cases, next_step
from stallgate.render.results_line import ResultsLine, fault_in_words, results_line
from stallgate.render.run_word import RunWord, run_word
from stallgate.render.verdict_words import stage_label
from stallgate.render.view import View
from stallgate.render.what_limits import limit_in_words, memory_path, waiting_in_words
from stallgate.runs.conditions import problems_in, provenance

MOST_JUDGED_ROWS = 3
"""Rows of the first screen; the tables below have all."""

_LONGEST_REASON = 300
"""Characters of why a case has no numbers."""

_MOST_NAMED = 6
"""Cases that the line of what is not judged names."""


class FirstScreen(FrozenStruct, frozen=True):
    """What a reader has to know, before anything else."""

    word: RunWord
    problems: str
    provenance: str
    stages: str
    results: ResultsLine
    rows: list[JudgedRow]
    scale: float
    """Of the bars, in points or per cent."""
    more: int
    """Judged cases that have no row."""
    unjudged: str
    step: NextStep


def first_screen(
    project: Project,
    result: JudgedRun,
    views: Sequence[View],
    since: Sequence[ChangesSinceLast],
    advised: Sequence[AdviceRow],
) -> FirstScreen:
    """The answers of a run."""
    cases = _rowed(views)
    results = results_line(result)
    rows = [_row(view, case, verdicts, since, results.about) for view, case, verdicts in cases[:MOST_JUDGED_ROWS]]
    imported = result.run.kind == "imported"
    return FirstScreen(
        word=run_word(result, project.catalogue),
        problems="" if imported else listed(problems_in(result.run)),
        provenance=provenance(result.run),
        stages=listed([stage_label(project, name) for name in result.judgement.stages]),
        results=results,
        rows=rows,
        scale=bar_scale(rows),
        more=max(0, len(cases) - len(rows)) if not imported else 0,
        unjudged=_unjudged(views, [case.case for _, case, _ in cases]),
        step=next_step(result, result.argument, views, since, advised),
    )


_Rowed = tuple[View, CaseResult, list[Verdict]]


def _rowed(views: Sequence[View]) -> list[_Rowed]:
    """The judged cases: those that miss most first, then those farthest from their roof.

    Of an imported run that is not judged, what took longest.
    """
    found = [
        (view, case, verdicts)
        for view in views
        for judged in [judged_cases(view)]
        for case in view.cases
        if (verdicts := judged.get(case.case))
    ]
    if found:
        return sorted(found, key=_urgency)
    imported = [(view, case, list[Verdict]()) for view in views if _is_import(view) for case in view.kernels]
    timed = [row for row in imported if row[0].total_time(row[1])]
    return sorted(timed, key=lambda row: -(row[0].total_time(row[1]) or 0.0))


def _is_import(view: View) -> bool:
    """Whether a workload is of an imported run; a launch in a range of stallgate's own form keeps its names."""
    return view.result.run.kind == "imported"


def _urgency(row: _Rowed) -> tuple[float, float, float, float]:
    view, case, verdicts = row
    fails = max(badness(verdict) for verdict in verdicts)
    worst = min(_ORDER.index(verdict.status) for verdict in verdicts)
    fraction = view.median(case, ROOF_FRACTION)
    return (worst, -fails, fraction if fraction is not None else 1.0, -(view.median(case, "duration") or 0.0))


_ORDER: tuple[Status, ...] = ("fail", "not_measured", "undecided", "waived", "excused", "pass")


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(
    view: View, case: CaseResult, verdicts: list[Verdict], since: Sequence[ChangesSinceLast], told: str
) -> JudgedRow:
    """A judged case; the fault of the case that is `told` stands above."""
    duration = view.summary(case, "duration")
    time = duration.median if duration is not None else None
    statuses = {verdict.status for verdict in verdicts}
    return JudgedRow(
        name=view.short_name(case.case),
        workload=f"on {view.of_problem(view.workload)}" if not view.is_imported else "",
        case=case.case.name,
        time=scaled(time, "ns") if time is not None else _untimed(case),
        spread=_spread(view, case) if case.outcome == "profiled" else _reason(case) * (case.case.name != told),
        change=_change(case, verdicts, since),
        limit=limit_in_words(view, case) if time is not None else _unmeasured(case),
        waits=waiting_in_words(view, case) or "Waits of warps: not measured" * (time is not None),
        memory=memory_path(view, case) or "Memory: bytes not measured" * (time is not None),
        targets=[_target(view, verdict) for verdict in verdicts] if case.outcome == "profiled" else [],
        targetless=_targetless(view, case) if verdicts and case.outcome != "profiled" else "",
        style="plain" if not verdicts else "fail" if "fail" in statuses else _STYLE_OF[statuses <= _GREEN],
    )


_GREEN: set[Status] = {"pass", "waived", "excused"}
_STYLE_OF: dict[bool, Literal["pass", "open"]] = {True: "pass", False: "open"}


def _reason(case: CaseResult) -> str:
    """Why a case has no numbers."""
    return fault_in_words(case) if case.outcome == "wrong_result" else case.reason[:_LONGEST_REASON]


def _untimed(case: CaseResult) -> str:
    return spaced(case.outcome) if case.outcome != "profiled" else "time not measured"


def _unmeasured(case: CaseResult) -> str:
    """Why a case says nothing of its limit, nor how far it is from it."""
    return f"Limit, distance from it, waits of warps and bytes: not measured ({_untimed(case)})"


def _targetless(view: View, case: CaseResult) -> str:
    """Why the targets of a case that was not profiled are not judged, and which they are."""
    why = "the result is wrong" if case.outcome == "wrong_result" else f"the case has no numbers: {_untimed(case)}"
    metrics = dict.fromkeys(within_sentence(target.metric.title) for stage in view.stages for target in stage.targets)
    return f"Targets{f' ({listed(list(metrics))})' if metrics else ''}: not judged, because {why}"


def _spread(view: View, case: CaseResult) -> str:
    """How far the samples lie apart; of an imported case, its launches."""
    found = view.summary(case, "duration")
    if found is None or found.low is None or found.high is None:
        return ""
    if case.identity is not None and case.identity.kind != "launches":
        return f"{case.identity.launches} launches together" if case.identity.kind == "call" else "measured as a whole"
    noun = "samples" if case.identity is None else "launches"
    if found.samples < 2:
        return "one sample" if case.identity is None else "one launch"
    return f"{spread_in_words(found.low, found.median or 0.0, found.high)} in {found.samples} {noun}"


def _change(case: CaseResult, verdicts: list[Verdict], since: Sequence[ChangesSinceLast]) -> str:
    """How the time of a case changed since the last measurement, and why its targets allow a loss; or ''."""
    for last in since:
        for pair, change in last.changes:
            if pair.case == case.case and change.metric == "duration" and change.change is not None:
                if change.word in ("faster", "slower"):
                    allowed = why_allowed(verdicts) if change.word == "slower" else ""
                    said = f"{percent(abs(change.change))} {change.word} than last time"
                    return f"{said}; {allowed}" if allowed else said
                return "as fast as last time, within the noise"
    return ""


def _target(view: View, verdict: Verdict) -> JudgedTarget:
    metric = view.project.catalogue.metrics.get(verdict.metric or "")
    title = metric.title if metric is not None else spaced(verdict.reason)
    return judged_target(
        verdict,
        title=title,
        mark=verdict_mark(verdict),
        of=_bound_of(view, verdict),
        why=verdict.sentence.removeprefix(f"{title}: "),
    )


def _bound_of(view: View, verdict: Verdict) -> str:
    """Whose speed a fraction of the roof is of, by the roof's name; '' for other metrics."""
    is_fraction = verdict.metric == ROOF_FRACTION and verdict.bound is not None
    return f"of {view.roof.name}'s speed" if is_fraction and view.roof is not None else ""


# --- not judged -------------------------------------------------------------------------------------------------------


def _unjudged(views: Sequence[View], judged: list[Case]) -> str:
    """The candidates' workloads that no stage judges, in a line; '' where all are judged or nothing is asked."""
    if not judged or any(view.is_imported for view in views):
        return ""
    idle = [view for view in views if not any(case.case in judged for case in view.cases)]
    told = [_idle(view) for view in idle]
    return "; ".join(filter(None, told))


def _idle(view: View) -> str:
    cases = [case for case in view.cases if case.role == "candidate"]
    said = [
        f"{view.short_name(case.case)} {scaled(time, 'ns')}"
        for case in cases[:_MOST_NAMED]
        if (time := view.median(case, "duration")) is not None
    ]
    fractions = [f for case in cases if (f := view.median(case, ROOF_FRACTION)) is not None]
    slowest = "; the slower one " if len(said) == 2 else "; the slowest " if len(said) > 2 else "; "
    roof = f"{slowest}{distance_from_roof(min(fractions), view.roof)}" if fractions and view.roof else ""
    load = f"workload {view.of_problem(view.workload)}"
    return f"{load}: {', '.join(said)}{roof}" if said else load
