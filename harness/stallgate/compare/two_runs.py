"""Two runs side by side, metric by metric. ``words.py`` says what is called a change, and what it is called.

Reasons why a case or a metric is not comparable, each with a sentence:

====================================== ===============================================================================
reason                                 meaning
====================================== ===============================================================================
only_in_base, only_in_run              the other run has no such case
not_measured                           in one of the runs the case has no numbers, or the metric has no value
other_gpu, other_clock_control,        measured under other conditions, or under conditions that are not known
other_cache_control
workload_changed, reference_changed    what is computed is not the same
roof_changed                           of ``roof_fraction``: the two refer to different roofs
conditions_unknown                     of imported runs: ncu reports do not say how clocks and caches were controlled
other_launches                         of an NVTX range of imported runs: it is not the sum of as many launches
====================================== ===============================================================================

Of two imported runs the cases are paired by kernel and geometry (``pairing.py``). Where their conditions differ or are
not known, both values and the change are shown, and no word says which is better.

A change of a variant's code is the usual reason to compare runs: it is allowed, and noted. So are other choices of an
autotuner, and other versions of packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from stallgate.compare.bounds_then import changed_bounds
from stallgate.compare.crossings import Crossings
from stallgate.compare.pairing import differences, with_cases_of
from stallgate.compare.words import (
    CHANGED_WORDS,
    JUDGED_WORDS,
    SINGLE_SAMPLE,
    Change,
    Crossing,
    Word,
    compare_metric,
    not_compared,
    worst_word,
)
from stallgate.errors import BadArgument, NotMeasured
from stallgate.extract.read_run import MeasuredRun, measurements_of
from stallgate.formatting import listed, scaled, spaced, tunables
from stallgate.model import (
    Case,
    CaseResult,
    Environment,
    FrozenStruct,
    Identity,
    Metric,
    Outcome,
    Reason,
    Role,
    Run,
    Settings,
)
from stallgate.project.catalogue import DURATION, ROOF_FRACTION, is_measured
from stallgate.project.digests import CHILD_KEY, REFERENCE_KEY, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.runs.conditions import TITLES, conditions, environments, gpus_of, problems_in, provenance, settings_of
from stallgate.runs.folder import as_argument
from stallgate.runs.naming import case_names

_HEADLINES = 3
"""Most changed times that the finding names; the others are counted."""


# --- nouns ------------------------------------------------------------------------------------------------------------


class Retuned(FrozenStruct, frozen=True):
    """A kernel for which the autotuner chose differently in the two runs: the tunables that differ."""

    kernel: str
    base: dict[str, object]
    """Empty where it chose nothing."""
    run: dict[str, object]


class Pair(FrozenStruct, frozen=True):
    """A case in both runs, or in one of them."""

    case: Case
    role: Role
    code: Literal["same", "changed", "unknown"]
    """Whether the variant's files are the same in both runs."""
    obstacle: Reason | None
    """Why none of its metrics is comparable, if none is."""
    changes: list[Change]
    retuned: list[Retuned] = []
    title: str = ""
    """Of an imported case: its name by the names in the report."""
    base_identity: Identity | None = None
    """Of an imported case in the base."""
    run_identity: Identity | None = None
    ended: tuple[Outcome, Outcome] | None = None
    """What became of the case before and after, where it was measured in one run and failed in the other."""

    @property
    def identity(self) -> Identity | None:
        """What an imported case is, in the run if it is there."""
        return self.run_identity or self.base_identity

    @property
    def name(self) -> str:
        return self.title or self.case.display_name

    @property
    def turned(self) -> Crossing | None:
        """Worse where a case that was measured fails now; better where one that failed is measured now."""
        if self.ended is None:
            return None
        return "worse" if self.ended[0] == "profiled" else "better"

    @property
    def differs(self) -> list[str]:
        """What differs between two imported cases that are paired, in words."""
        if self.base_identity is None or self.run_identity is None:
            return []
        return differences(self.base_identity, self.run_identity)

    @property
    def duration(self) -> Change:
        return next(change for change in self.changes if change.metric == DURATION)

    @property
    def crossed(self) -> list[Change]:
        """The metrics of which a judged target was crossed."""
        return [change for change in self.changes if change.word in ("better", "worse")]

    @property
    def told(self) -> list[Change]:
        """The changes that decide the word for the case: its time, and targets that were crossed."""
        return [self.duration, *(change for change in self.crossed if change.metric != DURATION)]


