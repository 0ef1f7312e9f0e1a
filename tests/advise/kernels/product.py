"""Products of matrices without and with tensor cores, each time with one planted cause of slowness."""

import torch
import triton
import triton.language as tl


@triton.jit
def _without_dot_kernel(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK: tl.constexpr):
    """One program BLOCK columns of a row of C, an element of A at a time."""
    row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in range(K):
        a = tl.load(a_ptr + row * K + k).to(tl.float32)
        total += a * tl.load(b_ptr + k * N + columns, mask=columns < N, other=0.0).to(tl.float32)
    tl.store(c_ptr + row * N + columns, total, mask=columns < N)


def without_dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Each element of B is fetched again for every row of A."""
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
    grid = (c.shape[0], triton.cdiv(c.shape[1], 256))
    _without_dot_kernel[grid](a, b, c, *c.shape, a.shape[1], BLOCK=256, num_warps=4)
    return c


@triton.jit
def _tiles_kernel(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK: tl.constexpr, DEPTH: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for start in range(0, K, DEPTH):
        k = start + tl.arange(0, DEPTH)
        a_mask, b_mask = (rows[:, None] < M) & (k[None, :] < K), (k[:, None] < K) & (columns[None, :] < N)
        a = tl.load(a_ptr + rows[:, None] * K + k[None, :], mask=a_mask, other=0.0)
        b = tl.load(b_ptr + k[:, None] * N + columns[None, :], mask=b_mask, other=0.0)
        total = tl.dot(a, b, total, input_precision="tf32")
    mask = (rows[:, None] < M) & (columns[None, :] < N)
    tl.store(c_ptr + rows[:, None] * N + columns[None, :], total, mask=mask)


def tiles(
    a: torch.Tensor, b: torch.Tensor, *, BLOCK: int = 128, DEPTH: int = 32, num_stages: int = 3, num_warps: int = 8
) -> torch.Tensor:
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(c.shape[0], BLOCK), triton.cdiv(c.shape[1], BLOCK))
    _tiles_kernel[grid](
        a, b, c, *c.shape, a.shape[1], BLOCK=BLOCK, DEPTH=DEPTH, num_stages=num_stages, num_warps=num_warps
    )
    return c


@triton.jit
def _tall_kernel(a_ptr, b_ptr, c_ptr, M, N, K, FAR: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr):
    """Programs that share rows of A run side by side, or, if FAR, a whole column of tiles apart."""
    row_tiles, column_tiles = tl.cdiv(M, BLOCK), tl.cdiv(N, BLOCK)
    program = tl.program_id(0)
    row = program % row_tiles if FAR else program // column_tiles
    column = program // row_tiles if FAR else program % column_tiles
    rows = row.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns = column * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for start in range(0, K, DEPTH):
        k = start + tl.arange(0, DEPTH)
        a_mask, b_mask = (rows[:, None] < M) & (k[None, :] < K), (k[:, None] < K) & (columns[None, :] < N)
        a = tl.load(a_ptr + rows[:, None] * K + k[None, :], mask=a_mask, other=0.0)
        b = tl.load(b_ptr + k[:, None] * N + columns[None, :], mask=b_mask, other=0.0)
        total = tl.dot(a, b, total, input_precision="tf32")
    mask = (rows[:, None] < M) & (columns[None, :] < N)
    tl.store(c_ptr + rows[:, None] * N + columns[None, :], total, mask=mask)


def _tall(a: torch.Tensor, b: torch.Tensor, *, far: bool) -> torch.Tensor:
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(c.shape[0], 64) * triton.cdiv(c.shape[1], 64),)
    _tall_kernel[grid](a, b, c, *c.shape, a.shape[1], FAR=far, BLOCK=64, DEPTH=64, num_stages=4, num_warps=4)
    return c


def far_apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Rows of A have left L2 before they are needed again; B stays there."""
    return _tall(a, b, far=True)


def side_by_side(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _tall(a, b, far=False)
