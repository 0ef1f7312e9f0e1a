"""The roofline of a workload: what its cases do per second, and the limits of the GPU above them."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from stallgate.formatting import listed, rounded
from stallgate.judge.roof import Roof
from stallgate.model import Case, CaseResult, FrozenStruct
from stallgate.project.arithmetic import TENSOR_PEAKS
from stallgate.render.figures import TERA, RooflineCeiling, Work
from stallgate.render.view import View, figure_name


class _Pipe(FrozenStruct, frozen=True):
    """What does arithmetic on one type."""

    type: str
    unit: Literal["units", "tensor cores"]
    peak: str
    """The key of its peak in a GPU's data sheet."""


_PIPES = {
    "fp32_flops": _Pipe("FP32", "units", "fp32_tflops"),
    "fp64_flops": _Pipe("FP64", "units", "fp64_tflops"),
    "fp16_flops": _Pipe("FP16", "units", "fp16_vector_tflops"),
    "tensor_bf16_flops": _Pipe("BF16", "tensor cores", "bf16_tflops"),
    "tensor_fp16_flops": _Pipe("FP16", "tensor cores", "fp16_tflops"),
    "tensor_tf32_flops": _Pipe("TF32", "tensor cores", "tf32_tflops"),
    "tensor_fp8_flops": _Pipe("FP8", "tensor cores", "fp8_tflops"),
    "tensor_fp64_flops": _Pipe("FP64", "tensor cores", "fp64_tensor_tflops"),
}
"""Metric of a pipe's operations -> the pipe."""

_BUSY = 0.5
"""Per cent of its cycles from which a pipe counts as used where operations were not counted."""


class _Arithmetic(FrozenStruct, frozen=True):
    """What a case did per second, and with which pipes."""

    work: Work
    pipes: list[str]
    """Metrics of the pipes' operations."""


class Roofline(FrozenStruct, frozen=True):
    """The dots of a roofline, and what they lie under."""

    works: list[Work]
    ceilings: list[RooflineCeiling]
    counted: str
    """The operations that were counted: of one type, or all."""


def roofline(view: View) -> Roofline | None:
    """The roofline of a workload; None where operations or limits are not known."""
    rates = view.rates()
    known = {case.case: _arithmetic(view, case, rates.get(case.case, {})) for case in view.drawn}
    found = {case: each for case, each in known.items() if each is not None}
    pipes = [name for name in _PIPES if any(name in each.pipes for each in found.values())]
    levels, slope = _levels(view, rates, pipes), _slope(view, rates, found)
    if not found or not levels or slope is None:
        return None
    works = [_named(view, case, found[case.case].work) for case in view.drawn if case.case in found]
    subjects = [case for case in view.drawn if case.role in ("candidate", "unknown")]
    first = next((case for case in subjects if case.case in found), None)
    of_caches, slopes = _caches(view, first, found[first.case].work) if first is not None else ([], [])
    return Roofline(works=works + of_caches, ceilings=[*levels, *slopes, slope], counted=_operations(pipes))


def _named(view: View, case: CaseResult, work: Work) -> Work:
    """A case's dot with its label, and where it was in the earlier run if its operations are known alike there."""
    read, written, time, counted, needed = (
        view.earlier(case, name)
        for name in ("dram_bytes_read", "dram_bytes_written", "duration", "tflops", "tflops_needed")
    )
    done = needed if work.by_need else counted
    known = read is not None and written is not None and time and done
    before = (1e9 * ((read or 0.0) + (written or 0.0)) / time, TERA * done) if known and time and done else None
    return replace(work, name=view.label(case), before=before)


_CACHES = {
    "L1": (("l1_bytes_loaded", "l1_bytes_stored"), "l1_peak_rate"),
    "L2": (("l2_bytes_read", "l2_bytes_written"), "l2_peak_rate"),
}
"""Cache -> the metrics of the bytes that went through it, and of its peak."""


