"""The figures of a workload: which there are, and what each one says."""

from __future__ import annotations

from msgspec.structs import replace

from harness.catalogue import ROOF_FRACTION
from harness.model import Case, CaseResult, Metric, Noun
from harness.render.figures import (
    Ceiling,
    Dot,
    Drawing,
    Limit,
    Occupancy,
    Panel,
    Point,
    Share,
    Work,
    front,
    occupancy_figure,
    panels_figure,
    rendered,
    roofline_figure,
    trade_figure,
    warp_states_figure,
)
from harness.render.view import View, name_of, shortened
from harness.words import number, spaced


class Picture(Noun, frozen=True):
    """A figure on the page and beside it."""

    name: str
    """What it shows, as a part of its file's name."""
    title: str
    drawing: Drawing
    alt: str
    """The figure in words."""


def pictures(view: View) -> list[Picture]:
    """Every figure that a workload has numbers for."""
    made = [_targets(view), _distance(view), _warp_states(view), _occupancy(view), _trade(view), _roofline(view)]
    return [picture for picture in made if picture is not None]


# --- targets and distance ---------------------------------------------------------------------------------------------


def _targets(view: View) -> Picture | None:
    metrics = view.stage_metrics()
    if not metrics:
        return None
    panels = [_panel(view, metric) for metric in metrics]
    title = finding(view) + view.cut
    drawing = rendered(panels_figure(title, view.rows, panels))
    return Picture(name="targets", title=title, drawing=drawing, alt=f"{title}. {_in_words(view, panels)}")


def finding(view: View) -> str:
    """What a workload's numbers say, in a sentence."""
    found = []
    for case in view.cases:
        share = view.median(case, ROOF_FRACTION)
        if case.role == "candidate" and share is not None:
            missed = sum(v.status == "fail" and v.variant == case.case.variant for v in view.verdicts())
            targets = f" and misses {missed} target{'s' * (missed > 1)}" if missed else ""
            found.append(f"{shortened(name_of(case))} runs at {share:.1%} of the roof on {view.place}{targets}")
    return "; ".join(found[:2]) or f"{len(view.cases)} {'case' if len(view.cases) == 1 else 'cases'} on {view.place}"


def _panel(view: View, metric: Metric, scale: float = 1.0) -> Panel:
    roof = view.roof(metric.name) if metric.name != ROOF_FRACTION else None
    return Panel(
        metric=metric,
        dots=[_dot(view, case, metric, scale) for case in view.drawn],
        limit=_limit(view, metric),
        roof=roof * scale if roof is not None else None,
    )


def _dot(view: View, case: CaseResult, metric: Metric, scale: float) -> Dot:
    summary = view.summary(case, metric.name)
    if summary is None or summary.median is None or summary.low is None or summary.high is None:
        gap = summary.state if summary is not None else case.outcome
        return Dot(median=None, low=None, high=None, gap=spaced("damaged_report" if gap == "profiled" else gap))
    return Dot(median=summary.median * scale, low=summary.low * scale, high=summary.high * scale)


def _limit(view: View, metric: Metric) -> Limit | None:
    """The bound that verdicts of this metric were judged by on this workload."""
    for verdict in view.verdicts():
        judged = verdict.metric == metric.name and verdict.reason not in ("no_roof", "no_case")
        if judged and verdict.comparison is not None and verdict.bound is not None:
            return Limit(comparison=verdict.comparison, bound=verdict.bound)
    return None


def _in_words(view: View, panels: list[Panel]) -> str:
    sentences = []
    for panel in panels:
        values = [
            f"{row.name} {dot.median:.3g}" if dot.median is not None else f"{row.name} {dot.gap}"
            for row, dot in zip(view.rows, panel.dots, strict=True)
        ]
        sentences.append(f"{panel.metric.title} in {panel.metric.unit or 'parts of 1'}: {', '.join(values)}")
    return ". ".join(sentences)


