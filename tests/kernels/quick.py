"""Triton's interpreter in a third of its time: what it forms anew for every operation is formed once for a type.

It spends its time on types and shapes, not on numbers. What is kept here follows from nothing but the names of types;
and numpy looks for the overflow of integers, instead of ten operations that are interpreted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import triton.language as tl
from triton.language.semantic import TritonSemantic
from triton.runtime import interpreter


@contextmanager
def quick_interpreter() -> Iterator[None]:
    """While it lasts, triton.language stays as the interpreter patches it: not anew at each launch and each call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "_patch_attr", _replace_with_its_own)
        language = interpreter._patch_lang(SimpleNamespace(__globals__={"tl": tl, "core": tl.core}))
        patch.setattr(interpreter, "_patch_lang", lambda function: SimpleNamespace(restore=lambda: None))
        patch.setattr(interpreter, "_get_np_dtype", _once_a_type(interpreter._get_np_dtype))
        patch.setattr(tl.block_type, "__init__", _once_a_shape(tl.block_type.__init__))
        patch.setattr(tl.tensor, "__init__", _once_a_tensor_type(tl.tensor.__init__))
        patch.setattr(TritonSemantic, "computation_type_impl", _once_a_pair(TritonSemantic.computation_type_impl))
        patch.setattr(TritonSemantic, "cast", _unless_of_that_type(TritonSemantic.cast))
        patch.setattr(TritonSemantic, "broadcast_impl_value", _unless_alike(TritonSemantic.broadcast_impl_value))
        prepared = _once_a_number(TritonSemantic.binary_op_type_checking_impl)
        patch.setattr(TritonSemantic, "binary_op_type_checking_impl", prepared)
        patch.setattr(TritonSemantic, "binary_op_sanitize_overflow_impl", _refuse_overflow)
        yield
    language.restore()


def _replace_with_its_own(obj: Any, name: str, member: Any, builder: Any, scope: Any) -> None:
    """A builtin is called at once: what looks first whether it has a semantic is left out, since it is given one."""
    own = getattr(member, "__wrapped__", member)

    def called(*arguments: Any, _semantic: Any = None, **named: Any) -> Any:
        return own(*arguments, _semantic=interpreter.interpreter_semantic, **named)

    scope.set_attr(obj, name, called)


def _once_a_type(numpy_type: Any) -> Any:
    known: dict[str, np.dtype[Any]] = {}

    def remembered(of: tl.dtype) -> np.dtype[Any]:
        if of.name not in known:
            known[of.name] = numpy_type(of)
        return known[of.name]

    return remembered


def _once_a_shape(form: Any) -> Any:
    known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def remembered(block: tl.block_type, element: tl.dtype, shape: Any) -> None:
        key = (element.name, *[getattr(size, "value", size) for size in shape])
        if key not in known:
            form(block, element, shape)
            known[key] = dict(vars(block))
        vars(block).update(known[key])

    return remembered


def _once_a_tensor_type(form: Any) -> Any:
    known: dict[str, dict[str, Any]] = {}

    def remembered(tensor: tl.tensor, handle: Any, of: tl.dtype) -> None:
        if of.name not in known:
            form(tensor, handle, of)
            known[of.name] = dict(vars(tensor))
        vars(tensor).update(known[of.name], handle=handle, type=of)

    return remembered


def _once_a_pair(common_type: Any) -> Any:
    known: dict[tuple[Any, ...], tl.dtype] = {}

    def remembered(semantic: Any, a: tl.dtype, a_is_scalar: bool, b: tl.dtype, *more: bool) -> tl.dtype:
        key = (a.name, a_is_scalar, b.name, *more)
        if key not in known:
            known[key] = common_type(semantic, a, a_is_scalar, b, *more)
        return known[key]

    return remembered


def _unless_of_that_type(cast: Any) -> Any:
    def cast_unless_of_that_type(semantic: Any, a: tl.tensor, to: tl.dtype, rounding: str | None = None) -> Any:
        return a if a.dtype is to else cast(semantic, a, to, rounding)

    return cast_unless_of_that_type


def _unless_alike(broadcast: Any) -> Any:
    def broadcast_unless_alike(semantic: Any, a: tl.tensor, b: tl.tensor) -> Any:
        alike = a.type.is_block() and b.type.is_block() and a.type.shape.values == b.type.shape.values
        return (a, b) if alike else broadcast(semantic, a, b)

    return broadcast_unless_alike


DIVIDES = 4
"""Flags of an operation that divides, which may take another type than that of its operands."""


def _once_a_number(prepare: Any) -> Any:
    """Operands of one type are taken as they are, and a number beside a tensor becomes the same tensor every time."""
    known: dict[tuple[Any, ...], tl.tensor] = {}

    def remembered(semantic: Any, a: Any, b: Any, *flags: bool, **named: bool) -> Any:
        if named or len(flags) == DIVIDES or not isinstance(a, tl.tensor):
            return prepare(semantic, a, b, *flags, **named)
        if isinstance(b, tl.tensor):
            alike = a.type.name == b.type.name and not a.dtype.is_ptr()
            return (a, b) if alike else prepare(semantic, a, b, *flags)
        key = (a.type.name, type(b), repr(b), flags)
        if key in known:
            return a, known[key]
        left, right = prepare(semantic, a, b, *flags)
        if left is a:
            right.handle.data.flags.writeable = False
            known[key] = right
        return left, right

    return remembered


def _refuse_overflow(semantic: Any, a: tl.tensor, b: tl.tensor, operation: Any) -> None:
    """Integers of fewer than 64 bits must not overflow when they are added, subtracted or multiplied."""
    if a.dtype.int_bitwidth >= 64:
        return
    exact = _EXACTLY[operation.__name__](a.handle.data.astype(np.int64), b.handle.data.astype(np.int64))
    fits = (exact >= a.dtype.get_int_min_value()) & (exact <= a.dtype.get_int_max_value())
    assert fits.all(), f"int{a.dtype.int_bitwidth} overflow detected for operation {operation.__name__}"


_EXACTLY = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
