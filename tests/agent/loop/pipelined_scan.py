"""An answer: cumulative product in one pass, tile by tile, while the next tiles are loaded to shared memory.

A tile is scanned as a tree, which multiplies segments before it multiplies prefixes. In `[1e30, 1, 1e-30, 1e-30]` the
segment of the last two underflows on its own although no prefix does. Such tiles are rare: `_next_carry` finds them in
the reduction that fetches the carry anyway, and `_scan_carefully` does them again as a serial float64 product would.
"""

import math

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _corner(y, WIDTH: tl.constexpr):
    """The last element of a tile of which all threads together hold WIDTH elements side by side."""
    rows: tl.constexpr = y.shape[0] // WIDTH
    y = tl.reshape(y, [rows, WIDTH])
    last_row = tl.sum(tl.where(tl.arange(0, rows)[:, None] == rows - 1, y, 0), 0)
    return tl.sum(tl.where(tl.arange(0, WIDTH) == WIDTH - 1, last_row, 0), 0)


@triton.jit
def _next_carry(y, WIDTH: tl.constexpr):
    """The last of a tile's prefix products; NaN if one of them is outside the range in which a tree cannot go wrong.

    A segment's product is the quotient of two prefixes: while those stay within 2**-62 to 2**62, no segment leaves
    float32. A NaN shows in the last product. All threads together hold WIDTH elements side by side: to fold the rows
    of that width within each thread first costs two instructions an element.
    """
    limit: tl.constexpr = 2.0**510 if y.dtype == tl.float64 else 2.0**62
    rows: tl.constexpr = y.shape[0] // WIDTH
    y = tl.reshape(y, [rows, WIDTH])
    size = tl.abs(y)
    ordinary = (tl.min(size, 0) >= 1 / limit) & (tl.max(size, 0) <= limit)
    last_row = tl.sum(tl.where(tl.arange(0, rows)[:, None] == rows - 1, y, 0), 0)
    corner = tl.where(tl.arange(0, WIDTH) == WIDTH - 1, last_row, 0)
    return tl.sum(tl.where(ordinary, corner, float("nan")), 0)


@triton.jit
def _all_ordinary(y):
    """Whether all products stay where no segment of a tree can leave their type: sizes within 2**-62 to 2**62.

    As integers, which are in the order of sizes, that takes one comparison an element, and is asked of all at once.
    """
    if y.dtype == tl.float64:
        beyond_least = (y.to(tl.int64, bitcast=True) & 0x7FFFFFFFFFFFFFFF) - ((1023 - 510) << 52)
        is_ordinary = tl.max(beyond_least.to(tl.uint64, bitcast=True)) <= (2 * 510) << 52
    else:
        beyond_least = (y.to(tl.int32, bitcast=True) & 0x7FFFFFFF) - ((127 - 62) << 23)
        is_ordinary = tl.max(beyond_least.to(tl.uint32, bitcast=True)) <= (2 * 62) << 23
    return is_ordinary


@triton.jit
def _pick(y, index):
    """The element of a tile at an index; 0 outside."""
    return tl.sum(tl.where(tl.arange(0, y.shape[0]) == index, y, 0), 0)


@triton.jit
def _first_unsafe(x, y, carry, is_double: tl.constexpr):
    """Index of the first product whose segments may have left float64; the number of elements if there is none.

    Safe are products within 2**430 either way of the carry. After 0, infinity or NaN all are safe. Where no factor
    exceeds 1, subnormal products of float64 data are as good as serial ones; others need not be told from 0.
    """
    count: tl.constexpr = y.shape[0]
    size = tl.abs(carry)
    low = tl.maximum(size * 2.0**-430, 2.0**-1022)
    high = tl.minimum(size * 2.0**430, 2.0**1023)
    safe = (tl.abs(y) >= low) & (tl.abs(y) <= high)
    first = tl.min(tl.where(safe, count, tl.arange(0, count)), 0)
    all_safe = (size == 0) | (size != size) | (size == float("inf"))
    if is_double:
        all_safe = all_safe | ((size <= 1) & (tl.max(tl.abs(x), 0) <= 1))
    return tl.where(all_safe, count, first)


