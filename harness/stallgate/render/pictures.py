"""The figures of a workload, with their titles and alternative texts."""

from __future__ import annotations

from collections import Counter
from functools import partial

from msgspec.structs import replace

from stallgate.formatting import listed, number, percent, rounded, scaled, spaced
from stallgate.judge.roof import Roof, distance_from_roof
from stallgate.judge.warp_states import state_words
from stallgate.model import Case, CaseResult, Catalogue, FrozenStruct, Metric, Program, Verdict
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.render.figures import (
    LONGEST_TITLE,
    Dot,
    EarlierStates,
    Limit,
    Occupancy,
    Panel,
    Share,
    ShareBar,
    TradePoint,
    fitting,
    front,
    occupancy_figure,
    panels_figure,
    program_figure,
    roofline_figure,
    trade_figure,
    warp_states_figure,
)
from stallgate.render.memory_chart import (
    MEMORY_METRICS,
    memory_figure,
    memory_in_words,
    memory_paths,
    memory_remark,
    path_in_words,
)
from stallgate.render.program import kernel_names, launches_of, program_finding
from stallgate.render.roofline import roofline
from stallgate.render.scales import fitting_unit
from stallgate.render.sheet import Drawing, drawing
from stallgate.render.units import UNIT_METRICS, units, units_figure, units_in_words
from stallgate.render.view import View, figure_name


class Picture(FrozenStruct, frozen=True):
    """A figure on the page and beside it."""

    name: str
    """The last part of the PNG's file name."""
    title: str
    drawing: Drawing
    alt: str
    """Alternative text."""


def charted_metrics(catalogue: Catalogue) -> list[str]:
    """The metrics that charts show of an earlier run as well."""
    states = [metric.name for metric in catalogue.metrics.values() if metric.state is not None]
    return [*UNIT_METRICS, *MEMORY_METRICS, *states, *_CHARTED]


_CHARTED = (
    *("warps_active", "instructions", "achieved_occupancy", "memory_dependency_stall"),
    *("effective_bandwidth", "traffic", "tflops", "tflops_needed"),
)
"""What charts show beside units, the way of the bytes, warp states, and the metrics of the stages."""


def pictures(view: View) -> list[Picture]:
    """Every figure that a workload has numbers for."""
    made = [
        _targets(view),
        _distance(view),
        _units(view),
        _memory(view),
        _warp_states(view),
        _occupancy(view),
        _trade(view),
        _roofline(view),
    ]
    return [picture for picture in made if picture is not None]


# --- where a program's time goes --------------------------------------------------------------------------------------

_MOST_BARS, _LONGEST_NAME = 12, 52
"""Most kernels of a program that are drawn, and characters of a name beside a bar."""


def program_picture(program: Program) -> Picture | None:
    """The kernels of a captured program by their share of its GPU time: what to work on first."""
    if not program.kernels:
        return None
    names = kernel_names(program.kernels)
    bars = [
        ShareBar(
            name=fitting(name, _LONGEST_NAME),
            share=kernel.share,
            label=f"{percent(kernel.share)}, {scaled(kernel.time_ns, 'ns')} in {launches_of(kernel)}",
            measured=kernel.counters == "measured",
        )
        for name, kernel in zip(names, program.kernels[:_MOST_BARS], strict=False)
    ]
    title = program_finding(program)
    told = "; ".join(f"{bar.name}: {bar.label}" for bar in bars)
    return Picture(
        name="gpu-time", title=title, drawing=drawing(partial(program_figure, title, bars)), alt=f"{title}. {told}"
    )


# --- targets and distance ---------------------------------------------------------------------------------------------


def _targets(view: View) -> Picture | None:
    panels = targets_panels(view)
    if not panels:
        return None
    title = titled(view, workload_finding(view))
    drawn = drawing(partial(panels_figure, title, view.rows, panels, view.base))
    return Picture(name="targets", title=title, drawing=drawn, alt=f"{title}. {_in_words(view, panels)}")


