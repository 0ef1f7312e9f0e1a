"""Few long sequences: one program a tile; another hands each its carry."""

import math
from typing import NamedTuple

import triton
import triton.language as tl

from .carries import ends_window, found_carry, kept, tell
from .launches import Task, Work, launches_of
from .powers import FAR_AWAY, group_products
from .ranges import is_interpreted, limited, picked
from .shapes import accumulator
from .tile_floats import (
    are_near,
    code_of,
    is_near,
    judged_columns,
    looked_at,
    lost_signs,
    near_carry_after,
    near_code,
    products_until_zeros,
    range_of,
    reach_of,
    signs_where,
    tile_of_groups,
    with_carry,
    with_near_carry,
)
from .turned import across_units, integer_tile, laid_out, plain, turned, turned_back, units_beside
from .wide import scan_from


@triton.jit
def _mend_columns(
    x_ptr,
    y_ptr,
    lead,
    left,
    inner,
    exact,
    after,
    right,
    COLUMNS: tl.constexpr,
    PIECE: tl.constexpr,
    dtype: tl.constexpr,
):
    """Do the columns of a tile again that are not right, from their exact carries: its rows from `lead` on and before
    `left`. Returns the exact carries after.
    """
    column = tl.arange(0, COLUMNS)
    for c in range(COLUMNS):
        if tl.sum(tl.where(column == c, right.to(tl.int32), 0), 0) == 0:
            carry = picked(exact, column == c, 0)
            place = lead * inner + c
            last = scan_from(x_ptr + place, y_ptr + place, left - lead, inner, carry, PIECE, min(4, PIECE), dtype)
            after = tl.where(column == c, last, after)
    return after