@triton.jit
def _scan_piece(x_ptr, y_ptr, left, inner, carry, PIECE: tl.constexpr):
    """Scan up to PIECE of `left` elements from memory in float64, but not past the first product that is not safe.

    Returns the carry and how many elements are done.
    """
    is_double: tl.constexpr = x_ptr.dtype.element_ty == tl.float64
    offsets = tl.arange(0, PIECE)
    places = offsets.to(tl.int64) * inner
    x = tl.load(x_ptr + places, mask=offsets < left, other=1).to(tl.float64)
    signs_only = (carry == 0) | (tl.abs(carry) == float("inf"))
    y = tl.cumprod(tl.where(offsets == 0, x * carry, tl.where(signs_only, x * tl.abs(carry), x)), 0)
    first = _first_unsafe(x, y, carry, is_double)
    alone = tl.where(first == 0, carry, _pick(y, first - 1)) * _pick(x, first)
    if not is_double:
        alone = tl.where(tl.abs(alone) < 2.0**-1022, 0.0, alone)
    y = tl.where(offsets == first, alone, y)
    last = tl.minimum(first, PIECE - 1)
    rounded = y if is_double else y.to(tl.float32)
    tl.store(y_ptr + places, rounded.to(y_ptr.dtype.element_ty), mask=offsets < tl.minimum(last + 1, left))
    return _pick(y, last), last + 1


@triton.jit(noinline=True)
def _scan_carefully(x_ptr, y_ptr, left, inner, carry, PIECE: tl.constexpr):
    """Scan `left` elements from memory as a serial float64 product would. Takes and returns the exact carry.

    It is a function of its own in the machine code as well: what it needs costs the common path no registers.
    """
    tl.debug_barrier()  # what was stored there before is in memory; outside of here it would forbid pipelining
    done = 0
    while done < left:
        skip = tl.cast(done, tl.int64) * inner
        carry, count = _scan_piece(x_ptr + skip, y_ptr + skip, left - done, inner, carry, PIECE)
        done += count
    return carry


@triton.jit
def _narrow(exact, dtype: tl.constexpr):
    """A carry of 64 bits in `dtype`; NaN, after which all is scanned with the exact one, if it is not normal there."""
    if dtype.primitive_bitwidth == 64:
        return exact
    size = tl.abs(exact)
    fits = (size == 0) | ((size >= 2.0**-126) & (size < 2.0**127)) | (size == float("inf"))
    return tl.where(fits, exact, float("nan")).to(dtype)


@triton.jit
def _tile(x_ptr, left, inner, BLOCK: tl.constexpr):
    """A tile of `left` elements, which the L2 cache keeps longer than what is written; 1 beyond them."""
    offsets = tl.arange(0, BLOCK)
    return tl.load(x_ptr + offsets.to(tl.int64) * inner, mask=offsets < left, other=1.0, eviction_policy="evict_last")


@triton.jit
def _carry_if_it_vanishes(x, carry):
    """0 if a tile makes that of the carry for good, in any order: nothing grows, and 1075 factors halve; or NaN."""
    size = tl.abs(x)
    halvings = tl.where(size == 0, 1075.0, tl.where(size <= 0.5, 1.0, 0.0))
    vanishes = (tl.abs(carry) <= 1) & (tl.sum(tl.where(size <= 1, halvings, float("-inf")), 0) >= 1075)
    return tl.where(vanishes, 0.0, float("nan")).to(carry.dtype)


@triton.jit
def _carry_if_it_explodes(x, carry):
    """Infinity if a tile makes that of the carry for good, in any order: nothing shrinks, all make 2**1024; or NaN.

    The logarithm of 1 + t to base 2 is at least t, for t from 0 to 1. 16 more than 1024 leave room for rounding. What
    is infinite already need not grow.
    """
    size = tl.abs(x)
    doublings = tl.sum(tl.where(size >= 1, tl.minimum(size - 1, 1.0), float("-inf")), 0)
    explodes = (tl.abs(carry) >= 1) & (doublings >= tl.where(tl.abs(carry) == float("inf"), 0.0, 1040.0))
    is_negative = tl.sum((x < 0).to(tl.int32), 0) % 2 == 1
    infinite = tl.where(is_negative, -carry, carry) * float("inf")
    return tl.where(explodes, infinite, float("nan")).to(carry.dtype)


@triton.jit
def _carry_if_zeros_end_it(x, carry):
    """0 if all products of a tile would be ordinary but for its zeros, which then meet no infinite segment; or NaN.

    Where there is no zero they are not ordinary: nobody would ask.
    """
    factors = tl.where(x == 0, 1.0, x)
    y = tl.cumprod(tl.where(tl.arange(0, x.shape[0]) == 0, factors * carry, factors), 0)
    return tl.where(_all_ordinary(y), 0.0, float("nan")).to(carry.dtype)


@triton.jit
def _settled(x_ptr, left, inner, carry, following, BLOCK: tl.constexpr):
    """The next carry of a tile whose products may be wrong (NaN) where they are right after all; as it is elsewhere.

    It loads the tile again for each question: to keep every tile until its products are known would cost too many
    registers, and so would to keep this one. Asked before they are stored, it would hold them back until every warp
    knows the carry. After a carry of NaN nothing is right.
    """
    if following != following:  # noqa: SIM102  (of every tile; the rest of few)
        if carry == carry:
            following = _carry_if_it_vanishes(_tile(x_ptr, left, inner, BLOCK).to(carry.dtype), carry)
            if following != following:
                following = _carry_if_it_explodes(_tile(x_ptr, left, inner, BLOCK).to(carry.dtype), carry)
            if following != following:
                following = _carry_if_zeros_end_it(_tile(x_ptr, left, inner, BLOCK).to(carry.dtype), carry)
    return following


