"""Softmax against torch's, on a GPU or in Triton's interpreter."""

import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported

from mykernels import softmax  # noqa: E402


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 1000)])
def test_softmax_is_that_of_torch(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, device=DEVICE)
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=-1))


def test_large_numbers_do_not_overflow() -> None:
    x = torch.tensor([[1e4, 1e4 - 1.0]], device=DEVICE)
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=-1))
