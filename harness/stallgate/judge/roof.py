"""The roof of a workload: the speed that its candidates are compared with.

For each kind of ceiling the fastest sound roof counts; of the kinds, the slowest: a kernel can be no faster than
moving its bytes *and* doing its arithmetic. Gate, tables and page all take the roof from here.

Where the problem has roofs of a kind, but the run has no sound one, the workload has no roof: by the other kinds alone
a candidate could look better than it is.

A roof of kind ``library`` is the best known implementation. It may be beaten. The other kinds are limits of the
hardware: a kernel that is far faster than they are did not do its work.
"""

from __future__ import annotations

import math

from msgspec.structs import asdict, replace

from stallgate.extract.launches import checked
from stallgate.extract.read_run import ReadRun
from stallgate.extract.table import MetricRow, Summaries, summarise
from stallgate.formatting import listed, percent, rounded, spaced
from stallgate.model import Case, CaseResult, CeilingKind, FrozenStruct, Metric, Reason, Variant
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project

_IS_NO_ROOF = ("wrong_result", "implausible")
"""Reasons that rule a roof out. With any other, such as a crash, it might have been the fastest."""

BEYOND_ROOF = 1.15
"""A speed above this fraction of the hardware's roof is implausible: work was left out, or the roof is too slow."""


class Roof(FrozenStruct, frozen=True):
    """A measured roof on one workload."""

    case: Case
    ceiling: CeilingKind
    duration: float
    """Median over its samples, in ns."""

    @property
    def noun(self) -> str:
        """What it is, in sentences."""
        return "library" if self.ceiling == "library" else "roof"

    @property
    def name(self) -> str:
        """The name of the variant that it is."""
        return self.case.display_name

    @property
    def about(self) -> str:
        """What a reader has to know of it: a measured kernel that is near a limit of the hardware, or a library."""
        return _ABOUT[self.ceiling]

    def speed(self, fraction: float) -> str:
        """A fraction of this roof's speed, in words."""
        return f"{percent(fraction)} of {self.name}'s speed"


class WorkloadRoofs(FrozenStruct, frozen=True):
    """The roofs of one workload in one run."""

    fastest: dict[CeilingKind, Roof | Reason]
    """The fastest sound roof of each kind that the problem has roofs of, or why there is none."""

    @property
    def deciding(self) -> Roof | Reason:
        """The roof that fractions refer to, or why there is none."""
        return _slowest(list(self.fastest.values()))

    @property
    def hardware(self) -> Roof | Reason | None:
        """The limit of the hardware, or why it is not known; None where the problem has no such roof."""
        kinds = [found for kind, found in self.fastest.items() if kind != "library"]
        return _slowest(kinds) if kinds else None


Roofs = dict[tuple[str, str], WorkloadRoofs]
"""(problem, workload) -> its roofs."""


def _slowest(kinds: list[Roof | Reason]) -> Roof | Reason:
    roofs = [found for found in kinds if isinstance(found, Roof)]
    gaps = [found for found in kinds if isinstance(found, Reason)]
    if gaps:
        return gaps[0]
    if not roofs:
        return Reason(code="no_roof", sentence="there is no roof to compare with")
    return max(roofs, key=lambda roof: roof.duration)


# --- which roofs there are --------------------------------------------------------------------------------------------


def find_roofs(read: ReadRun, project: Project, unsound: dict[Case, Reason]) -> Roofs:
    """The roofs of every workload of a run.

    Args:
        read: the run.
        project: which variants are roofs, and of which kind.
        unsound: the cases that cannot be relied on.
    """
    places = dict.fromkeys((result.case.problem, result.case.workload) for result in read.run.cases)
    return {place: _roofs_on(read, project, unsound, *place) for place in places}


def _roofs_on(
    read: ReadRun, project: Project, unsound: dict[Case, Reason], problem: str, workload: str
) -> WorkloadRoofs:
    imported = read.run.kind == "imported"  # of no tree: nothing says what its kernels are
    known = project.problems[problem].variants.values() if problem in project.problems and not imported else []
    kinds: dict[CeilingKind, list[Variant]] = {}
    for variant in known:
        if variant.role == "roof" and variant.ceiling is not None:
            kinds.setdefault(variant.ceiling, []).append(variant)
    cases = [r.case for r in read.run.cases if (r.case.problem, r.case.workload) == (problem, workload)]
    return WorkloadRoofs(
        fastest={kind: _fastest(kind, variants, cases, read.summaries, unsound) for kind, variants in kinds.items()}
    )


def _fastest(
    kind: CeilingKind, variants: list[Variant], cases: list[Case], summaries: Summaries, unsound: dict[Case, Reason]
) -> Roof | Reason:
    """The fastest sound roof of a kind. There is none if the run lacks one, which might have been the fastest."""
    mine = {variant.name: [case for case in cases if case.variant == variant.name] for variant in variants}
    missing = [name for name, found in mine.items() if not _has_an_answer(found, unsound)]
    if missing:
        sentence = f"the run did not measure the roof {listed(missing)} on this workload{_because(mine, unsound)}"
        return Reason(code="no_roof", sentence=sentence)
    roofs = []
    for case in (case for found in mine.values() for case in found):
        summary = summaries.get((case, "duration"))
        if case not in unsound and summary is not None and summary.median is not None and summary.median > 0:
            roofs.append(Roof(case=case, ceiling=kind, duration=summary.median))
    if not roofs:
        sentence = f"the run has no valid {kind} roof{_because(mine, unsound)}"
        return Reason(code="no_roof", sentence=sentence)
    return min(roofs, key=lambda roof: roof.duration)