def _distance(view: View) -> Picture | None:
    """Time, achieved bytes a second and wasted traffic, beside the roof."""
    if view.roof("duration") is None:
        return None
    time = _panel(view, replace(view.metric("duration"), title="Time", unit="ms"), 1e-6)
    traffic = replace(_panel(view, view.metric("traffic")), roof=1.0, roof_label="needed")
    panels = [time, _panel(view, view.metric("effective_bandwidth")), traffic]
    title = _distance_in_words(view) + view.cut
    drawing = rendered(panels_figure(title, view.rows, panels))
    return Picture(name="distance", title=title, drawing=drawing, alt=f"{title}. {_in_words(view, panels)}")


def _distance_in_words(view: View) -> str:
    roof = view.roof("duration") or 1.0
    timed = [(case, view.median(case, "duration")) for case in view.cases if case.role != "roof"]
    said = [
        f"{shortened(name_of(case))} {_longer(time / roof)}"
        for case, time in sorted(timed, key=lambda pair: (pair[0].role != "candidate", pair[1] or 0))
        if time is not None
    ]
    wasted = [(case, view.median(case, "traffic") or 0.0) for case in view.cases]
    worst, most = max(wasted, key=lambda pair: pair[1], default=(None, 0.0))
    if worst is not None and most > 1.1:
        said[1:] = [f"{shortened(name_of(worst))} moves {most:.2g} times the bytes needed"]
    return "; ".join(said[:2]) or "Distance from the roof"


def _longer(ratio: float) -> str:
    """A time beside the roof's, in words."""
    if ratio >= 2:
        return f"takes {ratio:.3g} times as long as the roof"
    return f"takes {abs(ratio - 1):.1%} {'longer' if ratio >= 1 else 'less time'} than the roof"


# --- warps ------------------------------------------------------------------------------------------------------------


def _warp_states(view: View) -> Picture | None:
    states = [metric for metric in view.project.catalogue.metrics.values() if metric.state is not None]
    shares = [
        Share(
            state=metric.state or metric.name,
            family=metric.family or "other",
            shares=[view.median(case, metric.name) for case in view.drawn],
        )
        for metric in states
    ]
    if all(value is None for share in shares for value in share.shares):
        return None
    title = _waiting_in_words(view, shares) + view.cut
    drawing = rendered(warp_states_figure(title, view.rows, shares))
    return Picture(name="warp-states", title=title, drawing=drawing, alt=f"{title}. The table has every share.")


def _waiting_in_words(view: View, shares: list[Share]) -> str:
    """What the first candidate's warps, or the first variant's, did most of the time."""
    first = next((i for i, case in enumerate(view.drawn) if case.role == "candidate"), 0)
    known = [(share.shares[first] or 0.0, share.state) for share in shares]
    most = sorted(known, reverse=True)[:2]
    name = shortened(name_of(view.drawn[first]))
    if not most[0][0]:
        return f"What the warps did on {view.place}"
    return f"Warps of {name} spend {' and '.join(f'{share:.0f} % in {state}' for share, state in most)}"


def _occupancy(view: View) -> Picture | None:
    found = [_occupancy_of(view, case) for case in view.drawn]
    if all(occupancy.achieved is None for occupancy in found):
        return None
    title = f"Occupancy on {view.place}, and what limits it{view.cut}"
    words = [
        f"{row.name} {number(occupancy.achieved)} %, {occupancy.limiter}"
        for row, occupancy in zip(view.rows, found, strict=True)
        if occupancy.achieved is not None
    ]
    drawing = rendered(occupancy_figure(title, view.rows, found))
    return Picture(name="occupancy", title=title, drawing=drawing, alt=f"{title}: {'; '.join(words)}")


def _occupancy_of(view: View, case: CaseResult) -> Occupancy:
    return Occupancy(
        achieved=view.median(case, "achieved_occupancy"),
        possible=view.median(case, "theoretical_occupancy"),
        limiter=limiter(view, case),
    )


