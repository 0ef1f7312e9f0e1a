"""A variant on every GPU model, in words: for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stallgate.compare.gpu_models import OnModel, OverModels
from stallgate.extract.table import Summary
from stallgate.formatting import listed, quantity, rounded, spaced
from stallgate.model import FrozenStruct, Metric


class ModelCell(FrozenStruct, frozen=True):
    """A metric on one GPU model, or the gap where it should be."""

    text: str
    title: str
    gap: bool


def finding_of(charts: Sequence[OverModels]) -> str:
    """What was measured where, without a verdict: which GPU is faster says nothing about the kernel."""
    gpus = list(dict.fromkeys(found.gpu for each in charts for found in each.models))
    case = charts[0].case
    stale = sorted({found.gpu for each in charts for found in each.models if found.stale})
    old = f"; stale on {listed(stale)}" if stale else ""
    return f"{case.variant} on {listed(sorted(gpus))}, the newest measurement of each{old}"


def notes_of(charts: Sequence[OverModels]) -> Iterator[str]:
    """What differs beside the GPU, what is stale, and what is left out, each sentence with its workloads."""
    said: dict[str, list[str]] = {}
    for each in charts:
        for sentence in [*each.differences, *_stale(each), *each.left_out]:
            said.setdefault(sentence, []).append(place_in_words(each))
    for sentence, workloads in said.items():
        yield sentence if len(workloads) == len(charts) else f"{listed(workloads)}: {sentence}"


def _stale(chart: OverModels) -> Iterator[str]:
    for found in chart.models:
        if found.stale:
            yield f"stale on {found.gpu}: {listed(found.stale)} changed since"


def place_in_words(chart: OverModels) -> str:
    """A chart's workload, with the configuration unless it is the default one."""
    case = chart.case
    return case.workload if case.configuration == "default" else f"{case.workload} {case.configuration}"


def gap_of(found: OnModel, summary: Summary | None) -> str:
    """Why a metric has no value on a GPU model."""
    return found.gap or (spaced(summary.state) if summary is not None else "no value")


def cell_of(found: OnModel, metric: Metric) -> ModelCell:
    """A metric on a GPU model."""
    summary = found.summaries.get(metric.name)
    if summary is None or summary.median is None:
        return ModelCell(text=gap_of(found, summary), title="not measured", gap=True)
    spread = f"{rounded(summary.low or 0.0, 6)} to {rounded(summary.high or 0.0, 6)} {metric.unit}".rstrip()
    return ModelCell(text=quantity(summary.median, metric.unit), title=spread, gap=False)


def versions_of(found: OnModel) -> str:
    """Driver and ncu of a measurement."""
    known = found.environment
    return f"driver {known.driver}, ncu {known.ncu}" if known is not None else "unknown"


def controls_of(chart: OverModels) -> str:
    """Clock and cache control of a chart."""
    return f"clock control {chart.clock_control}, cache control {chart.cache_control}"