def _has_an_answer(cases: list[Case], unsound: dict[Case, Reason]) -> bool:
    """Whether it is known of a roof, as callers get it, how fast it is, or that it is none."""
    known = [case for case in cases if case.configuration == "default"]
    return any(case not in unsound or unsound[case].code in _IS_NO_ROOF for case in known)


def _because(mine: dict[str, list[Case]], unsound: dict[Case, Reason]) -> str:
    """The reason against each roof that is not sound."""
    faulty = [case for found in mine.values() for case in found if case in unsound]
    said = [f"{case.display_name}: {unsound[case].sentence}" for case in faulty]
    return f" ({'; '.join(said)})" if said else ""


# --- plausible speeds -------------------------------------------------------------------------------------------------


def too_fast(read: ReadRun, roofs: Roofs, result: CaseResult) -> Reason | None:
    """Why a candidate is too fast to have done its work; None if it is not, or if there is no roof to compare with."""
    limit, duration = _hardware(roofs, result.case), read.summaries.get((result.case, "duration"))
    if not isinstance(limit, Roof) or duration is None or not duration.median:
        return None
    fraction = limit.duration / duration.median
    if fraction <= BEYOND_ROOF:
        return None
    sentence = f"implausible: {rounded(fraction)} of the roof, and nothing beats it by over {BEYOND_ROOF - 1:.0%}"
    return Reason(code="implausible", sentence=sentence)


def unproven(read: ReadRun, roofs: Roofs, result: CaseResult) -> Reason | None:
    """Why a candidate's speed cannot be checked; None if it can, or if its problem has no such roof."""
    limit, duration = _hardware(roofs, result.case), read.summaries.get((result.case, "duration"))
    if limit is None:
        return None
    unknown = "cannot check whether its speed is physically possible"
    if isinstance(limit, Reason):
        return Reason(code=limit.code, sentence=f"{unknown}: {limit.sentence}")
    if duration is None or not duration.median:
        state = "absent" if duration is None else "out_of_range" if duration.median == 0 else duration.state
        return Reason(code=state, sentence=f"{unknown}: duration is {spaced(state)}")
    return None


def _hardware(roofs: Roofs, case: Case) -> Roof | Reason | None:
    return roofs[case.problem, case.workload].hardware


# --- fractions --------------------------------------------------------------------------------------------------------


def with_roof_fractions(read: ReadRun, roofs: Roofs, metric: Metric) -> ReadRun:
    """The run with ``roof_fraction`` for every call whose workload has a roof.

    Args:
        read: the run.
        roofs: its roofs.
        metric: the catalogue's row of ``roof_fraction``.
    """
    durations = {(row.case, row.sample): row for row in read.rows if row.launch is None and row.metric == "duration"}
    rows = [
        _with_fraction(row, durations.get((row.case, row.sample)), roofs, metric) if _is_fraction(row) else row
        for row in read.rows
    ]
    summaries = read.summaries | summarise(filter(_is_fraction, rows))
    return ReadRun(**{**asdict(read), "rows": rows, "summaries": summaries})  # replace() keeps what was cached of rows


def _is_fraction(row: MetricRow) -> bool:
    return row.metric == ROOF_FRACTION and row.launch is None


def _with_fraction(row: MetricRow, duration: MetricRow | None, roofs: Roofs, metric: Metric) -> MetricRow:
    roof = roofs[row.problem, row.workload].deciding
    if not isinstance(roof, Roof) or duration is None or duration.state != "measured" or not duration.value:
        return row
    found = checked(metric, roof.duration / duration.value, f"{roof.noun} duration / duration", "derived")
    value = found.value if found.value is not None else math.nan
    return replace(row, value=value, state=found.state, ncu_name=found.ncu_name)


# --- in words ---------------------------------------------------------------------------------------------------------

_NOISE = 0.02
"""Up to this much above the roof is within the noise of the two measurements."""


_ABOUT: dict[CeilingKind, str] = {
    "bytes": "it only moves the bytes",
    "flops": "it only does the arithmetic",
    "library": "a library, not the hardware's limit",
}


def distance_from_roof(fraction: float, roof: Roof, *, explained: bool = False) -> str:
    """How far a case is from its roof, by the roof's name: ``runs at 99.0 % of copy_roof's speed, 0.96 % left``.

    Args:
        fraction: the roof's time over the case's.
        roof: the roof.
        explained: say also what the roof is.
    """
    about = f" ({roof.about})" if explained else ""
    if roof.ceiling == "library":
        if fraction == 1:
            return f"runs as fast as {roof.name}{about}"
        return f"runs {percent(abs(1 - fraction))} {'behind' if fraction < 1 else 'ahead of'} {roof.name}{about}"
    said = f"runs at {roof.speed(fraction)}{about}"
    if fraction <= 1:
        return f"{said}, {percent(1 - fraction)} left"
    within = fraction <= 1 + _NOISE
    return f"{said}: {'within noise, nothing is left' if within else 'some of its bytes come from L2, not from DRAM'}"
