"""Few long sequences: one program a tile; another hands each its carry."""

import math

import torch
import triton
import triton.language as tl

from .carriers import awaited_carry, hand_on, hand_on_integers, is_far_carry, kept, tell, without_mark
from .chip import processors
from .launches import Task, Work, launches_of
from .ranges import is_interpreted, last_element, limited, picked, sign_of
from .shapes import accumulator
from .wide import (
    DEAD,
    are_fair,
    before_groups,
    exact_carry,
    joined,
    last_of,
    left_for_good,
    loaded_groups,
    parted,
    parted_carry,
    scan_from,
    two_factors,
    whole_tile,
)


@triton.jit
def _across_runs(of_columns, like):
    """What is known of each column, for each of the runs that lie beside each other (1, runs * columns), in the layout
    of `like`.
    """
    COLUMNS: tl.constexpr = of_columns.shape[0]
    runs = tl.broadcast_to(of_columns[None, :], [like.shape[1] // COLUMNS, COLUMNS])
    return _laid_out(tl.reshape(runs, like.shape), like)


@triton.jit
def _beside(of_runs, like):
    """What is known of runs (columns, runs), as they lie beside each other (1, runs * columns)."""
    return tl.reshape(tl.trans(of_runs), like.shape)


@triton.jit
def _laid_out(x, like):
    """`x` as it is, in the layout of `like`, which is 1 nowhere.

    Otherwise triton would lay a whole tile out like the few columns that it is multiplied by, through shared memory and
    with twice the registers.
    """
    return tl.where(like == 1, x * 0, x)


@triton.jit
def _first_rows(x_ptr, inner, width, BESIDE: tl.constexpr, RUN: tl.constexpr, COLUMNS: tl.constexpr):
    """The first of each run's elements, beside each other (1, runs * columns), laid out as the tile is; 0 beyond."""
    beside = tl.arange(0, BESIDE)[None, :]
    places = beside // COLUMNS * RUN * inner + beside % COLUMNS
    return tl.load(x_ptr + places, mask=beside % COLUMNS < width, other=0)


@triton.jit
def _integer_columns(x, COLUMNS: tl.constexpr):
    """The products of the runs of a tile (run, runs * columns) of integers down its columns; those of all runs before
    each; and the last ones of the columns.

    A thread holds whole runs: the second dimension alone takes all threads, in whatever order triton lays out others.
    Products of runs are multiplied through shared memory.
    """
    RUN: tl.constexpr = x.shape[0]
    RUNS: tl.constexpr = x.shape[1] // COLUMNS
    run = tl.arange(0, RUNS)[:, None]
    y = tl.cumprod(x, 0)
    ends = tl.reshape(picked(y, tl.arange(0, RUN)[:, None] == RUN - 1, 0), [RUNS, COLUMNS])
    ends = tl.cumprod(ends, 0)
    previous = tl.maximum(run - 1, 0) + tl.zeros(ends.shape, tl.int32)
    before = tl.where(run == 0, tl.full((), 1, x.dtype), tl.gather(ends, previous, 0))
    last = tl.sum(tl.where(run == RUNS - 1, ends, 0), 0)
    return y, tl.reshape(before, [1, RUNS * COLUMNS]), last


@triton.jit
def _are_fair(p, zeros, axis: tl.constexpr):
    """Whether products along an axis are far from a limit until the first zero, and 0 from then on."""
    as_expected = tl.min(((p == 0) == (zeros > 0)).to(tl.int32), axis) == 1
    return as_expected & are_fair(tl.where(zeros > 0, tl.full((), 1, p.dtype), tl.abs(p)), axis)


@triton.jit
def _line_products(
    x_ptr,
    left,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    PART: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
    ZEROS: tl.constexpr,
):
    """The products within groups of a line, in one or two halves (1, groups, elements); their last ones (1, groups),
    whether all are far from a limit, and how many zeros there are: none, unless they are looked for.
    """
    x = loaded_groups(x_ptr, left, 0, BLOCK, GROUP, PART).to(ACCUMULATOR)
    p = tl.cumprod(x, 2)
    p_behind = p
    zeros = tl.cumsum((x == 0).to(tl.int32), 2) if ZEROS else tl.zeros(p.shape, tl.int32)
    is_fair = _are_fair(p, zeros, 2) if ZEROS else are_fair(tl.abs(p), 2)
    if GROUP > PART:
        x = loaded_groups(x_ptr, left, PART, BLOCK, GROUP, PART).to(ACCUMULATOR)
        p_behind = tl.cumprod(x, 2) * last_of(p)[:, :, None]
        if ZEROS:
            zeros = tl.cumsum((x == 0).to(tl.int32), 2) + tl.max(zeros, 2)[:, :, None]
        is_fair = is_fair & (_are_fair(p_behind, zeros, 2) if ZEROS else are_fair(tl.abs(p_behind), 2))
    totals = last_of(p_behind)
    return p, p_behind, totals, is_fair & (totals == totals), tl.max(zeros, 2)


@triton.jit
def _column_products(x, COLUMNS: tl.constexpr, ZEROS: tl.constexpr):
    """The same of a tile (run, runs * columns), of which a thread holds whole runs; they are the groups."""
    RUN: tl.constexpr = x.shape[0]
    p = tl.cumprod(x, 0)
    totals = picked(p, tl.arange(0, RUN)[:, None] == RUN - 1, 0)
    zeros = tl.cumsum((x == 0).to(tl.int32), 0) if ZEROS else tl.zeros(p.shape, tl.int32)
    is_fair = (_are_fair(p, zeros, 0) if ZEROS else are_fair(tl.abs(p), 0)) & (totals == totals)
    is_fair = _by_column(is_fair.to(tl.int32), COLUMNS) == 1
    return p, _by_column(totals, COLUMNS), is_fair, _by_column(tl.max(zeros, 0), COLUMNS)


@triton.jit
def _by_column(of_runs, COLUMNS: tl.constexpr):
    """What is known of runs beside each other, as (columns, runs)."""
    return tl.trans(tl.reshape(of_runs, [of_runs.numel // COLUMNS, COLUMNS]))


@triton.jit
def _largest_and_smallest(most, least, other_most, other_least):
    """Of two ranges the one around both."""
    return tl.maximum(most, other_most), tl.minimum(least, other_least)


@triton.jit
def _tile_of_groups(totals, is_fair, zeros):
    """Of a tile's groups (columns, groups), before its carry is known, the products before each, in parts; and of each
    column the product, in parts, the largest and the smallest exponent before a group, and whether it is fair: all
    products within its groups are far from a limit.
    """
    COLUMNS: tl.constexpr = totals.shape[0]
    one, zero = tl.full((COLUMNS,), 1, totals.dtype), tl.full((COLUMNS,), 0, tl.float32)
    m, e = parted(totals)
    m_before, e_before, m_runs, e_runs = before_groups(m, e + tl.where(zeros > 0, DEAD, 0.0), one, zero)
    most = tl.where(is_fair, e_before, float("inf"))
    least = tl.where(e_before < DEAD / 2, 0.0, e_before)
    most, least = tl.reduce((most, least), 1, _largest_and_smallest)
    at_end = tl.arange(0, m_runs.shape[1])[None, :] == m_runs.shape[1] - 1
    m_end, e_end = picked(m_runs, at_end, 1), tl.sum(tl.where(at_end, e_runs, 0.0), 1)
    return m_before, e_before, m_end, e_end, most, least, most < float("inf")


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
def _either(a, b):
    """Bits that one of two has, as tl.reduce asks for it."""
    return a | b


@triton.jit
def _code_of(
    x_ptr, left, inner, width, m, e, most, is_fair, COLUMNS: tl.constexpr, PIECE: tl.constexpr, LIMIT: tl.constexpr
):
    """What a tile tells of each of its columns as a factor for carries: its product, within 2**LIMIT either way.

    0 for a column that makes 0 of any carry that is not far, whatever the order. Else 2**1000, which is no factor. Of
    columns that are not fair it follows from the elements in memory.
    """
    kills = (e <= -2100) & (most <= 10)
    code = tl.where(kills, 0.0, 2.0**1000).to(tl.float64) * sign_of(m).to(tl.float64)
    code = tl.where(tl.abs(e) < LIMIT, exact_carry(m, e), code)
    if tl.min(is_fair.to(tl.int32)) == 0:
        code = tl.where(is_fair, code, _unusual_code(x_ptr, left, inner, width, COLUMNS, PIECE, m.dtype))
    return without_mark(code)


@triton.jit
def _unusual_code(x_ptr, left, inner, width, COLUMNS: tl.constexpr, PIECE: tl.constexpr, dtype: tl.constexpr):
    """0 for a column that makes 0 of any finite carry whatever the order: nothing grows, and enough factors halve.

    NaN, if it holds an infinity or NaN; 2**1001, if a zero; else 2**1000. These three are no factors: the tile itself
    finds and tells the carry after it, but where that of the tiles before leaves no choice. All but NaN have the sign
    of the product.
    """
    ROWS: tl.constexpr = PIECE // 2 // COLUMNS if PIECE // 2 > COLUMNS else 1
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    halvings = tl.zeros((ROWS, COLUMNS), tl.int32)
    marks = halvings  # 1: grows; 2: infinite or NaN; 4: a zero; 8: an odd number of signs
    for done in range(0, left, ROWS):
        mask = (done + row < left) & (column < width)
        x = tl.load(x_ptr + (done + row).to(tl.int64) * inner + column, mask=mask, other=1.0).to(dtype)
        size = tl.abs(x)
        halvings += (size <= 0.5).to(tl.int32)
        marks |= tl.where(size > 1, 1, 0) | tl.where(x * 0 != 0, 2, 0) | tl.where(x == 0, 4, 0)
        marks ^= tl.where(sign_of(x) < 0, 8, 0)
    is_negative = (tl.xor_sum(marks, 0) & 8) != 0
    marks = tl.reduce(marks, 0, _either)
    has_zero = (marks & 4) != 0
    enough: tl.constexpr = 2100 if dtype == tl.float64 else 1200
    kills = ((marks & 1) == 0) & (has_zero | (tl.sum(halvings, 0) >= enough))
    code = tl.where(kills, 0.0, tl.where(has_zero, 2.0**1001, 2.0**1000)).to(tl.float64)
    code = code * tl.where(is_negative, -1.0, 1.0)
    return tl.where((marks & 2) != 0, float("nan"), code)


@triton.jit
def _carry_after(exact, code, m, e):
    """The exact carry after a column whose product is m * 2**e; of a carry of 0, from the sign of its code."""
    near, far = two_factors(exact * m.to(tl.float64), e)
    stays_zero = (exact == 0) & (code == code)
    return tl.where(stays_zero, exact * sign_of(code), near * far)


@triton.jit
def _judged_columns(e_before, m, e, most, least, is_fair, exact, code, dtype: tl.constexpr):
    """Of each column whether its exact carry times its products is right, and then the carry after it; and who tells
    that. The tile does (1) where its code is no factor for such a carry.

    Right is what stays within float64, and what leaves it for good.
    """
    inside: tl.constexpr = 820 if dtype == tl.float64 else 900
    _, carry_e = parted_carry(exact, dtype)
    stays_zero = (exact == 0) & (code == code)
    stays_infinite = is_fair & (tl.abs(exact) == float("inf")) & (e > DEAD / 2)
    stays = is_fair & (carry_e + most <= inside) & (carry_e + least >= -inside)
    right = stays | stays_zero | stays_infinite | (exact != exact)
    after = _carry_after(exact, code, m, e)
    if tl.min(right.to(tl.int32)) == 0:
        end = carry_e + e
        leaves = is_fair & (right == 0) & (tl.abs(carry_e) < float("inf")) & left_for_good(e_before + carry_e[:, None], end, dtype)
        limit = tl.where(end < 0, 0.0, float("inf")).to(tl.float64)
        after = tl.where(leaves, limit * sign_of(exact) * sign_of(m).to(tl.float64), after)
        right = right | leaves
    is_factor = (tl.abs(code) < 2.0**1000) & ((code == 0) & (tl.abs(exact) == float("inf")) == 0)
    return right, kept(after, dtype), (is_factor == 0) | is_far_carry(exact, dtype)


@triton.jit
def _lost_signs(p, p_behind, stays_zero, COLUMNS: tl.constexpr):
    """Which columns have lost the signs that a carry of 0 is multiplied by: a product within a group is 0, the next
    factor infinite, and both as one NaN.
    """
    are_nan = (p != p).to(tl.int32) | (p_behind != p_behind).to(tl.int32)
    if COLUMNS == 1:
        are_nan = tl.max(tl.max(are_nan, 2), 1)
    else:
        are_nan = tl.max(_by_column(tl.max(are_nan, 0), COLUMNS), 1)
    return stays_zero & (are_nan == 1)


@triton.jit
def _signs_where(is_sign, p, like):
    """Products; of columns where they are asked for, 1 with their signs."""
    if is_sign.shape[0] == 1:
        of_all = tl.max(is_sign.to(tl.int32), 0) == 1
    else:
        of_all = _across_runs(is_sign.to(tl.int32), like) == 1
    return tl.where(of_all, sign_of(p), p)


@triton.jit
def _with_carry(p, p_behind, m_before, e_before, exact, like):
    """A tile's products times what is before their groups (columns, groups), and times its exact carry."""
    m, e = parted_carry(exact, p.dtype)
    if exact.shape[0] == 1:  # as scalars, lest the elements be laid out like the one column
        m, e = joined(tl.sum(m, 0), tl.sum(e, 0), m_before, e_before)
        near, far = two_factors(m, e)
        near, far = near[:, :, None], far[:, :, None]
    else:
        m, e = joined(m[:, None], e[:, None], m_before, e_before)
        near, far = two_factors(m, e)
        near, far = _laid_out(_beside(near, like), like), _laid_out(_beside(far, like), like)
    return (p * near) * far, (p_behind * near) * far


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
    RUN: tl.constexpr,
):
    """Where a tile begins, its places from there, which of them are inside, and how long and wide it is.

    What is counted in vectors proves to the compiler that no mask cuts one.
    """
    sequence = (tile // tiles).to(tl.int64)
    t = (tile % tiles).to(tl.int64)
    column = sequence % strips * COLUMNS
    if COLUMNS == 1:
        n = tl.cast(vectors, tl.int64) * VECTOR
        origin = sequence * n + t * BLOCK
        left = tl.minimum(vectors - t * (BLOCK // VECTOR), BLOCK // VECTOR).to(tl.int32) * VECTOR
        places = tl.arange(0, BLOCK)
        width = 1
        mask = places < left
    else:
        inner = tl.cast(inner_vectors, tl.int64) * VECTOR
        origin = (sequence // strips * vectors + t * (BLOCK // COLUMNS)) * inner + column
        left = tl.minimum(vectors - t * (BLOCK // COLUMNS), BLOCK // COLUMNS).to(tl.int32)
        width = tl.minimum(inner_vectors - column // VECTOR, COLUMNS).to(tl.int32) * VECTOR
        beside = tl.arange(0, BLOCK // RUN)[None, :]
        row = beside // COLUMNS * RUN + tl.arange(0, RUN)[:, None]
        across = beside % COLUMNS
        places = row * inner + across
        mask = (row < left) & (across < width)
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
    RUN: tl.constexpr,
    SLOTS: tl.constexpr,
    GROUP: tl.constexpr,
    PART: tl.constexpr,
    WIDTH: tl.constexpr,
    PIECE: tl.constexpr,
    LEAD: tl.constexpr,
    WHOLE: tl.constexpr,
    LINES: tl.constexpr,
    WINDOW: tl.constexpr,
):
    """One program a tile, in the order in which programs begin: what it waits for is at work or done already.

    A tile may be a WHOLE sequence. Else it tells its code, and takes the carry of those before it from one of the
    `carriers`, programs of their own that began before all others; without any, from the tile before. What is told are
    words behind LEAD others, of which the first counts tickets.
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
            tile, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
        )
        inner = tl.cast(inner_vectors, tl.int64) * (1 if COLUMNS == 1 else VECTOR)
        if COLUMNS > 1 or not is_float:
            x = tl.load(x_ptr + origin + places, mask=mask, other=1.0, eviction_policy="evict_last").to(ACCUMULATOR)
        if is_float:
            if COLUMNS == 1:
                p, p_behind, totals, is_fair, zeros = _line_products(
                    x_ptr + origin, left, BLOCK, GROUP, PART, ACCUMULATOR, False
                )
                if tl.min(is_fair.to(tl.int32)) == 0:
                    p, p_behind, totals, is_fair, zeros = _line_products(
                        x_ptr + origin + nothing, left, BLOCK, GROUP, PART, ACCUMULATOR, True
                    )
            else:
                p, totals, is_fair, zeros = _column_products(x, COLUMNS, False)
                if tl.min(is_fair.to(tl.int32)) == 0:
                    _, places, mask, _, _ = _tile_place(
                        tile + nothing, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
                    )
                    x = tl.load(x_ptr + origin + places, mask=mask, other=1.0).to(ACCUMULATOR)
                    p, totals, is_fair, zeros = _column_products(x, COLUMNS, True)
                p_behind = p
            m_before, e_before, m, e, most, least, is_fair = _tile_of_groups(totals, is_fair, zeros)
            limit: tl.constexpr = 640 // WINDOW
            code = _code_of(x_ptr + origin, left, inner, width, m, e, most, is_fair, COLUMNS, PIECE, limit)
        elif COLUMNS == 1:
            y = tl.cumprod(x, 0)
            code = last_element(y, WIDTH) + tl.zeros((1,), ACCUMULATOR)
        else:
            y, before, code = _integer_columns(x, COLUMNS)
        t = tile % tiles
        words = words_ptr + (tile // tiles).to(tl.int64) * tiles * COLUMNS * (1 if is_float else 2)
        here = t * COLUMNS + tl.arange(0, COLUMNS)
        has_next = here < (tiles - 1) * COLUMNS
        if LINES > 0:
            tell(words, here, code, has_next, 1)
        like = code
        if COLUMNS > 1:  # nothing is loaded, which the compiler cannot know
            like = _first_rows(x_ptr + origin, inner, width * (tile < 0).to(tl.int32), BLOCK // RUN, RUN, COLUMNS)
            if not is_float:
                y = y * _laid_out(before, like)
        carry = tl.full((COLUMNS,), 1, code.dtype)
        if not WHOLE:  # noqa: SIM102  (known to the compiler, unlike what follows)
            if t > 0:
                carry = awaited_carry(words, t - 1, tl.arange(0, SLOTS)[:, None], COLUMNS, ACCUMULATOR)
        if is_float:
            right, after, is_teller = _judged_columns(
                e_before, m, e, most, least, is_fair, carry, code, ACCUMULATOR
            )
            tells = has_next & is_teller if LINES > 0 else has_next
            all_right = tl.min(right.to(tl.int32)) == 1
            if all_right:
                tell(words, here, after, tells, 2)
            is_sign = (carry == 0) & (code == code) & (is_fair == 0)
            if tl.max(is_sign.to(tl.int32)) == 1:
                right = right & (_lost_signs(p, p_behind, is_sign, COLUMNS) == 0)
                p, p_behind = _signs_where(is_sign, p, like), _signs_where(is_sign, p_behind, like)
            y, y_behind = _with_carry(p, p_behind, m_before, e_before, carry, like)
            if COLUMNS == 1:
                y = whole_tile(y, y_behind, BLOCK)
        else:
            if LINES == 0:
                tell(words, here, carry * code, has_next, 2)
            y = y * (_across_runs(carry, like) if COLUMNS > 1 else tl.sum(carry, 0))
        _, places, mask, _, _ = _tile_place(
            tile + nothing, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
        )
        tl.store(y_ptr + origin + places, y.to(y_ptr.dtype.element_ty), mask=mask, eviction_policy="evict_first")
        if is_float:  # noqa: SIM102  (known to the compiler, unlike what follows)
            if tl.min(right.to(tl.int32)) == 0:
                after = _mend_columns(
                    x_ptr + origin, y_ptr + origin, left, inner, carry, after, right, COLUMNS, PIECE, ACCUMULATOR
                )
                if not all_right:
                    tell(words, here, kept(after, ACCUMULATOR), tells, 2)


def tiles_form(
    task: Task, *, BLOCK: int, COLUMNS: int, LINES: int, WINDOW: int, num_warps: int, registers: int
) -> Work:
    """In tiles of up to `BLOCK` elements of one sequence, or of up to `COLUMNS` side by side.

    A carrier looks at `WINDOW` tiles of each of its `LINES` columns, or sequences, at a time; or at more, for a thread
    needs words of its own: of several that look at the same one, only the first is asked whether it is there. With 0
    lines there are no carriers. Other numbers are powers of two; a thread has up to `registers`.
    """
    x, y, outer, axis, inner = task
    vector = math.gcd(axis if inner == 1 else inner, 16)
    columns = 1 if inner == 1 else min(max(2, COLUMNS), triton.next_power_of_2(inner))
    rows = min(BLOCK // columns, max(16, triton.next_power_of_2(axis)))
    threads, held = 32 * num_warps, min(vector, 16 // x.element_size())  # elements side by side in a thread
    run = max(1, rows // max(1, threads * min(held, columns) // columns))
    strips, tiles = triton.cdiv(inner, columns), triton.cdiv(axis, rows)
    sequences = outer * strips
    counted = (axis // vector, 1) if inner == 1 else (axis, inner // vector)
    is_serial = is_interpreted()  # one program after the other: none can wait for a later one
    LINES = 0 if tiles == 1 or is_serial else _lines_a_carrier(LINES, sequences * columns, x.device)
    carriers = triton.cdiv(sequences * columns, LINES) if LINES else 0
    WINDOW = max(WINDOW, threads // LINES) if LINES else 1
    slots = 1 if is_serial else max(1, threads // columns)
    of_products = accumulator(y.dtype)
    group = min(2 * held, rows)
    words = LINE_OF_WORDS + (tiles > 1) * tiles * sequences * columns * (1 if of_products.is_floating() else 2)
    sizes = (carriers, tiles * sequences, tiles, *counted, strips)
    shape = (of_products, vector, rows * columns, columns, run, slots, group, min(held, rows), min(rows, threads * held), min(512, rows))
    constants = (*shape, LINE_OF_WORDS, tiles == 1, LINES, WINDOW)
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