def targets_panels(view: View) -> list[Panel]:
    """A panel for each metric of the stages; of imported cases, for each that one of them has."""
    metrics = view.stage_metrics()
    return [_panel(view, metric) for metric in metrics if not view.is_imported or _has(view, metric.name)]


def titled(view: View, sentence: str) -> str:
    """A sentence as a figure's title, with what the figure leaves out: figures wrap it."""
    return sentence + view.cut


def joined(sentences: list[str]) -> str:
    """The first sentence, and the second where both fit into a title."""
    both = "; ".join(sentences[:2])
    return both if len(both) <= LONGEST_TITLE else sentences[0]


def workload_finding(view: View) -> str:
    """The main finding for a workload, as a sentence."""
    return joined([_found(view, case) for case in view.cases if case.role == "candidate"] or [_fastest(view)])


def _found(view: View, case: CaseResult) -> str:
    """How far a candidate is from the roof, or why that is not known."""
    name, share = view.short_name(case.case), view.median(case, ROOF_FRACTION)
    if share is None:
        what = "" if view.summary(case, ROOF_FRACTION) is None else "fraction of the roof "
        return f"{name}: {what}{_gap(view, case, ROOF_FRACTION)} on {view.place}"
    missed = sum(v.status == "fail" and _case_of(v) == case.case for v in view.verdicts())
    targets = f" and misses {missed} target{'s' * (missed > 1)}" if missed else ""
    return f"{name} {_speed(view, share)} on {view.place}{targets}"


def _speed(view: View, share: float) -> str:
    """A fraction of the roof in words, by the roof's name."""
    roof = view.roof
    if roof is None:
        return f"runs at {percent(share)} of the roof's speed"
    if roof.ceiling == "library":
        return distance_from_roof(share, roof)
    return f"runs at {roof.speed(share)}"


def _case_of(verdict: Verdict) -> Case:
    return Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)


def _fastest(view: View) -> str:
    """The finding for a workload without a candidate."""
    if view.is_imported:
        return _longest(view)
    timed = [(time, case) for case in view.cases if (time := view.median(case, "duration")) is not None]
    if len(timed) < 2:
        return f"{len(view.cases)} {'case' if len(view.cases) == 1 else 'cases'} on {view.place}"
    time, case = min(timed, key=lambda pair: pair[0])
    return f"{view.short_name(case.case)} is the fastest of {len(timed)} on {view.place}: {scaled(time, 'ns')}"


def _longest(view: View) -> str:
    """The finding for imported cases: they do unlike work, so none is the fastest."""
    timed = [(time, case) for case in view.cases if (time := view.total_time(case)) is not None]
    cases = f"{len(view.cases)} {'case' if len(view.cases) == 1 else 'cases'} on {view.place}"
    if not timed:
        return cases
    time, case = max(timed, key=lambda pair: pair[0])
    took = f"{view.short_name(case.case)} took {'longest, ' * (len(timed) > 1)}{scaled(time, 'ns')}"
    launches = case.identity.launches - case.identity.without_counters if case.identity is not None else 1
    return f"{cases}: {took}{f' in {launches} launches' * (launches > 1)}"


def _gap(view: View, case: CaseResult, metric: str) -> str:
    """Why a case has no value of a metric."""
    summary = view.summary(case, metric)
    gap = summary.state if summary is not None else case.outcome
    return spaced("damaged_report" if gap == "profiled" else gap)


def _panel(view: View, metric: Metric, scale: float = 1.0) -> Panel:
    roof = view.of_roof(metric.name) if metric.name in _goals(view) else None
    return Panel(
        metric=metric,
        dots=[_dot(view, case, metric, scale) for case in view.drawn],
        limit=_limit(view, metric),
        roof=roof * scale if roof is not None else None,
        roof_label=view.roof.noun if view.roof is not None else "roof",
    )


_TIME_GOALS = ("duration",)
_BYTE_GOALS = (*_TIME_GOALS, "dram_throughput", "effective_bandwidth")
_FLOP_GOALS = (*_TIME_GOALS, "tflops", "tflops_needed", "tensor_pipe_utilization")


