"""The quick interpreter gives what triton's own does, and refuses what that does."""

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


def _numbers_kernel(x_ptr, y_ptr):
    index = tl.arange(0, 2)
    x = tl.load(x_ptr + index)
    for place in tl.static_range(2):
        tl.store(y_ptr + 10 * place + index, x * 0.0)
        tl.store(y_ptr + 10 * place + 2 + index, x * -0.0)
        tl.store(y_ptr + 10 * place + 4 + index, x / 2)
        tl.store(y_ptr + 10 * place + 6 + index, x + 1)
        tl.store(y_ptr + 10 * place + 8 + index, x + 1.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int32], ids=str)
def test_numbers_that_are_equal_and_not_the_same_are_told_apart(dtype: torch.dtype) -> None:
    """Each beside a tensor of another type, and a second time."""
    x = torch.tensor([3, 5], dtype=dtype)
    found = torch.empty(20, dtype=torch.float32)
    triton.jit(_numbers_kernel)[(1,)](x, found)
    want = torch.cat([x * 0.0, x * -0.0, x / 2, x + 1, x + 1.5]).float()
    assert found.tolist() == [*want.tolist(), *want.tolist()]
    assert torch.equal(found.signbit(), want.signbit().repeat(2))