@triton.jit
def _scan_floats(x, carry, WIDTH: tl.constexpr):
    """The products of a tile, and the next carry: NaN where the products may be wrong."""
    offsets = tl.arange(0, x.shape[0])
    if carry == 0:  # it stays 0, unless an infinity or NaN comes along
        y = x * 0
        following = tl.sum(y, 0)
    else:
        y = tl.cumprod(tl.where(offsets == 0, x * carry, x), 0)
        following = _next_carry(y, WIDTH)
    return y, following


@triton.jit
def _scan(x, carry, WIDTH: tl.constexpr):
    """The products of a tile of any type, and the next carry: NaN where the products may be wrong."""
    x = x.to(carry.dtype)
    if carry.dtype.is_floating():
        y, following = _scan_floats(x, carry, WIDTH)
    else:  # products wrap around, in any order alike
        y = tl.cumprod(tl.where(tl.arange(0, x.shape[0]) == 0, x * carry, x), 0)
        following = _corner(y, WIDTH)
    return y, following


@triton.jit
def _products_alone(x, carry):
    """The products of a tile without the carry, and whether each is right when it is multiplied by the carry.

    They are where both leave room in float64. Of a factor after the first zero only its being infinite or NaN matters:
    it is multiplied by 0. So is every factor by a carry of 0, infinity or NaN, which makes all products right.
    """
    far: tl.constexpr = 2.0**500 if x.dtype == tl.float64 else 2.0**900
    size = tl.abs(carry)
    stays = (size == 0) | (size == float("inf")) | (size != size)
    offsets = tl.arange(0, x.shape[0])
    before_zero = offsets < tl.min(tl.where(x == 0, offsets, x.shape[0]), 0)
    y = tl.cumprod(x * tl.where(stays, size.to(x.dtype), tl.where(before_zero, 1.0, 0.0)), 0)
    has_room = (size >= 1 / far) & (size <= far) & _all_ordinary(tl.where(before_zero, y, 1.0))
    return y, stays | has_room


