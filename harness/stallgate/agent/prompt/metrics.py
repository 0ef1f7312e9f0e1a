"""The part with the NCU metrics, ``{"kernel": {"metric": value}}``: all of the stage, each name explained."""

from __future__ import annotations

import json

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, fenced, inline, paragraphs
from stallgate.extract.table import Parts, Summary, summarise_kernels
from stallgate.formatting import listed, spaced
from stallgate.model import Case, CaseResult, FrozenStruct, Metric, Reason
from stallgate.project.catalogue import (
    COMPUTED,
    COMPUTED_OF,
    DURATION,
    OF_WORKLOAD,
    ROOF_FRACTION,
    asked_for,
    name_on,
    stage_metrics,
)

WHOLE_CALL = "whole call"
"""Stands for a kernel where a value is of all kernels of a call together."""

_MOST_CASES = 4
"""Cases whose metrics are written out; an imported report may have a case for each size of a grid."""

Values = dict[str, dict[str, float | None]]
"""Kernel -> name of a metric -> median over the samples; None where it is not measured."""


class _Told(FrozenStruct, frozen=True):
    """The metrics of one case as the prompt has them."""

    name: str
    values: Values
    missing: dict[str, str]
    """Name of a metric in the JSON -> why it has no value."""


def metrics_part(ground: Ground) -> Part:
    """The metrics of the stage, and the time."""
    metrics = prompt_metrics(ground)
    told = [_of_case(ground, result, metrics) for result in ground.sound[:_MOST_CASES]] or [_unknown(ground, metrics)]
    explained = paragraphs("The names:", bullets(_explained(ground, metrics)))
    head = _head(ground)
    left = len(ground.sound) - _MOST_CASES
    more = f"{left} more cases of the run are left out." if left > 0 else ""
    shorter = [
        ShorterForm(
            text=paragraphs(head, *_blocks(told[:1]), explained),
            usefulness=50,
            loses=f"the metrics but for those on {told[0].name}",
        )
    ] * (len(told) > 1)
    return Part(
        name="ncu_metrics",
        title="NCU metrics",
        text=paragraphs(head, *_blocks(told), more, explained),
        shorter=[
            *shorter,
            ShorterForm(
                text=paragraphs(head, *_blocks(told[:1])), usefulness=70, loses="what the names of the metrics mean"
            ),
            ShorterForm(text="", usefulness=90, loses="the metrics by their ncu names"),
        ],
    )


def prompt_metrics(ground: Ground) -> list[Metric]:
    """The metrics that the stage and those that it includes judge or show; the duration first."""
    duration = ground.project.catalogue.metrics[DURATION]
    return list({metric.name: metric for metric in [duration, *stage_metrics(ground.stages)]}.values())


def _head(ground: Ground) -> str:
    if not ground.sound:
        return f"Every metric is missing. {why_no_readings(ground)} {how_to_measure(ground)}"
    origin = f"Run {code_span(ground.run_name)}, measured on {inline(ground.measured_gpu or 'an unknown GPU')}."
    caution = ""
    if ground.result is not None and ground.result.run.kind == "imported":
        caution = (
            " It is imported: its launches are found by the names of the kernels. Whether they are of exactly this "
            "code is not known, and neither is the workload."
        )
    legend = f"Medians of the samples; `null`: not measured; {code_span(WHOLE_CALL)}: all kernels of a call together."
    return f"{origin}{caution} {legend}"


def why_no_readings(ground: Ground) -> str:
    """Why there are no numbers of the variant, in sentences."""
    subject = code_span(ground.asked.subject)
    if ground.result is None:
        return f"Nothing is known of how {subject} runs: no run has it."
    if not ground.cases:
        return f"Nothing is known of how {subject} runs: the run {code_span(ground.run_name)} does not have it."
    reasons = dict.fromkeys(f"{code_span(ground.name_of(r))}: {inline(ground.why_unsound(r))}" for r in ground.cases)
    return f"Run {code_span(ground.run_name)} has no readings of the present code ({'; '.join(reasons)})."


def how_to_measure(ground: Ground) -> str:
    """The command that would fill the gap."""
    subject = ground.asked.subject
    return f"`stallgate profile {subject} --detail` measures it where there is a GPU; then write this prompt again."


# --- values -----------------------------------------------------------------------------------------------------------


def _blocks(told: list[_Told]) -> list[str]:
    """The JSON of each case, with what is missing below it."""
    found = []
    for each in told:
        title = f"On {code_span(each.name)}:" if each.name else ""
        text = fenced(json.dumps(each.values, indent=1, ensure_ascii=False), "json")
        missing = bullets([f"{code_span(name)} is missing: {why}" for name, why in each.missing.items()])
        found.append(paragraphs(title, text, missing))
    return found


