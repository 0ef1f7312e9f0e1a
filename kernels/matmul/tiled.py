"""Matrix product near the speed of cuBLAS: large tiles, loads several steps ahead, an order of tiles that suits L2.

A 128 x 256 tile does 85 multiplications for every element that it reads, enough for the tensor cores of an H100. Loads
run `num_stages` steps ahead of the multiplications. Programs walk GROUP_M rows of tiles column by column, so that
those which run at one time share what they read through L2.

Vector loads need rows that begin at multiples of 16 bytes. Other matrices are first copied and padded with zeros.
"""

from functools import cache

import torch
import triton
import triton.language as tl
from torch import nn
from triton.tools.tensor_descriptor import TensorDescriptor


@triton.jit
def _tile_of(program, M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP_M: tl.constexpr):
    """Row and column of a program's tile: down GROUP_M tiles, then one column on; then the next group of rows."""
    rows, columns = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    first = program // (GROUP_M * columns) * GROUP_M
    height = tl.minimum(rows - first, GROUP_M)
    within = program % (GROUP_M * columns)
    return first + within % height, within // height


@triton.jit
def _through_registers(a, NEEDED: tl.constexpr):
    """`a` as the tensor cores read TF32: without its last 13 bits, which they ignore.

    They read the left operand from registers or from shared memory, where float32 has to be ordered along K. What was
    computed is in registers, where any order will do. Without this, triton reorders with loads of 4 bytes.
    """
    return (a.to(tl.int32, bitcast=True) & -0x2000).to(tl.float32, bitcast=True) if NEEDED else a