@triton.jit
def _scan_apart(x, x_ptr, y_ptr, left, inner, carry, WIDTH: tl.constexpr):
    """Scan a tile of `left` floats apart from its exact carry, or carefully. Takes and returns the latter."""
    offsets = tl.arange(0, x.shape[0])
    y, are_right = _products_alone(x, carry)
    following = carry * _corner(y, WIDTH)
    y = (carry * y.to(tl.float64)).to(x.dtype)
    tl.store(y_ptr + offsets.to(tl.int64) * inner, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
    if are_right == 0:
        following = _scan_carefully(x_ptr, y_ptr, left, inner, carry, WIDTH)
    return following


@triton.jit
def _scan_exactly(
    x_ptr,
    y_ptr,
    begin,
    end,
    inner,
    carry,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Scan vectors `begin` to `end`, in tiles of BLOCK elements, whatever they hold.

    Takes and returns the carry in 64 bits.
    """
    offsets = tl.arange(0, BLOCK)
    for start in range(begin, end, BLOCK // VECTOR):
        place = tl.cast(start, tl.int64) * VECTOR * inner
        left = tl.minimum(end - start, BLOCK // VECTOR) * VECTOR
        x = _tile(x_ptr + place, left, inner, BLOCK).to(ACCUMULATOR)
        if carry.dtype.is_floating():
            carry = _scan_apart(x, x_ptr + place, y_ptr + place, left, inner, carry, WIDTH)
        else:
            y, carry = _scan(x, carry, WIDTH)
            tl.store(y_ptr + place + offsets.to(tl.int64) * inner, y.to(y_ptr.dtype.element_ty), mask=offsets < left)
    return carry


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
    AGAIN: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program a sequence, from sequence `begin` on: vectors * VECTOR elements, `inner` apart.

    Counting in vectors proves to the compiler that a mask does not cut through one. The first loop loads ahead, which
    forbids it to call `_scan_carefully`: a function of its own takes shared memory from the start, where tiles wait. So
    it only remembers the first tile that may be wrong, and what follows from there is done again.
    """
    sequence = begin + tl.program_id(0).to(tl.int64)
    n = tl.cast(vectors, tl.int64) * VECTOR
    origin = sequence // inner * n * inner + sequence % inner
    x_ptr += origin
    y_ptr += origin
    offsets = tl.arange(0, BLOCK)
    carry = tl.full((), 1, ACCUMULATOR)
    doubtful, carry_there = vectors, carry
    for start in tl.range(0, vectors, BLOCK // VECTOR, num_stages=STAGES):
        skip = tl.cast(start, tl.int64) * VECTOR
        x = _tile(x_ptr + skip * inner, n - skip, inner, BLOCK)
        y, following = _scan(x, carry, WIDTH)
        places = (skip + offsets) * inner
        tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=offsets < n - skip)
        if carry.dtype.is_floating():
            following = _settled(x_ptr + skip * inner, n - skip, inner, carry, following, BLOCK)
            is_first = (following != following) & (doubtful == vectors)
            doubtful, carry_there = tl.where(is_first, start, doubtful), tl.where(is_first, carry, carry_there)
        carry = following
    if carry.dtype.is_floating():
        exact = carry_there.to(tl.float64)
        _scan_exactly(x_ptr, y_ptr, doubtful, vectors, inner, exact, ACCUMULATOR, VECTOR, AGAIN, WIDTH)


def _result_dtype(dtype: torch.dtype) -> torch.dtype:
    """What torch.cumprod makes of `dtype`: int64 of all integers.

    Raises:
        TypeError: it is neither real nor integer, or an 8-bit float.
    """
    if dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return dtype
    if dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        return torch.int64
    raise TypeError(f"cumprod is not implemented for {dtype}: convert the input to a real or integer dtype first")


def _accumulator(dtype: torch.dtype) -> tl.dtype:
    """The type in which products of a result dtype are formed: half types in float32."""
    return {torch.float64: tl.float64, torch.int64: tl.int64}.get(dtype, tl.float32)


def _lines(shape: torch.Size, dim: int) -> tuple[int, int]:
    """Length of a sequence along `dim`, and how far apart its elements are in contiguous memory.

    Raises:
        IndexError: there is no such dimension.
    """
    rank = max(len(shape), 1)
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    padded = tuple(shape) or (1,)
    return padded[dim], math.prod(padded[dim % rank + 1 :])


def _readable(x: torch.Tensor) -> torch.Tensor:
    """`x` as a kernel can read it: contiguous, and booleans as bytes."""
    return (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()


def _launches(programs: int) -> list[tuple[int, tuple[int]]]:
    """The first program of each launch and its grid, which has room for 2**31 - 1."""
    return [(begin, (min(2**30, programs - begin),)) for begin in range(0, programs, 2**30)]


def _block(largest: int, n: int, held: int, device: torch.device) -> int:
    """Elements of a tile: a power of two, enough for a sequence of `n`, at most `largest`, and such that shared memory
    has room for tiles of which an element each takes `held` bytes. Without a GPU that is an H100's.
    """
    on_gpu = device.type == "cuda"
    room = torch.cuda.get_device_properties(device).shared_memory_per_block_optin if on_gpu else 232448
    fitting = 2 ** int(math.log2(room // max(held, 1)))
    return max(16, min(largest, fitting, triton.next_power_of_2(n)))


def blocked_scan(
    x: torch.Tensor, dim: int, *, BLOCK: int = 8192, num_warps: int = 16, num_stages: int = 4
) -> torch.Tensor:
    """torch.cumprod(x, dim) in tiles of `BLOCK` elements (a power of two), or smaller ones where sequences are short.

    Up to `num_stages` - 1 tiles wait in shared memory while one is scanned. Tiles are smaller where they do not fit.
    """
    y = torch.empty(x.shape, dtype=_result_dtype(x.dtype), device=x.device)
    n, inner = _lines(x.shape, dim)
    BLOCK = _block(BLOCK, n, (num_stages - 1) * y.element_size(), x.device)
    if n <= BLOCK:
        num_warps, num_stages = max(1, min(num_warps, BLOCK // 1024)), 1
    vector = math.gcd(n, 16) if inner == 1 else 1
    width = min(BLOCK, 32 * num_warps * min(vector, 16 // x.element_size()))
    again = min(BLOCK, 2048 * num_warps // max(4, y.element_size()))  # more would cost the common path registers
    constants = (_accumulator(y.dtype), vector, BLOCK, again, width, num_stages)
    x = _readable(x)
    for begin, grid in _launches(y.numel() // max(n, 1)):
        _blocked_scan_kernel[grid](x, y, begin, n // vector, inner, *constants, num_warps=num_warps)
    return y


class ModelNew(nn.Module):
    """torch.cumprod along `dim`; `configuration` is passed on to blocked_scan."""

    def __init__(self, dim: int, **configuration: int) -> None:
        super().__init__()
        self.dim = dim
        self.configuration = configuration

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return blocked_scan(x, self.dim, **self.configuration)
