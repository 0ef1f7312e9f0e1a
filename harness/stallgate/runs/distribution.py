"""How the times of a bench are distributed over drawn workloads."""

from __future__ import annotations

from collections.abc import Iterable

from stallgate.model import FrozenStruct
from stallgate.runs.bench import Bench, BenchRow, ContenderRole, Entry
from stallgate.runs.drawn import Draw

_MOST_WORST = 10


class Spread(FrozenStruct, frozen=True):
    """Quantiles of a fraction or a speed, over workloads; the larger, the better."""

    worst: float
    p5: float
    p25: float
    median: float
    p75: float
    best: float


class Versus(FrozenStruct, frozen=True):
    """A contender beside another that solves the same problem."""

    name: str
    role: ContenderRole
    compared: int
    """Workloads on which both were timed, by one method."""
    slower: int
    """Workloads of these on which the contender's median is longer than the other's."""
    speed: Spread
    """The other's time divided by the contender's."""


class WorstCase(FrozenStruct, frozen=True):
    """A workload on which a contender is far from its limit."""

    number: int
    arguments: dict[str, object]
    inputs: list[object]
    of_limit: float
    """The limit's time divided by the contender's."""
    median_us: float
    slower_than: list[str]


class Distribution(FrozenStruct, frozen=True):
    """The times of one contender over the drawn workloads of a problem."""

    problem: str
    name: str
    role: ContenderRole
    workloads: int
    timed: int
    of_roof: Spread | None
    """The roof's time divided by the contender's; None where none was timed by the contender's method."""
    of_copy: Spread | None
    versus: list[Versus]
    worst: list[WorstCase]
    """At most ten, the worst first: by the roof, or by the copy where the problem has no roof."""


def distributions(bench: Bench) -> list[Distribution]:
    """How each candidate does over the drawn workloads; each baseline, where there is no candidate."""
    found = []
    for problem, rows in _drawn_rows(bench).items():
        entries = {entry.label: entry for row in rows for entry in row.entries}.values()
        names = [entry.label for entry in entries if entry.role == "candidate"]
        names = names or [entry.label for entry in entries if entry.role == "baseline"]
        found += [_distribution(bench.drawn, problem, name, rows) for name in names if bench.drawn is not None]
    return found


def _drawn_rows(bench: Bench) -> dict[str, list[BenchRow]]:
    """Problem -> its rows of drawn workloads."""
    rows: dict[str, list[BenchRow]] = {}
    for row in bench.rows:
        if bench.drawn is not None and bench.drawn.number_of(row.workload.name) is not None:
            rows.setdefault(row.problem, []).append(row)
    return rows


def _distribution(draw: Draw, problem: str, name: str, rows: list[BenchRow]) -> Distribution:
    own = [(row, row.entry(name)) for row in rows]
    timed = [(row, entry) for row, entry in own if entry.samples_us]
    others = {e.label: e for row, _ in timed for e in row.entries if e.role not in ("copy", "roof") and e.label != name}
    versus = [_versus(other, timed) for other in others.values()]
    return Distribution(
        problem=problem,
        name=name,
        role=own[0][1].role,
        workloads=len(rows),
        timed=len(timed),
        of_roof=spread_of(row.fraction(entry, "roof") for row, entry in timed),
        of_copy=spread_of(row.fraction(entry, "copy") for row, entry in timed),
        versus=[found for found in versus if found is not None],
        worst=_worst(draw, timed),
    )


def _versus(other: Entry, timed: list[tuple[BenchRow, Entry]]) -> Versus | None:
    """A contender beside another; None where they cannot be compared on any workload."""
    found = [row.speedup(row.entry(other.label), entry) for row, entry in timed]
    speeds = [speed for speed in found if speed is not None]
    spread = spread_of(speeds)
    if spread is None:
        return None
    slower = sum(speed < 1 for speed in speeds)
    return Versus(name=other.label, role=other.role, compared=len(speeds), slower=slower, speed=spread)


def _worst(draw: Draw, timed: list[tuple[BenchRow, Entry]]) -> list[WorstCase]:
    """The worst cases, by the roof; by the copy where there is no roof at all."""
    has_roof = any(entry.role == "roof" for row, _ in timed for entry in row.entries)
    cases = [_case(draw, row, entry, row.fraction(entry, "roof" if has_roof else "copy")) for row, entry in timed]
    return sorted((case for case in cases if case is not None), key=lambda case: case.of_limit)[:_MOST_WORST]


def _case(draw: Draw, row: BenchRow, entry: Entry, fraction: float | None) -> WorstCase | None:
    number = draw.number_of(row.workload.name)
    if fraction is None or number is None or entry.median_us is None:
        return None
    speeds = {e.label: row.speedup(e, entry) for e in row.entries if e.role not in ("copy", "roof")}
    return WorstCase(
        number=number,
        arguments=row.workload.arguments,
        inputs=row.workload.inputs,
        of_limit=fraction,
        median_us=entry.median_us,
        slower_than=[label for label, speed in speeds.items() if speed is not None and speed < 1],
    )


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """The quantiles of what is known, by linear interpolation; None where nothing is."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    worst, p5, p25, median, p75, best = (_quantile(known, share) for share in (0, 0.05, 0.25, 0.5, 0.75, 1))
    return Spread(worst=worst, p5=p5, p25=p25, median=median, p75=p75, best=best)


def _quantile(ascending: list[float], share: float) -> float:
    place = share * (len(ascending) - 1)
    below = int(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (place - below) * (ascending[above] - ascending[below])
