"""Linear recurrences as maps state -> factor * state + term, which a scan joins. All of it in float64.

A tile is cut into runs, which a thread holds; their maps are scanned, and the states within a run follow from the one
that enters it.
"""

import triton
import triton.language as tl


@triton.jit
def read(ptr, mask, other: tl.constexpr):
    """What is there, as float64; `other` outside of the mask. Triton's interpreter needs the step for bfloat16."""
    x = tl.load(ptr, mask=mask, other=other)
    if x.dtype.primitive_bitwidth == 16:
        x = x.to(tl.float32)
    return x.to(tl.float64)


@triton.jit
def write(ptr, x, mask):
    """Store float64 numbers, rounded to what the pointer points to."""
    if ptr.dtype.element_ty.primitive_bitwidth == 16:
        x = x.to(tl.float32)
    tl.store(ptr, x.to(ptr.dtype.element_ty), mask=mask)


@triton.jit
def bounded_product(first, second):
    """The product of two float64 factors, at most 1.7e308 either way, so that 0 times it is 0.

    Only where one of them is infinite, which the data were then, it is infinite as well.
    """
    product = first * second
    INFINITE: tl.constexpr = float("inf")
    left_range = (tl.abs(product) == INFINITE) & (tl.abs(first) != INFINITE) & (tl.abs(second) != INFINITE)
    return tl.where(left_range, tl.where(product > 0, 1.7e308, -1.7e308), product)


@triton.jit
def joint_map(factor, term, next_factor, next_term):
    """The map state -> factor * state + term, and the next one after it, as one map."""
    return bounded_product(factor, next_factor), next_factor * term + next_term


@triton.jit
def _neighbours(x, ADJOINT: tl.constexpr):
    """Of each two elements side by side in a tile (rows, runs, run) that which comes first, and the other."""
    left, right = tl.split(tl.reshape(x, [x.shape[0], x.shape[1], x.shape[2] // 2, 2]))
    if ADJOINT:
        return right, left
    else:
        return left, right


@triton.jit
def _of_neighbours(first, second, ADJOINT: tl.constexpr):
    """The tile of which these are the neighbours."""
    both = tl.join(second, first) if ADJOINT else tl.join(first, second)
    return tl.reshape(both, [first.shape[0], first.shape[1], first.shape[2] * 2])


@triton.jit
def _joint_neighbours(factor, term, ADJOINT: tl.constexpr):
    """The maps of each two elements side by side as one."""
    first_factor, second_factor = _neighbours(factor, ADJOINT)
    first_term, second_term = _neighbours(term, ADJOINT)
    return joint_map(first_factor, first_term, second_factor, second_term)


@triton.jit
def run_maps(factor, term, ADJOINT: tl.constexpr):
    """The maps (rows, runs) of whole runs. A thread holds each run, so that no other thread is asked."""
    if factor.shape[2] == 1:
        return tl.reshape(factor, [factor.shape[0], factor.shape[1]]), tl.reshape(term, [term.shape[0], term.shape[1]])
    else:
        factor, term = _joint_neighbours(factor, term, ADJOINT)
        return run_maps(factor, term, ADJOINT)


@triton.jit
def entering_states(factor, term, state, ADJOINT: tl.constexpr):
    """The state that enters each element's map, from those (rows, runs) that enter the runs."""
    if factor.shape[2] == 1:
        return state[:, :, None]
    else:
        joint_factor, joint_term = _joint_neighbours(factor, term, ADJOINT)
        before = entering_states(joint_factor, joint_term, state, ADJOINT)
        first_factor, _ = _neighbours(factor, ADJOINT)
        first_term, _ = _neighbours(term, ADJOINT)
        return _of_neighbours(before, first_factor * before + first_term, ADJOINT)


@triton.jit
def last_along(x, axis: tl.constexpr):
    """What stands last along an axis of a tile of two."""
    place = tl.arange(0, x.shape[axis])
    is_last = tl.expand_dims(place == x.shape[axis] - 1, 1 - axis)
    return tl.sum(tl.where(is_last, x, 0), axis)


@triton.jit
def loaded_maps(
    a_ptr,
    b_ptr,
    place,
    in_tile,
    OFFSET: tl.constexpr,
    skew,
    begins,
    ends,
    in_rows,
    ADJOINT: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Factors and terms at an offset from each place of a tile; 0 outside of its sequences, and of the first factor.

    And which places are inside, and which of them have one before. Sequences reach from `begins` to `ends`, counted
    from the tile as it is when `skew` is 0. In WHOLE vectors the mask of terms shows the compiler that it cuts none.
    """
    k = in_tile + OFFSET - skew
    if WHOLE:
        VECTOR: tl.constexpr = in_tile.shape[2]
        inside = (
            in_rows & (in_tile + OFFSET >= begins // VECTOR * VECTOR) & (in_tile + OFFSET < ends // VECTOR * VECTOR)
        )
    else:
        inside = in_rows & (k >= begins) & (k < ends)
    has_former = inside & (k > begins)
    has_factor = inside & (k < ends - 1) if ADJOINT else has_former
    b = read(b_ptr + place + OFFSET, inside, 0.0)
    a = read(a_ptr + place + OFFSET + (1 if ADJOINT else 0), has_factor, 0.0)
    return a, b, inside, has_former