def _goals(view: View) -> tuple[str, ...]:
    """The metrics of which the roof's value is what a kernel aims at: those of the kind that bounds the problem."""
    if view.roof is None:
        return ()
    return _FLOP_GOALS if is_arithmetic(view) else _BYTE_GOALS


def is_arithmetic(view: View) -> bool:
    """Whether arithmetic bounds a workload, and not bytes: by its roof, or by what a library's roof keeps busy."""
    if view.roof is None or view.roof.ceiling == "bytes":
        return False
    return view.roof.ceiling == "flops" or view.of_roof("tflops_needed") is not None or bool(_busy_tensor(view))


def _busy_tensor(view: View) -> bool:
    """Whether the roof keeps the tensor pipe busier than DRAM."""
    return (view.of_roof("tensor_pipe_utilization") or 0.0) > (view.of_roof("dram_throughput") or 0.0)


def _dot(view: View, case: CaseResult, metric: Metric, scale: float) -> Dot:
    summary = view.summary(case, metric.name)
    if summary is None or summary.median is None or summary.low is None or summary.high is None:
        return Dot(median=None, low=None, high=None, gap=_gap(view, case, metric.name))
    before, earlier = _accepted(view, case, metric), view.earlier(case, metric.name)
    return Dot(
        median=summary.median * scale,
        low=summary.low * scale,
        high=summary.high * scale,
        before=before * scale if before is not None else None,
        earlier=earlier * scale if earlier is not None else None,
    )


def _accepted(view: View, case: CaseResult, metric: Metric) -> float | None:
    """The accepted value of a case's metric, where a stage judges it by one."""
    found = (v for v in view.verdicts() if v.metric == metric.name and _case_of(v) == case.case and v.kernel is None)
    return next((verdict.baseline for verdict in found if verdict.baseline is not None), None)


def _limit(view: View, metric: Metric) -> Limit | None:
    """The bound that calls were judged by on this workload, where it is not around one variant's baseline."""
    for verdict in view.verdicts():
        judged = verdict.metric == metric.name and verdict.value is not None
        shared = verdict.kernel is None and verdict.baseline is None
        if judged and shared and verdict.comparison is not None and verdict.bound is not None:
            return Limit(comparison=verdict.comparison, bound=verdict.bound)
    return None


def _in_words(view: View, panels: list[Panel]) -> str:
    sentences = []
    for panel in panels:
        values = [
            f"{row.name} {rounded(dot.median)}" if dot.median is not None else f"{row.name} {dot.gap}"
            for row, dot in zip(view.rows, panel.dots, strict=True)
        ]
        sentences.append(f"{panel.metric.title} in {panel.metric.unit or 'parts of 1'}: {', '.join(values)}")
    return ". ".join(sentences)


def _distance(view: View) -> Picture | None:
    """Time, and what bounds the workload beside the roof's: bytes per second and excess traffic, or arithmetic."""
    if view.roof is None:
        return None
    by, unit = fitting_unit("ns", view.roof.duration)
    panels = [_panel(view, replace(view.metric("duration"), title="Time", unit=unit), 1 / by)]
    if is_arithmetic(view):
        panels += [_panel(view, view.metric(name)) for name in _FLOP_GOALS[1:] if _has(view, name)]
    else:
        panels.append(_panel(view, view.metric("effective_bandwidth")))
        panels.append(replace(_panel(view, view.metric("traffic")), roof=1.0, roof_label="needed"))
    title = titled(view, _distance_in_words(view, view.roof))
    drawn = drawing(partial(panels_figure, title, view.rows, panels, view.base))
    return Picture(name="distance", title=title, drawing=drawn, alt=f"{title}. {_in_words(view, panels)}")


def _has(view: View, metric: str) -> bool:
    """Whether any drawn case has a value of a metric."""
    return any(view.median(case, metric) is not None for case in view.drawn)


