"""A project: the folder with ``kernels/``, ``metrics/`` and ``reports/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from math import isfinite
from pathlib import Path
from typing import TypeVar

from stallgate.errors import BrokenFile, UnknownName, UserFault
from stallgate.model import (
    BASELINE_FORMAT,
    LABEL_PART,
    AllowedKernel,
    Baseline,
    Card,
    Catalogue,
    Chip,
    Metric,
    Noun,
    Problem,
    Role,
    Stage,
    Target,
    Variant,
    Waiver,
    Workload,
)
from stallgate.project.catalogue import COMPUTED, READ, find_metric, names_in, resolve
from stallgate.project.decode import convert, read_json, read_toml
from stallgate.project.digests import text_digest
from stallgate.project.paths import distinct_slug

T = TypeVar("T")

CATALOGUE = "metrics/catalogue.toml"


class Project(Noun, frozen=True):
    """Everything that a project's files say, read once and checked whole."""

    root: Path
    problems: dict[str, Problem]
    stages: dict[str, Stage]
    catalogue: Catalogue
    cards: dict[str, Card]
    baselines: dict[str, list[Baseline]] = {}
    """Problem -> what is accepted of it, one for each GPU."""

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def problem(self, name: str) -> Problem:
        return _named("problem", name, self.problems)

    def stage(self, name: str) -> Stage:
        return _named("stage", name, self.stages)

    def with_included(self, names: Iterable[str]) -> list[Stage]:
        """The stages of these names, each after those that it includes, each once.

        Raises:
            UnknownName: there is no such stage.
        """
        found: dict[str, Stage] = {}
        begun: set[str] = set()

        def add(name: str) -> None:
            if name not in begun:
                begun.add(name)
                stage = self.stage(name)
                for former in stage.includes:
                    add(former)
                found[name] = stage

        for name in names:
            add(name)
        return list(found.values())

    def card_of(self, gpu: str) -> Card | None:
        """The card of a GPU by the name that its driver reports; None where there is none."""
        return next((card for card in self.cards.values() if gpu in card.device_names), None)

    def folder_of(self, gpu: str) -> str:
        """The name of the folder for what is kept of a GPU: its card's name, or the GPU's own as a slug."""
        card = self.card_of(gpu)
        if card is not None:
            return distinct_slug(card.name)
        return distinct_slug(gpu, taken={distinct_slug(name) for name in self.cards})


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``kernels/`` and ``metrics/``.

    Raises:
        UserFault: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / "kernels").is_dir() and (folder / CATALOGUE).is_file():
            return folder
    raise UserFault(
        f"{start} is in no stallgate project",
        "a project holds kernels/ and metrics/catalogue.toml; name its folder with --root",
    )


def load_project(root: Path) -> Project:
    """Reads a project.

    Raises:
        BrokenFile: a file is missing or says something that it cannot; file and key are named.
    """
    catalogue = _catalogue(root)
    project = Project(
        root=root,
        problems={path.parent.name: _problem(root, path) for path in sorted(root.glob("kernels/*/problem.toml"))},
        stages={path.stem: _stage(root, path, catalogue) for path in sorted(root.glob("metrics/stages/*.toml"))},
        catalogue=catalogue,
        cards={path.stem: _card(root, path) for path in sorted(root.glob("metrics/gpus/*.toml"))},
        baselines=_baselines(root, catalogue),
    )
    for stage in project.stages.values():
        _check_stage(project, stage)
    for problem in project.problems.values():
        _check_problem(project, problem)
    return project


def _check_known(where: str, kind: str, names: Collection[str], known: Collection[str]) -> None:
    """Refuses a name that a file refers to and that nothing bears."""
    for name in names:
        if name not in known:
            unknown = UnknownName(kind, name, known)
            raise BrokenFile(f"{where}: {unknown.message}", unknown.hint)


def _check_stage(project: Project, stage: Stage) -> None:
    """Refuses a stage that refers to what the project does not have; one without problems can still be looked at."""
    shown = f"metrics/stages/{stage.name}.toml"
    _check_known(f"{shown}: includes", "stage", stage.includes, project.stages)
    if not project.problems:
        return
    workloads = {name for problem in project.problems.values() for name in problem.workloads}
    variants = {name for problem in project.problems.values() for name in problem.variants}
    for number, target in enumerate(stage.targets):
        _check_known(f"{shown}: targets[{number}].workloads", "workload", target.workloads, workloads)
        _check_known(f"{shown}: targets[{number}].variants", "variant", target.variants, variants)


