"""The meaning of the catalogue's rows: names resolved, ncu names chosen for a chip, formulas computed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from math import isfinite

from msgspec.structs import replace

from stallgate.errors import BadArgument, UnknownName
from stallgate.formatting import shortened
from stallgate.model import Catalogue, Metric, Stage

DURATION = "duration"
"""The time of a call."""

ROOF_FRACTION = "roof_fraction"
"""The roof's duration divided by the call's: the only metric that is computed from two cases."""

L2_SECTORS = "l2_sectors"
"""Used to check that a measurement is plausible: all bytes that a workload needs pass through L2."""

TENSOR_PIPE = "tensor_pipe_utilization"

VECTOR_FLOPS = ("fp32_flops", "fp64_flops", "fp16_flops")
"""Operations outside of the tensor cores, by type."""

TENSOR_FLOPS = ("tensor_bf16_flops", "tensor_fp16_flops", "tensor_tf32_flops", "tensor_fp8_flops", "tensor_fp64_flops")
"""Floating-point operations of the tensor cores, by type."""

TENSOR_INT8 = "tensor_int8_ops"
"""Integer operations of the tensor cores: no FLOP, but what kept the tensor pipe busy."""

_DRAM_BYTES = ["dram_bytes_read", "dram_bytes_written"]
_FLOPS = [*VECTOR_FLOPS, *TENSOR_FLOPS, TENSOR_INT8, TENSOR_PIPE]

COMPUTED_OF = {
    "traffic": _DRAM_BYTES,
    "tflops": _FLOPS,
    "arithmetic_intensity": [*_FLOPS, *_DRAM_BYTES],
    "shared_bank_conflicts": ["shared_conflicts", "shared_wavefronts"],
}
"""Computed metric of a whole call -> the metrics that it is computed from, besides the duration."""

COMPUTED = (ROOF_FRACTION, "effective_bandwidth", "tflops_needed", *COMPUTED_OF)
"""Metrics that ``stallgate/extract/table.py`` computes for the whole call; they have no ncu name."""

OF_WORKLOAD = ("effective_bandwidth", "tflops_needed", "traffic")
"""Computed metrics that compare a call with what its workload needs."""

READ = (
    *("duration", "dram_bytes_read", "dram_bytes_written"),  # what these are computed from
    L2_SECTORS,
    *("dram_throughput", "l2_hit_rate", "memory_dependency_stall", "grid_size", "registers"),  # what the page shows
)
"""Metrics that stallgate itself needs; each has to have an ncu name."""

NEEDED = (*READ, *COMPUTED, *dict.fromkeys(part for parts in COMPUTED_OF.values() for part in parts))
"""Metrics that every catalogue has to have."""


def find_metric(catalogue: Catalogue, name: str) -> Metric | None:
    """The metric of a short name, an alias or an ncu name; None if the name is unknown."""
    short = catalogue.aliases.get(name, name)
    if short in catalogue.metrics:
        return catalogue.metrics[short]
    return next((metric for metric in catalogue.metrics.values() if name in metric.names), None)


def resolve(catalogue: Catalogue, name: str) -> Metric:
    """The metric of a short name, an alias or an ncu name.

    Raises:
        UnknownName: the name is unknown.
    """
    metric = find_metric(catalogue, name)
    if metric is None:
        raise UnknownName("metric", name, [*catalogue.metrics, *catalogue.aliases])
    return metric


def exists_on(catalogue: Catalogue, ncu_name: str, chip: str | None) -> bool:
    """Whether a chip has an ncu metric, according to the catalogue."""
    known = catalogue.chips.get(chip or "")
    return not {chip, known.like if known is not None else chip}.intersection(catalogue.missing.get(ncu_name, []))


def name_on(catalogue: Catalogue, metric: Metric, chip: str | None) -> str | None:
    """The first ncu name of a metric that a chip has; None if it has none of them."""
    return next((name for name in metric.names if exists_on(catalogue, name, chip)), None)


def asked_for(catalogue: Catalogue, metric: Metric, chip: str | None) -> list[str]:
    """The ncu names that a chip is asked for to measure a metric; empty where it cannot."""
    name = name_on(catalogue, metric, chip)
    if name is not None:
        return [name]
    sums = (names_in(counters) for counters in metric.counters)
    return next((list(names) for names in sums if all(exists_on(catalogue, name, chip) for name in names)), [])


def points_of(metric: str, unit: str) -> float | None:
    """What turns a value of a share into percentage points; None where the metric is no share."""
    if unit == "%":
        return 1.0
    return 100.0 if metric == ROOF_FRACTION else None


def is_measured(metric: Metric) -> bool:
    """Whether ncu is asked for the metric of every launch: it is neither computed nor only of --detail reports."""
    return bool(metric.names or metric.counters)


def stage_metrics(stages: Iterable[Stage]) -> list[Metric]:
    """The metrics that stages judge, then those that they show, in their order, each once."""
    stages = list(stages)
    metrics = [target.metric for stage in stages for target in stage.targets]
    metrics += [metric for stage in stages for metric in stage.shown]
    return list({metric.name: metric for metric in metrics}.values())


def collected(
    catalogue: Catalogue, chip: str | None, wanted: list[str] | None = None, stages: Collection[Stage] = ()
) -> list[str]:
    """The ncu names to ask for.

    Args:
        catalogue: the catalogue.
        chip: the GPU's chip, None if unknown.
        wanted: names of metrics; None for all that the catalogue collects always. Their weights, and the metrics that
            every verdict needs, are added.
        stages: the stages that will judge. What their targets need is added, as far as the chip has it; and what they
            show, unless metrics are named.

    Raises:
        UnknownName: a wanted metric is unknown.
        BadArgument: the chip lacks a wanted metric, or the metric needs --detail.
    """
    needed = _needed_by(catalogue, stages)
    if wanted is None:
        always = [metric for metric in catalogue.metrics.values() if metric.collect == "always"]
        rows = [*always, *_with_weights(catalogue, [*needed, *stage_metrics(stages)])]
    else:
        named = [resolve(catalogue, name) for name in wanted]
        _check_wanted(catalogue, chip, named)
        rows = _with_weights(catalogue, [*named, *needed])
    return list(dict.fromkeys(name for metric in rows for name in asked_for(catalogue, metric, chip)))


def _check_wanted(catalogue: Catalogue, chip: str | None, named: list[Metric]) -> None:
    """Refuses a metric of the command line that a chip, or a run without --detail, cannot have."""
    for metric in named:
        if not is_measured(metric) and metric.formula is not None:
            raise BadArgument(f"{metric.name} exists only in --detail reports", "measure it with --detail")
        if is_measured(metric) and not asked_for(catalogue, metric, chip):
            raise BadArgument(f"{chip} does not have {metric.name}", f"see `stallgate metrics --chip {chip}`")


def _needed_by(catalogue: Catalogue, stages: Iterable[Stage]) -> list[Metric]:
    """The metrics of targets, of what excuses them, and of what limits them."""
    targets = [target for stage in stages for target in stage.targets]
    excuses = [target.unless.metric for target in targets if target.unless is not None]
    limiters = [catalogue.metrics[name] for target in targets for name in target.metric.limiters]
    return [*(target.metric for target in targets), *excuses, *limiters]


def _with_weights(catalogue: Catalogue, rows: list[Metric]) -> list[Metric]:
    parts = [catalogue.metrics[name] for metric in rows for name in COMPUTED_OF.get(metric.name, [])]
    weights = [catalogue.metrics[metric.weight] for metric in [*rows, *parts] if metric.weight]
    always = [catalogue.metrics[name] for name in ("duration", L2_SECTORS)]
    return list({metric.name: metric for metric in [*rows, *parts, *always, *weights]}.values())


def collects(catalogue: Catalogue, chip: str | None, stage: Stage, metrics: Iterable[Metric]) -> list[str]:
    """The ncu names from which a stage's targets on some metrics are judged, as far as a chip has them."""
    judged = {metric.name for metric in metrics}
    targets = [target for target in stage.targets if target.metric.name in judged]
    rows = _with_weights(catalogue, _needed_by(catalogue, [replace(stage, targets=targets)]))
    return list(dict.fromkeys(name for metric in rows for name in asked_for(catalogue, metric, chip)))


