"""What kernels are judged by: the metric catalogue, stages, GPU data sheets, accepted baselines."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from msgspec.structs import asdict

from stallgate.errors import BrokenFile, UnknownName
from stallgate.model import (
    BASELINE_FORMAT,
    Baseline,
    BoundTerms,
    Catalogue,
    Chip,
    ExcuseTerms,
    Exemption,
    FrozenStruct,
    GpuSpec,
    HeldRule,
    Metric,
    Stage,
    Target,
    TargetTerms,
)
from stallgate.project.catalogue import COMPUTED, NEEDED, READ, find_metric, formulas, is_measured, names_in, points_of
from stallgate.project.checks import check_known, convert_named
from stallgate.project.comparisons import parse_condition
from stallgate.project.decode import convert, read_json, read_toml
from stallgate.project.held_rules import PATTERN_HELP, bare_name, parse_pattern
from stallgate.project.layout import CATALOGUE_FILE, baseline_files, relative
from stallgate.project.shipped import catalogue_files, shown_name

# --- the catalogue ----------------------------------------------------------------------------------------------------


class _CatalogueFile(FrozenStruct, frozen=True):
    metrics: dict[str, dict[str, object]] = {}
    aliases: dict[str, str] = {}
    chips: dict[str, dict[str, object]] = {}
    missing: dict[str, list[str]] = {}


class _Sources(FrozenStruct, frozen=True):
    """Which file each entry of a catalogue is from, for messages."""

    metrics: dict[str, str]
    aliases: dict[str, str]
    first: str
    """The shipped catalogue: what is missing everywhere is missing there."""

    def of_metric(self, name: str) -> str:
        return f"{self.metrics[name]}: metrics.{name}"

    def of_alias(self, name: str) -> str:
        return f"{self.aliases[name]}: aliases.{name}"


def read_catalogue(root: Path) -> Catalogue:
    """The shipped catalogue, overlaid by the project's: an entry of the latter replaces the shipped one of its name.

    Raises:
        BrokenFile: a catalogue is invalid.
    """
    metrics: dict[str, Metric] = {}
    aliases: dict[str, str] = {}
    chips: dict[str, Chip] = {}
    missing: dict[str, list[str]] = {}
    files = {shown_name(root, path): path for path in catalogue_files(root)}
    sources = _Sources(metrics={}, aliases={}, first=next(iter(files)))
    for shown, path in files.items():
        table = convert(read_toml(path, shown), _CatalogueFile, shown)
        metrics |= {
            name: convert_named(name, row, Metric, shown, f"metrics.{name}") for name, row in table.metrics.items()
        }
        chips |= {name: convert_named(name, row, Chip, shown, f"chips.{name}") for name, row in table.chips.items()}
        aliases |= table.aliases
        missing |= table.missing
        sources.metrics.update(dict.fromkeys(table.metrics, shown))
        sources.aliases.update(dict.fromkeys(table.aliases, shown))
    catalogue = Catalogue(metrics=metrics, aliases=aliases, chips=chips, missing=missing)
    _check_catalogue(catalogue, sources)
    return catalogue


def _check_catalogue(catalogue: Catalogue, sources: _Sources) -> None:
    """Refuses references to unknown metrics, and rows that cannot be computed."""
    metrics = catalogue.metrics
    for where, name in _references(catalogue, sources):
        if name not in metrics:
            raise BrokenFile(f"{where}: there is no metric '{name}'", UnknownName("metric", name, metrics).hint)
    for alias in catalogue.aliases:
        if alias in metrics and sources.metrics[alias] in (sources.first, sources.aliases[alias]):
            raise BrokenFile(f"{sources.of_alias(alias)}: a metric already has this name", "remove the alias")
        if alias in metrics:
            hint = f"{sources.first} has this name as an alias of {catalogue.aliases[alias]}: choose another name"
            raise BrokenFile(f"{sources.of_metric(alias)}: the name is an alias already", hint)
    for chip in catalogue.chips.values():
        if chip.like is not None and chip.like not in catalogue.chips:
            hint = UnknownName("chip", chip.like, catalogue.chips).hint
            raise BrokenFile(f"{sources.first}: chips.{chip.name}.like: no chip is named '{chip.like}'", hint)
    _check_needed(metrics, sources)
    for metric in metrics.values():
        _check_metric(sources.of_metric(metric.name), metric, metrics)


def _check_needed(metrics: dict[str, Metric], sources: _Sources) -> None:
    """Refuses a catalogue that lacks a metric which stallgate itself computes with or shows."""
    for name in NEEDED:
        if name not in metrics:
            raise BrokenFile(
                f"{sources.first}: metrics.{name}: it is missing", "restore it: stallgate needs this metric"
            )
        if name in READ and not metrics[name].names:
            raise BrokenFile(f"{sources.of_metric(name)}.names: it needs an ncu name", "name the metric as ncu does")


def _check_metric(key: str, metric: Metric, metrics: dict[str, Metric]) -> None:
    """Refuses a row whose weight or formula cannot be computed."""
    if (metric.combine == "weighted") != (metric.weight is not None):
        raise BrokenFile(
            f'{key}.weight: `combine = "weighted"` and `weight` need each other', 'such as weight = "duration"'
        )
    if metric.weight == metric.name:
        raise BrokenFile(f"{key}.weight: a metric cannot be its own weight", 'such as weight = "duration"')
    if metric.weight is not None and not metrics[metric.weight].names:
        raise BrokenFile(
            f"{key}.weight: {metric.weight} is not measured per launch", "use a metric that has an ncu name"
        )
    for formula in formulas(metric):
        try:
            names_in(formula)
        except ValueError as error:
            hint = "a formula may contain numbers, ncu names, parentheses and + - * /"
            place = next((key for key in ("counters", "older") if formula in getattr(metric, key)), "formula")
            raise BrokenFile(f"{key}.{place}: {error}", hint) from None


def _references(catalogue: Catalogue, sources: _Sources) -> list[tuple[str, str]]:
    """The catalogue's references to its own metrics, each with its file and key."""
    metrics = catalogue.metrics.values()
    found = [(sources.of_alias(alias), name) for alias, name in catalogue.aliases.items()]
    found += [(f"{sources.of_metric(metric.name)}.weight", metric.weight) for metric in metrics if metric.weight]
    return found + [
        (f"{sources.of_metric(metric.name)}.limiters", name) for metric in metrics for name in metric.limiters
    ]