class Side(FrozenStruct, frozen=True):
    """One of the two runs, for a reader."""

    name: str
    """The run as commands take it."""
    provenance: str


class Fact(FrozenStruct, frozen=True):
    """A fact of both runs."""

    name: str
    base: str
    run: str


class RunComparison(FrozenStruct, frozen=True):
    """Two runs, metric by metric."""

    base: Side
    run: Side
    finding: str
    """A sentence about the times that changed beyond the noise, candidates first."""
    obstacles: list[Reason]
    """Conditions that differ, so that numbers are not compared, each once."""
    notes: list[str]
    """Remarks for the reader of the numbers."""
    facts: list[Fact]
    main: list[str]
    """The metrics to look at first: the duration and those of the stages."""
    pairs: list[Pair]
    imported: bool = False
    """Whether both runs are imported: then cases are paired by kernel and geometry."""
    same_conditions: bool = False
    """Whether the user said that unknown conditions were alike."""
    reservations: list[Reason] = []
    """Of imported runs: why values are shown without a word, each once."""
    several_gpus: bool = False
    """Whether the cases of imported runs are of several GPUs."""

    @property
    def comparable(self) -> bool:
        """Whether anything could be compared."""
        return any(change.word != "not_comparable" for pair in self.pairs for change in pair.changes)

    @property
    def word(self) -> Word:
        """What changed for the candidates, in one word: their times and targets, then the metrics to look at first."""
        words: set[Word] = {change.word for _, change in self.main_changes if change.word in CHANGED_WORDS}
        words |= {pair.turned for pair in judged_of(self.pairs) if pair.turned is not None}
        return worst_word(words or {"same" if self.comparable else "not_comparable"})

    @property
    def main_changes(self) -> list[tuple[Pair, Change]]:
        """The candidates' metrics to look at first; those of every case where there is no candidate."""
        return [
            (pair, change) for pair in judged_of(self.pairs) for change in pair.changes if change.metric in self.main
        ]


# --- comparing --------------------------------------------------------------------------------------------------------


def compare(
    project: Project,
    base: MeasuredRun,
    run: MeasuredRun,
    stages: Sequence[str] | None = None,
    *,
    same_conditions: bool = False,
    is_part: bool = False,
) -> RunComparison:
    """Compares a run with a base: every metric of the catalogue for every case of either.

    Args:
        project: the catalogue, and the stages.
        base: the run before.
        run: the run after.
        stages: those whose metrics are looked at first; None for those that the run's problems name.
        same_conditions: of imported runs, whether conditions that are not known were alike.
        is_part: whether baselines were left out: nothing is said of their times.

    Raises:
        BadArgument: ``same_conditions`` of runs that say themselves how they were measured.
    """
    main = main_metrics(project, run, stages)
    sides = _Sides(project, base, run, main, stages, same_conditions=same_conditions)
    pairs = [sides.pair(case) for case in sides.cases]
    return RunComparison(
        base=_side(project, base),
        run=_side(project, run),
        finding=imports_finding(pairs) if sides.imported else times_finding(pairs, main, is_part=is_part),
        obstacles=sides.differing,
        notes=[*_notes(sides, pairs), *_bounds_then(project, base, run, stages)],
        facts=[*_facts(base, run), *sides.packages()],
        main=main,
        pairs=pairs,
        imported=sides.imported,
        same_conditions=same_conditions,
        reservations=sides.reserved,
        several_gpus=_several_gpus(pairs),
    )


def _side(project: Project, measured: MeasuredRun) -> Side:
    return Side(name=as_argument(project.reports, measured.folder), provenance=provenance(measured.run))


def _bounds_then(project: Project, base: MeasuredRun, run: MeasuredRun, stages: Sequence[str] | None) -> list[str]:
    """The bounds of the run's stages that were others when the base was judged."""
    names = stages if stages is not None else _own_stages(project, run.run)
    return changed_bounds(project, base.folder, [name for name in names if name in project.stages])