def _check_problem(project: Project, problem: Problem) -> None:
    """Refuses stages that there are not, and waivers of nothing."""
    shown = f"kernels/{problem.name}/problem.toml"
    _check_known(f"{shown}: stages", "stage", problem.stages, project.stages)
    for number, waiver in enumerate(problem.waivers):
        _check_waiver(project, problem, waiver, f"{shown}: waivers[{number}]")


def _check_waiver(project: Project, problem: Problem, waiver: Waiver, where: str) -> None:
    _check_known(f"{where}.variant", "variant", [waiver.variant], problem.variants)
    _check_known(f"{where}.workloads", "workload", waiver.workloads, problem.workloads)
    _check_known(f"{where}.stage", "stage", [waiver.stage], project.stages)
    targets = project.stages[waiver.stage].targets
    bounded = {resolve(project.catalogue, target.metric).name for target in targets}
    metric = find_metric(project.catalogue, waiver.metric)
    if metric is None or metric.name not in bounded:
        unknown = UnknownName(f"target of {waiver.stage}", waiver.metric, bounded)
        raise BrokenFile(f"{where}.metric: {unknown.message}", unknown.hint)
    if not waiver.reason.strip():
        raise BrokenFile(f"{where}.reason: it is empty", "say why the target is not met, and what is being done")


# --- problems ---------------------------------------------------------------------------------------------------------


class _VariantTable(Noun, frozen=True):
    role: Role
    ceiling: str | None = None
    configurations: dict[str, dict[str, object]] = {}


class _WorkloadTable(Noun, frozen=True):
    arguments: dict[str, object]
    bytes: int
    flops: int
    default: bool = False


class _ProblemFile(Noun, frozen=True):
    title: str
    stages: list[str]
    variants: dict[str, _VariantTable]
    workloads: dict[str, _WorkloadTable]
    waivers: list[Waiver] = []
    allowed_kernels: list[AllowedKernel] = []


def _problem(root: Path, path: Path) -> Problem:
    shown = _shown(root, path)
    table = convert(read_toml(path, shown), _ProblemFile, shown)
    for kind, names in (("problem", [path.parent.name]), ("variants", table.variants), ("workloads", table.workloads)):
        for name in names:
            _check_name(shown, kind, name)
    for name, row in table.workloads.items():
        _check_argument(f"{shown}: workloads.{name}.arguments", row.arguments)
    reference = path.parent / "reference.py"
    return Problem(
        name=path.parent.name,
        title=table.title,
        reference=_shown(root, reference),
        reference_digest=_digest_of(root, reference, shown, "reference"),
        stages=table.stages,
        workloads={name: _workload(name, row) for name, row in table.workloads.items()},
        variants={name: _variant(root, path, name, row) for name, row in table.variants.items()},
        waivers=table.waivers,
        allowed_kernels=[_allowed(shown, number, row) for number, row in enumerate(table.allowed_kernels)],
    )


def _allowed(shown: str, number: int, row: AllowedKernel) -> AllowedKernel:
    """Refuses what would allow everything, and what nobody could review."""
    key = f"{shown}: allowed_kernels[{number}]"
    if not row.pattern.strip("*? "):
        raise BrokenFile(f"{key}.pattern: '{row.pattern}' allows every kernel", "name the one that a wrapper needs")
    if not row.reason.strip():
        raise BrokenFile(f"{key}.reason: it is empty", "say what a wrapper needs the kernel for")
    return row


def _workload(name: str, row: _WorkloadTable) -> Workload:
    return Workload(name=name, arguments=row.arguments, bytes=row.bytes, flops=row.flops, default=row.default)


def _variant(root: Path, problem: Path, name: str, row: _VariantTable) -> Variant:
    shown = _shown(root, problem)
    key = f"variants.{name}"
    if row.role == "unknown":
        raise BrokenFile(f"{shown}: {key}.role: a variant is a candidate, a baseline or a roof", "choose one")
    if (row.role == "roof") != (row.ceiling is not None):
        raise BrokenFile(
            f"{shown}: {key}.ceiling: a roof says what it saturates, and nothing else does",
            'ceiling = "bytes" or "flops" for a roof; leave it out otherwise',
        )
    path = problem.parent / f"{name}.py"
    table = {
        "name": name,
        "role": row.role,
        "path": _shown(root, path),
        "digest": _digest_of(root, path, shown, key),
        "configurations": {"default": {}, **row.configurations},
        "ceiling": row.ceiling,
    }
    if "default" in row.configurations:
        raise BrokenFile(
            f"{shown}: {key}.configurations.default: the default configuration passes nothing",
            "give these tunables another name, or make them the wrapper's own defaults",
        )
    for configuration, tunables in row.configurations.items():
        _check_name(shown, f"{key}.configurations", configuration)
        _check_argument(f"{shown}: {key}.configurations.{configuration}", tunables)
    return convert(table, Variant, shown, key)