def _distance_in_words(view: View, roof: Roof) -> str:
    """How much longer cases take than the roof, and which one moves far more bytes than needed."""
    distances = _distances(view, roof)
    wasteful = None if is_arithmetic(view) else _wasteful(view)
    if wasteful is None:
        sentences = [f"{view.short_name(case)} {words}" for case, words in distances.items()]
        return joined(sentences or ["Distance from the roof"])
    worst, waste = wasteful
    first = next(iter(distances), worst)
    if first == worst:
        words = [distances[worst], waste] if worst in distances else [waste]
        return f"{view.short_name(worst)} {' and '.join(words)}"
    return joined([f"{view.short_name(case)} {words}" for case, words in ((first, distances[first]), wasteful)])


def _distances(view: View, roof: Roof) -> dict[Case, str]:
    """Case -> its time beside the roof's in words; candidates first, of them the fastest."""
    timed = [(case, view.median(case, "duration")) for case in view.cases if case.role != "roof"]
    ordered = sorted(timed, key=lambda pair: (pair[0].role != "candidate", pair[1] or 0))
    return {case.case: _longer(time / roof.duration, roof.name) for case, time in ordered if time is not None}


def _longer(ratio: float, roof: str) -> str:
    if ratio >= 2:
        return f"takes {rounded(ratio)} times as long as {roof}"
    return f"takes {percent(abs(ratio - 1))} {'longer' if ratio >= 1 else 'less time'} than {roof}"


_WASTE = 1.1
"""Traffic above this multiple of the bytes needed is mentioned."""


def _wasteful(view: View) -> tuple[Case, str] | None:
    """The case with the most traffic, and how much that is; None where no case has much more than needed."""
    traffic = [(view.median(case, "traffic") or 0.0, case.case) for case in view.cases]
    most, worst = max(traffic, key=lambda pair: pair[0])
    return (worst, f"moves {rounded(most, 2)} times the bytes needed") if most > _WASTE else None


# --- units and memory -------------------------------------------------------------------------------------------------


def _units(view: View) -> Picture | None:
    """How busy each unit of the GPU is: the speed of light, unit by unit."""
    found = units(view)
    if not found:
        return None
    title = titled(view, units_in_words(view, found))
    drawn = drawing(partial(units_figure, title, view.rows, found, view.base))
    return Picture(name="units", title=title, drawing=drawn, alt=f"{title}. The table has every share.")


def _memory(view: View) -> Picture | None:
    """The way of the bytes of a candidate, and of what it is compared with."""
    paths = memory_paths(view)
    if not paths:
        return None
    title = titled(view, memory_in_words(view, paths[0]))
    drawn = drawing(partial(memory_figure, title, paths, memory_remark(view, paths), view.base))
    return Picture(name="memory", title=title, drawing=drawn, alt=f"{title}. {' '.join(map(path_in_words, paths))}")


# --- warps ------------------------------------------------------------------------------------------------------------


def _warp_states(view: View) -> Picture | None:
    states = [metric for metric in view.project.catalogue.metrics.values() if metric.state is not None]
    shares = [
        Share(
            state=state_words(metric.state or metric.name),
            family=metric.family or "other",
            shares=[view.median(case, metric.name) for case in view.drawn],
            about=metric.about,
            before=[view.earlier(case, metric.name) for case in view.drawn],
        )
        for metric in states
    ]
    if all(value is None for share in shares for value in share.shares):
        return None
    title = titled(view, _waiting_in_words(view))
    earlier = EarlierStates(base=view.base, cycles=_cycles_before(view)) if view.base else None
    drawn = drawing(partial(warp_states_figure, title, view.rows, shares, _cycles(view), earlier))
    return Picture(name="warp-states", title=title, drawing=drawn, alt=f"{title}. The table has every share.")


def _cycles(view: View) -> list[float | None]:
    """Cycles of a warp for each instruction, by drawn case; None where it is not known."""
    return _quotients([(view.median(case, "warps_active"), view.median(case, "instructions")) for case in view.drawn])


def _cycles_before(view: View) -> list[float | None]:
    """The same in the earlier run."""
    return _quotients([(view.earlier(case, "warps_active"), view.earlier(case, "instructions")) for case in view.drawn])


def _quotients(found: list[tuple[float | None, float | None]]) -> list[float | None]:
    return [cycles / count if cycles is not None and count else None for cycles, count in found]