def _several_gpus(pairs: list[Pair]) -> bool:
    known = [found for pair in pairs for found in (pair.base_identity, pair.run_identity) if found is not None]
    return len({(found.device, found.device_index) for found in known if found.kind != "call"}) > 1


_MEASURE_ALIKE = "profile the same workloads again, on one kind of GPU with the same clock and cache control"
_IMPORT_ALIKE = "import reports that have numbers of the same kernels, by the names in the reports"


def refuse_empty(found: RunComparison) -> None:
    """Refuses a comparison that compares nothing.

    Raises:
        NotMeasured: not one metric is comparable.
    """
    if not found.comparable:
        because = [obstacle.sentence for obstacle in found.obstacles] or ["they have no measured case in common"]
        raise NotMeasured(
            f"nothing in {found.base.name} and {found.run.name} can be compared: {'; '.join(because)}",
            _IMPORT_ALIKE if found.imported else _MEASURE_ALIKE,
        )


# --- what may be compared ---------------------------------------------------------------------------------------------


def _is_told(metric: Metric, sides: tuple[MeasuredRun, MeasuredRun]) -> bool:
    """Whether there is more to say of a metric than that neither run has it."""
    states = [{found.state for (_, name), found in side.summaries.items() if name == metric.name} for side in sides]
    if metric.collect == "wanted":
        return any(found - {"absent"} for found in states)
    if not is_measured(metric):
        return any(states)
    return states != [{"absent"}, {"absent"}]


def _once(metrics: list[Metric], main: list[str]) -> list[tuple[Metric, list[str]]]:
    """The metrics, each with the other names of its counter: of these, one to look at first is kept, or the first."""
    alike: dict[object, list[Metric]] = {}
    for metric in metrics:
        key = (*metric.names, *metric.counters, metric.combine, metric.weight) if is_measured(metric) else metric.name
        alike.setdefault(key, []).append(metric)
    kept = [(next((m for m in found if m.name in main), found[0]), found) for found in alike.values()]
    return [(metric, [other.name for other in found if other is not metric]) for metric, found in kept]


