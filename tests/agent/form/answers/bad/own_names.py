import functools
import itertools
import math

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + at, tl.load(x_ptr + at, mask=at < n), mask=at < n)


CHOSEN = max([1, 2], key=lambda each: torch.empty(each).numel())  # refused: module_level_call


class Names:
    """Fields that are called as what they are not."""

    cumprod = 0
    gi_frame: int = 0
    f_back: int = 0
    aten: int = 0
    __getattr__ = None  # refused: special_method

    def through_self(self, dim):
        return self.cumprod(dim)  # refused: torch_operation


class Node(torch.autograd.Function):
    cumprod = 0

    @staticmethod
    def forward(ctx, dim):
        return ctx.cumprod(dim)


def given(self, dim):
    return self.cumprod(dim)  # refused: torch_operation


def frames():
    return (each for each in ()).gi_frame.f_back  # refused: torch_operation


def patterns(x):
    match x:
        case torch.Tensor(cumprod=work):  # refused: forbidden_attribute
            return work(1)


def whole(x):
    t = torch  # refused: name_rebound
    return t.aten  # refused: torch_operation


def reduced(x):
    rows = x.unbind(0)
    first, second = x.split(1)
    y = functools.reduce(max, x.unbind(0))  # refused: tensor_arithmetic
    y = itertools.accumulate(rows, max)  # refused: tensor_arithmetic
    y = math.prod(rows)  # refused: tensor_arithmetic
    y = sum(rows)  # refused: tensor_arithmetic
    return first * second  # refused: tensor_arithmetic


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        super().register_forward_hook(given)  # refused: torch_operation
        super().compile()  # refused: torch_operation
        self.layer = nn.Linear(4, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4)])
        self.dim = dim

    def __call__(self, x):  # refused: special_method
        return x

    def forward(self, x):
        y = torch.empty_like(x)
        copy_kernel[(1,)](x, y, x.numel(), BLOCK=1024)
        layer = self.layer  # refused: torch_operation
        y = self.layers[0](x)  # refused: torch_operation
        y = Names.through_self(x, self.dim)  # refused: forbidden_attribute
        return Node.forward(x, self.dim)  # refused: forbidden_attribute
