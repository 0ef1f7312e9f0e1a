"""What to do next with a run, in one sentence: mend, measure, look at the largest distance, or stop."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stallgate.compare.since import ChangesSinceLast
from stallgate.formatting import listed, percent, whom, within_sentence
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.headroom import badness, headroom, is_of_roof, missed_by
from stallgate.judge.roof import distance_from_roof
from stallgate.model import Case, CaseResult, Verdict
from stallgate.project.catalogue import DURATION, ROOF_FRACTION
from stallgate.render.advice import AdviceRow
from stallgate.render.next_command import NextCommand, NextStep, next_command, to_mend
from stallgate.render.verdict_words import stage_label
from stallgate.render.view import View
from stallgate.render.what_limits import waiting_in_words

_NOTHING_LEFT = 0.03
"""What is left of the roof, below which a kernel is done."""


def next_step(
    result: JudgedRun,
    name: str,
    views: Sequence[View],
    since: Sequence[ChangesSinceLast],
    advised: Sequence[AdviceRow],
) -> NextStep:
    """The most useful thing to do: first what is wrong, then what misses, is slower or is missing, then what is left.

    Where a command helps, it is the one that the terminal names; commands take the run by ``name``.
    """
    verdicts = [verdict for verdict in result.judgement.verdicts if not verdict.warning]
    command = next_command(result.run, result.judgement, name)
    mended = to_mend(result.judgement)
    if mended is not None:
        shown = "" if mended.reason == "foreign_kernel" else command.command  # that command opens the page
        return NextStep(words=_MENDS[mended.reason].format(mended.variant), command=shown)
    if result.run.kind == "live" and not result.run.complete:
        return NextStep(words=command.purpose, command=command.command)
    missed = [verdict for verdict in verdicts if verdict.status == "fail" and missed_by(verdict)]
    if missed:
        return _toward_targets(name, views, since, advised, sorted(missed, key=badness, reverse=True))
    return _without_faults(result, name, views, since, command, advised)


_MENDS = {
    "wrong_result": "fix the result of {} first; this checks it without profiling",
    "crashed": "find out why {} ended; `check` runs it alone, and the process's log is under ncu/",
    "timed_out": "find out why {} did not end; `check` runs it alone, and the process's log is under ncu/",
    "foreign_kernel": "write the kernels that {} takes from elsewhere, or allow them in problem.toml",
}
"""Reason code -> what to mend, for the variant that has it."""


def _toward_targets(
    name: str,
    views: Sequence[View],
    since: Sequence[ChangesSinceLast],
    advised: Sequence[AdviceRow],
    missed: list[Verdict],
) -> NextStep:
    """What to do about the target that is missed by most; then which other cases miss one."""
    worst = missed[0]
    cases = list(dict.fromkeys(map(_case_of, missed)))
    rows = [row for row in advised if row.case == cases[0].name]
    where = f"{_about(views, worst)}: " if len(cases) > 1 else ""
    others = [_about(views, next(v for v in missed if _case_of(v) == case)) for case in cases[1:]]
    more = f"; then {_some(others)}, which {'misses' if len(others) == 1 else 'miss'} targets too" if others else ""
    going = next((row for row in rows if not row.stops), None)
    if going is None and (slower := _slower(name, since, [cases[0]])) is not None:
        return slower
    stops = next((row for row in rows if row.stops), None)
    if stops is not None and not is_of_roof(worst):
        words = f"little is left to gain: {_far(views, cases[0])}. If that is enough, {_CHANGE_TARGETS}"
    elif going is not None:
        words = f"{going.title}, {going.gain_words}: {going.text} {going.tries}".rstrip(".")
    else:
        words = _largest(views, worst)
    return NextStep(words=f"{where}{words}{more}")


def _far(views: Sequence[View], case: Case) -> str:
    """A case by its name, and how far it is from its roof."""
    view = next(v for v in views if (v.problem, v.workload) == (case.problem, case.workload))
    fraction = next(view.median(known, ROOF_FRACTION) for known in view.cases if known.case == case)
    name = f"{view.short_name(case)} on {view.place}"
    return f"{name} {distance_from_roof(fraction, view.roof)}" if fraction is not None and view.roof else name


_CHANGE_TARGETS = "change the targets that it misses, or waive them"

_MOST_OTHERS = 3
"""Further cases that miss targets and are named."""


def _some(names: list[str]) -> str:
    more = [f"{len(names) - _MOST_OTHERS} more"] if len(names) > _MOST_OTHERS else []
    return listed([*names[:_MOST_OTHERS], *more])


def _case_of(verdict: Verdict) -> Case:
    return Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)


def _about(views: Sequence[View], verdict: Verdict) -> str:
    """The case of a verdict in words."""
    return whom(verdict, with_problem=len({view.problem for view in views}) > 1)


def _slower(name: str, since: Sequence[ChangesSinceLast], cases: Sequence[Case]) -> NextStep | None:
    """The step where cases slowed down since the last measurement, as *Changed* says; None where none did."""
    slow = [
        (last.base, pair)
        for last in since
        for pair, change in last.changes
        if change.metric == DURATION and change.word == "slower" and pair.case in cases
    ]
    if not slow:
        return None
    bases = list(dict.fromkeys(base for base, _ in slow))
    if all(pair.code == "same" for _, pair in slow):
        words = "measure again, because the code is the same; this compares GPU, clocks and versions of both runs"
    else:
        words = "look at what changed, or take it back; this has all that moved"
    return NextStep(words=words, command=f"stallgate compare {shlex.quote(bases[0])} {shlex.quote(name)}")


def _largest(views: Sequence[View], verdict: Verdict) -> str:
    """The target that is missed by most, with what the warps of that case wait for."""
    view = next((v for v in views if (v.problem, v.workload) == (verdict.problem, verdict.workload)), None)
    if view is None or verdict.metric is None:
        return f"the largest distance to a target: {verdict.sentence}"
    room = headroom(verdict)
    case = next((c for c in view.cases if _is_of(verdict, c)), None)
    waits = waiting_in_words(view, case, 1) if case is not None else ""
    words = f"the largest distance to a target is {view.metric(verdict.metric).title}, {room.words if room else ''}"
    return f"{words}{f'. {waits}' if waits else ''}"


def _is_of(verdict: Verdict, case: CaseResult) -> bool:
    return (verdict.variant, verdict.configuration) == (case.case.variant, case.case.configuration)


def _without_faults(
    result: JudgedRun,
    name: str,
    views: Sequence[View],
    since: Sequence[ChangesSinceLast],
    command: NextCommand,
    advised: Sequence[AdviceRow],
) -> NextStep:
    """The step where nothing fails: what is not measured, what became slower, or what is left."""
    run = result.run
    for missing in result.judgement.uncollected[:1]:
        needs = f"{_stage(views, missing.stage)} needs: {listed(missing.metrics)}"
        return NextStep(words=f"collect what {needs}; command under Verdicts")
    if run.kind == "imported" and not result.judgement.is_asked:
        return _of_import(_heaviest(views, advised), command)
    if run.kind == "imported" and result.judgement.exit_status == 3:
        return _of_import("", command)
    if result.judgement.exit_status == 3:
        return NextStep(words=command.purpose, command=command.command)
    judged = [case for view in views for case in judged_cases(view)]
    return _slower(name, since, judged) or _what_is_left(views, advised)


def _stage(views: Sequence[View], stage: str) -> str:
    return stage_label(views[0].project, stage) if views else stage


def _heaviest(views: Sequence[View], advised: Sequence[AdviceRow]) -> str:
    """The imported case that took most of the time, as what to work on first, and the first advice on it; or ''."""
    timed = [(time, view, case) for view in views for case in view.kernels if (time := view.total_time(case))]
    if not timed:
        return ""
    time, view, case = max(timed, key=lambda found: found[0])
    every = sum(found[0] for found in timed)
    tries = next((row.tries.rstrip(".") for row in advised if row.case == case.case.name), "")
    if len(timed) == 1:
        return within_sentence(tries)
    first = f"work first on {view.short_name(case.case)}, which takes {percent(time / every)} of the time"
    return f"{first}. {tries}" if tries else first


def _of_import(heaviest: str, command: NextCommand) -> NextStep:
    """What to work on first in an imported run, and the gate where a stage can judge it; the page is open already."""
    if not command.command.startswith(_PAGE_COMMAND):
        purpose = f"{heaviest}. {command.purpose[0].upper()}{command.purpose[1:]}" if heaviest else command.purpose
        return NextStep(words=purpose, command=command.command)
    return NextStep(words=heaviest or "import a report with more metrics: `ncu --set full` collects them")


_PAGE_COMMAND = "stallgate report "


def _what_is_left(views: Sequence[View], advised: Sequence[AdviceRow]) -> NextStep:
    """How much faster the judged case that is farthest from its roof could be."""
    judged = [(view, case) for view in views for case in view.cases if case.case in judged_cases(view)]
    known = [(f, view, case) for view, case in judged if (f := view.median(case, ROOF_FRACTION)) is not None]
    if not known:
        return NextStep(words="all targets are met; without a roof nobody knows what is left")
    fraction, view, case = min(known, key=lambda found: found[0])
    assert view.roof is not None
    left, name = max(0.0, 1 - fraction), f"{view.short_name(case.case)} on {view.place}"
    far = f"{name} {distance_from_roof(fraction, view.roof)}"
    if left <= _NOTHING_LEFT and view.roof.ceiling != "library":
        others = "; no judged case has more left" if len(known) > 1 else ""
        return NextStep(words=f"stop: {far}{others}")
    first = next((row for row in advised if row.case == case.case.name and not row.stops), None)
    said = _to_gain_more(first) if first is not None else waiting_in_words(view, case, 1)
    return NextStep(words=f"all targets are met; {far}{f'. {said}' if said else ''}")


def _to_gain_more(row: AdviceRow) -> str:
    """What to try, and why, for a case whose targets are met."""
    return f"To gain more: {within_sentence(row.tries).rstrip('.')} ({within_sentence(row.title)})"


def judged_cases(view: View) -> dict[Case, list[Verdict]]:
    """Case -> its verdicts, of the cases of a workload that have any."""
    found: dict[Case, list[Verdict]] = {}
    known = {(case.case.variant, case.case.configuration): case.case for case in view.cases}
    for verdict in view.verdicts():
        case = known.get((verdict.variant, verdict.configuration))
        if case is not None:
            found.setdefault(case, []).append(verdict)
    return found