def _of_case(ground: Ground, result: CaseResult, metrics: list[Metric]) -> _Told:
    """The metrics of a case: of each kernel, and of the whole call what only that has."""
    assert ground.result is not None
    case, names = result.case, [metric.name for metric in metrics]
    rows = [row for row in ground.result.rows if row.case == case]
    parts = summarise_kernels(rows, names)
    kernels = list(dict.fromkeys(kernel for name in names for kernel in parts.get((case, name), {})))
    call = {name: ground.result.summaries.get((case, name)) for name in names}
    of_call = [m for m in metrics if m.name in COMPUTED or len(kernels) != 1]
    values = {kernel: _of_kernel(ground, case, kernel, parts, metrics) for kernel in kernels}
    whole = {
        name: _number(call[metric.name])
        for metric in of_call
        for name in names_in_json(ground, metric, call[metric.name])
    }
    if whole:
        values[WHOLE_CALL] = whole
    missing = {
        name: _why_missing(ground, metric, result, call[metric.name])
        for metric in metrics
        if _number(call[metric.name]) is None
        for name in names_in_json(ground, metric, call[metric.name])
    }
    return _Told(name=ground.name_of(result), values=values, missing=missing)


def _of_kernel(ground: Ground, case: Case, kernel: str, parts: Parts, metrics: list[Metric]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for metric in metrics:
        if metric.name not in COMPUTED:
            summary = parts.get((case, metric.name), {}).get(kernel)
            found |= dict.fromkeys(names_in_json(ground, metric, summary), _number(summary))
    return found


def names_in_json(ground: Ground, metric: Metric, summary: Summary | None) -> list[str]:
    """The keys of a metric: an older name that the stage's file has, then the one that ncu has."""
    written = [t.written_as for stage in ground.stages for t in stage.targets if t.metric.name == metric.name]
    old = [name for name in written if name in ground.project.catalogue.aliases]
    return list(dict.fromkeys([*filter(None, old), _ncu_name(ground, metric, summary)]))


def _ncu_name(ground: Ground, metric: Metric, summary: Summary | None) -> str:
    """The ncu name of a value; the short name of what has none, or is computed of several."""
    if summary is not None and summary.state == "measured":
        return summary.ncu_name if summary.ncu_name in metric.names else metric.name
    card = ground.card
    return name_on(ground.project.catalogue, metric, card.chip if card is not None else None) or metric.name


_DIGITS = 6


def _number(summary: Summary | None) -> float | None:
    """A median in six significant digits."""
    if summary is None or summary.median is None:
        return None
    short = float(f"{summary.median:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short


def _why_missing(ground: Ground, metric: Metric, result: CaseResult, summary: Summary | None) -> str:
    """Why a metric has no value."""
    assert ground.result is not None
    if summary is not None and summary.state not in ("absent", "measured"):
        return f"ncu's value is {spaced(summary.state)}"
    chip = ground.measured_card.chip if ground.measured_card is not None else None
    if metric.name in COMPUTED:
        return _why_not_computed(ground, metric, result)
    names = asked_for(ground.project.catalogue, metric, chip)
    if not names:
        return f"{inline(chip or 'the chip')} has no such counter"
    return f"the run did not collect {listed([code_span(name) for name in names])}"


def _why_not_computed(ground: Ground, metric: Metric, result: CaseResult) -> str:
    """What a computed metric lacks."""
    assert ground.result is not None
    case = result.case
    if metric.name == ROOF_FRACTION:
        roofs = ground.result.roofs.get((case.problem, case.workload))
        found = roofs.deciding if roofs is not None else None
        return inline(found.sentence) if isinstance(found, Reason) else "there is no roof to compare with"
    known = ground.result.summaries
    lacking = [n for n in COMPUTED_OF.get(metric.name, []) if _number(known.get((case, n))) is None]
    if lacking:
        return f"it is computed from {listed([code_span(name) for name in lacking])}, which the run does not have"
    if metric.name in OF_WORKLOAD:
        return "what the workload needs is not known"
    return "the counters do not say how much was done"


def _unknown(ground: Ground, metrics: list[Metric]) -> _Told:
    """The metrics without a run: all of them are missing, for one reason."""
    names = {metric.name: names_in_json(ground, metric, None) for metric in metrics}
    computed = [name for metric in metrics if metric.name in COMPUTED for name in names[metric.name]]
    counted = [name for metric in metrics if metric.name not in COMPUTED for name in names[metric.name]]
    values: Values = {kernel: dict.fromkeys(counted) for kernel in ground.kernels}
    values[WHOLE_CALL] = dict.fromkeys(computed if ground.kernels else [*counted, *computed])
    return _Told(name="", values={kernel: found for kernel, found in values.items() if found}, missing={})


# --- names ------------------------------------------------------------------------------------------------------------


def _explained(ground: Ground, metrics: list[Metric]) -> list[str]:
    """A line for each metric; an older name with what it is read as."""
    lines = []
    for metric in metrics:
        summary = _any_summary(ground, metric)
        *old, name = names_in_json(ground, metric, summary)
        unit = f" ({inline(metric.unit)})" if metric.unit else ""
        if name == metric.name and not old:
            continue
        resolved = [
            f"the stage writes {code_span(older)}, which ncu does not have: it is resolved to this, and has its value"
            for older in old
        ]
        about = [inline(metric.about.partition(". ")[0].rstrip("."))] if old and metric.about else []
        lines.append("; ".join([f"{code_span(name)}: {code_span(metric.name)}{unit}", *resolved, *about]))
    return lines


def _any_summary(ground: Ground, metric: Metric) -> Summary | None:
    if ground.result is None or not ground.sound:
        return None
    return ground.result.summaries.get((ground.sound[0].case, metric.name))
