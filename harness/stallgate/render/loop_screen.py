"""The first screen of a loop's page: what the best is, and the questions that every page answers."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import NamedTuple

from stallgate.formatting import MARKS, listed, percent
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Case, FrozenStruct, Status, Verdict
from stallgate.project.load import Project
from stallgate.render.judged_row import JudgedRow, JudgedTarget, bar_scale, judged_target
from stallgate.render.loop_words import loop_gain, loop_gain_text, version_words
from stallgate.render.next_command import NextStep
from stallgate.render.results_line import ResultsLine
from stallgate.render.sweep_words import microseconds
from stallgate.render.verdict_words import stage_label, title_of
from stallgate.render.what_limits import CasesRead, limit_in_words, memory_path, waiting_in_words
from stallgate.runs.journal import START, Journal, LoopTarget, LoopTime, LoopTry, VersionReading
from stallgate.runs.ladder import is_met


class LoopScreen(FrozenStruct, frozen=True):
    """What a reader of a loop has to know, before anything else."""

    best: str
    gate: str
    results: ResultsLine
    changed: str
    step: NextStep
    rows: list[JudgedRow]
    """The best on each workload."""
    scale: float
    """Of the bars, in points or per cent."""
    more: int
    """Workloads that have no row."""


_MOST_ROWS = 2


def loop_screen(project: Project, journal: Journal, best_run: JudgedRun | None = None) -> LoopScreen:
    """The answers of a loop.

    Args:
        project: the stages' titles, and the catalogue.
        journal: the loop's.
        best_run: the run of its best version; None where it cannot be read.
    """
    reading = journal.best.reading
    loads = list(reading.times) if reading is not None else []
    rows = [_row(project, journal, best_run, load) for load in loads[:_MOST_ROWS]] if reading is not None else []
    return LoopScreen(
        best=_best(journal),
        gate=_gate(project, journal),
        results=_results(journal),
        changed=_changed(journal),
        step=loop_step(journal),
        rows=rows,
        scale=bar_scale(rows),
        more=len(loads) - len(rows),
    )


def _best(journal: Journal) -> str:
    return _name(journal) if journal.best.reading is not None else f"{_name(journal)}, {version_words(journal.best)}"


def _name(journal: Journal) -> str:
    return "the start" if journal.best.name == START else f"answer {journal.best.name}"


def _gate(project: Project, journal: Journal) -> str:
    """That a loop is not judged, and which stages its best meets."""
    if journal.best.reading is None:
        return "not judged: nothing was measured"
    met, missed = list[str](), list[str]()
    for stage in journal.stages:
        (met if is_met(journal.best, stage) else missed).append(stage_label(project, stage))
    parts = [f"meets {listed(met)}"] * bool(met) + [f"does not meet {listed(missed)}"] * bool(missed)
    return f"not judged: a loop proposes; the best {' and '.join(parts)}"


def _results(journal: Journal) -> ResultsLine:
    """How many of the answers that ran gave right results: a wrong one never becomes the best."""
    ran = [found for found in map(_is_right, journal.tries()) if found is not None]
    if not ran:
        return ResultsLine(words="not known: no answer came as far as its results", style="open")
    wrong = ran.count(False)
    words = f"right: {len(ran) - wrong} of {len(ran)} answers that ran"
    if not wrong:
        return ResultsLine(words=words, style="pass")
    return ResultsLine(words=f"{words}; wrong ones are refused", style="pass" if wrong < len(ran) else "fail")


def _is_right(found: LoopTry) -> bool | None:
    """Whether the results of a try are right; None where they were not looked at."""
    if any(each.part == "right" for each in found.objections):
        return False
    slow = bool(found.objections) and all(each.part == "better" for each in found.objections)
    return True if found.outcome == "accepted" or (found.outcome == "refused" and slow) else None


def _changed(journal: Journal) -> str:
    gain = loop_gain(journal)
    if gain is None:
        return "not known: nothing was measured"
    if journal.best.name == START:
        return "nothing: no answer was better than the start"
    return f"{loop_gain_text(gain)} than the start"


def loop_step(journal: Journal) -> NextStep:
    """What to do next with a loop, with the command line that does it."""
    name = shlex.quote(journal.name)
    if journal.stop is None:
        return NextStep(words="finish the loop", command=f"stallgate loop --resume {name}")
    if journal.rehearsal:
        return NextStep(words="run the loop on a GPU: a rehearsal times nothing")
    if journal.best.name == START:
        return NextStep(words="keep the start: there is nothing to apply")
    if not journal.applied:
        words = "write it into a file beside the variant"
        return NextStep(words=words, command=f"stallgate loop --replay {name} --apply")
    written = f"{journal.problem}/{PurePath(journal.applied).stem}"
    words = f"list {journal.applied} in problem.toml, if it is not there yet; then profile it and gate it"
    return NextStep(words=words, command=f"stallgate profile {shlex.quote(written)} && stallgate gate")


# --- the best ---------------------------------------------------------------------------------------------------------


def _row(project: Project, journal: Journal, best_run: JudgedRun | None, workload: str) -> JudgedRow:
    """The best on a workload as the page of a run has a judged case."""
    reading = journal.best.reading
    assert reading is not None
    time, targets = reading.times[workload], [t for t in reading.targets if t.workload == workload]
    statuses = {target.status for target in targets}
    held = _held(project, journal, best_run, workload) or _Held(limit=_elsewhere(reading, workload))
    return JudgedRow(
        name=_name(journal),
        workload=f"on {workload}",
        case=f"{journal.problem}/{journal.variant}/{journal.best.name}/{workload}",
        time=microseconds(time.median),
        spread=f"{microseconds(time.low)} to {microseconds(time.high)}" if time.low != time.high else "",
        change=_since_start(journal, time, workload),
        limit=held.limit,
        waits=held.waits,
        memory=held.memory,
        targets=[_target(project, journal, target) for target in targets],
        style="plain" if not targets else "fail" if "fail" in statuses else "pass" if statuses <= _GREEN else "open",
    )


_GREEN = {"pass", "waived", "excused"}


def _since_start(journal: Journal, time: LoopTime, workload: str) -> str:
    """How the time on a workload changed since the start."""
    first = journal.versions[0].reading
    before = first.times.get(workload) if first is not None else None
    if before is None or journal.best.name == START or before.median <= 0:
        return ""
    return f"{loop_gain_text(100 * (1 - time.median / before.median))} than the start"


class _Held(NamedTuple):
    """What holds a version back on a workload."""

    limit: str
    waits: str = ""
    memory: str = ""


def _held(project: Project, journal: Journal, best_run: JudgedRun | None, workload: str) -> _Held | None:
    """What the run of the best says of it; None where it is not known."""
    mine = Case(journal.problem, journal.variant, "default", workload)
    case = next((case for case in best_run.run.cases if case.case == mine), None) if best_run is not None else None
    if best_run is None or case is None or case.outcome != "profiled":
        return None
    read = CasesRead(project, best_run, journal.problem, workload)
    return _Held(
        limit_in_words(read, case),
        waiting_in_words(read, case) or "Waits of warps: not measured",
        memory_path(read, case) or "Memory: bytes not measured",
    )


def _elsewhere(reading: VersionReading, workload: str) -> str:
    """The distance from the roof; that limit, waits and bytes are on the page of the version's run."""
    fraction = reading.roof_fractions.get(workload)
    far = f"at {percent(fraction)} of the roof's speed" if fraction is not None else "no roof was measured"
    return f"Limit: {far}; its run, {reading.run}, has its limit, waits and bytes"


_STATUSES: tuple[Status, ...] = ("pass", "fail", "undecided", "waived", "excused")


def _target(project: Project, journal: Journal, target: LoopTarget) -> JudgedTarget:
    status: Status = next((each for each in _STATUSES if each == target.status), "not_measured")
    verdict = Verdict(
        status=status,
        reason=target.status,
        sentence=target.sentence,
        stage=target.stage,
        problem=journal.problem,
        variant=journal.variant,
        configuration="default",
        workload=target.workload,
        metric=target.metric,
        unit=target.unit,
        comparison=target.comparison,
        bound=target.bound,
        value=target.value,
    )
    title = title_of(target.metric, project.catalogue)
    return judged_target(verdict, title=title, mark=MARKS[status], of="", why=target.sentence)
