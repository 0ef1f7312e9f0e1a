"""Few long sequences: one program a tile; another hands each its carry."""

import math

import torch
import triton
import triton.language as tl

from .carriers import awaited_carry, ends_window, found_carry, hand_on, hand_on_integers, kept, tell
from .chip import processors
from .launches import Task, Work, launches_of
from .ranges import is_interpreted, limited, picked
from .shapes import accumulator
from .tile_floats import (
    code_of,
    group_products,
    judged_columns,
    looked_at,
    lost_signs,
    signs_where,
    tile_of_groups,
    with_carry,
)
from .turned import across_units, integer_tile, plain, turned, turned_back, units_beside
from .wide import scan_from


@triton.jit
def _mend_columns(
    x_ptr,
    y_ptr,
    left,
    inner,
    exact,
    after,
    right,
    COLUMNS: tl.constexpr,
    PIECE: tl.constexpr,
    dtype: tl.constexpr,
):
    """Do the columns of a tile again that are not right, from their exact carries. Returns the exact carries after."""
    column = tl.arange(0, COLUMNS)
    for c in range(COLUMNS):
        if tl.sum(tl.where(column == c, right.to(tl.int32), 0), 0) == 0:
            carry = picked(exact, column == c, 0)
            last = scan_from(x_ptr + c, y_ptr + c, left, inner, carry, PIECE, min(4, PIECE), dtype)
            after = tl.where(column == c, last, after)
    return after


