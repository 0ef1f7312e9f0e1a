"""The part on the distance from the roof: how much time is left, and what the warps wait for."""

from __future__ import annotations

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.metrics import how_to_measure
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, inline, paragraphs
from stallgate.formatting import rounded, scaled
from stallgate.judge.roof import Roof, distance_from_roof
from stallgate.judge.warp_states import waits_in_words
from stallgate.model import CaseResult, Reason
from stallgate.project.catalogue import DURATION, ROOF_FRACTION
from stallgate.project.staleness import measured_workload


def roof_part(ground: Ground) -> Part:
    """How far the variant is from the speed of light."""
    lines = [_of_case(ground, result) for result in ground.sound]
    if not lines:
        lines = [f"Not known: there are no readings of the present code. {how_to_measure(ground)}"]
    meaning = (
        "The roof is measured: a kernel that only moves the needed bytes, or only does the arithmetic (a `library` is "
        "the best known code, and may be beaten)."
    )
    floor = _floors(ground)
    return Part(
        name="roof",
        title="Distance from the roof",
        text=paragraphs(meaning, bullets(lines), floor),
        shorter=[
            ShorterForm(
                text=bullets(lines[:1]), usefulness=30, loses="the distance from the roof but for one workload"
            ),
            ShorterForm(text="", usefulness=55, loses="the distance from the roof"),
        ],
    )


def _of_case(ground: Ground, result: CaseResult) -> str:
    assert ground.result is not None
    where = f"On {code_span(ground.name_of(result))}"
    parts = [f"{where}: {_distance(ground, result)}"]
    waits = _waits(ground, result)
    return ". ".join([*parts, *([waits] if waits else []), *_traffic(ground, result)]) + "."


def _median(ground: Ground, result: CaseResult, metric: str) -> float | None:
    summary = ground.result.summaries.get((result.case, metric)) if ground.result is not None else None
    return summary.median if summary is not None else None


def _distance(ground: Ground, result: CaseResult) -> str:
    """The time beside the roof's."""
    duration, fraction = _median(ground, result, DURATION), _median(ground, result, ROOF_FRACTION)
    took = f"{scaled(duration, 'ns', 4)} a call" if duration is not None else "the time is not measured"
    roof = _roof(ground, result)
    if isinstance(roof, Reason):
        return f"{took}; the distance from the roof is not known: {inline(roof.sentence)}"
    kind = f" ({roof.ceiling})" if roof.ceiling != "library" else ""
    named = f"the {roof.noun} {code_span(roof.case.variant)}{kind}"
    beside = f"{named} takes {scaled(roof.duration, 'ns', 4)}"
    if fraction is None:
        return f"{took}; {beside}"
    return f"{took}; {beside}; the code {distance_from_roof(fraction, roof)}"


def _roof(ground: Ground, result: CaseResult) -> Roof | Reason:
    assert ground.result is not None
    found = ground.result.roofs.get((result.case.problem, result.case.workload))
    return found.deciding if found is not None else Reason(code="no_roof", sentence="there is no roof to compare with")


def _waits(ground: Ground, result: CaseResult) -> str:
    states = [metric for metric in ground.project.catalogue.metrics.values() if metric.state is not None]
    known = {metric.state or "": _median(ground, result, metric.name) for metric in states}
    return waits_in_words({state: share for state, share in known.items() if share is not None})


def _traffic(ground: Ground, result: CaseResult) -> list[str]:
    read, written = (_median(ground, result, name) for name in ("dram_bytes_read", "dram_bytes_written"))
    times = _median(ground, result, "traffic")
    if read is None or written is None:
        return []
    beside = f", {rounded(times)} times what is needed" if times is not None else ""
    return [f"DRAM moved {scaled(read + written, 'byte')}{beside}"]


def _floors(ground: Ground) -> str:
    """The time below which the target's data sheet allows nothing, for each workload whose need is known."""
    card = ground.card
    if card is None:
        return ""
    needs = {name: _needed_bytes(ground, name) for name in ground.workloads}
    told = [
        f"{code_span(name)} {scaled(count / card.dram_bandwidth_gb_s, 'ns')}" for name, count in needs.items() if count
    ]
    if not told:
        return ""
    return (
        f"At the {card.dram_bandwidth_gb_s:g} GB/s of {inline(card.title)} the needed bytes take at least: "
        f"{', '.join(told)}; less where they fit into L2."
    )


def _needed_bytes(ground: Ground, workload: str) -> int | None:
    """Bytes that a workload needs: those that are written, else those that the run derived."""
    mine = [result.case for result in ground.sound if result.case.workload == workload]
    if ground.result is not None and mine:
        load = measured_workload(ground.result.run, ground.project, mine[0])
        if load is not None:
            return load.bytes
    known = ground.problem.workloads.get(workload)
    return known.bytes if known is not None else None