def limiter(view: View, case: CaseResult) -> str:
    """What allows the fewest programs on a multiprocessor; nothing where all warps could be resident."""
    possible = view.median(case, "theoretical_occupancy")
    occupancy = view.project.catalogue.metrics.get("achieved_occupancy")
    words = occupancy.limiters if occupancy is not None else {}
    limits = {name: view.median(case, name) for name in words}
    known = {name: value for name, value in limits.items() if value is not None}
    if possible is None or not known:
        return "limits not measured"
    if possible >= 100:
        return "not limited"
    least = min(known.values())
    return "limited by " + ", ".join(words[name] for name, value in known.items() if value == least)


# --- the trade, the roofline ------------------------------------------------------------------------------------------


def _trade(view: View) -> Picture | None:
    """Speed against stall share, where a variant was measured in several configurations."""
    variants = [case.case.variant for case in view.cases if case.role != "roof"]
    several = {name for name in variants if variants.count(name) > 1}
    points = [point for case in view.cases if case.case.variant in several for point in _point(view, case)]
    if len(points) < 2:
        return None
    best = front(points)[-1]
    title = f"The trade on {view.place}: the fastest of {len(points)}, {best.name}, waits {best.stall:.3g} %"
    speed = "fraction of the roof" if view.roof("duration") is not None else "calls a second"
    figure = trade_figure(title, points, ("memory-dependency stall [%]", speed))
    words = "; ".join(f"{p.name}: {p.speed:.3g} at {p.stall:.3g} %" for p in front(points)[:12])
    return Picture(name="trade", title=title, drawing=rendered(figure), alt=f"{title}. Not beaten in both: {words}")


def _point(view: View, case: CaseResult) -> list[Point]:
    stall, share = view.median(case, "memory_dependency_stall"), view.median(case, ROOF_FRACTION)
    duration = view.median(case, "duration")
    speed = share if view.roof("duration") is not None else 1e9 / duration if duration else None
    if stall is None or speed is None:
        return []
    return [Point(name=shortened(name_of(case)), role=case.role, stall=stall, speed=speed)]


def _roofline(view: View) -> Picture | None:
    rates = view.rates()
    works = [
        Work(
            name=shortened(name_of(case)),
            role=case.role,
            bytes_per_second=found["dram_rate"],
            flops_per_second=found["flop_rate"],
        )
        for case in view.drawn
        if (found := rates.get(case.case, {})).get("flop_rate") and found.get("dram_rate")
    ]
    if not works:
        return None
    title = f"Roofline of {view.place}: bytes and FP32 operations by counters{view.cut}"
    ceilings = _ceilings(view, rates)
    words = [f"{w.name} {w.flops_per_second:.3g} flop/s with {w.bytes_per_second:.3g} byte/s" for w in works]
    drawing = rendered(roofline_figure(title, works, ceilings))
    return Picture(name="roofline", title=title, drawing=drawing, alt=f"{title}: {'; '.join(words)}")


def _ceilings(view: View, rates: dict[Case, dict[str, float]]) -> list[Ceiling]:
    """The roof's traffic as it was measured, and what the counters say that the units could do."""
    roofs = [case.case for case in view.cases if case.role == "roof" and case.case in rates]
    first = next(found for found in rates.values() if "flop_peak_rate" in found)
    ceilings = [Ceiling(name="FP32 units by their counters", flops_per_second=first["flop_peak_rate"])]
    if "dram_peak_rate" in first:
        peak = first["dram_peak_rate"]
        ceilings.append(Ceiling(name=f"DRAM by its counters, {peak / 1e9:,.0f} GB/s", bytes_per_second=peak))
    if roofs:
        measured = max(rates[roof]["dram_rate"] for roof in roofs)
        return [ceilings[0], Ceiling(name=f"the roof, {measured / 1e9:,.0f} GB/s", bytes_per_second=measured)]
    return ceilings