class _Sides:
    """The two runs, and what differs between them."""

    def __init__(
        self,
        project: Project,
        base: MeasuredRun,
        run: MeasuredRun,
        main: list[str],
        stages: Sequence[str] | None,
        *,
        same_conditions: bool,
    ) -> None:
        self.imported = base.run.kind == run.run.kind == "imported"
        if same_conditions and not self.imported:
            hint = "leave it out: these runs say their conditions"
            raise BadArgument("--same-conditions is for two imported runs", hint)
        self._crossings = None if self.imported else Crossings(project, base, run, stages)
        base = with_cases_of(base, run) if self.imported else base
        self._same_conditions = same_conditions
        told = [metric for metric in project.catalogue.metrics.values() if _is_told(metric, (base, run))]
        self._metrics = _once(told, main)
        self.base = base
        self.run = run
        self._of_base = {result.case: result for result in base.run.cases}
        self._of_run = {result.case: result for result in run.run.cases}
        self._names = case_names(base.run) | case_names(run.run)
        self.cases = list(dict.fromkeys([*self._of_run, *self._of_base]))
        results = [*self._of_base.values(), *self._of_run.values()]
        self._roofs = {(r.case.problem, r.case.variant) for r in results if r.role == "roof"}
        self.measured = [case for case in self.cases if self._gap_of(case) is None]
        """Cases with numbers in both runs."""

    def pair(self, case: Case) -> Pair:
        """A case with every metric of it."""
        obstacle = self._obstacle(case)
        result = self._of_run.get(case) or self._of_base[case]
        crossed = self._crossed(case) if obstacle is None else {}
        changes = [
            replace(self._change(case, metric, obstacle, crossed.get(metric.name)), also=also)
            for metric, also in self._metrics
        ]
        return Pair(
            case=case,
            role=result.role,
            code=self._code(case),
            obstacle=obstacle,
            changes=changes,
            retuned=self._retuned(case),
            title=self._names[case] if result.identity is not None else "",
            base_identity=self._of_base[case].identity if case in self._of_base else None,
            run_identity=self._of_run[case].identity if case in self._of_run else None,
            ended=self._ended(case),
        )

    def _ended(self, case: Case) -> tuple[Outcome, Outcome] | None:
        if self.imported or case not in self._of_base or case not in self._of_run:
            return None
        before, after = self._of_base[case].outcome, self._of_run[case].outcome
        failed = [outcome for outcome in (before, after) if outcome in _FAILURES]
        return (before, after) if len(failed) == 1 and "profiled" in (before, after) else None

    def _crossed(self, case: Case) -> dict[str, Crossing]:
        return self._crossings.of(self._of_base[case], self._of_run[case]) if self._crossings is not None else {}

    def _change(self, case: Case, metric: Metric, obstacle: Reason | None, crossing: Crossing | None) -> Change:
        base, run = self.base.summaries.get((case, metric.name)), self.run.summaries.get((case, metric.name))
        if obstacle is None and metric.name == ROOF_FRACTION and self._roofs_differ(case):
            obstacle = Reason(code="roof_changed", sentence="the roof's code changed")
        if obstacle is not None:
            return not_compared(metric, base, run, obstacle)
        change = compare_metric(metric, base, run, crossing)
        reservation = next(iter(self.reservations(case)), None)
        if reservation is None or change.obstacle is not None:
            return change
        return replace(change, word="shown", obstacle=reservation)

    def _obstacle(self, case: Case) -> Reason | None:
        """The first reason why no metric of a case is comparable."""
        gap = self._gap_of(case)
        if gap is not None or self.imported:
            return gap
        return next(iter([*self.conditions(case), *_as_list(self._subject(case))]), None)

    # --- obstacles ---

    @property
    def differing(self) -> list[Reason]:
        """The conditions that differ, each once; of imported runs they are reservations."""
        found = (reason for case in self.measured for reason in self.conditions(case))
        return [] if self.imported else list(dict.fromkeys(found))

    @property
    def reserved(self) -> list[Reason]:
        """Why changes between imported runs are shown without a word, each once."""
        return list(dict.fromkeys(reason for case in self.measured for reason in self.reservations(case)))

    def reservations(self, case: Case) -> list[Reason]:
        """Why the numbers of an imported case are shown without a word, for a case that both runs have."""
        if not self.imported:
            return []
        launches = _launches(self._of_base[case].identity, self._of_run[case].identity)
        before, after = conditions(self.base.run, self._of_base[case]), conditions(self.run.run, self._of_run[case])
        known = [name for name in TITLES if getattr(before, name) is not None and getattr(after, name) is not None]
        unknown = [title for name, title in TITLES.items() if name not in known]
        found = [_condition(name, getattr(before, name), getattr(after, name)) for name in known]
        if unknown and not self._same_conditions:
            sentence = f"{listed(unknown)} {'is' if len(unknown) == 1 else 'are'} not in an ncu report"
            found.append(Reason(code="conditions_unknown", sentence=sentence))
        return [reason for reason in [launches, *found] if reason is not None]

    def _gap_of(self, case: Case) -> Reason | None:
        """Why one of the runs has no numbers of a case."""
        if case not in self._of_run:
            return Reason(code="only_in_base", sentence="only in the run before")
        if case not in self._of_base:
            return Reason(code="only_in_run", sentence="only in the run after")
        base, run = _outcome(self.base, self._of_base[case]), _outcome(self.run, self._of_run[case])
        where = [f"{said} in the run {side}" for said, side in ((base, "before"), (run, "after")) if said]
        return Reason(code="not_measured", sentence=listed(where)) if where else None

    def conditions(self, case: Case) -> list[Reason]:
        """The conditions that differ or are not known, for a case that both runs have."""
        before = conditions(self.base.run, self._of_base[case])
        after = conditions(self.run.run, self._of_run[case])
        pairs = [(name, getattr(before, name), getattr(after, name)) for name in TITLES]
        return [found for name, base, run in pairs for found in _as_list(_condition(name, base, run))]

    def _subject(self, case: Case) -> Reason | None:
        """Why the two runs do not compute the same on a case's workload."""
        parts = {
            "workload_changed": (workload_key(case.workload), f"the workload {case.workload}"),
            "reference_changed": (REFERENCE_KEY, REFERENCE_KEY),
        }
        for code, (key, name) in parts.items():
            state = self._state(case.problem, key)
            if state != "same":
                changed = "changed" if state == "changed" else "is not known to be the same"
                return Reason(code=code, sentence=f"{name} {changed}")
        return None

    # --- digests ---

    def _state(self, problem: str, key: str) -> Literal["same", "changed", "unknown"]:
        """Whether both runs measured the same, by a digest."""
        before, after = _digest(self.base, problem, key), _digest(self.run, problem, key)
        if before is None or after is None:
            return "unknown"
        return "same" if before == after else "changed"

    def _code(self, case: Case) -> Literal["same", "changed", "unknown"]:
        """Whether a variant's file, and the modules that it loaded, are the same in both runs."""
        if case in self.measured and self._of_base[case].modules != self._of_run[case].modules:
            return "changed"
        return self._state(case.problem, variant_key(case.variant))

    def _roofs_differ(self, case: Case) -> bool:
        mine = [variant for problem, variant in self._roofs if problem == case.problem]
        measured = [each for each in self.measured if each.problem == case.problem and each.variant in mine]
        states = [self._state(case.problem, variant_key(roof)) for roof in mine] + [
            self._code(each) for each in measured
        ]
        return any(state != "same" for state in states)

    # --- what was used ---

    def _retuned(self, case: Case) -> list[Retuned]:
        """The kernels that both runs launched, and for which an autotuner chose differently."""
        if case not in self.measured:
            return []
        before, after = _choices(self._of_base[case]), _choices(self._of_run[case])
        pairs = [(name, *_differing(before[name], choice)) for name, choice in after.items() if name in before]
        return [Retuned(kernel=name, base=base, run=run) for name, base, run in pairs if base or run]

    def packages(self) -> list[Fact]:
        """The installed packages that cases with numbers in both runs loaded, with their versions."""
        before, after = ([of[case].packages for case in self.measured] for of in (self._of_base, self._of_run))
        names = sorted({name for found in (*before, *after) for name in found})
        return [_fact(name, _version(before, name), _version(after, name)) for name in names]

    def child_differs(self) -> bool:
        return not self.imported and any(
            self._state(problem, CHILD_KEY) != "same" for problem in {case.problem for case in self.measured}
        )


