"""The tree of causes: how much of the time a level can explain at most.

Speed of light → memory, compute, or neither (latency) → issue slots → the rules. Nothing explains more than the time
above the roof, and no cause more than the one above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stallgate.advise.readings import LaunchReadings
from stallgate.model import AdviceRule
from stallgate.project.advice import LEVELS, readings_of
from stallgate.project.catalogue import ROOF_FRACTION, formula_value

_MEMORY_UNITS = ("memory_throughput", "dram_throughput", "l2_throughput")
_ALL_UNITS = (*_MEMORY_UNITS, "sm_throughput")

OF_TREE = (*_ALL_UNITS, ROOF_FRACTION, "issue_active", "duration")
"""Metrics that levels are computed from."""


def _speed_of_light(found: LaunchReadings) -> float:
    fraction = found.get(ROOF_FRACTION)
    return 1.0 - fraction if fraction is not None else 1.0


def _memory(found: LaunchReadings) -> float:
    return _busiest(found, _MEMORY_UNITS)


def _compute(found: LaunchReadings) -> float:
    return _busiest(found, ("sm_throughput",))


def _latency(found: LaunchReadings) -> float:
    """What no busy unit explains; 1 where no unit was measured."""
    return 1.0 - _busiest(found, _ALL_UNITS, unknown=0.0)


def _issue(found: LaunchReadings) -> float:
    active = found.get("issue_active")
    return 1.0 - active if active is not None else 1.0


def _launch(_: LaunchReadings) -> float:
    return 1.0


_LEVELS: dict[str, Callable[[LaunchReadings], float]] = {
    "speed_of_light": _speed_of_light,
    "memory": _memory,
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
