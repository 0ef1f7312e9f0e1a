"""Linear recurrences of sequences whose elements lie beside each other."""

import triton
import triton.language as tl

from .launches import Launch, launches_of
from .maps import bounded_product, entering_states, joint_map, last_along, loaded_maps, read, run_maps, write
from .ranges import limited


@triton.jit
def _linear_rows_kernel(
    a_ptr,
    b_ptr,
    y_ptr,
    out_ptr,
    factors_ptr,
    states_ptr,
    begin,
    rows,
    length,
    total,
    chunks,
    tiles,
    ADJOINT: tl.constexpr,
    TIMES_Y: tl.constexpr,
    TOTALS: tl.constexpr,
    VECTOR: tl.constexpr,
    WHOLE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program a chunk of ROWS of `rows` sequences, tile by tile in the direction of travel.

    A sequence has `total` tiles of BLOCK elements, a chunk `tiles` of those. `length` counts the elements of a
    sequence, or its vectors if it is made of WHOLE ones: that proves to the compiler that no mask cuts one. Otherwise
    tiles begin at the vector in which the sequence does. A tile is cut into runs of a vector each, in the order of
    travel, so that runs are always scanned forward: triton turns a backward scan around with five shuffles an element.

    The maps that are scanned are those of the runs one before, loaded once more: what comes out enters each run, and
    no thread need tell its neighbour. So all states are those before the run that is before a tile.

    With TOTALS it stores no results but the map of each chunk; else it starts from the states after each chunk.
    """
    RUNS: tl.constexpr = BLOCK // VECTOR
    EARLIER: tl.constexpr = VECTOR if ADJOINT else -VECTOR
    program = begin + tl.program_id(0).to(tl.int64)
    chunk = program % chunks
    first = program // chunks * ROWS
    row = tl.arange(0, ROWS)
    run = tl.arange(0, RUNS)[None, :]
    n = tl.cast(length, tl.int64) * (VECTOR if WHOLE else 1)
    origin = first * n // VECTOR * VECTOR
    if WHOLE:
        skew = 0
        base = row * length * VECTOR
    else:
        starts = (first * n - origin + row * n).to(tl.int32)
        base = starts // VECTOR * VECTOR
        skew = (starts - base)[:, None, None]
    in_tile = ((RUNS - 1 - run) if ADJOINT else run)[:, :, None] * VECTOR + tl.arange(0, VECTOR)[None, None, :]
    places = base[:, None, None] + in_tile
    in_rows = (row < rows - first)[:, None, None]

    chunk_place = (first + row) * chunks + chunk
    entered = row < tl.where(chunk > 0, rows - first, 0)
    state = tl.zeros([ROWS], tl.float64) if TOTALS else read(states_ptr + chunk_place - 1, entered, 0.0)
    all_factor = tl.full([ROWS], 1, tl.float64)
    for tile in tl.range(chunk * tiles, tl.minimum(chunk * tiles + tiles, total), num_stages=STAGES):
        before = tl.cast(total - 1 - tile if ADJOINT else tile, tl.int64) * BLOCK
        place = origin + before + places
        begins = -tl.minimum(before, 4 * VECTOR).to(tl.int32)  # further than that no place of a tile is
        ends = tl.minimum(n - before, BLOCK + 4 * VECTOR).to(tl.int32)
        a, b, _, _ = loaded_maps(a_ptr, b_ptr, place, in_tile, EARLIER, skew, begins, ends, in_rows, ADJOINT, WHOLE)
        factor, term = run_maps(a, b, ADJOINT)
        term = tl.where(run == 0, factor * state[:, None] + term, term)
        factor, entering = tl.associative_scan((factor, term), 1, joint_map)
        state = last_along(entering, 1)
        if TOTALS:
            all_factor = bounded_product(all_factor, last_along(factor, 1))
        else:
            a, b, inside, has_former = loaded_maps(
                a_ptr, b_ptr, place, in_tile, 0, skew, begins, ends, in_rows, ADJOINT, WHOLE
            )
            out = a * entering_states(a, b, entering, ADJOINT) + b
            if TIMES_Y:
                out *= read(y_ptr + place - 1, has_former, 1.0)
            write(out_ptr + place, out, inside)
    if TOTALS:
        tl.store(factors_ptr + chunk_place, all_factor, mask=row < rows - first)
        tl.store(states_ptr + chunk_place, state, mask=row < rows - first)


ODD_REGISTERS = 168
"""Of a thread, at most, where sequences begin between vectors."""


def linear_rows_form(
    itemsize: int,
    lines: tuple[int, int, int],
    flags: tuple[bool, bool, bool],
    *,
    ROWS: int,
    BLOCK: int,
    chunks: int,
    num_warps: int,
    num_stages: int,
) -> list[Launch]:
    """`ROWS` sequences a program, in tiles of `BLOCK` elements of each (both are powers of two).

    Where sequences begin between vectors, some compilers spill rather than take registers, unless told a limit.
    """
    outer, axis, _ = lines
    vector = 16 // itemsize
    is_whole = axis % vector == 0
    total = triton.cdiv(axis if is_whole else axis + vector - 1, BLOCK)
    sizes = (outer, axis // vector if is_whole else axis, total, chunks, triton.cdiv(total, chunks))
    constants = (*flags, vector, is_whole, ROWS, BLOCK, num_stages)
    programs = triton.cdiv(outer, ROWS) * chunks
    return launches_of(
        _linear_rows_kernel,
        programs,
        sizes,
        constants,
        num_warps=num_warps,
        **limited(0 if is_whole else ODD_REGISTERS, num_warps),
    )
