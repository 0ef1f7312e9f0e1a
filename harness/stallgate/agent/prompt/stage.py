"""The part on the stage: its focus, its metrics with targets and present readings, its rules, its autotune space."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, inline, paragraphs
from stallgate.errors import StallgateError
from stallgate.formatting import quantity, rounded, scaled, spaced
from stallgate.judge.headroom import distance
from stallgate.model import CaseResult, Metric, Stage, Target, TunableSpace, Verdict
from stallgate.project.space import default_tunables, space_of


def stage_part(ground: Ground) -> Part:
    """What the stage asks for, and how far the variant is from it."""
    stage = ground.stage
    head = paragraphs(f"{code_span(stage.name)}: {inline(stage.title)}. {inline(stage.focus)}", _included(ground))
    metrics = paragraphs(_on_readings(ground), bullets(_targets(ground) + _shown(ground)))
    rules = _rules(ground)
    space = _autotune(ground)
    return Part(
        name="stage",
        title="Stage",
        text=paragraphs(head, metrics, rules, space),
        shorter=[
            ShorterForm(text=paragraphs(head, metrics, rules), usefulness=60, loses="the autotune space"),
        ],
    )


def _included(ground: Ground) -> str:
    others = [stage.name for stage in ground.stages if stage is not ground.stage]
    return f"The targets of {', '.join(map(code_span, others))} have to be met as well." if others else ""


def _on_readings(ground: Ground) -> str:
    if not ground.sound:
        return "Metrics, each with its target; there are no readings (why: see the NCU metrics below):"
    return "Metrics, each with its target and its present reading:"


# --- targets ----------------------------------------------------------------------------------------------------------


def _targets(ground: Ground) -> list[str]:
    """A line for each target that is for the variant."""
    return [
        _of_target(ground, stage, target)
        for stage in ground.stages
        for target in stage.targets
        if not target.variants or ground.variant.name in target.variants
    ]


def _of_target(ground: Ground, stage: Stage, target: Target) -> str:
    of_kernel = ", of each kernel" if target.scope == "kernel" else ""
    verdicts = [(result, found) for result in ground.sound for found in ground.verdict(stage, target, result)]
    now = [_now(ground, result, verdict) for result, verdict in verdicts]
    told = "; ".join([f"wanted {_wanted(target)}{of_kernel}{_unless(target)}", *now])
    return f"{named_metric(target.metric)}: {told}"


def named_metric(metric: Metric) -> str:
    """A metric by its title and its short name."""
    return f"{inline(metric.title)} ({code_span(metric.name)})"


def _wanted(target: Target) -> str:
    if target.bound is not None:
        comparison, bound = target.bound
        of = f"{rounded(bound)} of the roof's" if target.of == "roof" else quantity(bound, target.metric.unit)
        return f"{spaced(comparison)} {of}"
    if target.tolerance_points is not None:
        return f"at most {rounded(target.tolerance_points)} points worse than the accepted baseline"
    return f"at most {rounded(100 * (target.tolerance or 0))} % worse than the accepted baseline"


def _unless(target: Target) -> str:
    if target.unless is None or target.unless.bound is None:
        return ""
    comparison, bound = target.unless.bound
    metric = target.unless.metric
    return f", unless {code_span(metric.name)} is {spaced(comparison)} {quantity(bound, metric.unit)}"


def _now(ground: Ground, result: CaseResult, verdict: Verdict) -> str:
    """The present reading on one case, and what it means for the target."""
    where = f"on {code_span(ground.name_of(result))}"
    if verdict.kernel is not None:
        where += f", kernel {code_span(verdict.kernel)},"
    if verdict.value is None:
        return f"{where} {inline(verdict.sentence)}"
    unit = verdict.unit or ""
    spread = _spread(verdict.low, verdict.high, unit)
    return f"{where} {_value(verdict.value, unit)}{spread}: {_answer(verdict)}"


def _value(value: float, unit: str) -> str:
    """A value in four digits; bytes in a multiple."""
    return scaled(value, unit, 4) if unit == "byte" else quantity(value, unit)


def _spread(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None or high - low <= _LEAST_SPREAD * abs(high):
        return ""
    return f" ({_value(low, unit)} to {_value(high, unit)})"


_LEAST_SPREAD = 0.005
"""Samples that lie closer together, relative to the highest, are told by their median."""


def _answer(verdict: Verdict) -> str:
    """A verdict in a word, with the distance and the bound where that is of the roof or the baseline."""
    unit = verdict.unit or ""
    bound = verdict.bound
    limit = ""
    if bound is not None and (verdict.of_roof is not None or verdict.baseline is not None):
        limit = f" (the bound is {_value(bound, unit)})"
    match verdict.status:
        case "pass":
            return f"met{limit}"
        case "excused":
            return f"not met{limit}, and excused"
        case "undecided":
            return f"undecided, the samples lie on both sides of the bound{limit}"
        case "fail" if bound is not None and verdict.value is not None:
            return f"missed by {distance(verdict.value, bound, verdict)}{limit}"
        case _:
            said = verdict.sentence.partition("; its kernels: ")[0]
            return f"not judged, {inline(said.removeprefix(f'{verdict.metric} cannot be judged: '))}"


# --- what is shown beside ---------------------------------------------------------------------------------------------


def _shown(ground: Ground) -> list[str]:
    """A line for each metric that the stage shows and does not judge."""
    judged = {target.metric.name for stage in ground.stages for target in stage.targets}
    shown = {metric.name: metric for stage in ground.stages for metric in stage.shown if metric.name not in judged}
    return [_beside(ground, metric) for metric in shown.values()]


def _beside(ground: Ground, metric: Metric) -> str:
    found = []
    for result in ground.sound:
        assert ground.result is not None
        summary = ground.result.summaries.get((result.case, metric.name))
        value = _value(summary.median, metric.unit) if summary and summary.median is not None else "not measured"
        found.append(f"on {code_span(ground.name_of(result))} {value}")
    return f"{named_metric(metric)}: {'; '.join(['no target', *found])}"


# --- rules and tunables -----------------------------------------------------------------------------------------------


def _rules(ground: Ground) -> str:
    rules = [rule for stage in ground.stages for rule in [*stage.rules, *(held.text for held in stage.held)]]
    return paragraphs("Rules of the stage:", bullets([inline(rule) for rule in dict.fromkeys(rules)])) if rules else ""


def _autotune(ground: Ground) -> str:
    """The tunables that are worth trying: those of the variant, if it declares some, and those of the stage."""
    of_stage = ground.stage.autotune
    parts = [f"Autotune space of the stage: {_values(of_stage)}."] if of_stage else []
    space = _own_space(ground)
    if space is not None and space.source != "stage":
        parts.append(f"Space of the present code: {_values(space.tunables)}{_within(space)}.")
        defaults = default_tunables(ground.project.root, ground.variant, space)
        if defaults:
            parts.append(f"Its defaults: {_values(defaults)}.")
    return " ".join(parts)


def _own_space(ground: Ground) -> TunableSpace | None:
    try:
        return space_of(ground.project.root, ground.variant, ground.stage)
    except (StallgateError, OSError):
        return None


def _within(space: TunableSpace) -> str:
    if not space.constraints:
        return ""
    return f", within {' and '.join(code_span(constraint) for constraint in space.constraints)}"


_MOST_VALUES = 12
"""Values of a tunable that are told; of more, the first and the last."""


def _values(tunables: Mapping[str, object]) -> str:
    return ", ".join(f"{code_span(name)} {inline(_value_list(values))}" for name, values in tunables.items())


def _value_list(values: object) -> str:
    if not isinstance(values, list) or len(values) <= _MOST_VALUES:
        return json.dumps(values, ensure_ascii=False, default=str)
    first, second, last = (json.dumps(values[place], ensure_ascii=False, default=str) for place in (0, 1, -1))
    return f"[{first}, {second}, ... {last}] ({len(values)} values)"
