"""Mends Triton's interpreter where it computes something else than a GPU: bfloat16, and tuning.

Only for a process in which ``TRITON_INTERPRET=1``. Seen with triton 3.6 and 3.9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.autotuner import Autotuner


def mend_interpreter() -> None:
    """Rounds float32 to the nearest bfloat16, multiplies bfloat16 as numbers, and takes a tuner's first configuration.

    As it is, the interpreter cuts digits off, ``tl.dot`` multiplies the 16 bits as integers, and a tuner wants a GPU.
    """
    _once(interpreter, "_convert_float", _rounding)
    _once(interpreter.InterpreterBuilder, "create_dot", _multiplying)
    _once(Autotuner, "run", _untuned)


def _once(owner: Any, name: str, mended: Any) -> None:
    original = getattr(owner, name)
    if not getattr(original, "is_mended", False):
        replacement = mended(original)
        replacement.is_mended = True
        setattr(owner, name, replacement)


def _rounding(convert: Any) -> Any:
    def rounded(values: Any, source: Any, target: Any, mode: Any) -> Any:
        to_nearest = mode is None or mode == interpreter._ir.ROUNDING_MODE.RTNE
        if (source.name, target.name) != ("fp32", "bf16") or not to_nearest:
            return convert(values, source, target, mode)
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        nearest = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
        return np.where(np.isnan(values), 0x7FC0, nearest).astype(np.uint16).reshape(np.shape(values))

    return rounded


def _multiplying(dot: Any) -> Any:
    def multiplied(builder: Any, a: Any, b: Any, *more: Any) -> Any:
        if a.dtype.scalar.name == b.dtype.scalar.name == "bf16":
            a, b = (builder.cast_impl(each, tl.float32) for each in (a, b))
        return dot(builder, a, b, *more)

    return multiplied


def _untuned(run: Any) -> Any:
    def first(tuner: Autotuner, *arguments: Any, **named: Any) -> Any:
        tuner.configs = tuner.configs[:1]
        return run(tuner, *arguments, **named)

    return first
