"""What the catalogue's rows mean: names resolved, ncu names chosen for a chip, formulas computed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from functools import cache

from stallgate.errors import BadArgument, UnknownName
from stallgate.model import Catalogue, Metric

ROOF_FRACTION = "roof_fraction"
"""The metric that is computed of two cases: the roof's duration over the call's."""

L2_SECTORS = "l2_sectors"
"""The metric by which a measurement is plausible: what a workload needs goes through L2."""

COMPUTED_OF = {"traffic": ["dram_bytes_read", "dram_bytes_written"]}
"""What metrics of a whole call need beside its duration."""

COMPUTED = (ROOF_FRACTION, "effective_bandwidth", "traffic")
"""Rows that ``stallgate/extract/table.py`` computes for the whole call; no ncu name stands behind them."""

READ = (
    *("duration", "dram_bytes_read", "dram_bytes_written"),  # what these are computed from
    L2_SECTORS,
    *("dram_throughput", "l2_hit_rate", "memory_dependency_stall", "grid_size", "registers"),  # what the page shows
)
"""Rows that stallgate cannot do without, and that need an ncu name."""


def find(catalogue: Catalogue, name: str) -> Metric | None:
    """The metric of a short name, an alias or an ncu name; None where nothing bears the name."""
    short = catalogue.aliases.get(name, name)
    if short in catalogue.metrics:
        return catalogue.metrics[short]
    return next((metric for metric in catalogue.metrics.values() if name in metric.names), None)


def resolve(catalogue: Catalogue, name: str) -> Metric:
    """The metric of a short name, an alias or an ncu name.

    Raises:
        UnknownName: nothing bears the name.
    """
    metric = find(catalogue, name)
    if metric is None:
        raise UnknownName("metric", name, [*catalogue.metrics, *catalogue.aliases])
    return metric


def exists_on(catalogue: Catalogue, ncu_name: str, chip: str | None) -> bool:
    """Whether a chip has an ncu metric, as far as the catalogue knows."""
    return chip is None or chip not in catalogue.missing.get(ncu_name, [])


def name_on(catalogue: Catalogue, metric: Metric, chip: str | None) -> str | None:
    """The first ncu name of a metric that a chip has; None where it has none."""
    return next((name for name in metric.names if exists_on(catalogue, name, chip)), None)


def collected(catalogue: Catalogue, chip: str | None, wanted: list[str] | None = None) -> list[str]:
    """The ncu names to ask for.

    Args:
        catalogue: the catalogue.
        chip: the GPU's chip, where it is known.
        wanted: names of metrics; None for the whole catalogue. What weighs them, and what no verdict
            can do without, is added.

    Raises:
        UnknownName: a wanted metric is in no row.
        BadArgument: a chip does not have a wanted metric.
    """
    if wanted is None:
        rows = list(catalogue.metrics.values())
    else:
        rows = _with_weights(catalogue, [resolve(catalogue, name) for name in wanted])
        for metric in rows:
            if not metric.names and metric.formula is not None:
                raise BadArgument(f"{metric.name} is only in reports with every section", "measure it with --detail")
            if metric.names and name_on(catalogue, metric, chip) is None:
                raise BadArgument(f"{chip} does not have {metric.name}", f"see `stallgate metrics --chip {chip}`")
    names = [name_on(catalogue, metric, chip) for metric in rows]
    return list(dict.fromkeys(name for name in names if name is not None))


def _with_weights(catalogue: Catalogue, rows: list[Metric]) -> list[Metric]:
    parts = [catalogue.metrics[name] for metric in rows for name in COMPUTED_OF.get(metric.name, [])]
    weights = [catalogue.metrics[metric.weight] for metric in rows if metric.weight]
    always = [catalogue.metrics[name] for name in ("duration", L2_SECTORS)]
    return list({metric.name: metric for metric in [*rows, *parts, *always, *weights]}.values())


def check_chip(catalogue: Catalogue, chip: str | None) -> None:
    """Refuses a chip that the catalogue does not know.

    Raises:
        UnknownName: there is no such chip.
    """
    if chip is not None and chip not in catalogue.chips:
        raise UnknownName("chip", chip, catalogue.chips)


def listing(catalogue: Catalogue, chip: str | None) -> list[dict[str, object]]:
    """The catalogue's rows for a reader, with the ncu name that the chip is asked for."""
    return [
        {
            "metric": metric.name,
            "title": metric.title,
            "unit": metric.unit,
            "direction": metric.direction,
            "ncu_name": name_on(catalogue, metric, chip),
            "formula": metric.formula,
            "computed": not metric.names,
            "detail_only": not metric.names and metric.formula is not None,
            "missing_on": sorted({c for name in metric.names for c in catalogue.missing.get(name, [])}),
            "about": metric.about,
        }
        for metric in catalogue.metrics.values()
    ]


def readable(catalogue: Catalogue) -> list[str]:
    """Every ncu name that a reading can come from."""
    names = [name for metric in catalogue.metrics.values() for name in metric.names]
    parts = [name for metric in catalogue.metrics.values() if metric.formula for name in names_in(metric.formula)]
    return sorted({*names, *parts})


# --- formulas: + - * / and parentheses over numbers and dotted ncu names ----------------------------------------------

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@cache
def names_in(formula: str) -> tuple[str, ...]:
    """The ncu names that a formula takes.

    Raises:
        ValueError: the formula holds anything but numbers, names, parentheses and + - * /.
    """
    return tuple(ast.unparse(node) for node in _terms(_parsed(formula)) if not isinstance(node, ast.Constant))


@cache
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(formula.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"a formula cannot be `{formula}`: {error.msg}") from None


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    """The numbers and names of a formula, from left to right."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield from _terms(left)
            yield from _terms(right)
        case ast.Constant(value=int() | float()) | ast.Name() | ast.Attribute():
            yield node
        case _:
            raise ValueError(f"a formula cannot hold `{ast.unparse(node)}`")


def evaluate(formula: str, value_of: Callable[[str], float]) -> float:
    """The value of a formula.

    Args:
        formula: such as ``100 * a__b.ratio / c__d.ratio``.
        value_of: gives the value of an ncu name.

    Raises:
        ValueError: the formula holds anything but numbers, names, parentheses and + - * /.
        ZeroDivisionError: a divisor is 0.
    """

    def walk(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](walk(left), walk(right))
            case ast.Name() | ast.Attribute():
                return value_of(ast.unparse(node))
        raise ValueError(f"a formula cannot hold `{ast.unparse(node)}`")

    return walk(_parsed(formula))
