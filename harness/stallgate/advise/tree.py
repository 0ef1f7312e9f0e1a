"""The tree of causes: how much of the time a level can explain at most.

Speed of light → memory (of it: requests to the caches), compute, or neither (latency) → issue slots → the rules.
Nothing explains more than the time above the roof and above the shortest time of any kernel, and no cause more than
the one above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stallgate.advise.readings import LaunchReadings
from stallgate.model import AdviceRule
from stallgate.project.advice import LEVELS, readings_of
from stallgate.project.catalogue import ROOF_FRACTION, formula_value

_MEMORY_UNITS = ("memory_throughput", "dram_throughput", "l2_throughput", "l1_throughput")
_ALL_UNITS = (*_MEMORY_UNITS, "sm_throughput")
_LOCAL = ("local_loads", "local_stores")
_GLOBAL = ("global_loads", "global_stores")

OF_TREE = (
    *_ALL_UNITS,
    ROOF_FRACTION,
    "issue_active",
    "duration",
    "traffic",
    "bytes_per_sector_loaded",
    "l2_hit_rate",
    *_LOCAL,
    *_GLOBAL,
)
"""Metrics that levels are computed from."""

_MOST_OF_DRAM = 92.0
"""Per cent: what a saturating copy reads on H100 (measured). DRAM is never busier for long."""

_SHORTEST = 2000.0
"""ns: about what ncu reads for a kernel that does next to nothing, 1.5 to 2.5 µs on GPUs of six generations."""


def _speed_of_light(found: LaunchReadings) -> float:
    fraction, duration = found.get(ROOF_FRACTION), found.get("duration")
    above_roof = 1.0 - fraction if fraction is not None else 1.0
    return min(above_roof, 1.0 - _SHORTEST / duration) if duration else above_roof


def _memory(found: LaunchReadings) -> float:
    return _busiest(found, _MEMORY_UNITS)


def _requests(found: LaunchReadings) -> float:
    """What fewer requests to L1 and L2 can gain: DRAM still has to move the bytes that are needed."""
    needed = _needed_of_dram(found)
    return 1.0 - _dram(found) * needed if needed is not None else 1.0


def _needed_of_dram(found: LaunchReadings) -> float | None:
    """The share of DRAM's bytes that stay with requests for what is needed alone; None where nothing tells.

    Two things tell: the workload's bytes, and the sectors. Those that miss L2 can be all there is to fetch, if they are
    no more than the used part of what is asked for. Spilled registers take sectors too, which nothing needs.
    """
    traffic, used, hits = (found.get(name) for name in ("traffic", "bytes_per_sector_loaded", "l2_hit_rate"))
    known = [1.0 / traffic] if traffic else []
    if used and hits is not None and not _spills(found):
        known.append(used / 32 / max(0.01, 1.0 - hits / 100))
    return min(1.0, max(known)) if known else None


def _spills(found: LaunchReadings) -> bool:
    local, other = (sum(found.get(name) or 0.0 for name in names) for names in (_LOCAL, _GLOBAL))
    return local > 0.1 * other


def _compute(found: LaunchReadings) -> float:
    """What less work for the multiprocessors can gain: DRAM still has to move its bytes."""
    return min(_busiest(found, ("sm_throughput",)), 1.0 - _dram(found))


def _dram(found: LaunchReadings) -> float:
    """How busy DRAM is, of the most that it can be; 0 where that was not measured."""
    return (found.get("dram_throughput") or 0.0) / _MOST_OF_DRAM


def _latency(found: LaunchReadings) -> float:
    """What no busy unit explains; 1 where no unit was measured."""
    return 1.0 - max(_dram(found), _busiest(found, _ALL_UNITS, unknown=0.0))


def _issue(found: LaunchReadings) -> float:
    active = found.get("issue_active")
    return 1.0 - active if active is not None else 1.0


def _launch(_: LaunchReadings) -> float:
    return 1.0


_LEVELS: dict[str, Callable[[LaunchReadings], float]] = {
    "speed_of_light": _speed_of_light,
    "memory": _memory,
    "requests": _requests,
    "compute": _compute,
    "latency": _latency,
    "issue": _issue,
    "launch": _launch,
}


def _busiest(found: LaunchReadings, units: tuple[str, ...], unknown: float = 1.0) -> float:
    known = [value for unit in units if (value := found.get(unit)) is not None]
    return max(known) / 100 if known else unknown


def explained(rule: AdviceRule, rules: Mapping[str, AdviceRule], found: LaunchReadings) -> float:
    """The largest share of the time that a rule can explain: its own estimate, bounded by all that is above it."""
    bounds = [own_share(rule, found)]
    above: str | None = rule.parent
    while above is not None:
        if above in rules:
            parent = rules[above]
            bounds += [own_share(parent, found)] if _is_known(parent, found) else []
            above = parent.parent
        else:
            bounds.append(_bounded(_LEVELS[above](found)))
            above = LEVELS[above]
    return min(bounds)


def ancestors(rules: Mapping[str, AdviceRule], name: str) -> list[str]:
    """The rules above a rule, the nearest first."""
    found: list[str] = []
    above = rules[name].parent
    while above in rules:
        found.append(above)
        above = rules[above].parent
    return found


def own_share(rule: AdviceRule, found: LaunchReadings) -> float:
    """What a rule's own arithmetic explains, 0 to 1, whatever is above it."""
    try:
        return _bounded(formula_value(rule.explains, found.value))
    except ZeroDivisionError:
        return 0.0


def _is_known(rule: AdviceRule, found: LaunchReadings) -> bool:
    return all(name in found.readings for name in readings_of(rule))


def _bounded(share: float) -> float:
    return min(1.0, max(0.0, share))
