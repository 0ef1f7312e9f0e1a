"""The part on the GPU that the code is to run on, and on readings that are of another one."""

from __future__ import annotations

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, inline, paragraphs
from stallgate.formatting import listed
from stallgate.model import GpuSpec
from stallgate.project.arithmetic import float_types
from stallgate.project.catalogue import asked_for, is_measured, stage_metrics

_PEAKS = (
    ("fp32_tflops", "float32"),
    ("fp64_tflops", "float64"),
    ("fp16_vector_tflops", "float16"),
    ("tf32_tflops", "TF32"),
    ("bf16_tflops", "bfloat16"),
    ("fp16_tflops", "float16"),
    ("fp8_tflops", "FP8"),
    ("fp64_tensor_tflops", "float64"),
    ("int8_tops", "int8"),
)
"""Key of a data sheet -> the type that the peak is of; from TF32 on those of the tensor cores."""

_FIRST_TENSOR = "tf32_tflops"

_WRITTEN = {"TF32": "float32", "FP8": "float8"}
"""Type of a peak -> the dtype of the inputs that it is for."""


def card_part(ground: Ground) -> Part:
    """What is known of the target GPU."""
    card = ground.card
    if card is None:
        return Part(name="gpu", title="Target GPU", text=_unknown(ground))
    other = _of_another(ground, card) if ground.is_other_gpu else ""
    short = f"{_head(card)}: {_essentials(card)}."
    return Part(
        name="gpu",
        title="Target GPU",
        text=paragraphs(f"{_head(card)}:", bullets(_facts(card, _types(ground))), other),
        shorter=[
            ShorterForm(
                text=paragraphs(short, _in_short(ground) if other else ""),
                usefulness=40,
                loses="the data sheet but for its main figures",
            )
        ],
    )


def _types(ground: Ground) -> set[str]:
    """The types of the floating-point inputs of the stage's workloads; empty where they are not known."""
    return {kind for name in ground.workloads for kind in float_types(ground.problem.workloads[name])}


def _unknown(ground: Ground) -> str:
    known = ", ".join(ground.project.gpu_specs)
    if ground.measured_gpu:
        return f"The code is to run on {inline(ground.measured_gpu)}, which has no data sheet here (known: {known})."
    return (
        f"Not known: no run says which GPU it is, and none was named. Write code that is right on any NVIDIA GPU; "
        f"`stallgate prompt {ground.asked.subject} --gpu CARD` names one of {known}."
    )


def _head(card: GpuSpec) -> str:
    chip = f"{inline(card.chip)}, compute capability {inline(card.compute_capability)}"
    return f"The code is to run on {inline(card.title)} ({chip})"


def _facts(card: GpuSpec, types: set[str]) -> list[str]:
    """A data sheet in lines, with the peaks of some types."""
    clock = f" at up to {card.boost_mhz:g} MHz" if card.boost_mhz is not None else ""
    cache = f"; L2 cache of {card.l2_cache_mb:g} MB" if card.l2_cache_mb is not None else ""
    return [
        f"{card.multiprocessors} multiprocessors{clock}",
        f"DRAM: {card.dram_bandwidth_gb_s:g} GB/s{cache}",
        f"shared memory: {card.shared_memory_per_multiprocessor_kb:g} KB a multiprocessor, at most "
        f"{card.shared_memory_per_block_kb:g} KB a program",
        f"at most {card.registers_per_thread} registers a thread, {card.threads_per_block} threads a program, "
        f"{card.warps_per_multiprocessor} warps a multiprocessor",
        *_peaks(card, types),
    ]


def _peaks(card: GpuSpec, types: set[str]) -> list[str]:
    """Peaks of arithmetic on some types: those of ordinary units, and those of the tensor cores."""
    names = [key for key, _ in _PEAKS]
    wanted = [(key, kind, getattr(card, key)) for key, kind in _PEAKS if not types or _WRITTEN.get(kind, kind) in types]
    known = [found for found in wanted if found[2] is not None]
    first = names.index(_FIRST_TENSOR)
    told = {
        "TFLOP/s": [(kind, value) for key, kind, value in known if names.index(key) < first],
        "TFLOP/s of the tensor cores": [(kind, value) for key, kind, value in known if names.index(key) >= first],
    }
    return [
        f"{title}: {', '.join(f'{kind} {value:g}' for kind, value in found)}" for title, found in told.items() if found
    ]


def _essentials(card: GpuSpec) -> str:
    return (
        f"{card.multiprocessors} multiprocessors, {card.dram_bandwidth_gb_s:g} GB/s of DRAM, "
        f"{card.shared_memory_per_block_kb:g} KB of shared memory a program"
    )


# --- readings of another GPU ------------------------------------------------------------------------------------------


def _in_short(ground: Ground) -> str:
    return (
        f"All readings below are of another GPU, {inline(ground.measured_gpu)}: times, percentages of a peak, hit "
        "rates and waits will differ on this card."
    )


def _of_another(ground: Ground, card: GpuSpec) -> str:
    """What it means that the readings are of another GPU."""
    lines = [
        "How the code touches memory carries over: bytes a sector, needless traffic, launches.",
        "Times, percentages of a peak, hit rates, waits and occupancy do not; they say where to look. This card is "
        "judged once it is measured.",
    ]
    measured = ground.measured_card
    if measured is not None:
        lines.append(_ratios(card, measured))
    lacking = _lacking(ground, card)
    if lacking:
        lines.append(f"ncu has no counter on {inline(card.chip)} for {listed([code_span(name) for name in lacking])}.")
    return paragraphs(
        f"**All readings below are of another GPU**, {inline(ground.measured_gpu)}. What that means:",
        bullets(lines),
    )


def _ratios(card: GpuSpec, measured: GpuSpec) -> str:
    """The two cards side by side, in what limits kernels."""
    pairs = [
        ("DRAM bandwidth", card.dram_bandwidth_gb_s, measured.dram_bandwidth_gb_s, "GB/s"),
        ("L2 cache", card.l2_cache_mb, measured.l2_cache_mb, "MB"),
        ("multiprocessors", card.multiprocessors, measured.multiprocessors, ""),
        ("shared memory a program", card.shared_memory_per_block_kb, measured.shared_memory_per_block_kb, "KB"),
    ]
    told = [
        f"{name} {here:g} against {there:g}{f' {unit}' if unit else ''}"
        for name, here, there, unit in pairs
        if here is not None and there
    ]
    return f"This card against the measured one: {'; '.join(told)}."


def _lacking(ground: Ground, card: GpuSpec) -> list[str]:
    """The stage's metrics that the card's chip has no counter for."""
    catalogue = ground.project.catalogue
    metrics = [metric for metric in stage_metrics(ground.stages) if is_measured(metric)]
    return [metric.name for metric in metrics if not asked_for(catalogue, metric, card.chip)]