def _waiting_in_words(view: View) -> str:
    """What the first candidate's warps, or the first variant's, wait for most of the time."""
    known = [case for case in view.drawn if waits(view, case)]
    first = next((case for case in known if case.role == "candidate"), next(iter(known), None))
    if first is None:
        return f"What the warps did on {view.place}"
    most = waits(view, first)
    states = " and ".join(f"{state_words(state)}, {share:.0f} %" for state, share in most)
    return f"Warps of {view.short_name(first.case)} wait most for {states}"


def waits(view: View, case: CaseResult) -> list[tuple[str, float]]:
    """The two states that most warps of a case waited in, with their shares in per cent; none where it is unknown.

    A warp that issues, or is ready while another one issues, does not wait.
    """
    states = [m for m in view.project.catalogue.metrics.values() if m.state is not None and m.family != "issue"]
    known = [(metric.state or "", view.median(case, metric.name) or 0.0) for metric in states]
    return [wait for wait in sorted(known, key=lambda wait: -wait[1])[:2] if wait[1]]


def _occupancy(view: View) -> Picture | None:
    found = [_occupancy_of(view, case) for case in view.drawn]
    if all(occupancy.achieved is None for occupancy in found):
        return None
    title = titled(view, f"Occupancy on {view.place}, and what limits it")
    words = [
        f"{row.name} {number(occupancy.achieved)} %, {occupancy.limiter}"
        for row, occupancy in zip(view.rows, found, strict=True)
        if occupancy.achieved is not None
    ]
    drawn = drawing(partial(occupancy_figure, title, view.rows, found, view.base))
    return Picture(name="occupancy", title=title, drawing=drawn, alt=f"{title}: {'; '.join(words)}")


def _occupancy_of(view: View, case: CaseResult) -> Occupancy:
    return Occupancy(
        achieved=view.median(case, "achieved_occupancy"),
        possible=view.median(case, "theoretical_occupancy"),
        limiter=limiter(view, case),
        more=one_more_block(view, case),
        before=view.earlier(case, "achieved_occupancy"),
    )


_REGISTERS = 65_536
"""32-bit registers of a multiprocessor, of every architecture since Maxwell."""

_REGISTER_STEP = 8
"""Registers of a thread are given out in steps of so many."""


def one_more_block(view: View, case: CaseResult) -> list[str]:
    """What one more block on a multiprocessor would take of the resources that limit a case; [] where nothing does."""
    limits = {name: view.median(case, f"occupancy_limit_{name}") for name in ("registers", "shared_memory")}
    known = [value for value in _block_limits(view, case).values() if value is not None]
    possible, threads = view.median(case, "theoretical_occupancy"), view.median(case, "block_size")
    if not known or possible is None or possible >= 100:
        return []
    blocks, said = min(known), []
    if blocks in [view.median(case, f"occupancy_limit_{name}") for name in ("warps", "blocks")]:
        return []
    spec, taken = view.result.gpu_spec, view.median(case, "shared_memory")
    if limits["registers"] == blocks and threads:
        most = _REGISTERS / ((blocks + 1) * threads)
        said.append(f"one more block: at most {most // _REGISTER_STEP * _REGISTER_STEP:.0f} registers a thread")
    if limits["shared_memory"] == blocks and spec is not None and taken:
        most = spec.shared_memory_per_multiprocessor_kb * 1024 / (blocks + 1)
        said.append(f"one more block: at most {rounded(most / 1024)} KiB of shared memory a block")
    return said


def _block_limits(view: View, case: CaseResult) -> dict[str, float | None]:
    """Blocks on a multiprocessor that each resource allows."""
    occupancy = view.project.catalogue.metrics.get("achieved_occupancy")
    return {name: view.median(case, name) for name in (occupancy.limiters if occupancy is not None else {})}


def _limited_by_grid(view: View, case: CaseResult) -> str:
    """A remark where the grid has fewer blocks than the GPU holds at once; else ''."""
    waves, grid = view.median(case, "waves"), view.median(case, "grid_size")
    if waves is None or grid is None or waves >= 1 or not waves:
        return ""
    return f"limited by the grid: {grid:,.0f} block{'s' * (grid != 1)}"


