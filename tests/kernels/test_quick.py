"""The quick interpreter refuses what triton's own does."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.errors import InterpreterError

LARGEST = 2**31 - 1


def _kernel(x_ptr, y_ptr, operation: tl.constexpr):
    index = tl.arange(0, 2)
    x, y = tl.load(x_ptr + index), tl.load(y_ptr + index)
    if operation == "add":
        combined = x + y
    elif operation == "sub":
        combined = x - y
    else:
        combined = x * y
    tl.store(y_ptr + index, combined)


def combined(x: list[int], y: list[int], operation: str) -> list[int]:
    result = torch.tensor(y, dtype=torch.int32)
    triton.jit(_kernel)[(1,)](torch.tensor(x, dtype=torch.int32), result, operation)
    return result.tolist()


@pytest.mark.parametrize(
    ("x", "operation", "y", "right"),
    [(LARGEST - 1, "add", 1, LARGEST), (1 - LARGEST, "sub", 2, -LARGEST - 1), (2**16, "mul", -(2**15), -(2**31))],
)
def test_integers_may_reach_the_end_of_their_range_and_not_leave_it(x: int, operation: str, y: int, right: int) -> None:
    assert combined([1, x], [1, y], operation)[1] == right
    further = y + 1 if y > 0 else y - 1
    with pytest.raises(InterpreterError, match=f"int32 overflow detected for operation {operation}"):
        combined([1, x], [1, further], operation)
