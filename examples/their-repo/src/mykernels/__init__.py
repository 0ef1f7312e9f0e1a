"""Triton kernels for rows."""

from .softmax import softmax

__all__ = ["softmax"]