def _digest_of(root: Path, path: Path, shown: str, key: str) -> str:
    if not path.is_file():
        raise BrokenFile(f"{shown}: {key}: {_shown(root, path)} does not exist", "write it, or take the entry out")
    return text_digest(path)


def _check_name(shown: str, key: str, name: str) -> None:
    if not re.fullmatch(LABEL_PART, name) or not name.strip("."):
        raise BrokenFile(
            f"{shown}: {key}: the name '{name}' cannot stand in a label", "use lower-case letters, digits, _ . and -"
        )


_DEEPEST = 8
"""Levels of tables and arrays within an argument."""


def _check_argument(key: str, value: object, depth: int = 0) -> None:
    """Refuses an argument or a tunable that JSON, in which it reaches the child, would change or cannot hold."""
    if depth > _DEEPEST:
        raise BrokenFile(f"{key}: it is nested more than {_DEEPEST} levels deep", "use fewer levels")
    match value:
        case dict():
            for name, part in value.items():
                _check_argument(f"{key}.{name}", part, depth + 1)
        case list():
            for number, part in enumerate(value):
                _check_argument(f"{key}[{number}]", part, depth + 1)
        case str() | bool():
            pass
        case int() if -(2**63) <= value < 2**63:
            pass
        case float() if isfinite(value):
            pass
        case _:
            raise BrokenFile(
                f"{key}: an argument cannot be {value}", "texts, finite numbers, true, false and arrays of them can"
            )


# --- yardsticks -------------------------------------------------------------------------------------------------------


class _CatalogueFile(Noun, frozen=True):
    metrics: dict[str, dict[str, object]]
    aliases: dict[str, str]
    chips: dict[str, dict[str, object]]
    missing: dict[str, list[str]]


def _catalogue(root: Path) -> Catalogue:
    path = root / CATALOGUE
    shown = _shown(root, path)
    table = convert(read_toml(path, shown), _CatalogueFile, shown)
    metrics = {name: _with_name(name, row, Metric, shown, f"metrics.{name}") for name, row in table.metrics.items()}
    chips = {name: _with_name(name, row, Chip, shown, f"chips.{name}") for name, row in table.chips.items()}
    for alias in table.aliases:
        if alias in metrics:
            raise BrokenFile(f"{shown}: aliases.{alias}: it is a metric's own name", "take the alias out")
    for key, name in _references(table.aliases, metrics):
        if name not in metrics:
            raise BrokenFile(f"{shown}: {key}: there is no metric '{name}'", UnknownName("metric", name, metrics).hint)
    _check_needed(shown, metrics)
    for metric in metrics.values():
        _check_metric(shown, metric, metrics)
    return Catalogue(metrics=metrics, aliases=table.aliases, chips=chips, missing=table.missing)


def _check_needed(shown: str, metrics: dict[str, Metric]) -> None:
    """Refuses a catalogue without the rows that stallgate itself computes with and shows."""
    for name in (*READ, *COMPUTED):
        if name not in metrics:
            raise BrokenFile(f"{shown}: metrics.{name}: it is missing", "restore it: stallgate cannot do without")
        if name in READ and not metrics[name].names:
            raise BrokenFile(f"{shown}: metrics.{name}.names: it needs an ncu name", "name the metric as ncu does")


def _check_metric(shown: str, metric: Metric, metrics: dict[str, Metric]) -> None:
    """Refuses a row that says how to compute a value, and cannot be followed."""
    key = f"{shown}: metrics.{metric.name}"
    if (metric.combine == "weighted") != (metric.weight is not None):
        raise BrokenFile(
            f'{key}.weight: `combine = "weighted"` and `weight` need each other', 'such as weight = "duration"'
        )
    if metric.weight == metric.name:
        raise BrokenFile(f"{key}.weight: a metric cannot be its own weight", 'such as weight = "duration"')
    if metric.weight is not None and not metrics[metric.weight].names:
        raise BrokenFile(f"{key}.weight: no launch has {metric.weight}", "weigh by a metric that has an ncu name")
    try:
        names_in("0" if metric.formula is None else metric.formula)
    except ValueError as error:
        hint = "numbers, ncu names, parentheses and + - * / are understood"
        raise BrokenFile(f"{key}.formula: {error}", hint) from None


