"""Cumulative product in chunks: the product of each, the carry before each, then each scanned again with its carry.

It reads the input twice and moves 12 bytes where 8 would do; in return a single long sequence fills the GPU. What trees
and codes are: scan/README.md. A code is a chunk's product where that is a factor for every usual carry. Chunks of other
codes are scanned one after the other, with the carry in hand.
"""

import math

import torch
import triton
import triton.language as tl
from torch import nn

from .scan.carries import factors_of, is_far_carry, kept
from .scan.launches import launches_of
from .scan.powers import group_products
from .scan.ranges import loaded_tile, picked, sign_of, unfused
from .scan.rows import followed, turned_products
from .scan.shapes import accumulator, lines_of, readable, result_dtype
from .scan.tile_floats import code_of, products_until_zeros, range_of, tile_of_groups
from .scan.turned import integer_tile, laid_out, turned, turned_back, units_beside
from .scan.wide import DEAD, exact_carry, joined, parted, parted_carry, scan_again, scan_from


@triton.jit
def _chunk(program, chunks, vectors, inner, VECTOR: tl.constexpr, BLOCK: tl.constexpr):
    """Where a program's chunk begins in contiguous memory, and how many elements it has."""
    start = program % chunks * (BLOCK // VECTOR)
    sequence = program // chunks
    origin = (sequence // inner * vectors + start) * VECTOR * inner + sequence % inner
    return origin, tl.minimum(vectors - start, BLOCK // VECTOR).to(tl.int32) * VECTOR


@triton.jit
def _turned_chunk(x_ptr, left, inner, nothing, dtype: tl.constexpr, BLOCK: tl.constexpr, HELD: tl.constexpr):
    """A chunk turned, so that a thread holds HELD neighbours; and how its units lie. `nothing` is 0."""
    units = units_beside(x_ptr.to(tl.pointer_type(tl.int32)), BLOCK // HELD, nothing)
    x = turned(loaded_tile(x_ptr, left, inner, BLOCK), units, min(HELD, 16), max(1, HELD // 16), 1)
    return x.to(dtype), tl.max(units, 0)


@triton.jit
def _code_of_chunk(x, x_ptr, left, inner, like, PIECE: tl.constexpr):
    """What a chunk of floats is as a factor for carries (see `code_of`)."""
    _, totals, low, high, is_fair = group_products(x)
    _, e_before, m, e = tile_of_groups(totals, is_fair & False, like, 1, 1)
    most, least, all_fair = range_of(e_before, low, high, is_fair, 1, 1)
    if tl.min(all_fair.to(tl.int32), 0) == 0:
        _, low, high, is_fair, has_zero = products_until_zeros(x)
        _, e_before, m, e = tile_of_groups(totals, has_zero, like, 1, 1)
        most, least, all_fair = range_of(e_before, low, high, is_fair, 1, 1)
    return tl.max(code_of(x_ptr, 0, left, inner, 1, m, e, most, least, all_fair, 1, PIECE), 0)


@triton.jit
def _multiply_kernel(
    x_ptr,
    codes_ptr,
    begin,
    chunks,
    vectors,
    inner,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    HELD: tl.constexpr,
):
    """First pass, one program a chunk: its code; of integers its product."""
    program = begin + tl.program_id(0).to(tl.int64)
    origin, left = _chunk(program, chunks, vectors, inner, VECTOR, BLOCK)
    nothing = tl.minimum(begin, 0).to(tl.int32)
    x, like = _turned_chunk(x_ptr + origin, left, inner, nothing, ACCUMULATOR, BLOCK, HELD)
    if ACCUMULATOR.is_floating():
        code = _code_of_chunk(x, x_ptr + origin, left, tl.cast(inner, tl.int64), like, 4 * BLOCK // HELD)
    else:
        _, _, total = integer_tile(x, like, 1, 1)
        code = tl.max(total, 0)
    tl.store(codes_ptr + program, code)


@triton.jit
def _carries_after(codes, carry, dtype: tl.constexpr):
    """The carries after chunks of these codes, from a carry (1,), and whether each is a factor for that before it."""
    first = tl.arange(0, codes.shape[0]) == 0
    factors = tl.reshape(factors_of(codes[:, None], carry, dtype), [codes.shape[0]])
    is_usual = (carry != 0) & (tl.abs(carry) < float("inf"))  # others keep what they are, but for the sign
    m, e = parted(tl.where(first & is_usual, factors * carry, factors))
    m, e = tl.where(factors == 0, sign_of(m), m), tl.where(factors == 0, DEAD, e)
    m, e = tl.associative_scan((m, e), 0, joined)
    after = exact_carry(m, e)
    stands = (factors == factors) & (is_far_carry(after, dtype) == 0)
    return tl.where(is_usual, after, carry * after), tl.min(stands.to(tl.int32), 0)


@triton.jit
def _carry_kernel(
    x_ptr,
    y_ptr,
    codes_ptr,
    carries_ptr,
    begin,
    chunks,
    n,
    inner,
    ACCUMULATOR: tl.constexpr,
    BLOCK: tl.constexpr,
    PIECE: tl.constexpr,
    TILE: tl.constexpr,
):
    """Second pass, one program a sequence: the product up to the end of each chunk, in 64 bits, TILE of them at a time.

    Where a chunk is no factor for its carry, all of the TILE are done one after the other, such chunks element by
    element: what they store is stored again.
    """
    sequence = begin + tl.program_id(0).to(tl.int64)
    origin = sequence // inner * n * inner + sequence % inner
    offsets = tl.arange(0, TILE)
    carry = tl.full((), 1, carries_ptr.dtype.element_ty)
    for start in range(0, chunks, TILE):
        places, inside = sequence * chunks + start + offsets, offsets < chunks - start
        codes = tl.load(codes_ptr + places, mask=inside, other=1)
        if ACCUMULATOR.is_floating():
            after, stand = _carries_after(codes, carry[None], ACCUMULATOR)
            if stand == 0:
                for k in range(tl.minimum(chunks - start, TILE)):
                    code = picked(codes, offsets == k, 0)
                    factor = tl.max(tl.max(factors_of(code[None, None], carry[None], ACCUMULATOR), 0), 0)
                    if factor == factor:
                        carry = kept(carry * factor, ACCUMULATOR)
                    else:
                        done = tl.cast(start + k, tl.int64) * BLOCK
                        place, left = origin + done * inner, tl.minimum(n - done, BLOCK).to(tl.int32)
                        apart = tl.cast(inner, tl.int64)
                        carry = scan_from(x_ptr + place, y_ptr + place, left, apart, carry, PIECE, 4, ACCUMULATOR)
                        carry = kept(carry, ACCUMULATOR)
                    after = tl.where(offsets == k, carry, after)
        else:
            after = carry * tl.cumprod(codes, 0)
        tl.store(carries_ptr + places, after, mask=inside)
        carry = picked(after, offsets == TILE - 1, 0)


@triton.jit
def _scan_kernel(
    x_ptr,
    y_ptr,
    carries_ptr,
    begin,
    chunks,
    vectors,
    inner,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    HELD: tl.constexpr,
):
    """Third pass, one program a chunk: scan it with the carry out of the chunk before, whatever that is."""
    program = begin + tl.program_id(0).to(tl.int64)
    origin, left = _chunk(program, chunks, vectors, inner, VECTOR, BLOCK)
    x_ptr, y_ptr = x_ptr + origin, y_ptr + origin
    x, like = _turned_chunk(x_ptr, left, inner, tl.minimum(begin, 0).to(tl.int32), ACCUMULATOR, BLOCK, HELD)
    carry = tl.load(carries_ptr + program - 1, mask=program % chunks > 0, other=1)
    if ACCUMULATOR.is_floating():
        m, e = parted_carry(carry, tl.float64)
        e = tl.where(m == m, e, float("-inf"))  # after NaN only signs are asked for, as after 0
        y, _, _, is_right = turned_products(followed(x, e), m, e, like, y_ptr.dtype.element_ty)
    else:
        y, before, _ = integer_tile(x, like, 1, 1)
        y = y * laid_out(before * carry, like)[None, :, :]
    offsets = tl.arange(0, BLOCK)
    y_ptrs = y_ptr + offsets.to(tl.int64) * inner
    tl.store(y_ptrs, turned_back(y.to(y_ptr.dtype.element_ty), 1), mask=offsets < left)
    if ACCUMULATOR.is_floating():  # noqa: SIM102  (known to the compiler, unlike what follows)
        if is_right == 0:
            scan_again(x_ptr, y_ptr, left, inner, m, e, 4 * BLOCK // HELD, 4, ACCUMULATOR)


def two_pass_scan(
    x: torch.Tensor, dim: int, *, BLOCK: int = 4096, num_warps: int = 4, TILE: int = 1024
) -> torch.Tensor:
    """torch.cumprod(x, dim) in chunks of `BLOCK` elements, their products scanned `TILE` at a time (powers of two)."""
    y = torch.empty(x.shape, dtype=result_dtype(x.dtype), device=x.device)
    n, inner = lines_of(x.shape, dim)
    x, vector = readable(x), math.gcd(n, 16) if inner == 1 else 1
    BLOCK = min(BLOCK, max(16, triton.next_power_of_2(n)))
    chunks, held = triton.cdiv(n, BLOCK), max(2, BLOCK // (32 * num_warps))
    sequences, lines = y.numel() // max(n, 1), (chunks, n // vector, inner)
    wide = torch.float64 if y.dtype.is_floating_point else y.dtype
    codes, carries = (y.new_empty(sequences * chunks, dtype=wide) for _ in range(2))
    of_chunk = (accumulator(y.dtype), vector, BLOCK, held)
    of_carry = (accumulator(y.dtype), BLOCK, 4 * BLOCK // held, min(TILE, max(16, triton.next_power_of_2(chunks))))
    for launch in launches_of(_multiply_kernel, sequences * chunks, lines, of_chunk, num_warps=num_warps):
        launch.run(x, codes)
    for launch in launches_of(_carry_kernel, sequences, (chunks, n, inner), of_carry, num_warps=num_warps):
        launch.run(x, y, codes, carries)
    for launch in launches_of(_scan_kernel, sequences * chunks, lines, of_chunk, num_warps=num_warps, **unfused()):
        launch.run(x, y, carries)
    return y


class ModelNew(nn.Module):
    """torch.cumprod along `dim`; `configuration` is passed on to two_pass_scan."""

    def __init__(self, dim: int, **configuration: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return two_pass_scan(x, self.dim, **self.configuration)