@triton.jit
def _tile_place(
    sequence,
    t,
    vectors,
    inner_vectors,
    strips,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FLAT: tl.constexpr,
    RAGGED: tl.constexpr,
):
    """Where a tile begins, and what of it is inside: so many vectors of one that is FLAT, which has all columns; else
    so many rows, and vectors of each. And the first place that is, of a RAGGED one: that begins at a vector, where its
    sequence may not.

    What is counted in vectors proves to the compiler that no mask cuts one.
    """
    start = t.to(tl.int64)
    lead, width = tl.full((), 0, tl.int32), tl.full((), 1, tl.int32)
    if RAGGED:
        first = sequence.to(tl.int64) * vectors
        origin = first // 16 * 16
        before = (first - origin).to(tl.int32)
        lead = tl.where(t == 0, before, 0)
        inside = tl.minimum(before + (vectors - start * BLOCK), BLOCK).to(tl.int32)  # in 64 bits
        origin += start * BLOCK
    elif FLAT:
        origin = sequence.to(tl.int64) * vectors * VECTOR + start * BLOCK
        inside = tl.minimum(vectors - start * (BLOCK // VECTOR), BLOCK // VECTOR).to(tl.int32)
    else:
        ROWS: tl.constexpr = BLOCK // COLUMNS
        column = sequence % strips * COLUMNS
        inner = tl.cast(inner_vectors, tl.int64) * VECTOR
        origin = ((sequence // strips).to(tl.int64) * vectors + start * ROWS) * inner + column
        inside = tl.minimum(vectors - start * ROWS, ROWS).to(tl.int32)
        width = tl.minimum(inner_vectors - column // VECTOR, COLUMNS // VECTOR).to(tl.int32)
    return origin, lead, inside, width


@triton.jit
def _ragged_tile(ptr, lead, inside, BLOCK: tl.constexpr):
    """A tile, 1 where it is not inside. Only the first and the last of a sequence do not move in vectors."""
    places = tl.arange(0, BLOCK)
    if (lead == 0) & (inside == BLOCK):
        x = tl.load(ptr + places, eviction_policy="evict_last")
    else:
        x = tl.load(ptr + places, mask=(places >= lead) & (places < inside), other=1.0, eviction_policy="evict_last")
    return x


@triton.jit
def _store_ragged(ptr, y, lead, inside, BLOCK: tl.constexpr):
    """Store what of a tile is inside."""
    places = tl.arange(0, BLOCK)
    if (lead == 0) & (inside == BLOCK):
        tl.store(ptr + places, y, eviction_policy="evict_first")
    else:
        tl.store(ptr + places, y, mask=(places >= lead) & (places < inside), eviction_policy="evict_first")


@triton.jit
def _tile_at(
    ptr,
    inside,
    width,
    inner,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FLAT: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Pointers of a tile that begins at `ptr`, and which of them are inside.

    A thread has elements of every ROWS-th row: the compiler finds that they are the same way apart.
    """
    places = tl.arange(0, BLOCK)
    if FLAT:
        return ptr + places, places < inside * VECTOR
    else:
        STEP: tl.constexpr = ROWS * COLUMNS
        step, row, column = places // STEP, places // COLUMNS % ROWS, places % COLUMNS
        ptrs = ptr + (row * inner + column) + step * (inner * ROWS)
        return ptrs, (places // COLUMNS < inside) & (column < width * VECTOR)


@triton.jit
def _units_at(ptr, left, UNITS: tl.constexpr, GROUPS: tl.constexpr, ELEMENTS: tl.constexpr, BESIDE: tl.constexpr):
    """Pointers (units, groups, elements) of `left` rows of BESIDE columns from `ptr` on, and which of them are inside.

    A thread has a unit: its elements are as far apart as the compiler knows, and need no address each.
    """
    unit = tl.arange(0, UNITS)[:, None, None]
    element = tl.arange(0, GROUPS)[None, :, None] * ELEMENTS + tl.arange(0, ELEMENTS)[None, None, :]
    first = unit // BESIDE * (GROUPS * ELEMENTS)
    is_one = unit < UNITS // BESIDE * BESIDE
    ptrs = ptr + (first * BESIDE + unit % BESIDE)
    return ptrs + element * BESIDE, element < tl.where(is_one, left - first, 0)


@triton.jit
def _turned_tile(
    x_ptr,
    sizes,
    inner,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    BESIDE: tl.constexpr,
    FLAT: tl.constexpr,
    RAGGED: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS_READ: tl.constexpr,
):
    """A tile that begins at `x_ptr`, turned, 1 where it is not inside; and how its units lie. `sizes` are what
    `_tile_place` says of it, how many of its rows are inside, and 0, which the compiler must not know.
    """
    lead, inside, left, width, nothing = sizes
    if RAGGED:
        x = _ragged_tile(x_ptr, lead, inside, BLOCK)
    else:
        if BESIDE == COLUMNS:
            ptrs, mask = _tile_at(x_ptr, inside, width, inner, VECTOR, BLOCK, COLUMNS, FLAT, ROWS_READ)
        else:
            ptrs, mask = _units_at(x_ptr, left, UNITS, GROUPS, ELEMENTS, BESIDE)
        x = tl.load(ptrs, mask=mask, other=1.0, eviction_policy="evict_last")
    # Integers, and behind the load: then the compiler knows that they are never 1, and that only the layout is meant.
    units = units_beside(x_ptr.to(tl.pointer_type(tl.int32)), UNITS, nothing)
    if BESIDE == COLUMNS:
        x = turned(x, units, ELEMENTS, GROUPS, COLUMNS).to(ACCUMULATOR)
    else:
        x = laid_out(tl.permute(x, (2, 1, 0)), units).to(ACCUMULATOR)
    return x, tl.max(units, 0)


@triton.jit
def _tiles_kernel(
    x_ptr,
    y_ptr,
    told_ptr,
    begin,
    sequences,
    tiles,
    vectors,
    inner_vectors,
    strips,
    ACCUMULATOR: tl.constexpr,
    VECTOR: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    BESIDE: tl.constexpr,
    FLAT: tl.constexpr,
    RAGGED: tl.constexpr,
    ELEMENTS: tl.constexpr,
    GROUPS: tl.constexpr,
    UNITS: tl.constexpr,
    PIECE: tl.constexpr,
    ROWS_READ: tl.constexpr,
    ROWS_WRITTEN: tl.constexpr,
    WHOLE: tl.constexpr,
    LOOK: tl.constexpr,
    OF_THREAD: tl.constexpr,
    SERIAL: tl.constexpr,
):
    """One program a tile. Programs begin in the order of their numbers: what one waits for is at work or done already.

    A tile may be a WHOLE sequence. Else it tells its code, and finds its carry in the words of those before it in its
    window of LOOK tiles.

    A tile of BESIDE columns, fewer than COLUMNS, is loaded as it shall lie: nothing is turned. RAGGED sequences may
    begin and end within vectors.
    """
    number = begin + tl.program_id(0)
    if WHOLE:
        sequence, t = number, tl.full((), 0, tl.int32)
    else:
        sequence, t = number % sequences, number // sequences
    nothing = tl.minimum(begin, 0).to(tl.int32)  # 0, which the compiler cannot know: places that are kept from the load
    # on would cost as many registers as the tile
    is_float: tl.constexpr = ACCUMULATOR.is_floating()
    WIDTH: tl.constexpr = COLUMNS * (1 if is_float else 2)
    words = told_ptr + sequence.to(tl.int64) * tiles * (2 * WIDTH)
    origin, lead, inside, width = _tile_place(
        sequence, t, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, FLAT, RAGGED
    )
    inner = tl.cast(BESIDE, tl.int64) if FLAT else tl.cast(inner_vectors, tl.int64) * VECTOR
    left = inside * VECTOR // BESIDE if FLAT else inside
    lead_rows = lead // BESIDE
    across = tl.full((), BESIDE, tl.int32) if FLAT else width * VECTOR
    is_turned: tl.constexpr = BESIDE == COLUMNS
    x_ptr += origin
    y_ptr += origin
    sizes = (lead, inside, left, width, nothing)
    x, like = _turned_tile(
        *(x_ptr, sizes, inner, ACCUMULATOR, VECTOR, BLOCK, COLUMNS, BESIDE),
        *(FLAT, RAGGED, ELEMENTS, GROUPS, UNITS, ROWS_READ),
    )
    if is_float:
        y, totals, low, high, is_group_fair = group_products(x)
        m_before, e_before, m, e = tile_of_groups(totals, is_group_fair & False, like, COLUMNS, BESIDE)
        reach = reach_of(e_before, low, high, is_group_fair, COLUMNS, BESIDE)
        most, least, is_fair, shrinks = reach, -reach, reach < FAR_AWAY, tl.max(reach) < 0
        all_near = is_near(reach, ACCUMULATOR)
        if all_near:
            code = near_code(m, e)
        else:
            shrinks = tl.max(tl.max(high, 0), 0) == 0
            if tl.min(is_fair.to(tl.int32)) == 0:
                if COLUMNS == 1:
                    x, _ = _turned_tile(
                        *(x_ptr + nothing, sizes, inner, ACCUMULATOR, VECTOR, BLOCK, COLUMNS, BESIDE),
                        *(FLAT, RAGGED, ELEMENTS, GROUPS, UNITS, ROWS_READ),
                    )
                    y, low, high, is_group_fair, has_zero = products_until_zeros(x)
                else:
                    low, high, is_group_fair, has_zero = looked_at(
                        x_ptr, lead_rows, left, across, inner, like, ELEMENTS, GROUPS, BESIDE, ACCUMULATOR
                    )
                    is_group_fair = is_group_fair & (totals == totals)
                m_before, e_before, m, e = tile_of_groups(totals, has_zero, like, COLUMNS, BESIDE)
            most, least, is_fair = range_of(e_before, low, high, is_group_fair, COLUMNS, BESIDE)
            code = code_of(x_ptr, lead_rows, left, inner, across, m, e, most, least, is_fair, COLUMNS, PIECE)
    else:
        y, before, code = integer_tile(x, like, COLUMNS, BESIDE)
    here = t * COLUMNS + tl.arange(0, COLUMNS)
    has_next = here < (tiles - 1) * COLUMNS
    tell(words + tiles * WIDTH, here, code, has_next)
    carry = tl.full((COLUMNS,), 1, code.dtype)
    if not WHOLE:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if t > 0:
            carry = plain(found_carry(words, t, tiles, COLUMNS, LOOK, OF_THREAD, ACCUMULATOR, SERIAL))
    tells = has_next & ends_window(here // COLUMNS, LOOK)
    if is_float:
        right, after, all_right = carry == carry, carry, True
        if all_near & are_near(reach, carry, ACCUMULATOR):
            after = near_carry_after(carry, m, e)
            tell(words, here, after, tells)
            y = with_near_carry(y, m_before, e_before, carry, like, BESIDE)
        else:
            right, after, is_teller = judged_columns(
                y, e_before, m, e, most, least, is_fair, shrinks, carry, code, like, BESIDE
            )
            tells = tells | (has_next & is_teller)
            all_right = tl.min(right.to(tl.int32)) == 1
            if all_right:
                tell(words, here, after, tells)
            is_sign = (carry == 0) & (code == code) & (is_fair == 0)
            if tl.max(is_sign.to(tl.int32)) == 1:
                right = right & (lost_signs(y, is_sign, COLUMNS, BESIDE) == 0)
                y = signs_where(is_sign, y, like, BESIDE)
            y = with_carry(y, m_before, e_before, carry, like, BESIDE)
    else:
        tell(words, here, carry * code, tells)
        y = y * (before * across_units(carry, like, BESIDE))[None, :, :]
    y = y.to(y_ptr.dtype.element_ty)
    if RAGGED:
        _store_ragged(y_ptr, turned_back(y, COLUMNS), lead + nothing, inside + nothing, BLOCK)
    elif is_turned:
        ptrs, mask = _tile_at(
            y_ptr, inside + nothing, width + nothing, inner + nothing, VECTOR, BLOCK, COLUMNS, FLAT, ROWS_WRITTEN
        )
        tl.store(ptrs, turned_back(y, COLUMNS), mask=mask, eviction_policy="evict_first")
    else:
        ptrs, mask = _units_at(y_ptr + nothing, left + nothing, UNITS, GROUPS, ELEMENTS, BESIDE)
        tl.store(ptrs, tl.permute(y, (2, 1, 0)), mask=mask, eviction_policy="evict_first")
    if is_float:  # noqa: SIM102  (known to the compiler, unlike what follows)
        if tl.min(right.to(tl.int32), 0) == 0:
            after = _mend_columns(
                x_ptr, y_ptr, lead_rows, left, inner, carry, after, right, COLUMNS, PIECE, ACCUMULATOR
            )
            if not all_right:
                tell(words, here, kept(after, ACCUMULATOR), tells)


def tiles_form(task: Task, *, BLOCK: int, COLUMNS: int, LOOK: int, num_warps: int, registers: int) -> Work:
    """In tiles of up to `BLOCK` elements of one sequence, or of up to `COLUMNS` side by side: of all, if they are
    fewer.

    Tiles look for their carry in windows of `LOOK` tiles, or of as many as there are threads for. All numbers but
    `registers`, which a thread has at most, are powers of two.
    """
    x, y, outer, axis, inner = task
    threads = 32 * num_warps
    tile = _tile_of(outer, axis, inner, BLOCK, COLUMNS, threads)
    strips, tiles = triton.cdiv(inner, tile.columns), triton.cdiv(axis + tile.lead, tile.rows)
    sequences = outer * strips
    counted = (axis * inner // tile.vector, 1) if tile.is_flat else (axis, inner // tile.vector)
    of_products = accumulator(y.dtype)
    words_of_tile = tile.columns * (1 if of_products.is_floating() else 2)
    LOOK = max(min(LOOK, triton.next_power_of_2(tiles)), threads // words_of_tile)
    words = 2 * tiles * sequences * words_of_tile if tiles > 1 else 1  # of a whole sequence no word is looked at
    layout = (tile.beside, tile.is_flat, tile.is_ragged, tile.elements, tile.groups, tile.units)
    sizes = [each.element_size() for each in (x, y)]
    at_once = [min(tile.rows, max(1, threads * min(tile.vector, 16 // size) // tile.columns)) for size in sizes]
    constants = (
        *(of_products, tile.vector, tile.rows * tile.beside, tile.columns, *layout),
        *(min(512, triton.next_power_of_2(tile.rows + 1) // 2), *at_once),
        *(tiles == 1, LOOK, max(1, LOOK * words_of_tile // threads), is_interpreted()),
    )
    numbers = (sequences, tiles, *counted, strips)
    options = {"num_warps": num_warps, **limited(registers, num_warps)}
    return Work(launches_of(_tiles_kernel, tiles * sequences, numbers, constants, **options), words)


class _Tile(NamedTuple):
    """How tiles lie: so many rows of `columns`, of which `beside` lie beside each other."""

    columns: int
    beside: int
    rows: int
    elements: int
    """Of a group, which a thread multiplies as it is."""
    groups: int
    """Of a unit, which a thread has."""
    units: int
    vector: int
    """Elements of which no tile has a part."""
    is_flat: bool
    """Whether tiles have all columns."""
    is_ragged: bool
    """Whether sequences begin or end within vectors."""
    lead: int
    """Rows before a sequence that begins within a vector, at most."""


def _tile_of(outer: int, axis: int, inner: int, block: int, most: int, threads: int) -> _Tile:
    """How tiles of up to `block` elements lie, with up to `most` columns."""
    columns = 1 if inner == 1 else min(max(2, most), triton.next_power_of_2(inner))
    is_direct = columns > inner and threads >= inner  # few columns that are no power of two
    beside = inner if is_direct else columns
    rows, held = _rows_of_tile(axis, columns, beside, block, threads)
    elements = min(16, held, rows)
    groups = max(1, min(held, rows) // elements)
    units = threads if is_direct else rows * columns // (elements * groups)
    is_flat = beside == inner
    is_ragged = is_flat and not is_direct and axis * inner % 16 != 0
    vector = 1 if is_direct or is_ragged else 16 if is_flat else math.gcd(inner, columns)
    lead = 15 // inner if is_ragged and outer > 1 else 0
    return _Tile(columns, beside, rows, elements, groups, units, vector, is_flat, is_ragged, lead)


def _rows_of_tile(axis: int, columns: int, beside: int, block: int, threads: int) -> tuple[int, int]:
    """Rows of a tile, and elements of a thread: those of a unit, if columns `beside` each other are no power of two."""
    if beside < columns:
        runs = threads // beside
        held = min(max(2, block // threads), max(2, triton.next_power_of_2(triton.cdiv(axis, runs))))
        return runs * held, held
    rows = min(block // columns, max(16, triton.next_power_of_2(axis)))
    return rows, max(2, rows * columns // threads)