def _caches(view: View, case: CaseResult, work: Work) -> tuple[list[Work], list[RooflineCeiling]]:
    """A dot of the first candidate for each cache, by the bytes that went through it, and the peak of the cache.

    A cache is left out where its bytes were not counted, as those of TMA in L1.
    """
    time = view.median(case, "duration")
    works, ceilings = [], []
    for cache, (names, of_peak) in _CACHES.items():
        moved, peak = sum(view.found(case, name) or 0.0 for name in names), view.found(case, of_peak)
        if moved and peak and time and view.found(case, names[0]):
            name = f"{view.label(case)} by {cache}"
            works.append(replace(work, name=name, bytes_per_second=1e9 * moved / time))
            ceilings.append(RooflineCeiling(name=_cache_name(cache, peak), bytes_per_second=peak))
    return works, ceilings


def _cache_name(cache: str, peak: float) -> str:
    return f"{cache} by its counters, {peak / 1e9:,.0f} GB/s"


def _operations(pipes: list[str]) -> str:
    """The operations of some pipes in words: ``FP64 operations``; ``operations`` where tensor cores are among them."""
    if any(_PIPES[name].unit == "tensor cores" for name in pipes):
        return "operations"
    return f"{listed([_PIPES[name].type for name in pipes])} operations"


def _arithmetic(view: View, case: CaseResult, rates: dict[str, float]) -> _Arithmetic | None:
    """A case's operations by the counters of its samples, else by those of its launch with every section, else by need.

    None where neither is known, or not the bytes.
    """
    of_samples = {name: view.median(case, name) or 0.0 for name in (*_PIPES, "tflops")}
    moved = _bytes_per_second(view, case) or rates.get("dram_rate")
    if moved and of_samples["tflops"]:
        return _counted(case, of_samples, moved, TERA * of_samples["tflops"])
    if rates.get("tflops") and moved:
        return _counted(case, rates, rates.get("dram_rate", moved), TERA * rates["tflops"])
    if "flop_rate" in rates:
        done = _done_by_type(view, case, rates)
        return _counted(case, done, moved, sum(done.values())) if done and moved else None
    needed, busy = view.median(case, "tflops_needed"), _busy(view, case)
    if not needed or not busy or not moved or view.only_moves(case):
        return None
    return _Arithmetic(_work(case, moved, TERA * needed, by_need=True), busy)


def _done_by_type(view: View, case: CaseResult, rates: dict[str, float]) -> dict[str, float]:
    """Operations a second of the units that a report counted, FP32 and FP64; none where another pipe worked as well.

    A report with every section has no counters of the tensor cores, nor of half precision. A tenth of what the counted
    units are busy is no work of theirs: compilers load constants through the tensor pipe (HFMA2.MMA on GA100).
    """
    time = view.median(case, "duration")
    done = {"fp32_flops": rates["flop_rate"]}
    done["fp64_flops"] = 1e9 * (view.median(case, "fp64_flops") or rates.get("fp64_flops", 0.0)) / time if time else 0.0
    used = {name: rate for name, rate in done.items() if rate}
    busiest = max((_utilization(view, case, name.removesuffix("_flops")) for name in used), default=0.0)
    others = max(_utilization(view, case, name) for name in ("tensor", "fp16"))
    return used if others <= max(busiest / 10, _BUSY) else {}


def _utilization(view: View, case: CaseResult, pipe: str) -> float:
    return view.median(case, f"{pipe}_pipe_utilization") or 0.0


def _counted(case: CaseResult, values: dict[str, float], moved: float, done: float) -> _Arithmetic:
    return _Arithmetic(_work(case, moved, done, by_need=False), [name for name in _PIPES if values.get(name)])


def _work(case: CaseResult, moved: float, done: float, *, by_need: bool) -> Work:
    return Work(
        name=figure_name(case.case.display_name),
        role=case.role,
        bytes_per_second=moved,
        flops_per_second=done,
        by_need=by_need,
    )


def _bytes_per_second(view: View, case: CaseResult) -> float | None:
    """DRAM traffic of a case's samples."""
    read, written, time = (view.median(case, name) for name in ("dram_bytes_read", "dram_bytes_written", "duration"))
    return 1e9 * (read + written) / time if read is not None and written is not None and time else None


