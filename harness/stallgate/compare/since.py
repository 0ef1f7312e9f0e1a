"""How a run's numbers changed since the last measurement of the same problem.

The base is the newest earlier run under ``reports/`` that can be compared; where there is none and the run was measured
here, a recording. Words, noise and reasons are those of ``two_runs.py``. A base under ``reports/`` is read from its
``metrics.csv``: no page waits for an ncu report that was read before.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from stallgate.compare.history import StoredRun, listed_runs, read_summaries
from stallgate.compare.two_runs import Pair, RunComparison, compare, main_metrics
from stallgate.compare.words import WORD_ORDER, Change, word_label
from stallgate.errors import StallgateError
from stallgate.extract.read_run import MeasuredRun, with_roles
from stallgate.formatting import is_text
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.model import Case, CaseResult, FrozenStruct, Run
from stallgate.project.load import Project
from stallgate.runs.folder import RECORDED, as_argument, load
from stallgate.runs.outlines import MeasurementTime, time_of
from stallgate.runs.store import Store

_JUDGED = ("candidate", "unknown")


class ChangesSinceLast(FrozenStruct, frozen=True):
    """One problem of a run, compared with its last measurement."""

    problem: str
    base: str = ""
    """The base as ``stallgate compare`` takes it."""
    found: RunComparison | None = None
    """None where there is nothing to compare with."""
    because: str = ""
    """Why there is nothing, in a sentence without full stop."""

    @property
    def changes(self) -> list[tuple[Pair, Change]]:
        """Time and stage metrics of the run's candidates, in the order of its plan."""
        if self.found is None:
            return []
        mine = [p for p in self.found.pairs if p.obstacle is None or p.obstacle.code != "only_in_base"]
        return [(p, c) for p in _candidates(mine) for c in p.changes if c.metric in self.found.main]

    @property
    def earlier(self) -> dict[tuple[Case, str], float]:
        """Case and metric -> its value in the base, of whatever can be compared."""
        pairs = self.found.pairs if self.found is not None else []
        return {
            (pair.case, name): change.base.median
            for pair in pairs
            for change in pair.changes
            for name in (change.metric, *change.also)
            if change.obstacle is None or change.obstacle.code == "conditions_unknown"
            if change.base is not None and change.base.median is not None
        }

    @property
    def tally(self) -> str:
        """How many changes there are of each word."""
        words = [change.word for _, change in self.changes]
        return ", ".join(f"{words.count(word)} {word_label(word)}" for word in WORD_ORDER if word in words)


def since_last(project: Project, judged: JudgedRun, more: Sequence[str] = ()) -> list[ChangesSinceLast]:
    """Compares each problem of a run with its newest earlier measurement.

    Args:
        project: the catalogue, and the stages.
        judged: the run.
        more: metrics that are read beside the time and those of the stages.
    """
    problems = dict.fromkeys(case.case.problem for case in judged.run.cases)
    return [_since(project, judged, problem, more) for problem in problems]


def _since(project: Project, judged: JudgedRun, problem: str, more: Sequence[str]) -> ChangesSinceLast:
    if judged.run.kind == "imported":
        return ChangesSinceLast(
            problem=problem,
            because="ncu reports do not say which run came before; `stallgate compare BEFORE AFTER` compares two",
        )
    mine = _of_problem(judged, problem)
    stages = judged.judgement.stages_by_problem.get(problem, judged.judgement.stages)
    main = main_metrics(project, mine, stages)
    wanted = {case.case for case in _candidates(mine.run.cases)}
    if not any(case in wanted for case, _ in mine.summaries):
        return ChangesSinceLast(problem=problem, because=f"no case of {problem} has a time")
    is_part = len(mine.run.cases) < sum(result.case.problem == problem for result in judged.run.cases)
    refused: list[str] = []
    for name, base in _bases(project, mine, problem, [*main, *_excusing(project, stages), *more]):
        if base is None:
            refused.append(f"{name} is not comparable: {_UNREADABLE} `stallgate report {shlex.quote(name)}` writes it")
            continue
        found = compare(project, base, mine, stages, is_part=is_part)
        if any(change.word != "not_comparable" for _, change in ChangesSinceLast(problem=problem, found=found).changes):
            return ChangesSinceLast(problem=problem, base=name, found=found)
        refused.append(f"{name} is not comparable: {_why(found)}")
    return ChangesSinceLast(problem=problem, because=refused[0] if refused else _first(project, mine, problem))


_UNREADABLE = "its metrics.csv is missing or damaged, and"


