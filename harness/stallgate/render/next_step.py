"""What to do next with a run, in one sentence: mend, measure, look at the largest distance, or stop."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.formatting import listed, percent
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.headroom import badness, headroom, is_of_roof, missed_by
from stallgate.judge.imports import stages_that_judge
from stallgate.model import Case, CaseResult, FrozenStruct, Verdict
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.render.advice import AdviceRow
from stallgate.render.next_command import NextCommand, next_command, to_mend
from stallgate.render.view import View
from stallgate.render.what_limits import waiting_in_words


class NextStep(FrozenStruct, frozen=True):
    """What to do next."""

    words: str
    """Without full stop."""
    command: str = ""
    """A command line that does it, or ''."""


_NOTHING_LEFT = 0.03
"""What is left of the roof, below which a kernel is done."""


def next_step(result: JudgedRun, views: Sequence[View], advised: Sequence[AdviceRow]) -> NextStep:
    """The most useful thing to do: first what is wrong, then what is missing, then what is slow.

    Where a command helps, it is the one that the terminal names.
    """
    verdicts = [verdict for verdict in result.judgement.verdicts if not verdict.warning]
    command = next_command(result.run, result.judgement)
    mended = to_mend(result.judgement)
    if mended is not None:
        shown = "" if mended.reason == "foreign_kernel" else command.command  # that command opens the page
        return NextStep(words=_MENDS[mended.reason].format(mended.variant), command=shown)
    if result.run.kind == "live" and not result.run.complete:
        return NextStep(words=command.purpose, command=command.command)
    missed = [verdict for verdict in verdicts if verdict.status == "fail" and missed_by(verdict)]
    if missed:
        worst = max(missed, key=badness)
        return _advised(advised, worst) or _largest(views, worst)
    return _without_faults(result, views, command, advised)


_MENDS = {
    "wrong_result": "fix the result of {} first; this checks it without profiling",
    "crashed": "find out why {} ended; `check` runs it alone, and the process's log is under ncu/",
    "timed_out": "find out why {} did not end; `check` runs it alone, and the process's log is under ncu/",
    "foreign_kernel": "write the kernels that {} takes from elsewhere, or allow them in problem.toml",
}
"""Reason code -> what to mend, for the variant that has it."""


def _advised(advised: Sequence[AdviceRow], verdict: Verdict) -> NextStep | None:
    """The first advice on the case of a missed target, with its evidence."""
    case = "/".join((verdict.problem, verdict.variant, verdict.configuration, verdict.workload))
    for row in advised:
        if row.case == case and row.stops and not is_of_roof(verdict):
            words = "no change of the kernel gains more; waive the target, change it, or move fewer bytes"
            return NextStep(words=f"{row.gain_words} above the roof: {words}")
        if row.case == case and not row.stops:
            return NextStep(words=f"{row.title}, {row.gain_words}: {row.text} {row.tries}".rstrip("."))
    return None


def _largest(views: Sequence[View], verdict: Verdict) -> NextStep:
    """The target that is missed by most, with what the warps of that case wait for."""
    view = next((v for v in views if (v.problem, v.workload) == (verdict.problem, verdict.workload)), None)
    if view is None or verdict.metric is None:
        return NextStep(words=f"the largest distance to a target: {verdict.sentence}")
    room = headroom(verdict)
    case = next((c for c in view.cases if _is_of(verdict, c)), None)
    waits = waiting_in_words(view, case, 1) if case is not None else ""
    words = f"the largest distance to a target is {view.metric(verdict.metric).title}, {room.words if room else ''}"
    return NextStep(words=f"{words}{f'. {waits}' if waits else ''}")


def _is_of(verdict: Verdict, case: CaseResult) -> bool:
    return (verdict.variant, verdict.configuration) == (case.case.variant, case.case.configuration)


def _without_faults(
    result: JudgedRun, views: Sequence[View], command: NextCommand, advised: Sequence[AdviceRow]
) -> NextStep:
    """The step where nothing fails: what is not measured, or what is left."""
    run = result.run
    for missing in result.judgement.uncollected[:1]:
        return NextStep(words=f"collect what {missing.stage} needs: {listed(missing.metrics)}; command under Verdicts")
    if run.kind == "imported" and not result.judgement.is_asked:
        return NextStep(
            words=f"{_heaviest(views, advised)}{_stage_for_imports(result, views)}", command=command.command
        )
    if run.kind == "imported" and result.judgement.exit_status == 3:
        return NextStep(words=_stage_for_imports(result, views), command=command.command)
    if result.judgement.exit_status == 3:
        return NextStep(words=command.purpose, command=command.command)
    return _what_is_left(views, advised)


def _heaviest(views: Sequence[View], advised: Sequence[AdviceRow]) -> str:
    """The imported case that took most of the time, as what to work on first; '' where no time is known."""
    timed = [(time, view, case) for view in views for case in view.kernels if (time := view.total_time(case))]
    if not timed:
        return ""
    time, view, case = max(timed, key=lambda found: found[0])
    every = sum(found[0] for found in timed)
    first = next((f": {row.tries}".rstrip(".") for row in advised if row.case == case.case.name), "")
    return f"work first on {view.short_name(case.case)}, {percent(time / every)} of the time{first}; "


def _stage_for_imports(result: JudgedRun, views: Sequence[View]) -> str:
    """Which stages the gate can judge an imported run by."""
    able = stages_that_judge(views[0].project, result) if views else []
    if able:
        return f"name a stage that can judge an imported report: {' or '.join(able)}"
    return "no stage here can judge an imported report as it is meant; name one of your own"


def _what_is_left(views: Sequence[View], advised: Sequence[AdviceRow]) -> NextStep:
    """How much faster the judged case that is farthest from its roof could be."""
    judged = [(view, case) for view in views for case in view.cases if case.case in judged_cases(view)]
    known = [(f, view, case) for view, case in judged if (f := view.median(case, ROOF_FRACTION)) is not None]
    if not known:
        return NextStep(words="all targets are met; without a roof nobody knows what is left")
    fraction, view, case = min(known, key=lambda found: found[0])
    left, name = max(0.0, 1 - fraction), f"{view.short_name(case.case)} on {view.place}"
    if left <= _NOTHING_LEFT:
        return NextStep(words=f"{percent(left)} left of the roof for {name}: stop")
    first = next((row for row in advised if row.case == case.case.name and not row.stops), None)
    said = f"{first.title}. {first.tries}".rstrip(".") if first is not None else waiting_in_words(view, case, 1)
    return NextStep(words=f"{percent(left)} left of the roof for {name}{f': {said}' if said else ''}")


def judged_cases(view: View) -> dict[Case, list[Verdict]]:
    """Case -> its verdicts, of the cases of a workload that have any."""
    found: dict[Case, list[Verdict]] = {}
    known = {(case.case.variant, case.case.configuration): case.case for case in view.cases}
    for verdict in view.verdicts():
        case = known.get((verdict.variant, verdict.configuration))
        if case is not None:
            found.setdefault(case, []).append(verdict)
    return found
