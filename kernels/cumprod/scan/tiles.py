"""Few long sequences: one program a tile; another hands each its carry."""

import math

import torch
import triton
import triton.language as tl

from .carriers import awaited_carry, hand_on, hand_on_integers, is_far_carry, kept, tell, without_mark
from .chip import processors
from .launches import Task, Work, launches_of
from .ranges import is_interpreted, last_element, limited, next_carry, picked, sign_of
from .shapes import accumulator
from .wide import scan_from


@triton.jit
def _across_runs(of_columns, like):
    """What is known of each column, for each of the runs that lie beside each other (1, runs * columns).

    It is laid out like `like`, which is 1 nowhere. Otherwise triton would lay a whole tile out like the few columns
    that it is multiplied by, through shared memory and with twice the registers.
    """
    COLUMNS: tl.constexpr = of_columns.shape[0]
    runs = tl.broadcast_to(of_columns[None, :], [like.shape[1] // COLUMNS, COLUMNS])
    return _laid_out(tl.reshape(runs, like.shape), like)


@triton.jit
def _laid_out(x, like):
    """`x` as it is, in the layout of `like`, which is 1 nowhere."""
    return tl.where(like == 1, x * 0, x)


@triton.jit
def _first_rows(x_ptr, inner, width, BESIDE: tl.constexpr, RUN: tl.constexpr, COLUMNS: tl.constexpr):
    """The first of each run's elements, beside each other (1, runs * columns), laid out as the tile is; 0 beyond."""
    beside = tl.arange(0, BESIDE)[None, :]
    places = beside // COLUMNS * RUN * inner + beside % COLUMNS
    return tl.load(x_ptr + places, mask=beside % COLUMNS < width, other=0)


@triton.jit
def _scan_columns(x, COLUMNS: tl.constexpr):
    """The products of the runs of a tile (run, runs * columns) down its columns; those of all runs before each; and the
    last ones of the columns: NaN where some may be wrong.

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
    if x.dtype.is_floating():
        limit: tl.constexpr = 2.0**510 if x.dtype == tl.float64 else 2.0**62
        least = tl.reshape(tl.min(tl.abs(y), 0), [RUNS, COLUMNS]) * tl.abs(before)
        most = tl.reshape(tl.max(tl.abs(y), 0), [RUNS, COLUMNS]) * tl.abs(before)
        ordinary = (least >= 1 / limit) & (most <= limit)
        last = tl.where(tl.min(ordinary.to(tl.int32), 0) == 1, last, float("nan"))
    return y, tl.reshape(before, [1, RUNS * COLUMNS]), last


@triton.jit
def _scan_line(x, WIDTH: tl.constexpr):
    """The products of a tile (elements,), and the last one, in a tile of one: NaN where some may be wrong."""
    y = tl.cumprod(x, 0)
    last = next_carry(y, WIDTH) if x.dtype.is_floating() else last_element(y, WIDTH)
    return y, last + tl.zeros((1,), x.dtype)


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
def _code_of(x_ptr, left, inner, width, product, COLUMNS: tl.constexpr, PIECE: tl.constexpr, LIMIT: tl.constexpr):
    """What a tile tells of each of its columns as a factor for carries, from the product that a scan found.

    The product, if that is within LIMIT either way; else it follows from the elements in memory.
    """
    code = product.to(tl.float64)
    usual = (tl.abs(code) >= 1 / LIMIT) & (tl.abs(code) <= LIMIT)
    if tl.min(usual.to(tl.int32)) == 0:
        code = tl.where(usual, code, _unusual_code(x_ptr, left, inner, width, COLUMNS, PIECE, product.dtype))
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
def _judged_columns(exact, product, code, dtype: tl.constexpr):
    """Of each column whether its carry times its products is right, and then the carry after it; and who tells that.

    The tile does (1) where its code is no factor for such a carry.
    """
    ordinary = product == product
    is_far = is_far_carry(exact, dtype)
    stays_zero = (exact == 0) & (code == code)
    right = (ordinary & (is_far == 0)) | stays_zero | (exact != exact) | ((code == 0) & (tl.abs(exact) <= 1))
    after = tl.where(stays_zero, exact * sign_of(code), exact * tl.where(ordinary, product.to(tl.float64), code))
    is_factor = (tl.abs(code) < 2.0**1000) & ((code == 0) & (tl.abs(exact) == float("inf")) == 0)
    return right, kept(after, dtype), (is_factor == 0) | is_far


@triton.jit
def _with_carry(y, exact, product, code, like):
    """A tile's products times its exact carry: of products in float32 in two steps, where one would leave that.

    A carry of 0 is multiplied by signs alone. And which columns have lost them: there a segment of the tree is 0, the
    next one infinite, and both as one NaN.
    """
    stays_zero = (exact == 0) & (code == code)
    is_doubtful = tl.max((product != product).to(tl.int32)) == 1
    size = tl.abs(exact)
    is_small, is_large = size < 2.0**-62, size > 2.0**62
    near = exact * tl.where(is_small, 2.0**100, tl.where(is_large, 2.0**-100, 1.0))
    step = tl.where(is_small, 2.0**-100, tl.where(is_large, 2.0**100, 1.0))
    are_lost = tl.zeros(product.shape, tl.int32)
    if is_doubtful:
        are_nan = tl.max((y != y).to(tl.int32), 0)
        if len(y.shape) == 2:
            are_nan = tl.max(tl.reshape(are_nan, [y.shape[1] // exact.shape[0], exact.shape[0]]), 0)
        are_lost = tl.where(stays_zero, are_nan, are_lost)
    if len(y.shape) == 1:  # as scalars, lest the elements be laid out like the one column
        one = tl.arange(0, 1) == 0
        exact, near, step = picked(exact, one, 0), picked(near, one, 0), picked(step, one, 0)
        stays_zero = tl.max(stays_zero.to(tl.int32), 0) == 1
    else:
        exact, near, step = _across_runs(exact, like), _across_runs(near, like), _across_runs(step, like)
        stays_zero = _across_runs(stays_zero.to(tl.int32), like) == 1
    if is_doubtful:
        y = tl.where(stays_zero, sign_of(y), y)
    y = y * exact if y.dtype == tl.float64 else y * near.to(y.dtype) * step.to(y.dtype)
    return y, are_lost


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
        tile = ticket % sequences * tiles + ticket // sequences
        origin, places, mask, left, width = _tile_place(
            tile, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
        )
        x = tl.load(x_ptr + origin + places, mask=mask, other=1.0, eviction_policy="evict_last")
        inner = tl.cast(inner_vectors, tl.int64) * (1 if COLUMNS == 1 else VECTOR)
        if COLUMNS == 1:
            y, product = _scan_line(x.to(ACCUMULATOR), WIDTH)
        else:
            y, before, product = _scan_columns(x.to(ACCUMULATOR), COLUMNS)
        if is_float:
            limit: tl.constexpr = 2.0 ** (640 // WINDOW)
            code = _code_of(x_ptr + origin, left, inner, width, product, COLUMNS, PIECE, limit)
        else:
            code = product
        t = tile % tiles
        nothing = tl.minimum(total, 0)  # 0, which the compiler cannot know: places that are kept from the load on
        # would cost as many registers as the tile
        words = words_ptr + (tile // tiles).to(tl.int64) * tiles * COLUMNS * (1 if is_float else 2)
        here = t * COLUMNS + tl.arange(0, COLUMNS)
        has_next = here < (tiles - 1) * COLUMNS
        if LINES > 0:
            tell(words, here, code, has_next, 1)
        carry = tl.full((COLUMNS,), 1, code.dtype)
        if not WHOLE:  # noqa: SIM102  (known to the compiler, unlike what follows)
            if t > 0:
                carry = awaited_carry(words, t - 1, tl.arange(0, SLOTS)[:, None], COLUMNS, ACCUMULATOR)
        like = code
        if COLUMNS > 1:  # nothing is loaded, which the compiler cannot know
            like = _first_rows(x_ptr + origin, inner, width * (tile < 0).to(tl.int32), BLOCK // RUN, RUN, COLUMNS)
            y = y * _laid_out(before, like)
        if is_float:
            right, after, is_teller = _judged_columns(carry, product, code, ACCUMULATOR)
            tells = has_next & is_teller if LINES > 0 else has_next
            all_right = tl.min(right.to(tl.int32)) == 1
            if all_right:
                tell(words, here, after, tells, 2)
            y, are_lost = _with_carry(y, carry, product, code, like)
            _, places, mask, _, _ = _tile_place(
                tile + nothing, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
            )
            tl.store(y_ptr + origin + places, y.to(y_ptr.dtype.element_ty), mask=mask, eviction_policy="evict_first")
            right = right & (are_lost == 0)
            if tl.min(right.to(tl.int32)) == 0:
                after = _mend_columns(
                    x_ptr + origin, y_ptr + origin, left, inner, carry, after, right, COLUMNS, PIECE, ACCUMULATOR
                )
                if not all_right:
                    tell(words, here, kept(after, ACCUMULATOR), tells, 2)
        else:
            if LINES == 0:
                tell(words, here, carry * product, has_next, 2)
            y = y * (_across_runs(carry, like) if COLUMNS > 1 else tl.sum(carry, 0))
            _, places, mask, _, _ = _tile_place(
                tile + nothing, tiles, vectors, inner_vectors, strips, VECTOR, BLOCK, COLUMNS, RUN
            )
            tl.store(y_ptr + origin + places, y, mask=mask)


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
    words = LINE_OF_WORDS + (tiles > 1) * tiles * sequences * columns * (1 if of_products.is_floating() else 2)
    sizes = (carriers, tiles * sequences, tiles, *counted, strips)
    shape = (of_products, vector, rows * columns, columns, run, slots, min(rows, threads * held), min(512, rows))
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