# --- stages -----------------------------------------------------------------------------------------------------------


class _ExcuseTable(ExcuseTerms, frozen=True, kw_only=True):
    metric: str


class _TargetTable(TargetTerms, frozen=True, kw_only=True):
    metric: str
    unless: _ExcuseTable | None = None


class _StageFile(FrozenStruct, frozen=True):
    title: str
    focus: str
    targets: list[_TargetTable]
    includes: list[str] = []
    undecided: Literal["stop", "warn"] = "stop"
    shown: list[str] = []
    rules: list[str] = []
    held: list[HeldRule] = []
    autotune: dict[str, list[object]] = {}


def read_stage(root: Path, path: Path, catalogue: Catalogue) -> Stage:
    """A stage, its metrics looked up in the catalogue.

    Raises:
        BrokenFile: the file is invalid, or names an unknown metric.
    """
    shown = shown_name(root, path)
    raw = read_toml(path, shown)
    if "name" in raw:
        raise BrokenFile(f"{shown}: name: its place already gives the name `{path.stem}`", "remove this key")
    _refuse_workloads(shown, path.stem, raw.get("targets"))
    table = convert(raw, _StageFile, shown)
    targets = [_target(f"{shown}: targets[{i}]", row, catalogue) for i, row in enumerate(table.targets)]
    metrics = [_metric(f"{shown}: shown[{i}]", name, catalogue) for i, name in enumerate(table.shown)]
    for number, rule in enumerate(table.held):
        _check_held(f"{shown}: held[{number}]", rule, table.autotune, catalogue)
    return Stage(**{**asdict(table), "name": path.stem, "targets": targets, "shown": metrics, "held": table.held})


def _check_held(where: str, rule: HeldRule, autotune: Collection[str], catalogue: Catalogue) -> None:
    """Refuses a rule about changes that nothing recognises, or with a condition that cannot be computed."""
    for key, text in (("text", rule.text), ("changes", "".join(rule.changes))):
        if not text.strip():
            raise BrokenFile(f"{where}.{key}: it is empty", 'such as changes = ["num_stages raised"]')
    for number, change in enumerate(rule.changes):
        try:
            parse_pattern(change, autotune)
        except ValueError as error:
            raise BrokenFile(f"{where}.changes[{number}]: {error}", PATTERN_HELP) from None
    try:
        condition = parse_condition(rule.unless)
    except ValueError as error:
        raise BrokenFile(f"{where}.unless: {error}", 'such as unless = "memory_dependency_stall >= 20"') from None
    for name in condition.names:
        _check_measured(f"{where}.unless", _metric(f"{where}.unless", bare_name(name), catalogue))


def _refuse_workloads(shown: str, stage: str, targets: object) -> None:
    """Refuses targets that name workloads: stages are for any problem, and those names are of one."""
    for number, row in enumerate(targets if isinstance(targets, list) else []):
        if isinstance(row, dict) and "workloads" in row:
            raise BrokenFile(
                f"{shown}: targets[{number}].workloads: a stage does not name workloads",
                "remove this key, and mark the workloads in problem.toml: `judged = true`, "
                f'or `judged = ["{stage}"]` for this stage alone',
            )


