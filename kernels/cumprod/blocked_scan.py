"""Cumulative product in one pass: one program a sequence, tile by tile, the next on its way. See scan/README.md."""

import math

import torch
import triton
import triton.language as tl
from torch import nn

from .scan.launches import Work, launches_of
from .scan.ranges import limited, loaded_ahead, unfused
from .scan.rows import followed, turned_products
from .scan.shapes import accumulator, lines_of, readable, result_dtype
from .scan.turned import integer_tile, laid_out, turned, turned_back, units_beside
from .scan.wide import scan_again


@triton.jit
def _loaded(x_ptr, start, vectors, inner, VECTOR: tl.constexpr, BLOCK: tl.constexpr):
    """The tile at vector `start` of a sequence, 1 beyond it. Counted in vectors: the compiler sees that none is cut."""
    place = tl.cast(start, tl.int64) * VECTOR * inner
    return loaded_ahead(x_ptr + place, tl.minimum(vectors - start, BLOCK // VECTOR) * VECTOR, inner, BLOCK)


@triton.jit
def _blocked_scan_kernel(
    x_ptr,
    y_ptr,
    begin,
    vectors,
    inner,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    HELD: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program a sequence, from sequence `begin` on: vectors * VECTOR elements, `inner` apart. It has STAGES tiles
    at once, of each of which a thread holds HELD neighbours. The carry is m * 2**e; of integers m.
    """
    sequence = begin + tl.program_id(0).to(tl.int64)
    origin = sequence // inner * inner * vectors * VECTOR + sequence % inner
    x_ptr, y_ptr = x_ptr + origin, y_ptr + origin
    STEP: tl.constexpr = BLOCK // VECTOR
    PIECE: tl.constexpr = 4 * BLOCK // HELD
    units = units_beside(x_ptr.to(tl.pointer_type(tl.int32)), BLOCK // HELD, tl.minimum(begin, 0).to(tl.int32))
    like, offsets = tl.max(units, 0), tl.arange(0, BLOCK)
    m, e = tl.full((), 1, tl.float64 if ACCUMULATOR.is_floating() else tl.int64), tl.full((), 0, tl.float32)
    ahead, later = _loaded(x_ptr, 0, vectors, inner, VECTOR, BLOCK), _loaded(x_ptr, STEP, vectors, inner, VECTOR, BLOCK)
    for start in range(0, vectors, STEP):
        if STAGES == 1:
            ahead = _loaded(x_ptr, start, vectors, inner, VECTOR, BLOCK)
        x = turned(ahead, units, min(HELD, 16), max(1, HELD // 16), 1).to(ACCUMULATOR)
        x = followed(x, e) if ACCUMULATOR.is_floating() else x
        if STAGES == 2:
            ahead = _loaded(x_ptr, start + STEP, vectors, inner, VECTOR, BLOCK)
        elif STAGES > 2:
            ahead, later = later, _loaded(x_ptr, start + 2 * STEP, vectors, inner, VECTOR, BLOCK)
        if ACCUMULATOR.is_floating():
            y, m_after, e_after, is_right = turned_products(x, m, e, like, y_ptr.dtype.element_ty)
        else:
            y, before, total = integer_tile(x, like, 1, 1)
            y, m_after, e_after = y * laid_out(before * m, like)[None, :, :], m * tl.max(total, 0), e
        place, left = tl.cast(start, tl.int64) * VECTOR * inner, tl.minimum(vectors - start, STEP) * VECTOR
        y_ptrs = y_ptr + place + offsets.to(tl.int64) * inner
        tl.store(y_ptrs, turned_back(y.to(y_ptr.dtype.element_ty), 1), mask=offsets < left)
        if ACCUMULATOR.is_floating():  # noqa: SIM102  (known to the compiler, unlike what follows)
            if is_right == 0:
                m_after, e_after = scan_again(x_ptr + place, y_ptr + place, left, inner, m, e, PIECE, 4, ACCUMULATOR)
        m, e = m_after, e_after


def blocked_scan(
    x: torch.Tensor, dim: int, *, BLOCK: int = 8192, num_warps: int = 8, num_stages: int = 2, registers: int = 128
) -> torch.Tensor:
    """torch.cumprod(x, dim); a program has 1 to 3 (`num_stages`) tiles, up to `BLOCK` elements of 4 bytes or less."""
    y = torch.empty(x.shape, dtype=result_dtype(x.dtype), device=x.device)
    n, inner = lines_of(x.shape, dim)
    x, vector = readable(x), math.gcd(n, 16) if inner == 1 else 1
    BLOCK = max(16, min(BLOCK * 4 // max(4, y.element_size()), triton.next_power_of_2(n)))
    if n <= BLOCK:
        num_warps, num_stages = max(1, min(num_warps, BLOCK // 1024)), 1
    constants = (accumulator(y.dtype), vector, BLOCK, max(2, BLOCK // (32 * num_warps)), num_stages)
    options = {"num_warps": num_warps, **limited(registers, num_warps), **unfused()}
    launches = launches_of(_blocked_scan_kernel, y.numel() // max(n, 1), (n // vector, inner), constants, **options)
    Work(launches).run(x, y)
    return y


class ModelNew(nn.Module):
    """torch.cumprod along `dim`; `configuration` is passed on to blocked_scan."""

    def __init__(self, dim: int, **configuration: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return blocked_scan(x, self.dim, **self.configuration)
