"""The scan that goes as a serial product would (`scan_carefully`), and what forms share: elements picked from tiles,
signs, loads, limits of registers.
"""

import triton
import triton.language as tl


@triton.jit
def picked(y, is_chosen, axis: tl.constexpr):
    """Along an axis the one element that is chosen. It is summed by its bits: a sum of floats makes +0 of -0."""
    if y.dtype.is_floating():
        bits: tl.constexpr = tl.int64 if y.dtype.primitive_bitwidth == 64 else tl.int32
        return tl.sum(tl.where(is_chosen, y.to(bits, bitcast=True), 0), axis).to(y.dtype, bitcast=True)
    else:
        return tl.sum(tl.where(is_chosen, y, 0), axis)


@triton.jit
def zero_like(x):
    """0 with the sign of `x`, also where that is infinite."""
    bits: tl.constexpr = tl.int64 if x.dtype.primitive_bitwidth == 64 else tl.int32
    last: tl.constexpr = x.dtype.primitive_bitwidth - 1
    return ((x.to(bits, bitcast=True) >> last) << last).to(x.dtype, bitcast=True)


@triton.jit
def bits_of_both(a, b):
    """Bits that both have, as tl.reduce asks for it."""
    return a & b


@triton.jit
def sign_of(x):
    """1 with the sign of `x`, of -0 as well."""
    bits: tl.constexpr = tl.int64 if x.dtype.primitive_bitwidth == 64 else tl.int32
    return tl.where(x.to(bits, bitcast=True) < 0, -1.0, 1.0).to(x.dtype)


@triton.jit
def last_element(y, WIDTH: tl.constexpr):
    """The last element of a tile of which all threads together hold WIDTH elements side by side."""
    rows: tl.constexpr = y.shape[0] // WIDTH
    y = tl.reshape(y, [rows, WIDTH])
    last_row = picked(y, tl.arange(0, rows)[:, None] == rows - 1, 0)
    return picked(last_row, tl.arange(0, WIDTH) == WIDTH - 1, 0)


@triton.jit
def _pick(y, index):
    """The element of a tile at an index; 0 outside."""
    return picked(y, tl.arange(0, y.shape[0]) == index, 0)


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
    x = tl.load(x_ptr + places, mask=offsets < left, other=1.0).to(tl.float64)
    signs_only = (carry == 0) | (tl.abs(carry) == float("inf"))
    y = tl.cumprod(tl.where(offsets == 0, x * carry, tl.where(signs_only, x * tl.abs(carry), x)), 0)
    first = _first_unsafe(x, y, carry, is_double)
    alone = tl.where(first == 0, carry, _pick(y, first - 1)) * _pick(x, first)
    if not is_double:
        alone = tl.where(tl.abs(alone) < 2.0**-1022, zero_like(alone), alone)
    y = tl.where(offsets == first, alone, y)
    last = tl.minimum(first, PIECE - 1)
    rounded = y if is_double else y.to(tl.float32)
    tl.store(y_ptr + places, rounded.to(y_ptr.dtype.element_ty), mask=offsets < tl.minimum(last + 1, left))
    return _pick(y, last), last + 1


@triton.jit(noinline=True)
def scan_carefully(x_ptr, y_ptr, left, inner, carry, PIECE: tl.constexpr):
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
def loaded_tile(x_ptr, left, inner, BLOCK: tl.constexpr):
    """A tile of `left` elements, which the L2 cache keeps longer than what is written; 1 beyond them."""
    offsets = tl.arange(0, BLOCK)
    return tl.load(x_ptr + offsets.to(tl.int64) * inner, mask=offsets < left, other=1.0, eviction_policy="evict_last")


@triton.jit
def loaded_ahead(x_ptr, left, inner, BLOCK: tl.constexpr, OTHER: tl.constexpr = 1.0):
    """`loaded_tile` of what is wanted later, OTHER beyond it. Whole tiles, and others, are loaded in branches of their
    own: the compiler cannot put that off, as it does with what nothing near waits for.
    """
    offsets = tl.arange(0, BLOCK)
    x_ptrs = x_ptr + offsets.to(tl.int64) * inner
    if left >= BLOCK:
        x = tl.load(x_ptrs, eviction_policy="evict_last")
    else:
        x = tl.load(x_ptrs, mask=offsets < left, other=OTHER, eviction_policy="evict_last")
    return x


def is_interpreted() -> bool:
    """Whether triton interprets the kernels: they then run on the CPU."""
    return not isinstance(scan_carefully, triton.JITFunction)


def limited(registers: int, num_warps: int) -> dict[str, int]:
    """The compiler's option for up to so many registers a thread; none for 0, and in triton's interpreter.

    A multiprocessor has 65536, of which all warps of a program need theirs.
    """
    return {"maxnreg": min(registers, 2048 // num_warps)} if registers and not is_interpreted() else {}


def unfused() -> dict[str, bool]:
    """The compiler's option to round each product before it is added to; none in triton's interpreter."""
    return {} if is_interpreted() else {"enable_fp_fusion": False}
