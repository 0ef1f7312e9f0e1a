"""What a GPU's data sheet says of arithmetic on the types of a workload."""

from __future__ import annotations

import re

from stallgate.model import GpuSpec, Workload

TENSOR_PEAKS = {
    "bfloat16": "bf16_tflops",
    "float16": "fp16_tflops",
    "float32": "tf32_tflops",
    "float8": "fp8_tflops",
    "float64": "fp64_tensor_tflops",
}
"""Type -> the key of the tensor cores' peak in a data sheet."""

_OTHER_PEAKS = {"float16": "fp16_vector_tflops", "float32": "fp32_tflops", "float64": "fp64_tflops"}
"""Type -> the key of the other units' peak."""

_FLOAT = re.compile(rf"\b({'|'.join(TENSOR_PEAKS)})")


def float_types(workload: Workload) -> list[str]:
    """The floating-point types that a workload is called with, each once; ``float8`` for all of its forms."""
    return list(dict.fromkeys(_FLOAT.findall(repr(workload))))


def ridge(spec: GpuSpec, workload: Workload) -> float | None:
    """FLOP a byte from which arithmetic limits a workload on a GPU and no longer DRAM; None where it is not known.

    It is that of the fastest unit for the workload's types: above it no kernel can be limited by DRAM alone.
    """
    keys = [peaks[name] for name in float_types(workload) for peaks in (TENSOR_PEAKS, _OTHER_PEAKS) if name in peaks]
    peaks = [peak for key in keys if (peak := getattr(spec, key)) is not None]
    return 1e3 * max(peaks) / spec.dram_bandwidth_gb_s if peaks else None