def _busy(view: View, case: CaseResult) -> list[str]:
    """The pipes that a case kept busy; the tensor cores by the type that the workload has."""
    tensor, fp64, fp32 = (_utilization(view, case, name) > _BUSY for name in ("tensor", "fp64", "fp32"))
    peaks = {TENSOR_PEAKS[name] for name in view.float_types(case)} if tensor else set()
    of_tensor = [name for name, pipe in _PIPES.items() if pipe.peak in peaks]
    return [*of_tensor, *["fp64_flops"] * fp64, *["fp32_flops"] * fp32]


def _levels(view: View, rates: dict[Case, dict[str, float]], pipes: list[str]) -> list[RooflineCeiling]:
    """The peaks of pipes, by their counters where these are known, else by the data sheet; equal ones are one."""
    counted = {name: peak for name in pipes if (peak := _counted_peak(rates, name)) is not None}
    spec = view.result.gpu_spec
    levels: dict[float, list[_Pipe]] = {}
    for pipe in [_PIPES[name] for name in pipes if name not in counted]:
        peak = getattr(spec, pipe.peak, None)
        if peak is not None:
            levels.setdefault(TERA * peak, []).append(pipe)
    found = [RooflineCeiling(name=_level_name(level, of), flops_per_second=level) for level, of in levels.items()]
    return found + [
        RooflineCeiling(name=f"{_PIPES[name].type} units by their counters", flops_per_second=peak)
        for name, peak in counted.items()
    ]


_COUNTED_PEAKS = {"fp32_flops": "flop_peak_rate", "fp64_flops": "fp64_peak_rate"}
"""Metric of a pipe's operations -> metric of its peak by counters."""


def _counted_peak(rates: dict[Case, dict[str, float]], name: str) -> float | None:
    key = _COUNTED_PEAKS.get(name, "")
    return next((each[key] for each in rates.values() if key in each), None)


def _level_name(level: float, pipes: list[_Pipe]) -> str:
    """Such as ``BF16 and FP16 tensor cores, 989.4 TFLOP/s (data sheet)``."""
    types = {unit: [pipe.type for pipe in pipes if pipe.unit == unit] for unit in ("units", "tensor cores")}
    names = [f"{listed(found)} {unit}" for unit, found in types.items() if found]
    return f"{listed(names)}, {rounded(level / TERA, 4)} TFLOP/s (data sheet)"


def _slope(view: View, rates: dict[Case, dict[str, float]], found: dict[Case, _Arithmetic]) -> RooflineCeiling | None:
    """The traffic of the roof that is limited by bytes, else the peak of DRAM by its counters or its data sheet."""
    roof = view.result.roofs[view.problem, view.workload].fastest.get("bytes")
    needed = view.of_case(roof.case, "effective_bandwidth") if isinstance(roof, Roof) else None
    moved = _moved_by(view, roof.case, rates, found) if isinstance(roof, Roof) else None
    measured = 1e9 * needed if needed is not None else moved  # as the other figures say it
    peak = next((each["dram_peak_rate"] for each in rates.values() if "dram_peak_rate" in each), None)
    if measured:
        return RooflineCeiling(name=f"the roof, {measured / 1e9:,.0f} GB/s", bytes_per_second=measured)
    if peak is not None:
        return RooflineCeiling(name=f"DRAM by its counters, {peak / 1e9:,.0f} GB/s", bytes_per_second=peak)
    if view.result.gpu_spec is None:
        return None
    quoted = 1e9 * view.result.gpu_spec.dram_bandwidth_gb_s
    return RooflineCeiling(name=f"DRAM, {quoted / 1e9:,.0f} GB/s (data sheet)", bytes_per_second=quoted)


def _moved_by(
    view: View, roof: Case, rates: dict[Case, dict[str, float]], found: dict[Case, _Arithmetic]
) -> float | None:
    """Bytes per second of the roof, measured as those of the dots are."""
    if roof in found:
        return found[roof].work.bytes_per_second
    if "dram_rate" in rates.get(roof, {}):
        return rates[roof]["dram_rate"]
    return next((_bytes_per_second(view, case) for case in view.cases if case.case == roof), None)
