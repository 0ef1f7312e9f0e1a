"""``stallgate show models``: a variant on every GPU model that it was measured on."""

from __future__ import annotations

from typing import Literal

from stallgate.cli.facts import MetricValue, metric_value, unmeasured
from stallgate.compare.gpu_models import OnModel, OverModels, cases_of, model_metrics, over_models, shown_metrics
from stallgate.compare.history import stored_runs
from stallgate.model import Case, FrozenStruct, Outcome, Role
from stallgate.project.load import Project
from stallgate.render.terminal_models import show_charts
from stallgate.runs.store import Store


class ModelFacts(FrozenStruct, frozen=True):
    """The newest measurement of a case on one GPU model."""

    gpu: str
    run: str
    """The run's folder under ``reports/``; commands take it as RUN."""
    kind: Literal["live", "recorded"]
    """recorded: a recording, or a run that replays one."""
    created: str
    """When it was measured, UTC, ISO 8601."""
    commit: str | None
    """null where it is not known."""
    dirty: bool
    stale: list[str]
    """What of it is not what the tree holds now; empty: nothing."""
    outcome: Outcome
    driver: str | None
    """Like the other versions: of a fleet all that there are; null where it is not known."""
    ncu: str | None
    torch: str | None
    triton: str | None
    digests: dict[str, str]
    """What the numbers depend on, such as the variant's file -> its SHA-256."""
    metrics: dict[str, MetricValue]
    """Metric -> value; ``roof_fraction`` is of the roof of the same GPU and run."""


class CaseOverModels(FrozenStruct, frozen=True):
    """A case on every GPU model. Numbers of different GPUs are not to be divided by each other."""

    case: str
    """problem/variant/configuration/workload"""
    role: Role
    clock_control: str | None
    cache_control: str | None
    """Both are those of every measurement here; null where they are not known."""
    models: list[ModelFacts]
    """By the model's name."""
    differences: list[str]
    """In what the measurements differ beside the GPU, a sentence each."""
    left_out: list[str]
    """What was measured and is not here, with the reason, a sentence each."""


class ModelsShown(FrozenStruct, frozen=True, tag_field="what", tag="models"):
    """Cases on every GPU model that they were measured on; without those that nobody measured."""

    cases: list[CaseOverModels]


def show_models(project: Project, name: str | None, as_json: bool) -> ModelsShown:
    """Shows a variant, every candidate of a problem, or every candidate.

    Raises:
        UnknownName: the project has no such problem or variant.
    """
    cases = _named(project, name)
    metrics = dict.fromkeys(metric for case in cases for metric in model_metrics(project, case.problem))
    runs = stored_runs(Store(project.reports), metrics)
    found = over_models(project, runs, cases, with_recordings=True)
    if not as_json:
        show_charts(project, found)
    return ModelsShown(cases=[_facts(project, each) for each in found])


def _named(project: Project, name: str | None) -> list[Case]:
    if name is None:
        return [case for problem in project.problems for case in cases_of(project, problem, None)]
    problem, _, variant = name.partition("/")
    return cases_of(project, problem, variant or None)


def _facts(project: Project, found: OverModels) -> CaseOverModels:
    units = {name: project.catalogue.metrics[name].unit for name in shown_metrics(project, found)}
    return CaseOverModels(
        case=found.case.name,
        role=found.role,
        clock_control=found.clock_control,
        cache_control=found.cache_control,
        models=[_model_facts(each, units) for each in found.models],
        differences=found.differences,
        left_out=found.left_out,
    )


def _model_facts(found: OnModel, units: dict[str, str]) -> ModelFacts:
    known = found.environment
    return ModelFacts(
        gpu=found.gpu,
        run=found.run,
        kind=found.kind,
        created=found.time.created,
        commit=found.time.commit or None,
        dirty=found.time.dirty,
        stale=found.stale,
        outcome=found.outcome,
        driver=known.driver if known is not None else None,
        ncu=known.ncu if known is not None else None,
        torch=known.torch if known is not None else None,
        triton=known.triton if known is not None else None,
        digests=found.digests,
        metrics={
            name: metric_value(found.summaries[name], unit) if name in found.summaries else unmeasured(unit)
            for name, unit in units.items()
        },
    )
