"""Tiles of float32 whose products sink, or grow, out of the range in which a tree is right: how far says how they end.

Prefix sums of logarithms tell the size of each serial product, whatever segments a tree forms: its depth, the logarithm
to base 2, off by 4 at most for up to 16384 factors. A product of depth -170 is 0 in float32, and one of 170 infinite.
For data of float32 and half types, a serial float64 product of depth -1030 is 0 for good, and one of 1030 is infinite.

A sequence that has sunk is multiplied from a carry of 0. Until it is 0 for good, each tile is asked whether it stays
down: `depth` is then where it is at most. One that has grown likewise.
"""

import triton
import triton.language as tl

from .ranges import last_element, loaded_tile, scan_carefully

GONE = tl.constexpr(1e9)
"""The depth of what is 0 (with a minus) or infinite for good."""


@triton.jit
def next_product(y, carry, WIDTH: tl.constexpr):
    """The last of a tile's products with its sign; NaN if one is outside the range in which a tree cannot go wrong.

    As `next_carry`, but all products are right after a carry of 0 or infinity. The bits are compared, with the sign
    moved to the end, where NaN is the largest number: a sum would turn -0 into 0.
    """
    BITS: tl.constexpr = y.dtype.primitive_bitwidth
    integer: tl.constexpr = tl.int64 if BITS == 64 else tl.int32
    unsigned: tl.constexpr = tl.uint64 if BITS == 64 else tl.uint32
    limit: tl.constexpr = 2.0**510 if BITS == 64 else 2.0**62
    rows: tl.constexpr = y.shape[0] // WIDTH
    y = tl.reshape(y, [rows, WIDTH])
    size = tl.abs(y)
    is_sign = (carry == 0) | (tl.abs(carry) == float("inf"))
    ordinary = tl.min(size, 0) >= tl.where(is_sign, 0.0, 1 / limit)
    ordinary = ordinary & (tl.max(size, 0) <= tl.where(is_sign, float("inf"), limit))
    is_last = (tl.arange(0, rows)[:, None] == rows - 1) & (tl.arange(0, WIDTH)[None, :] == WIDTH - 1)
    bits = tl.sum(tl.where(is_last, y.to(integer, bitcast=True), 0), 0)
    turned = ((bits << 1) | ((bits >> (BITS - 1)) & 1)).to(unsigned, bitcast=True)
    turned = tl.max(tl.where(ordinary, turned, tl.full([WIDTH], 2**BITS - 2, unsigned)), 0).to(integer, bitcast=True)
    return (((turned >> 1) & (2 ** (BITS - 1) - 1)) | (turned << (BITS - 1))).to(y.dtype, bitcast=True)


@triton.jit
def _start(carry, depth):
    """The depth of a carry: that of an ordinary one to within a half."""
    exponent = ((carry.to(tl.int32, bitcast=True) >> 23) & 0xFF).to(tl.float32) - 126.5
    is_sign = (carry == 0) | (tl.abs(carry) == float("inf"))
    return tl.where(is_sign, depth, exponent)


@triton.jit
def _float(bits):
    """The float32 of some bits."""
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def ended(x_ptr, left, carry, depth, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """How a tile ends that was scanned from `carry` and stored: the carry after it, its depth, and what is to `redo`.

    The carry is 0 or infinite, or NaN if products may come back. Nothing is to be redone (0) if what the scan stored is
    right: while nothing grows (or nothing shrinks, of those that end infinite), no segment is further out than its
    prefix. Otherwise it is one more than the place from which on products are the carry but for their signs; negative,
    if those before are right.
    """
    offsets = tl.arange(0, BLOCK)
    x = loaded_tile(x_ptr, left, 1, BLOCK).to(tl.float32)
    bits = x.to(tl.int32, bitcast=True) & 0x7FFFFFFF  # in the order of sizes, with NaN above infinity
    largest, smallest = _float(tl.max(bits, 0)), _float(tl.min(bits, 0))
    sign = (tl.xor_sum(x.to(tl.int32, bitcast=True), 0) ^ carry.to(tl.int32, bitcast=True)) & -0x80000000
    start = _start(carry, depth)
    depths = tl.cumsum(tl.log2(tl.abs(x)), 0) + start  # from here on the tile itself costs no registers
    was_out = tl.abs(start) > 150
    edge = tl.where(was_out, -158.0, -170.0)
    # What wanders comes back over an edge that it has just crossed: only from far beyond it stays there.
    cut = tl.where(was_out | (largest <= 1) | (smallest >= 1), edge, -300.0)
    sinks = tl.min(depths, 0) < cut
    down = tl.where(sinks, 1.0, -1.0)
    first = tl.min(tl.where(depths * down < cut, offsets, BLOCK), 0)
    is_fine = tl.max(depths * down - tl.where(offsets < first, 100.0, edge), 0) <= 0
    is_fine = is_fine & (first < tl.where(was_out, 1, BLOCK)) & (largest < float("inf"))
    is_fine = is_fine & ((was_out == 0) | (sinks == (start < 0))) & (tl.abs(start) < GONE)
    steady = tl.where(sinks, (largest <= 1) & (tl.abs(carry) <= 1), (smallest >= 1) & (tl.abs(carry) >= 1))
    is_near = tl.max(tl.where(offsets < first, tl.abs(depths), 0.0), 0) < 58
    end = tl.where(sinks, 0.0, float("inf"))
    is_gone = tl.min(depths * down, 0) < -1030
    beyond = tl.where(is_gone, GONE, -4 - last_element(depths * down, WIDTH))
    is_right = was_out | steady
    following = tl.where(is_fine, _float(end.to(tl.int32, bitcast=True) | sign), float("nan"))
    place = tl.minimum(first, left) + 1
    return following, -beyond * down, tl.where(is_right, 0, tl.where(is_near, -place, place))


@triton.jit(noinline=True)
def redo(x_ptr, y_ptr, left, carry, end, place, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Store what is to be redone of a tile that was scanned from `carry`; it ends at `end`, 0 or infinity.

    It is a function of its own in the machine code as well, and takes shared memory from the start: nothing may wait
    there.
    """
    tl.debug_barrier()  # what was stored there before is in memory
    offsets = tl.arange(0, BLOCK)
    first = tl.abs(place) - 1
    signs = loaded_tile(x_ptr, left, 1, BLOCK).to(tl.float32) * end
    y = tl.cumprod(tl.where(offsets == 0, signs * carry, signs), 0)
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=(offsets < left) & (offsets >= first))
    if place > 0:
        scan_carefully(x_ptr, y_ptr, first, 1, carry.to(tl.float64), WIDTH)