@triton.jit
def _store(accumulator, c_ptr, rows, columns, M, N, c_row, c_column):
    """Stores what is inside of the result."""
    places = c_ptr + rows.to(tl.int64)[:, None] * c_row + columns.to(tl.int64)[None, :] * c_column
    inside = (rows[:, None] < M) & (columns[None, :] < N)
    tl.store(places, accumulator.to(c_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _pointer_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    M,
    N,
    K,
    a_rows,
    b_columns,
    a_row,
    a_column,
    b_row,
    b_column,
    c_row,
    c_column,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    WHOLE_STEPS: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
):
    """One program a tile of C, M x N. A has `a_rows` rows and B `b_columns` columns: as many, or more after padding.

    WHOLE_STEPS: K is a multiple of BLOCK_K, so that no load needs a mask. Rows and columns beyond the edge of A and B
    wrap around to the other side, which needs no mask either; they are never stored.
    """
    tile_row, tile_column = _tile_of(tl.program_id(0), M, N, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_row * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile_column * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    a_places = a_ptr + (rows % a_rows).to(tl.int64)[:, None] * a_row + k.to(tl.int64)[None, :] * a_column
    b_places = b_ptr + k.to(tl.int64)[:, None] * b_row + (columns % b_columns).to(tl.int64)[None, :] * b_column
    a_step, b_step = tl.cast(a_column, tl.int64) * BLOCK_K, tl.cast(b_row, tl.int64) * BLOCK_K
    accumulator = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        if WHOLE_STEPS:
            a, b = tl.load(a_places), tl.load(b_places)
        else:
            a = tl.load(a_places, mask=k[None, :] < K - start, other=0.0)
            b = tl.load(b_places, mask=k[:, None] < K - start, other=0.0)
        accumulator = tl.dot(_through_registers(a, IN_REGISTERS), b, accumulator, input_precision="tf32")
        a_places += a_step
        b_places += b_step
    _store(accumulator, c_ptr, rows, columns, M, N, c_row, c_column)


@triton.jit
def _descriptor_kernel(
    a_descriptor,
    b_descriptor,
    c_ptr,
    M,
    N,
    K,
    c_row,
    c_column,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
    A_BY_COLUMNS: tl.constexpr,
    B_BY_COLUMNS: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
):
    """The same with loads by the tensor memory accelerator, which fills in zeros beyond the edges.

    A matrix stored by columns has the descriptor of its transpose.
    """
    tile_row, tile_column = _tile_of(tl.program_id(0), M, N, BLOCK_M, BLOCK_N, GROUP_M)
    row, column = tile_row * BLOCK_M, tile_column * BLOCK_N
    accumulator = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        a = a_descriptor.load([start, row]).T if A_BY_COLUMNS else a_descriptor.load([row, start])
        b = b_descriptor.load([column, start]).T if B_BY_COLUMNS else b_descriptor.load([start, column])
        accumulator = tl.dot(_through_registers(a, IN_REGISTERS), b, accumulator, input_precision="tf32")
    rows, columns = row + tl.arange(0, BLOCK_M), column + tl.arange(0, BLOCK_N)
    _store(accumulator, c_ptr, rows, columns, M, N, c_row, c_column)


_NARROW = 64
"""Up to so many rows a product is bound by reading the other matrix, and takes the older tensor-core instruction."""


def _check(a: torch.Tensor, b: torch.Tensor) -> None:
    """Refuses what is no product of two matrices of a type that tensor cores multiply.

    Raises:
        TypeError: the types differ, or are not among those.
        ValueError: the shapes do not fit.
    """
    if a.dtype != b.dtype or a.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TypeError(f"tiled takes two matrices of float16, bfloat16 or float32, not {a.dtype} and {b.dtype}")
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"tiled multiplies [M, K] by [K, N], not {list(a.shape)} by {list(b.shape)}")


def _is_by_columns(x: torch.Tensor) -> bool:
    """Whether the elements of a column, and not those of a row, lie side by side."""
    return x.stride(1) != 1 and x.stride(0) == 1


def _is_aligned(x: torch.Tensor) -> bool:
    """Whether triton can see that every row, or every column, is made of whole vectors of 16 bytes."""
    along = 0 if _is_by_columns(x) else 1
    multiples = (x.stride(1 - along), x.shape[along], x.data_ptr())
    return x.stride(along) == 1 and not any(each % 16 for each in multiples)


def _padded(x: torch.Tensor) -> torch.Tensor:
    """A copy with both sizes raised to multiples of 16 by zeros, in the order that `x` has."""
    if _is_by_columns(x):
        return _padded(x.T).T
    return nn.functional.pad(x, (0, -x.shape[1] % 16, 0, -x.shape[0] % 16))


def _swaps(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether B' A' is the better product: where C is narrow, or to get the right operand of TF32 ordered along K."""
    if min(a.shape[0], b.shape[1]) <= _NARROW:
        return b.shape[1] < a.shape[0]
    return a.dtype == torch.float32 and not _is_by_columns(b) and not _is_by_columns(a)


@cache
def _shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program may have; on the CPU, those of an H100."""
    if device.type != "cuda":
        return 232_448
    index = torch.cuda.current_device() if device.index is None else device.index
    return int(triton.runtime.driver.active.utils.get_device_properties(index)["max_shared_mem"])


def _tile(m: int, n: int, size: int, shared: int) -> dict[str, int]:
    """The tile for `m` x `n` results of elements of `size` bytes: as large as is busy everywhere, 3 or 4 steps deep."""
    if m <= _NARROW:
        height = max(16, triton.next_power_of_2(m))
        return {"BLOCK_M": height, "BLOCK_N": 64, "BLOCK_K": 256 // size, "num_warps": 4, "num_stages": 4}
    depth = 128 // size
    for width in (256, 128) if m * n > 2**22 else (128,):
        stages = min(4, shared // ((128 + width) * depth * size))
        if stages >= 3:
            return {"BLOCK_M": 128, "BLOCK_N": width, "BLOCK_K": depth, "num_warps": 8, "num_stages": stages}
    return {"BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": depth, "num_warps": 4, "num_stages": 3}


def _launch(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, use_tma: bool, tile: dict[str, int]) -> None:
    """C = A @ B, of which A and B may be padded."""
    m, n, k = *c.shape, a.shape[1]
    grid = (triton.cdiv(m, tile["BLOCK_M"]) * triton.cdiv(n, tile["BLOCK_N"]),)
    orders = _is_by_columns(a), _is_by_columns(b)
    in_registers = a.dtype == torch.float32 and orders[0]
    if use_tma:
        a_block, b_block = (tile["BLOCK_M"], tile["BLOCK_K"]), (tile["BLOCK_K"], tile["BLOCK_N"])
        loads = _descriptor(a, *a_block), _descriptor(b, *b_block)
        flags = {"A_BY_COLUMNS": orders[0], "B_BY_COLUMNS": orders[1], "IN_REGISTERS": in_registers}
        _descriptor_kernel[grid](*loads, c, m, n, k, *c.stride(), **flags, **tile)
    else:
        sizes = (m, n, k, a.shape[0], b.shape[1])
        flags = {"WHOLE_STEPS": k % tile["BLOCK_K"] == 0, "IN_REGISTERS": in_registers}
        _pointer_kernel[grid](a, b, c, *sizes, *a.stride(), *b.stride(), *c.stride(), **flags, **tile)


def _descriptor(x: torch.Tensor, rows: int, columns: int) -> TensorDescriptor:
    """Of blocks of a matrix; of its transpose where it is stored by columns."""
    if _is_by_columns(x):
        return TensorDescriptor.from_tensor(x.T, [columns, rows])
    return TensorDescriptor.from_tensor(x, [rows, columns])


def tiled(a: torch.Tensor, b: torch.Tensor, *, GROUP_M: int = 8, use_tma: bool = False, **tile: int) -> torch.Tensor:
    """`a @ b` of two matrices, summed in float32; float32 is multiplied as TF32.

    `tile` may have BLOCK_M, BLOCK_N, BLOCK_K (powers of two), num_warps and num_stages; what it lacks is chosen by
    shape and type. Of a result that is computed as its transpose, BLOCK_M are the columns.
    """
    _check(a, b)
    if a.device.type == "cpu" and a.dtype == torch.bfloat16:  # triton's interpreter would multiply their bits
        return tiled(a.float(), b.float(), GROUP_M=GROUP_M, use_tma=use_tma, **tile).bfloat16()
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
    if not (c.numel() and a.shape[1]):
        return c.zero_()
    left, right, result = (b.T, a.T, c.T) if _swaps(a, b) else (a, b, c)
    if a.dtype == torch.float32 and result.shape[0] > _NARROW and not _is_by_columns(right):
        right = right.T.contiguous().T
    if not (_is_aligned(left) and _is_aligned(right)):
        left, right = _padded(left), _padded(right)
    chosen = _tile(*result.shape, a.element_size(), _shared_memory(a.device))
    _launch(left, right, result, use_tma, {**chosen, "GROUP_M": GROUP_M, **tile})
    return c


class ModelNew(nn.Module):
    """`a @ b`; `configuration` is passed on to tiled."""

    def __init__(self, **configuration: int) -> None:
        super().__init__()
        self.configuration = configuration

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return tiled(a, b, **self.configuration)
