"""Helpers that are objects: sizes in a named tuple, tiles in a dataclass, a launcher that is called."""

import enum
from collections import namedtuple
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import nn

View = namedtuple("View", "planes length width")


@triton.jit
def _times(a, b):
    return a * b


@triton.jit
def scan_kernel(x_ptr, y_ptr, one_ptr, length, width, LANES: tl.constexpr, STEP: tl.constexpr):
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    base = tl.program_id(1).to(tl.int64) * length * width
    carry = tl.zeros((LANES,), tl.float64) + tl.load(one_ptr)
    for start in range(0, length, STEP):
        step = start + tl.arange(0, STEP)
        places = base + step[:, None].to(tl.int64) * width + lane[None, :]
        mask = (step[:, None] < length) & (lane[None, :] < width)
        x = tl.load(x_ptr + places, mask=mask, other=1).to(tl.float64)
        y = tl.associative_scan(x, 0, _times) * carry[None, :]
        tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
        carry = tl.sum(tl.where((step == start + STEP - 1)[:, None], y, 0.0), 0)


class Kind(enum.Enum):
    NARROW = "narrow"
    WIDE = "wide"

    @classmethod
    def of(cls, view):
        return cls.NARROW if view.width < 16 else cls.WIDE


@dataclass(frozen=True)
class Tile:
    lanes: int
    step: int = 256

    @property
    def is_single(self) -> bool:
        return self.lanes == 1

    @classmethod
    def choose(cls, view):
        if Kind.of(view) is Kind.WIDE:
            return cls(16)
        return cls(triton.next_power_of_2(view.width))

    def grid(self, view):
        return triton.cdiv(view.width, self.lanes), view.planes


class Launcher:
    def __init__(self, one):
        self.one = one

    def __call__(self, x, y, view, tile):
        scan_kernel[tile.grid(view)](x, y, self.one, view.length, view.width, LANES=tile.lanes, STEP=tile.step)
        return y

    def __repr__(self):
        return f"Launcher({self.one!r})"


def view_of(shape, dim):
    planes = width = 1
    for size in shape[:dim]:
        planes *= size
    for size in shape[dim + 1 :]:
        width *= size
    return View(planes, shape[dim], width)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.register_buffer("one", torch.ones(1), persistent=False)

    def extra_repr(self):
        return f"dim={self.dim}"

    def forward(self, x):
        y = torch.empty_strided(x.shape, x.contiguous().stride(), dtype=x.dtype, device=x.device)
        if y.numel() == 0:
            return y
        view = view_of(tuple(x.shape), self.dim % x.dim())
        one = self.one if self.one.device == x.device else self.one.to(x.device)
        return Launcher(one)(x.contiguous(), y, view, Tile.choose(view))