def limiter(view: View, case: CaseResult) -> str:
    """The resource that limits occupancy, as text."""
    possible = view.median(case, "theoretical_occupancy")
    occupancy = view.project.catalogue.metrics.get("achieved_occupancy")
    words = occupancy.limiters if occupancy is not None else {}
    limits = {name: view.median(case, name) for name in words}
    known = {name: value for name, value in limits.items() if value is not None}
    if possible is None or not known:
        return "limits not measured"
    by_grid = _limited_by_grid(view, case)
    if by_grid or possible >= 100:
        return by_grid or "not limited"
    least = min(known.values())
    return "limited by " + ", ".join(words[name] for name, value in known.items() if value == least)


# --- the trade, the roofline ------------------------------------------------------------------------------------------


def _trade(view: View) -> Picture | None:
    """Speed against stall share, where a variant was measured in several configurations."""
    points, several = trade_points(view)
    if len(points) < 2:
        return None
    best = front(points)[-1]
    of = f" of {figure_name(next(iter(several)))}" if len(several) == 1 else ""
    many = f"{len(points)} configurations{of}"
    title = f"The trade on {view.place}: of {many} the fastest, {best.name}, waits {best.stall:.3g} %"
    speed = "fraction of the roof" if view.roof is not None else "calls per second"
    figure = partial(trade_figure, title, points, ("waits for global memory [%]", speed), view.base)
    words = "; ".join(f"{p.name}: {rounded(p.speed)} at {p.stall:.3g} %" for p in front(points)[:12])
    return Picture(name="trade", title=title, drawing=drawing(figure), alt=f"{title}. Not beaten in both: {words}")


def trade_points(view: View) -> tuple[list[TradePoint], set[str]]:
    """The cases of variants that were measured in several configurations, as points, and these variants."""
    count = Counter(case.case.variant for case in view.cases if case.role not in ("roof", "unknown"))
    several = {name for name, times in count.items() if times > 1}
    alone = len(several) == 1
    return [
        point for case in view.cases if case.case.variant in several for point in _point(view, case, alone)
    ], several


def _point(view: View, case: CaseResult, alone: bool) -> list[TradePoint]:
    """A case as a point. With a single variant, the configuration alone is its name."""
    stall, share = view.median(case, "memory_dependency_stall"), view.median(case, ROOF_FRACTION)
    duration = view.median(case, "duration")
    speed = share if view.roof is not None else 1e9 / duration if duration else None
    if stall is None or speed is None:
        return []
    name = case.case.configuration if alone else view.name(case.case)
    name = view.marked(case, figure_name(name))
    before = _point_before(view, case)
    return [TradePoint(name=name, role=case.role, stall=stall, speed=speed, before=before, row=case.case.name)]


def _point_before(view: View, case: CaseResult) -> tuple[float, float] | None:
    """The same in the earlier run."""
    stall, share = view.earlier(case, "memory_dependency_stall"), view.earlier(case, ROOF_FRACTION)
    duration = view.earlier(case, "duration")
    speed = share if view.roof is not None else 1e9 / duration if duration else None
    return (stall, speed) if stall is not None and speed is not None else None


def _roofline(view: View) -> Picture | None:
    found = roofline(view)
    if found is None:
        return None
    counted = found.counted
    needed = any(work.by_need for work in found.works)
    how = f"{counted} by counters, by need where said" if needed else f"bytes and {counted} by counters"
    title = titled(view, f"Roofline of {view.place}: {how}")
    words = [
        f"{w.name} {scaled(w.flops_per_second, 'FLOP')}/s{' by need' * w.by_need}"
        f" with {scaled(w.bytes_per_second, 'byte')}/s"
        for w in found.works
    ]
    under = listed([ceiling.name for ceiling in found.ceilings if ceiling.flops_per_second is not None])
    drawn = drawing(partial(roofline_figure, title, found.works, found.ceilings, counted, view.base))
    return Picture(name="roofline", title=title, drawing=drawn, alt=f"{title}, under {under}: {'; '.join(words)}")
