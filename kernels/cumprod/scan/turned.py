"""Tiles turned through shared memory: from the order of memory to where a thread holds neighbours of a sequence.

A turned tile is (element, group, unit). A unit is what a thread holds of one column: groups of elements that follow
each other. Units lie beside each other as columns do; the columns' next units follow. Then most of a tree is multiplied
within threads, and only the units of a column are multiplied across them.
"""

import triton
import triton.language as tl

from .ranges import picked


@triton.jit
def units_beside(x_ptr, UNITS: tl.constexpr, nothing):
    """Nothing that is loaded (1, 1, units): it is 1 nowhere, and laid out as turned tiles shall be.

    `nothing` is 0, which the compiler must not know.
    """
    unit = tl.arange(0, UNITS)[None, None, :]
    return tl.load(x_ptr + unit, mask=unit < nothing, other=0)


@triton.jit
def laid_out(x, like):
    """`x` as it is, in the layout of `like`, which is 1 nowhere.

    There are no 2**20 units either, which the compiler learns when all is laid out: it then leaves `x` alone.
    """
    unit = tl.arange(0, like.numel)[None, :]
    if len(like.shape) == 3:
        unit = unit[None, :, :]
    return tl.where((unit >> 20) == 1, tl.where(like == 1, tl.zeros_like(x), x), x)


@triton.jit
def turned(x, like, ELEMENTS: tl.constexpr, GROUPS: tl.constexpr, COLUMNS: tl.constexpr):
    """A tile in the order of memory, rows of COLUMNS elements, as (element, group, unit)."""
    runs: tl.constexpr = x.numel // (ELEMENTS * GROUPS * COLUMNS)
    x = tl.permute(tl.reshape(x, [runs, GROUPS, ELEMENTS, COLUMNS]), (2, 1, 0, 3))
    return laid_out(tl.reshape(x, [ELEMENTS, GROUPS, runs * COLUMNS]), like)


@triton.jit
def _other(_, b):
    """Of two the second."""
    return b