def _references(aliases: dict[str, str], metrics: dict[str, Metric]) -> list[tuple[str, str]]:
    """Where the catalogue names one of its own metrics."""
    weights = [(f"metrics.{metric.name}.weight", metric.weight) for metric in metrics.values() if metric.weight]
    limiters = [(f"metrics.{metric.name}.limiters", name) for metric in metrics.values() for name in metric.limiters]
    return [(f"aliases.{alias}", name) for alias, name in aliases.items()] + weights + limiters


def _stage(root: Path, path: Path, catalogue: Catalogue) -> Stage:
    shown = _shown(root, path)
    stage = _with_name(path.stem, read_toml(path, shown), Stage, shown)
    named = [(f"targets[{i}].metric", target.metric) for i, target in enumerate(stage.targets)]
    for key, name in named + [(f"shown[{i}]", name) for i, name in enumerate(stage.shown)]:
        if find_metric(catalogue, name) is None:
            unknown = UnknownName("metric", name, [*catalogue.metrics, *catalogue.aliases])
            raise BrokenFile(f"{shown}: {key}: {unknown.message}", unknown.hint)
    for number, target in enumerate(stage.targets):
        _check_target(f"{shown}: targets[{number}]", target, resolve(catalogue, target.metric))
    return stage


def _check_target(where: str, target: Target, metric: Metric) -> None:
    """Refuses a target that no number of its metric could be held to."""
    if not metric.names and metric.formula is None and metric.name not in COMPUTED:
        raise BrokenFile(
            f"{where}.metric: nothing measures {metric.name}",
            f"give it `names` or a `formula` in {CATALOGUE}, or judge by another metric",
        )
    if target.scope == "kernel" and metric.name in COMPUTED:
        raise BrokenFile(f"{where}.scope: no kernel has {metric.name}, only a whole call", "leave `scope` out")
    if target.tolerance is not None and metric.direction == "neither":
        raise BrokenFile(
            f"{where}.tolerance: neither way is worse for {metric.name}",
            f"bound it with a value, or give it a `direction` in {CATALOGUE}",
        )
    if metric.unit == "%" and target.bound is not None and target.of is None and not 0 <= target.bound[1] <= 100:
        comparison, bound = target.bound
        raise BrokenFile(
            f"{where}.{comparison}: {bound:g} % of {metric.name} cannot be", "give it a bound from 0 to 100"
        )


def _baselines(root: Path, catalogue: Catalogue) -> dict[str, list[Baseline]]:
    found: dict[str, list[Baseline]] = {}
    for path in sorted(root.glob("metrics/baselines/*/*.json")):
        baseline = _baseline(root, path, catalogue)
        beside = found.setdefault(baseline.problem, [])
        if baseline.gpu in [other.gpu for other in beside]:
            raise BrokenFile(f"{_shown(root, path)}: gpu: {baseline.gpu} has a baseline already", "remove one of them")
        beside.append(baseline)
    return found


def _baseline(root: Path, path: Path, catalogue: Catalogue) -> Baseline:
    shown = _shown(root, path)
    table = read_json(path, shown)
    if table.get("format") != BASELINE_FORMAT:
        raise BrokenFile(
            f"{shown}: format: it is {table.get('format')}; this stallgate reads {BASELINE_FORMAT}",
            "accept the numbers again with `stallgate baseline`",
        )
    baseline = convert({**table, "problem": path.stem}, Baseline, shown)
    for name, case in baseline.cases.items():
        _check_known(f"{shown}: cases.{name}.metrics", "metric", case.metrics, catalogue.metrics)
    return baseline


def _card(root: Path, path: Path) -> Card:
    shown = _shown(root, path)
    return _with_name(path.stem, read_toml(path, shown), Card, shown)


def _with_name(name: str, row: dict[str, object], kind: type[T], shown: str, key: str = "") -> T:
    """A struct whose name is where it stands: a table's heading, a file's name."""
    if "name" in row:
        where = f"{key}.name" if key else "name"
        raise BrokenFile(f"{shown}: {where}: `{name}` is the name already, by where it stands", "take the key out")
    return convert({"name": name, **row}, kind, shown, key)


# --- small things -----------------------------------------------------------------------------------------------------


def _shown(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _named(kind: str, name: str, known: dict[str, T]) -> T:
    if name not in known:
        raise UnknownName(kind, name, known)
    return known[name]
