"""Where the GPU time of a captured program went, in words."""

from __future__ import annotations

from stallgate.formatting import scaled
from stallgate.model import Program


def gpu_time(program: Program) -> str:
    """How much GPU time a program took, and in how many launches."""
    launches = sum(kernel.launches for kernel in program.kernels)
    total = scaled(sum(kernel.time_ns for kernel in program.kernels), "ns")
    return f"{total} of GPU time in {launches} launches of {len(program.kernels)} kernels"