@triton.jit
def _tile_place(
    tile,
    tiles,
    vectors,
    inner_vectors,
    strips,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FLAT: tl.constexpr,
):
    """Where a tile begins, its places from there, which of them are inside, and how long and wide it is.

    What is counted in vectors proves to the compiler that no mask cuts one: all elements of a tile that is FLAT, which
    has all columns, else its columns.
    """
    sequence = (tile // tiles).to(tl.int64)
    t = (tile % tiles).to(tl.int64)
    places = tl.arange(0, BLOCK)
    if FLAT:
        origin = sequence * vectors * VECTOR + t * BLOCK
        inside = tl.minimum(vectors - t * (BLOCK // VECTOR), BLOCK // VECTOR).to(tl.int32) * VECTOR
        left = inside // COLUMNS
        width = COLUMNS
        mask = places < inside
    else:
        inner = tl.cast(inner_vectors, tl.int64) * VECTOR
        column = sequence % strips * COLUMNS
        origin = (sequence // strips * vectors + t * (BLOCK // COLUMNS)) * inner + column
        left = tl.minimum(vectors - t * (BLOCK // COLUMNS), BLOCK // COLUMNS).to(tl.int32)
        width = tl.minimum(inner_vectors - column // VECTOR, COLUMNS // VECTOR).to(tl.int32) * VECTOR
        row, across = places // COLUMNS, places % COLUMNS
        mask = (row < left) & (across < width)
        places = row * inner + across
    return origin, places, mask, left, width


@triton.jit
def _tiles_kernel(
    x_ptr,
    y_ptr,
    told_ptr,
    begin,
    carriers,
    total,
    tiles,
    vectors,
    inner_vectors,
    strips,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FLAT: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    SLOTS: tl.constexpr,
    PIECE: tl.constexpr,
    LEAD: tl.constexpr,
    WHOLE: tl.constexpr,
    LINES: tl.constexpr,
    WINDOW: tl.constexpr,
    LOOK: tl.constexpr,
):
    """One program a tile, in the order in which programs begin: what it waits for is at work or done already.

    A tile may be a WHOLE sequence. Else it tells its code, and takes the carry of those before it from one of the
    `carriers`, programs of their own that began before all others; or looks at the words of those before it in its
    window of LOOK tiles; without either, it takes the carry from the tile before. What is told are words behind LEAD
    others, of which the first counts tickets.
    """
    ticket = begin + tl.program_id(0).to(tl.int64) if WHOLE else tl.atomic_add(told_ptr, 1, sem="relaxed").to(tl.int32)
    words_ptr = told_ptr + LEAD
    sequences = total // tiles
    is_float: tl.constexpr = ACCUMULATOR.is_floating()
    if ticket < carriers:
        if LINES > 0:
            first = ticket * LINES
            if is_float:
                hand_on(words_ptr, first, sequences * COLUMNS, tiles, COLUMNS, LINES, WINDOW, ACCUMULATOR)
            else:
                hand_on_integers(words_ptr, first, sequences * COLUMNS, tiles, COLUMNS, LINES, WINDOW)
    else:
        ticket -= carriers
        nothing = tl.minimum(total, 0)  # 0, which the compiler cannot know: places that are kept from the load on
        # would cost as many registers as the tile
        tile = ticket % sequences * tiles + ticket // sequences
        origin, places, mask, left, width = _tile_place(
            tile, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, FLAT
        )
        inner = tl.cast(COLUMNS, tl.int64) if FLAT else tl.cast(inner_vectors, tl.int64) * VECTOR
        UNITS: tl.constexpr = BLOCK // (ELEMENTS * GROUPS)
        units = units_beside(x_ptr, UNITS, nothing)
        like = tl.max(units, 0)
        x = tl.load(x_ptr + origin + places, mask=mask, other=1.0, eviction_policy="evict_last")
        x = turned(x, units, ELEMENTS, GROUPS, COLUMNS).to(ACCUMULATOR)
        if is_float:
            y, totals, low, high, is_group_fair = group_products(x)
            has_zero = low > float("inf")  # nowhere: a group with a zero is not fair
            m_before, e_before, m, e, most, least, is_fair = tile_of_groups(
                totals, low, high, is_group_fair, has_zero, like, COLUMNS
            )
            if tl.min(is_fair.to(tl.int32), 0) == 0:
                low, high, is_group_fair, has_zero = looked_at(
                    x_ptr + origin, left, width, inner, like, ELEMENTS, GROUPS, COLUMNS, ACCUMULATOR
                )
                m_before, e_before, m, e, most, least, is_fair = tile_of_groups(
                    totals, low, high, is_group_fair & (totals == totals), has_zero, like, COLUMNS
                )
            code = code_of(x_ptr + origin, left, inner, width, m, e, most, least, is_fair, COLUMNS, PIECE)
        else:
            y, before, code = integer_tile(x, like, COLUMNS)
        t = tile % tiles
        words = words_ptr + (tile // tiles).to(tl.int64) * tiles * COLUMNS * (1 if is_float else 2)
        here = t * COLUMNS + tl.arange(0, COLUMNS)
        has_next = here < (tiles - 1) * COLUMNS
        tells_code: tl.constexpr = LINES + LOOK > 0
        if tells_code:
            tell(words, here, code, has_next, 1)
        carry = tl.full((COLUMNS,), 1, code.dtype)
        if not WHOLE:  # noqa: SIM102  (known to the compiler, unlike what follows)
            if t > 0:
                if LOOK > 0:
                    carry = plain(found_carry(words, t, COLUMNS, LOOK, ACCUMULATOR))
                else:
                    carry = plain(awaited_carry(words, t - 1, tl.arange(0, SLOTS)[:, None], COLUMNS, ACCUMULATOR))
        if is_float:
            right, after, is_teller = judged_columns(y, e_before, m, e, most, least, is_fair, carry, code, like)
            if LOOK > 0:
                is_teller = is_teller | ends_window(here // COLUMNS, LOOK)
            tells = has_next & is_teller if tells_code else has_next
            all_right = tl.min(right.to(tl.int32)) == 1
            if all_right:
                tell(words, here, after, tells, 2)
            is_sign = (carry == 0) & (code == code) & (is_fair == 0)
            if tl.max(is_sign.to(tl.int32)) == 1:
                right = right & (lost_signs(y, is_sign, COLUMNS) == 0)
                y = signs_where(is_sign, y, like)
            y = with_carry(y, m_before, e_before, carry, like)
        else:
            if LOOK > 0:
                tell(words, here, carry * code, has_next & ends_window(here // COLUMNS, LOOK), 2)
            elif LINES == 0:
                tell(words, here, carry * code, has_next, 2)
            y = y * (before * across_units(carry, like))[None, :, :]
        _, places, mask, _, _ = _tile_place(
            tile + nothing, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, FLAT
        )
        y = turned_back(y.to(y_ptr.dtype.element_ty), COLUMNS)
        tl.store(y_ptr + origin + places, y, mask=mask, eviction_policy="evict_first")
        if is_float:  # noqa: SIM102  (known to the compiler, unlike what follows)
            if tl.min(right.to(tl.int32)) == 0:
                after = _mend_columns(
                    x_ptr + origin, y_ptr + origin, left, inner, carry, after, right, COLUMNS, PIECE, ACCUMULATOR
                )
                if not all_right:
                    tell(words, here, kept(after, ACCUMULATOR), tells, 2)


def tiles_form(
    task: Task, *, BLOCK: int, COLUMNS: int, LINES: int, WINDOW: int, LOOK: int, num_warps: int, registers: int
) -> Work:
    """In tiles of up to `BLOCK` elements of one sequence, or of up to `COLUMNS` side by side.

    A carrier looks at `WINDOW` tiles of each of its `LINES` columns, or sequences, at a time; or at more, for a thread
    needs words of its own: of several that look at the same one, only the first is asked whether it is there. With 0
    lines there are no carriers; nor where tiles look themselves, in windows of `LOOK` (0: they do not). Other numbers
    are powers of two; a thread has up to `registers`.
    """
    x, y, outer, axis, inner = task
    columns = 1 if inner == 1 else min(max(2, COLUMNS), triton.next_power_of_2(inner))
    rows = min(BLOCK // columns, max(16, triton.next_power_of_2(axis)))
    is_flat = columns == inner
    vector = math.gcd(axis * inner, 16) if is_flat else math.gcd(inner, columns)
    threads = 32 * num_warps
    held = max(2, rows * columns // threads)  # elements of a thread
    elements = min(16, held, rows)
    groups = max(1, min(held, rows) // elements)
    strips, tiles = triton.cdiv(inner, columns), triton.cdiv(axis, rows)
    sequences = outer * strips
    counted = (axis * inner // vector, 1) if is_flat else (axis, inner // vector)
    is_serial = is_interpreted()  # one program after the other: none can wait for a later one
    LOOK = max(min(LOOK, triton.next_power_of_2(tiles)), threads // columns) if LOOK and tiles > 1 else 0
    LINES = 0 if tiles == 1 or LOOK or is_serial else _lines_a_carrier(LINES, sequences * columns, x.device)
    carriers = triton.cdiv(sequences * columns, LINES) if LINES else 0
    WINDOW = max(WINDOW, threads // LINES) if LINES else 1
    slots = 1 if is_serial else max(1, threads // columns)
    of_products = accumulator(y.dtype)
    words = LINE_OF_WORDS + (tiles > 1) * tiles * sequences * columns * (1 if of_products.is_floating() else 2)
    sizes = (carriers, tiles * sequences, tiles, *counted, strips)
    layout = (is_flat, elements, groups, slots, min(512, rows))
    constants = (of_products, vector, rows * columns, columns, *layout, LINE_OF_WORDS, tiles == 1, LINES, WINDOW, LOOK)
    programs = carriers + tiles * sequences
    return Work(
        launches_of(_tiles_kernel, programs, sizes, constants, num_warps=num_warps, **limited(registers, num_warps)),
        words,
    )


def _lines_a_carrier(wanted: int, lines: int, device: torch.device) -> int:
    """As many as wanted, or more: few carriers leave most of the GPU to tiles, for which they wait. None if 0 are."""
    return max(wanted, triton.next_power_of_2(triton.cdiv(8 * lines, processors(device)))) if wanted else 0


LINE_OF_WORDS = 16
"""Words of a cache line, which the counter of tickets has for itself."""