def _target(where: str, row: _TargetTable, catalogue: Catalogue) -> Target:
    metric = _metric(f"{where}.metric", row.metric, catalogue)
    written_as = row.metric if row.metric != metric.name else None
    unless = _exemption(f"{where}.unless", row.unless, catalogue) if row.unless is not None else None
    target = Target(**{**asdict(row), "metric": metric, "written_as": written_as, "unless": unless})
    _check_measured(where, metric)
    _check_target(where, target)
    if target.of is None:
        _check_percentage(where, metric, target)
    return target


def _exemption(where: str, row: _ExcuseTable, catalogue: Catalogue) -> Exemption:
    metric = _metric(f"{where}.metric", row.metric, catalogue)
    exemption = Exemption(**{**asdict(row), "metric": metric})
    _check_measured(where, metric)
    _check_percentage(where, metric, exemption)
    return exemption


def _metric(where: str, name: str, catalogue: Catalogue) -> Metric:
    metric = find_metric(catalogue, name)
    if metric is None:
        unknown = UnknownName("metric", name, [*catalogue.metrics, *catalogue.aliases])
        raise BrokenFile(f"{where}: {unknown.message}", unknown.hint)
    return metric


def _check_measured(where: str, metric: Metric) -> None:
    """Refuses a metric that has no values."""
    if not is_measured(metric) and metric.formula is None and metric.name not in COMPUTED:
        raise BrokenFile(
            f"{where}.metric: nothing measures {metric.name}",
            f"give it `names` or a `formula` in {CATALOGUE_FILE}, or judge by another metric",
        )


def _check_percentage(where: str, metric: Metric, terms: BoundTerms) -> None:
    """Refuses a bound on a percentage that lies outside of 0 to 100."""
    if metric.unit == "%" and terms.bound is not None and not 0 <= terms.bound[1] <= 100:
        comparison, bound = terms.bound
        raise BrokenFile(
            f"{where}.{comparison}: {metric.name} cannot be bounded by {bound:g} %", "give it a bound from 0 to 100"
        )


def _check_target(where: str, target: Target) -> None:
    """Refuses a scope or a tolerance that does not suit the metric."""
    metric = target.metric
    if target.scope == "kernel" and metric.name in COMPUTED:
        raise BrokenFile(
            f"{where}.scope: {metric.name} exists only for a whole call, not for each kernel", "leave `scope` out"
        )
    name = "tolerance" if target.tolerance_points is None else "tolerance_points"
    if target.bound is None and metric.direction == "neither":
        raise BrokenFile(
            f"{where}.{name}: {metric.name} has no better direction, so it cannot have a tolerance",
            f"bound it with a value, or give it a `direction` in {CATALOGUE_FILE}",
        )
    is_share = points_of(metric.name, metric.unit) is not None
    if target.tolerance is not None and is_share:
        raise BrokenFile(
            f"{where}.tolerance: {metric.name} is a share, and its tolerance is in percentage points",
            "write `tolerance_points`: 2 allows two points worse than the baseline",
        )
    if target.tolerance_points is not None and not is_share:
        raise BrokenFile(
            f"{where}.tolerance_points: {metric.name} is no share",
            "write `tolerance`: 0.02 allows 2 % worse than the baseline",
        )


# --- baselines and data sheets ----------------------------------------------------------------------------------------


def read_baselines(root: Path, catalogue: Catalogue) -> dict[str, list[Baseline]]:
    """Problem -> its accepted baselines, one for each GPU.

    Raises:
        BrokenFile: a file is invalid, or two are for the same GPU.
    """
    found: dict[str, list[Baseline]] = {}
    for path in baseline_files(root):
        baseline = read_baseline(root, path, catalogue)
        beside = found.setdefault(baseline.problem, [])
        if baseline.gpu in [other.gpu for other in beside]:
            shown = relative(root, path)
            raise BrokenFile(f"{shown}: gpu: {baseline.gpu} has a baseline already", "remove one of them")
        beside.append(baseline)
    return found


def read_baseline(root: Path, path: Path, catalogue: Catalogue) -> Baseline:
    """The accepted numbers of a problem on a GPU.

    Raises:
        BrokenFile: the file is not what it should be.
    """
    shown = relative(root, path)
    table = read_json(path, shown)
    if table.get("format") != BASELINE_FORMAT:
        raise BrokenFile(
            f"{shown}: format: it is {table.get('format')}; this stallgate reads {BASELINE_FORMAT}",
            "accept the numbers again with `stallgate baseline`",
        )
    baseline = convert({**table, "problem": path.stem}, Baseline, shown)
    for name, case in baseline.cases.items():
        check_known(f"{shown}: cases.{name}.metrics", "metric", case.metrics, catalogue.metrics)
    return baseline


def read_gpu_spec(root: Path, path: Path) -> GpuSpec:
    """The data sheet of a GPU.

    Raises:
        BrokenFile: it is not what it should be.
    """
    shown = shown_name(root, path)
    return convert_named(path.stem, read_toml(path, shown), GpuSpec, shown)
