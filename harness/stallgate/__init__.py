"""stallgate: profile Triton kernels under Nsight Compute and gate on what was measured."""

__version__ = "0.1.0"
