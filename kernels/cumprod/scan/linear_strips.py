"""Linear recurrences of sequences whose elements lie apart."""

import math

import triton
import triton.language as tl

from .launches import Launch, launches_of
from .maps import bounded_product, joint_map, last_along, read, write
from .ranges import limited


@triton.jit
def _linear_strips_kernel(
    a_ptr,
    b_ptr,
    y_ptr,
    out_ptr,
    factors_ptr,
    states_ptr,
    begin,
    strips,
    n,
    vectors,
    chunks,
    tiles,
    ADJOINT: tl.constexpr,
    TIMES_Y: tl.constexpr,
    TOTALS: tl.constexpr,
    VECTOR: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program a chunk of a strip of COLUMNS of the vectors * VECTOR sequences that lie beside each other.

    A chunk has `tiles` tiles of ROWS elements, which a thread holds for its columns where those are many; the rest is
    as in `_linear_rows_kernel`.
    """
    BACK: tl.constexpr = -1 if ADJOINT else 1
    program = begin + tl.program_id(0).to(tl.int64)
    chunk = program // strips % chunks
    outer = program // strips // chunks
    inner = tl.cast(vectors, tl.int64) * VECTOR
    start = program % strips * (COLUMNS // VECTOR) * VECTOR
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)
    in_strip = column < inner - start
    from_here = outer * n * inner + start
    places = row * BACK * inner + column[None, :]

    chunk_place = (outer * chunks + chunk) * inner + start + column
    entered = column < tl.where(chunk > 0, inner - start, 0)
    state = tl.zeros([COLUMNS], tl.float64) if TOTALS else read(states_ptr + chunk_place - inner, entered, 0.0)
    all_factor = tl.full([COLUMNS], 1, tl.float64)
    end = tl.minimum((chunk + 1) * tiles * ROWS, n)
    for done in tl.range(chunk * tiles * ROWS, end, ROWS, num_stages=STAGES):
        place = from_here + ((n - 1 - done) if ADJOINT else done) * inner + places
        inside = in_strip[None, :] & (row < n - done)
        has_former = inside & (row + done > 0)
        b = read(b_ptr + place, inside, 0.0)
        a = read(a_ptr + place + (inner if ADJOINT else 0), has_former, 0.0)
        b = tl.where(row == 0, a * state[None, :] + b, b)
        factor, out = tl.associative_scan((a, b), 0, joint_map)
        state = last_along(out, 0)
        if TOTALS:
            all_factor = bounded_product(all_factor, last_along(factor, 0))
        else:
            if TIMES_Y:
                is_followed = inside & (row < n - 1 - done)
                out *= read(y_ptr + place - inner, is_followed, 1.0)
            write(out_ptr + place, out, inside)
    if TOTALS:
        tl.store(factors_ptr + chunk_place, all_factor, mask=in_strip)
        tl.store(states_ptr + chunk_place, state, mask=in_strip)


def linear_strips_form(
    itemsize: int,
    lines: tuple[int, int, int],
    flags: tuple[bool, bool, bool],
    *,
    ROWS: int,
    COLUMNS: int,
    chunks: int,
    num_warps: int,
    num_stages: int,
) -> list[Launch]:
    """In strips of `COLUMNS` sequences side by side, `ROWS` elements of each at a time (both are powers of two)."""
    outer, axis, inner = lines
    vector = math.gcd(inner, 16 // itemsize)
    strips = triton.cdiv(inner, COLUMNS)
    sizes = (strips, axis, inner // vector, chunks, triton.cdiv(axis, ROWS * chunks))
    constants = (*flags, vector, ROWS, COLUMNS, num_stages)
    options = limited(0 if vector > 1 else 255, num_warps)  # some compilers spill rather than take registers
    return launches_of(_linear_strips_kernel, outer * chunks * strips, sizes, constants, num_warps=num_warps, **options)