def _first(project: Project, mine: MeasuredRun, problem: str) -> str:
    """Why there is no base, where no run was refused: nothing was measured before, whatever was replayed."""
    if mine.run.kind != "recorded":
        return f"this is the first run of {problem}"
    time = time_of(mine.run, problem)
    same = sorted(
        as_argument(project.reports, stored.folder)
        for stored, measured in _measuring(project, problem)
        if stored.folder.name != mine.folder.name and measured == time
    )
    if not same:
        return f"the recording is the first measurement of {problem}"
    return f"{same[-1]} replays the same recording of {problem}, and nothing was measured before it"


def _excusing(project: Project, stages: Sequence[str]) -> list[str]:
    """The metrics that excuse a target of some stages."""
    targets = [target for stage in project.with_included(stages) for target in stage.targets]
    return [target.unless.metric.name for target in targets if target.unless is not None]


def _of_problem(measured: MeasuredRun, problem: str) -> MeasuredRun:
    """A run's candidates and roofs of a problem; all of its cases where it has no candidate."""
    cases = [case for case in measured.run.cases if case.case.problem == problem]
    roofs = [case for case in cases if case.role == "roof"]
    kept = {case.case for case in [*_candidates(cases), *roofs]}
    return replace(measured, run=replace(measured.run, cases=[case for case in cases if case.case in kept]))


_Judged = TypeVar("_Judged", CaseResult, Pair)


def _candidates(found: list[_Judged]) -> list[_Judged]:
    """The candidates; everything where there is none."""
    return [each for each in found if each.role in _JUDGED] or found


def _why(found: RunComparison) -> str:
    """The first reason why nothing of a base can be compared."""
    sentences = [obstacle.sentence for obstacle in found.obstacles]
    sentences += [pair.obstacle.sentence for pair in _candidates(found.pairs) if pair.obstacle is not None]
    sentences += [change.obstacle.sentence for pair in found.pairs for change in pair.changes if change.obstacle]
    return next(iter(sentences), "they have no case in common")


# --- bases ------------------------------------------------------------------------------------------------------------


def _bases(
    project: Project, mine: MeasuredRun, problem: str, metrics: list[str]
) -> Iterator[tuple[str, MeasuredRun | None]]:
    """The runs that a run may be compared with, the newest measurement first; each is read when it is asked for.

    None for one that lists show and whose numbers cannot be read.
    """
    for stored in _earlier(project, mine, problem):
        run = _loaded(stored.folder)
        base = _from_table(project, stored.folder, run, metrics) if run is not None else None
        name = as_argument(project.reports, stored.folder)
        yield name, _of_problem(base, problem) if base is not None else None
    if mine.run.kind == "live":
        for path in sorted(project.reports.glob(f"{RECORDED}/*/{problem}/run.json")):
            yield from _recording(project, path.parent, mine.run, problem)


def _earlier(project: Project, mine: MeasuredRun, problem: str) -> list[StoredRun]:
    """The runs that measured a problem before, the newest first; a replay measured when its recording did."""
    mine_time = time_of(mine.run, problem).created
    known = [(time, stored) for stored, time in _measuring(project, problem) if time.created < mine_time]
    return [stored for _, stored in sorted(known, key=lambda pair: (pair[0], pair[1].folder.name), reverse=True)]


def _measuring(project: Project, problem: str) -> Iterator[tuple[StoredRun, MeasurementTime]]:
    """The runs that measured a problem, and when; no command takes a folder whose name is no text."""
    for stored in listed_runs(Store(project.reports)):
        found = stored.outline
        if found is not None and found.kind != "imported" and problem in found.measured and is_text(stored.folder.name):
            yield stored, found.measured[problem]


def _is_before(run: Run, mine: Run, problem: str) -> bool:
    return time_of(run, problem).created < time_of(mine, problem).created


def _loaded(folder: Path) -> Run | None:
    try:
        return load(folder)
    except (StallgateError, OSError):
        return None


def _from_table(project: Project, folder: Path, run: Run, metrics: list[str]) -> MeasuredRun | None:
    """A run with some metrics of its ``metrics.csv``; None where that is missing or damaged."""
    try:
        summaries = read_summaries(folder / "metrics.csv", metrics)
    except (OSError, ValueError):
        return None
    in_table = {case for case, _ in summaries}
    profiled = [result.case for result in run.cases if result.outcome == "profiled"]
    faults = {case.name: "it is not in metrics.csv" for case in profiled if case not in in_table}
    return MeasuredRun(folder=folder, run=with_roles(run, project), faults=faults, summaries=summaries)


def _recording(project: Project, folder: Path, mine: Run, problem: str) -> Iterator[tuple[str, MeasuredRun]]:
    """A recording that is older than the run, read as the gate reads it; nothing where it is damaged."""
    run = _loaded(folder)
    if run is None or not _is_before(run, mine, problem):
        return
    try:
        base = evaluate(project, folder, [], only_judge=True)
    except StallgateError:
        return
    yield as_argument(project.reports, folder), _of_problem(base, problem)
