"""Modules of the child import triton; tests of kernels in the same process interpret it."""

from tests.interpreted import triton

__all__ = ["triton"]