def listing(catalogue: Catalogue, chip: str | None) -> list[dict[str, object]]:
    """The catalogue's rows for a reader, with the ncu name that the chip is asked for."""
    return [
        {
            "metric": metric.name,
            "title": metric.title,
            "unit": metric.unit,
            "direction": metric.direction,
            "ncu_name": " + ".join(asked_for(catalogue, metric, chip)) or None,
            "formula": metric.formula,
            "collect": metric.collect,
            "computed": not is_measured(metric),
            "detail_only": not is_measured(metric) and metric.formula is not None,
            "missing_on": sorted({c for name in metric.names for c in catalogue.missing.get(name, [])}),
            "about": metric.about,
        }
        for metric in catalogue.metrics.values()
    ]


def readable(catalogue: Catalogue) -> list[str]:
    """Every ncu name that a reading can come from."""
    metrics = catalogue.metrics.values()
    names = [name for metric in metrics for name in metric.names]
    return sorted({*names, *(name for metric in metrics for formula in formulas(metric) for name in names_in(formula))})


def formulas(metric: Metric) -> list[str]:
    """The ways to compute a metric of ncu names, the preferred one first."""
    return [*metric.counters, *([metric.formula] if metric.formula is not None else []), *metric.older]


# --- formulas: + - * / and parentheses over numbers and dotted ncu names ----------------------------------------------