@triton.jit
def turned_halves(words, like, ELEMENTS: tl.constexpr, GROUPS: tl.constexpr, dtype: tl.constexpr):
    """A tile of one column, whose elements have 16 bits and come in words of two, as float32 (element, group, unit).

    Words need half as many moves as elements. The scan does nothing but keep triton from parting them before.
    """
    words = tl.associative_scan(turned(words, like, ELEMENTS // 2, GROUPS, 1), 0, _other)
    if dtype == tl.bfloat16:
        first, second = words << 16, words & -65536
        first, second = first.to(tl.float32, bitcast=True), second.to(tl.float32, bitcast=True)
    else:
        first, second = words.to(tl.int16).to(dtype, bitcast=True), (words >> 16).to(tl.int16).to(dtype, bitcast=True)
        first, second = first.to(tl.float32), second.to(tl.float32)
    x = tl.permute(tl.join(first, second), (0, 3, 1, 2))
    return laid_out(tl.reshape(x, [ELEMENTS, GROUPS, like.numel]), like)


@triton.jit
def turned_back(y, COLUMNS: tl.constexpr):
    """A turned tile in the order of memory (elements,)."""
    elements: tl.constexpr = y.shape[0]
    groups: tl.constexpr = y.shape[1]
    runs: tl.constexpr = y.shape[2] // COLUMNS
    y = tl.permute(tl.reshape(y, [elements, groups, runs, COLUMNS]), (2, 1, 0, 3))
    return tl.reshape(y, [y.numel])


@triton.jit
def by_column(of_units, other, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """What is known of units (units,), BESIDE of which lie beside each other, with COLUMNS beside each other (runs *
    COLUMNS,); `other` of columns and runs that are none.
    """
    if BESIDE == COLUMNS:
        return of_units
    else:
        place = tl.arange(0, 2 * of_units.numel)
        column, run = place % COLUMNS, place // COLUMNS
        is_one = (column < BESIDE) & (run < of_units.numel // BESIDE)
        found = tl.gather(of_units, tl.where(is_one, run * BESIDE + column, 0), 0)
        return tl.where(is_one, found, tl.full((), other, found.dtype))


@triton.jit
def by_unit(of_columns, like, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """What is known of COLUMNS beside each other (runs * COLUMNS,), of their units (1, units), in the layout of `like`.

    It is the way back of `by_column`.
    """
    if BESIDE == COLUMNS:
        return laid_out(of_columns[None, :], like)
    else:
        unit = tl.arange(0, like.numel)
        place = unit // BESIDE * COLUMNS + unit % BESIDE
        place = tl.minimum(place, of_columns.numel - 1)  # of units behind the last run: any
        return laid_out(tl.gather(of_columns, place, 0)[None, :], like)


@triton.jit
def of_all_runs(by_columns, COLUMNS: tl.constexpr):
    """What is known of COLUMNS beside each other (runs * COLUMNS,), as (runs, columns)."""
    return tl.reshape(by_columns, [by_columns.numel // COLUMNS, COLUMNS])


@triton.jit
def across_units(of_columns, like, BESIDE: tl.constexpr):
    """What is known of each column, for each of its units (1, units), in the layout of `like`."""
    columns: tl.constexpr = of_columns.shape[0]
    if columns == BESIDE:
        runs = tl.broadcast_to(of_columns[None, :], [like.numel // columns, columns])
        return laid_out(tl.reshape(runs, like.shape), like)
    else:
        column = tl.arange(0, like.numel) % BESIDE
        return laid_out(tl.reshape(tl.gather(of_columns, column, 0), like.shape), like)


@triton.jit
def only(a, _):
    """Of one element nothing is asked."""
    return a


@triton.jit
def plain(of_columns):
    """What is known of columns; of a single one without a layout, which would cost a barrier to change."""
    if of_columns.shape[0] == 1:
        return tl.full((1,), tl.reduce(of_columns, 0, only), of_columns.dtype)
    else:
        return of_columns


@triton.jit
def groups_by_column(of_groups, other, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """What is known of groups (group, unit), as (columns, groups) in the order of the elements; `other` of those that
    are none.
    """
    groups: tl.constexpr = of_groups.shape[0]
    units: tl.constexpr = of_groups.shape[1]
    if BESIDE == COLUMNS:
        x = tl.permute(tl.reshape(of_groups, [groups, units // COLUMNS, COLUMNS]), (2, 1, 0))
        return tl.reshape(x, [COLUMNS, units // COLUMNS * groups])
    else:
        PLACES: tl.constexpr = 2 * units // COLUMNS * groups
        column, place = tl.arange(0, COLUMNS)[:, None], tl.arange(0, PLACES)[None, :]
        is_one = (column < BESIDE) & (place // groups < units // BESIDE)
        group = tl.where(is_one, place % groups * units + place // groups * BESIDE + column, 0)
        flat = tl.gather(tl.reshape(of_groups, [of_groups.numel]), tl.reshape(group, [COLUMNS * PLACES]), 0)
        found = tl.reshape(flat, [COLUMNS, PLACES])
        return tl.where(is_one, found, tl.full((), other, found.dtype))


@triton.jit
def last_in(y):
    """The last along the first axis."""
    if len(y.shape) == 3:
        return picked(y, tl.arange(0, y.shape[0])[:, None, None] == y.shape[0] - 1, 0)
    else:
        return picked(y, tl.arange(0, y.shape[0])[:, None] == y.shape[0] - 1, 0)


@triton.jit
def _raw_with_before(_before, m, other_before, other):
    """The products before the last of several groups, and with it."""
    return m * other_before, m * other


@triton.jit
def integer_tile(x, like, COLUMNS: tl.constexpr, BESIDE: tl.constexpr):
    """The products of a turned tile of integers within its groups; those of its column before each group (group, unit);
    and the last ones of its columns. They wrap around, in any order alike.
    """
    y = tl.cumprod(x, 0)
    ends = last_in(y)
    before, to_end = tl.associative_scan((ends * 0 + 1, ends), 0, _raw_with_before)
    runs = of_all_runs(by_column(last_in(to_end), 1, COLUMNS, BESIDE), COLUMNS)
    before_runs, to_end = tl.associative_scan((runs * 0 + 1, runs), 0, _raw_with_before)
    at_end = tl.arange(0, runs.shape[0])[:, None] == runs.shape[0] - 1
    before_runs = tl.reshape(before_runs, [before_runs.numel])
    return y, before * by_unit(before_runs, like, COLUMNS, BESIDE), picked(to_end, at_end, 0)