def _choices(result: CaseResult) -> dict[str, dict[str, object]]:
    """Kernel -> what an autotuner chose for it; empty where none did."""
    return {kernel.name: kernel.configuration for kernel in result.kernels}


def _differing(base: dict[str, object], run: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Two choices without the tunables that are the same in both."""
    names = [n for n in dict.fromkeys([*base, *run]) if (n in base) != (n in run) or base[n] != run[n]]
    return {n: base[n] for n in names if n in base}, {n: run[n] for n in names if n in run}


_NOT_LOADED = "not loaded"


def _version(found: list[dict[str, str]], name: str) -> str:
    """The versions of a package that cases loaded, each once."""
    return ", ".join(dict.fromkeys(packages[name] for packages in found if name in packages)) or _NOT_LOADED


def _as_list(obstacle: Reason | None) -> list[Reason]:
    return [] if obstacle is None else [obstacle]


def _outcome(side: MeasuredRun, result: CaseResult) -> str:
    """Why a run has no numbers of a case, or ''."""
    if result.outcome != "profiled":
        return spaced(result.outcome)
    return "a damaged ncu report" if result.case.name in side.faults else ""


def _digest(side: MeasuredRun, problem: str, key: str) -> str | None:
    subject = side.run.subjects.get(problem)
    return subject.digests.get(key) if subject is not None else None


_OTHER_LAUNCHES = "other_launches"


def _launches(base: Identity | None, run: Identity | None) -> Reason | None:
    """Why sums over the launches of an NVTX range are not of the same work."""
    if base is None or run is None or run.kind != "call" or base.launches == run.launches:
        return None
    sentence = f"the sum of {base.launches} launches before and of {run.launches} after"
    return Reason(code=_OTHER_LAUNCHES, sentence=sentence)


def _condition(name: str, base: str | None, run: str | None) -> Reason | None:
    """Why numbers are not compared where a condition differs, or is not known."""
    reason, title = f"other_{name}", TITLES[name]
    if base is None or run is None:
        side = listed([side for side, value in (("before", base), ("after", run)) if value is None])
        return Reason(code=reason, sentence=f"the {title} of the run {side} is not known")
    return None if base == run else Reason(code=reason, sentence=f"different {title}: {base} and {run}")


# --- as text ----------------------------------------------------------------------------------------------------------


def judged_of(pairs: list[Pair]) -> list[Pair]:
    """The candidates; every case where there is none."""
    return [pair for pair in pairs if pair.role in ("candidate", "unknown")] or pairs


def times_finding(pairs: list[Pair], main: Sequence[str] = (), *, is_part: bool = False) -> str:
    """Which times changed and which targets were crossed, the gravest first; a sentence without full stop.

    Args:
        pairs: the cases.
        main: metrics of candidates that are counted if they moved where no time did.
        is_part: whether these are the candidates alone, with their roofs, of more cases.
    """
    turned = [_turned_in_words(pair, pairs) for pair in judged_of(pairs) if pair.ended is not None]
    kept = turned[:_HEADLINES] + ([f"{len(turned) - _HEADLINES} more"] if len(turned) > _HEADLINES else [])
    times = _times_of(pairs, main, is_part=is_part)
    return "; ".join([*kept, times[:1].lower() + times[1:] if kept and times.startswith("No ") else times])


def _turned_in_words(pair: Pair, pairs: list[Pair]) -> str:
    """What became of a case that was measured before and failed now, or the other way round."""
    assert pair.ended is not None
    before, now = (_ENDED.get(outcome, spaced(outcome)) for outcome in pair.ended)
    return f"{_named(pair, pair.name, pairs)}{_on(pair)}: {now} now, {before} before"


_FAILURES: tuple[Outcome, ...] = ("wrong_result", "crashed", "timed_out")
_ENDED: dict[Outcome, str] = {"profiled": "right and measured"}


def _times_of(pairs: list[Pair], main: Sequence[str], *, is_part: bool) -> str:
    """A sentence about the times that changed, and the targets that were crossed."""
    if not any(pair.duration.word != "not_comparable" for pair in pairs):
        return "No time can be compared"
    told = _gravest(pairs)
    nothing = _nothing(pairs, main, of_candidates=is_part or bool(told))
    first = [] if any(pair in judged_of(pairs) for pair, _ in told) else [nothing]
    rest = [f"{len(told) - _HEADLINES} more changed"] if len(told) > _HEADLINES else []
    return "; ".join([*first, *_told_together(told[:_HEADLINES], pairs), *rest])


def _told_together(told: list[tuple[Pair, Change]], pairs: list[Pair]) -> list[str]:
    """Changes in words; those of one variant that are alike make one sentence."""
    alike: dict[tuple[str, Word, str], list[tuple[Pair, Change]]] = {}
    for pair, change in told:
        metric = change.metric if change.metric == DURATION else f"{change.metric} {pair.case.name}"
        alike.setdefault((_named(pair, pair.name, pairs), change.word, metric), []).append((pair, change))
    return [_told_in_words(found, pairs) for found in alike.values()]


def _gravest(pairs: list[Pair]) -> list[tuple[Pair, Change]]:
    """The times that changed and the targets that were crossed, the candidates' first, the gravest of them first."""
    told = [(pair, change) for pair in pairs for change in pair.told if change.word in CHANGED_WORDS]
    return sorted(told, key=lambda each: _weight(*each))


def _nothing(pairs: list[Pair], main: Sequence[str], *, of_candidates: bool) -> str:
    """That no time moved that is judged; and how many other metrics did."""
    whose = "of a candidate " if of_candidates else ""
    moved = [c for pair in judged_of(pairs) for c in pair.changes if c.metric in main and c.word == "moved"]
    return f"No time {whose}moved beyond the noise" + (f", {_counters(len(moved))} did" if moved else "")


def _counters(count: int) -> str:
    return f"{count} other metric{'s' * (count != 1)}"


def imports_finding(pairs: list[Pair]) -> str:
    """How many cases of two imported runs are paired, and how their times changed; a sentence without full stop."""
    codes = [pair.obstacle.code if pair.obstacle is not None else "" for pair in pairs]
    only = [(codes.count("only_in_base"), "only before"), (codes.count("only_in_run"), "only after")]
    both = f"{len(pairs) - sum(count for count, _ in only)} of {len(pairs)} cases in both runs"
    counted = ", ".join([both, *(f"{count} {where}" for count, where in only if count)])
    judged = [pair for pair in pairs if pair.duration.word in JUDGED_WORDS]
    if judged:
        return f"{times_finding(judged)}; {counted}"
    alike = [pair for pair in pairs if pair.duration.obstacle is None or pair.duration.obstacle.code != _OTHER_LAUNCHES]
    shown = sorted((pair for pair in alike if pair.duration.change), key=lambda pair: -abs(pair.duration.change or 0.0))
    return "; ".join([counted, *map(_times_in_words, shown[:_HEADLINES])])


def _times_in_words(pair: Pair) -> str:
    """Both times of a case, and no word for the change."""
    before, now = (found.median if found is not None else None for found in (pair.duration.base, pair.duration.run))
    change = pair.duration.text
    times = f"took {scaled(before or 0.0, 'ns')} and takes {scaled(now or 0.0, 'ns')}"
    return f"{pair.name} {times} ({change})"


def _named(pair: Pair, name: str, pairs: list[Pair]) -> str:
    """A name in a case's problem; with the problem, where the pairs are of several."""
    several = any(other.case.problem != pair.case.problem for other in pairs)
    return f"{pair.case.problem}/{name}" if several else name


def _weight(pair: Pair, change: Change) -> tuple[bool, int, float]:
    """Sorts candidates first; of them by word, the gravest first; of those the largest change first."""
    return pair.role != "candidate", CHANGED_WORDS.index(change.word), -abs(change.effect or 0.0)


def _told_in_words(found: list[tuple[Pair, Change]], pairs: list[Pair]) -> str:
    """The changes of a variant's times, or a target that was crossed, in words; and that its code is the same."""
    pair, change = found[0]
    whose = _named(pair, pair.name, pairs)
    if change.word in ("faster", "slower"):
        said = listed([f"{each.size} {each.word}{_on(of)}" for of, each in found])
        same = ", though its code is the same" if all(of.code == "same" for of, _ in found) else ""
        return f"{whose} is {said}{same}"
    now = "now misses" if change.word == "worse" else "now meets"
    return f"{whose} {now} its target for {change.metric}{_on(pair)} ({change.text})"


def _on(pair: Pair) -> str:
    return "" if pair.identity is not None else f" on {pair.case.workload}"


def _notes(sides: _Sides, pairs: list[Pair]) -> list[str]:
    """What may explain a change, or put it in doubt."""
    notes = _about_code(pairs) + _about_choices(pairs)
    notes += _about_reports(sides) if sides.measured else []
    if sides.child_differs():
        notes.append(f"{CHILD_KEY} changed")
    versions = [fact for fact in _versions(sides.base, sides.run) if fact.name != "GPU"]
    packages = [fact for fact in sides.packages() if _NOT_LOADED not in (fact.base, fact.run)]
    facts = [fact for fact in [*versions, *packages] if fact.base != fact.run]
    notes += [f"different {fact.name}: {fact.base} and {fact.run}" for fact in facts]
    named = [("before", sides.base.run), ("after", sides.run.run)]
    notes += [f"the run {name} is incomplete" for name, run in named if run.kind == "live" and not run.complete]
    return notes + _about_samples(pairs)


def _about_code(pairs: list[Pair]) -> list[str]:
    changed = list(dict.fromkeys(_named(p, p.case.variant, pairs) for p in pairs if p.code == "changed"))
    notes = [f"the code of {listed(changed)} changed"] if changed else []
    moved = [pair for pair in pairs if pair.duration.word in CHANGED_WORDS and pair.code == "same"]
    told = [pair for pair, change in _gravest(pairs)[:_HEADLINES] if change.metric == DURATION]
    more = [(pair, pair.duration) for pair in moved if pair not in told]
    return notes + _told_together(more, pairs)


def _about_choices(pairs: list[Pair]) -> list[str]:
    """What autotuners chose differently for a case."""
    return [
        f"{_named(pair, pair.name, pairs)} on {pair.case.workload}: {_choice_in_words(pair, retuned)}"
        for pair in pairs
        for retuned in pair.retuned
    ]


def _choice_in_words(pair: Pair, retuned: Retuned) -> str:
    kernel = f" of {retuned.kernel}" if len(pair.retuned) > 1 else ""
    before, now = (tunables(choice) or "nothing" for choice in (retuned.base, retuned.run))
    return f"the autotuner{kernel} chose {before} before, {now} now"


def _about_samples(pairs: list[Pair]) -> list[str]:
    judged = [pair for pair in pairs if pair.duration.word in JUDGED_WORDS]
    times = [(pair.duration.base, pair.duration.run) for pair in judged]
    if any(summary is not None and summary.samples == 1 for time in times for summary in time):
        sample = "launch" if any(pair.identity is not None for pair in judged) else "sample"
        return [f"the noise of a single {sample} is unknown: a change below {100 * SINGLE_SAMPLE:g} % counts as none"]
    return []


def _about_reports(sides: _Sides) -> list[str]:
    base, run = measurements_of(sides.base), measurements_of(sides.run)
    if not base & run:
        return []
    return ["both runs hold the same ncu reports" if base == run else "the two runs have an ncu report in common"]


def _facts(base: MeasuredRun, run: MeasuredRun) -> list[Fact]:
    """Where, how and with which software the two runs were measured."""
    return [_fact("kind", base.run.kind, run.run.kind), *_settings(base, run), *_versions(base, run)]


def _settings(base: MeasuredRun, run: MeasuredRun) -> list[Fact]:
    before, after = (_all_settings(side.run) for side in (base, run))
    names = ("samples", "clock_control", "cache_control")
    return [_fact(spaced(name), _values(before, name), _values(after, name)) for name in names]


def _all_settings(run: Run) -> list[Settings]:
    found = (settings_of(run, problem) for problem in problems_in(run))
    return [settings for settings in found if settings is not None]


def _versions(base: MeasuredRun, run: MeasuredRun) -> list[Fact]:
    before, after = environments(base.run), environments(run.run)
    gpus = _fact("GPU", *(", ".join(gpus_of(side.run)) or "unknown" for side in (base, run)))
    names = {"driver": "driver", "ncu": "ncu", "torch": "torch", "triton": "triton", "cuda": "CUDA"}
    return [gpus, *(_fact(title, _values(before, name), _values(after, name)) for name, title in names.items())]


def _values(found: Sequence[Settings] | Sequence[Environment], name: str) -> str:
    """A fact of a run's problems, each value once: a replay may be of recordings that were not made alike."""
    return ", ".join(dict.fromkeys(str(getattr(one, name)) for one in found)) or "unknown"


def _fact(name: str, base: str, run: str) -> Fact:
    return Fact(name=name, base=base, run=run)


_WITHOUT_STAGES = ("duration", "dram_throughput", "l2_hit_rate", "memory_dependency_stall")
"""The metrics of an imported run that no stage is for."""


def main_metrics(project: Project, run: MeasuredRun, stages: Sequence[str] | None = None) -> list[str]:
    """The duration, then the metrics that stages judge or show; the usual ones of an imported run without a stage.

    Args:
        project: the stages.
        run: the run whose problems name its stages.
        stages: other stages to look at.
    """
    names = stages if stages is not None else _own_stages(project, run.run)
    if run.run.kind == "imported" and not names:
        return list(_WITHOUT_STAGES)
    known = project.with_included(names)
    metrics = [target.metric for stage in known for target in stage.targets]
    metrics += [metric for stage in known for metric in stage.shown]
    return list(dict.fromkeys(["duration", *(metric.name for metric in metrics)]))


def _own_stages(project: Project, run: Run) -> list[str]:
    """The stages that judge a run where none is named."""
    if run.kind == "imported":
        return run.stages or project.import_stages
    problems = dict.fromkeys(result.case.problem for result in run.cases)
    return [name for problem in problems for name in project.stages_of(problem)]
