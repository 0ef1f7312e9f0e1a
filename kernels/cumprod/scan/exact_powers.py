"""`powers.py` for tiles of one column, with what rounding takes.

Where factors repeat, all groups lose the same, and so do all pairs of units: such errors add up. Products of groups,
and of the units of a warp, therefore go on as a number and its error, and those of warps and tiles as float64. Kernels
are compiled so that no multiplication is fused with the addition that follows it: the error would count twice.
"""

import triton
import triton.language as tl

from .powers import before_units, bounds_of, by_lane, last_lane, mantissa_and_power, power_of_two
from .turned import laid_out, last_in


@triton.jit
def _exact_product(product, error, factor, other_error):
    """A product of two numbers with errors, and what rounding took from it."""
    rounded = product * factor
    return rounded, tl.fma(error, factor, tl.fma(other_error, product, tl.fma(product, factor, -rounded)))


@triton.jit
def _product_and_error(product, largest, error, factor, other, _):
    """A product, the largest size of its factors, and what rounding took from it.

    A thread multiplies its elements one after the other, so that the factor is one of them, and has no error.
    """
    rounded = product * factor
    error = tl.fma(error, factor, tl.fma(product, factor, -rounded))
    return rounded, tl.maximum(tl.abs(largest), tl.abs(other)), error


@triton.jit
def exact_group_products(x):
    """`group_products`, rounded once where a group is fair; after the last ones, what rounding took from them."""
    p, largest, error = tl.associative_scan((x, x, tl.zeros_like(x)), 0, _product_and_error)
    rounded = p + error
    last = last_in(rounded)
    low, high, is_fair = bounds_of(last, last_in(largest), x.shape[0])
    return rounded, last, last_in(error) - (last - last_in(p)), low, high, is_fair


@triton.jit
def _exactly_multiplied(m, error, e, other_m, other_error, other_e):
    """The product of m * 2**e and other_m * 2**other_e; its mantissa grows."""
    m, error = _exact_product(m, error, other_m, other_error)
    return m, error, e + other_e


@triton.jit
def _exactly_multiplied_from(
    _before, _e_before, m, error, e, other_before, other_e_before, other_m, other_error, other_e
):
    """The products before the last of several groups, and with it; their mantissas grow."""
    before, e_before = m * other_before, e + other_e_before
    m, error, e = _exactly_multiplied(m, error, e, other_m, other_error, other_e)
    return before, e_before, m, error, e


@triton.jit
def _parted(x, error):
    """Mantissa of a number with an error, the mantissa's error, and the exponent."""
    m, e = mantissa_and_power(x)
    return m, error * power_of_two(-e, x.dtype), e


@triton.jit
def exact_products_before_groups(totals, errors, carry_m, carry_e, like):
    """Of the groups (group, unit) of a turned tile, given by their products and errors, the products before each, with
    a carry; and that of all (1,), without it, whose mantissa is float64.
    """
    m, error, e = _parted(totals, errors)
    m_within, e_within, m, error, e = tl.associative_scan((m * 0 + 1, e * 0, m, error, e), 0, _exactly_multiplied_from)
    if m.shape[0] > 4:
        m_within, more = mantissa_and_power(m_within)
        e_within += more
    m, error, more = _parted(last_in(m), last_in(error))
    m, error, e = tl.associative_scan(
        (by_lane(m, 1), by_lane(error, 1), by_lane(last_in(e) + more, 1)), 1, _exactly_multiplied
    )
    m_warp = last_lane(m).to(tl.float64) + last_lane(error)
    m_units, e_units, m_end, e_end = before_units(m + error, e, m_warp, last_lane(e), carry_m, carry_e)
    m_before = m_within * laid_out(m_units[None, :], like)
    return m_before, e_within + laid_out(e_units[None, :], like), m_end, e_end