_LONGEST_FORMULA = 2_000
"""Most characters of a formula."""

_DEEPEST_FORMULA = 20
"""Most levels of nested parentheses."""

_TOKEN = re.compile(
    r"(?P<number>\d+(?:_\d+)*(?:\.\d*)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)|(?P<sign>[-+*/()])", re.ASCII
)
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def names_in(formula: str) -> tuple[str, ...]:
    """The ncu names in a formula, from left to right.

    Raises:
        ValueError: it contains anything but numbers, names, parentheses and + - * /, or is too long.
    """
    return tuple(part for part in _postfix(formula) if isinstance(part, str) and part not in _OPERATORS)


def formula_value(formula: str, value_of: Callable[[str], float]) -> float:
    """The value of a formula.

    Args:
        formula: such as ``100 * a__b.ratio / c__d.ratio``.
        value_of: gives the value of an ncu name.

    Raises:
        ValueError: it contains anything but numbers, names, parentheses and + - * /, or is too long.
        ZeroDivisionError: a divisor is 0.
    """
    values: list[float] = []
    for part in _postfix(formula):
        if isinstance(part, float):
            values.append(part)
        elif part in _OPERATORS:
            right, left = values.pop(), values.pop()
            values.append(_OPERATORS[part](left, right))
        else:
            values.append(value_of(part))
    return values[0]


@cache
def _postfix(formula: str) -> tuple[float | str, ...]:
    """A formula's numbers, names and operators, each operator after its two operands."""
    if len(formula) > _LONGEST_FORMULA:
        raise ValueError(f"a formula cannot have more than {_LONGEST_FORMULA} characters")
    return tuple(_Parser(formula).whole())


class _Parser:
    """Reads a formula from left to right. Each grammar rule has a method, which returns its part in postfix order."""

    def __init__(self, formula: str) -> None:
        self._formula = self._rest = formula.strip()
        self._depth = 0

    def whole(self) -> list[float | str]:
        parts = self._chain("+-")
        if self._rest:
            raise self._refusal()
        return parts

    def _chain(self, signs: str) -> list[float | str]:
        """Terms with operators between them: a sum of products, or a product of factors."""
        operand = self._factor if signs == "*/" else lambda: self._chain("*/")
        parts = operand()
        while self._rest and self._rest[0] in signs:
            sign = self._take(1)
            parts += [*operand(), sign]
        return parts

    def _factor(self) -> list[float | str]:
        """A number, a name, or a sum in parentheses."""
        found = _TOKEN.match(self._rest)
        if found is None or (found["sign"] and found["sign"] != "("):
            raise self._refusal()
        if found["sign"]:
            return self._in_parentheses()
        if found["number"]:
            return [self._number(found["number"])]
        return [self._take(found.end())]

    def _in_parentheses(self) -> list[float | str]:
        self._depth += 1
        if self._depth > _DEEPEST_FORMULA:
            raise ValueError(f"a formula cannot have more than {_DEEPEST_FORMULA} levels of parentheses")
        self._take(1)
        parts = self._chain("+-")
        if not self._rest.startswith(")"):
            raise self._refusal()
        self._take(1)
        self._depth -= 1
        return parts

    def _number(self, text: str) -> float:
        value = float(text)
        if not isfinite(value):
            raise ValueError(f"the number `{text[:40]}` is too large")
        self._take(len(text))
        return value

    def _take(self, length: int) -> str:
        """Removes ``length`` characters and the spaces after them; returns the characters."""
        taken, self._rest = self._rest[:length], self._rest[length:].lstrip()
        return taken

    def _refusal(self) -> ValueError:
        why = f"unexpected `{self._rest[:40]}`" if self._rest else "unexpected end"
        return ValueError(f"it cannot be `{shortened(self._formula, 80)}`: {why}")
