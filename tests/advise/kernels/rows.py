"""Sums along rows and over columns, each time with one planted cause of slowness."""

import torch
import triton
import triton.language as tl

# --- running sums of rows ---------------------------------------------------------------------------------------------


@triton.jit
def _scan_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr, STAGES: tl.constexpr):
    """One program a row, BLOCK elements at a time; the loads of STAGES tiles run ahead."""
    row = tl.program_id(0).to(tl.int64) * n
    carry = 0.0
    for start in tl.range(0, n, BLOCK, num_stages=STAGES):
        place = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + place, mask=place < n, other=0.0)
        tl.store(y_ptr + row + place, tl.cumsum(x, 0) + carry, mask=place < n)
        carry += tl.sum(x, 0)


@triton.jit
def _plain_scan_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    """The same in a loop that Triton does not pipeline, whatever the launch says."""
    row = tl.program_id(0).to(tl.int64) * n
    carry = 0.0
    for start in range(0, n, BLOCK):
        place = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + place, mask=place < n, other=0.0)
        tl.store(y_ptr + row + place, tl.cumsum(x, 0) + carry, mask=place < n)
        carry += tl.sum(x, 0)


def scan(x: torch.Tensor, *, BLOCK: int = 4096, num_stages: int = 3, num_warps: int = 8) -> torch.Tensor:
    """Pipelined, unless a configuration says otherwise."""
    y = torch.empty_like(x)
    _scan_kernel[(x.shape[0],)](x, y, x.shape[1], BLOCK=BLOCK, STAGES=num_stages, num_warps=num_warps)
    return y


def plain_scan(x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    _plain_scan_kernel[(x.shape[0],)](x, y, x.shape[1], BLOCK=1024, num_warps=4, num_stages=4)
    return y


# --- sums of long rows ------------------------------------------------------------------------------------------------


@triton.jit
def _row_sums_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr, STAGES: tl.constexpr):
    """One program a row, BLOCK elements at a time; the loads of STAGES tiles run ahead."""
    row = tl.program_id(0).to(tl.int64) * n
    total = tl.zeros((BLOCK,), tl.float32)
    for start in tl.range(0, n, BLOCK, num_stages=STAGES):
        place = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row + place, mask=place < n, other=0.0)
    tl.store(y_ptr + tl.program_id(0), tl.sum(total, 0))


def row_sums(x: torch.Tensor, *, BLOCK: int = 4096, num_stages: int = 4, num_warps: int = 4) -> torch.Tensor:
    """Few programs for the GPU: only tiles that are loaded ahead keep DRAM busy."""
    y = torch.empty(x.shape[0], dtype=x.dtype, device=x.device)
    _row_sums_kernel[(x.shape[0],)](x, y, x.shape[1], BLOCK=BLOCK, STAGES=num_stages, num_warps=num_warps)
    return y


# --- rows over their sums ---------------------------------------------------------------------------------------------


@triton.jit
def _one_pass_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n
    place = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row + place, mask=place < n, other=0.0)
    total = tl.sum(tl.abs(x), 0)
    tl.store(y_ptr + row + place, x / tl.where(total < 1e-12, 1e-12, total), mask=place < n)  # a NaN stays one


def one_pass(x: torch.Tensor, *, num_warps: int = 16) -> torch.Tensor:
    """A row stays in registers; those of one warp do not suffice."""
    y = torch.empty_like(x)
    _one_pass_kernel[(x.shape[0],)](x, y, x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=num_warps)
    return y


@triton.jit
def _sums_kernel(x_ptr, sums_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        place = start + tl.arange(0, BLOCK)
        total += tl.abs(tl.load(x_ptr + row + place, mask=place < n, other=0.0))
    tl.store(sums_ptr + tl.program_id(0), tl.sum(total, 0))


@triton.jit
def _divide_kernel(x_ptr, sums_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row + place, mask=place < n, other=0.0)
    total = tl.load(sums_ptr + tl.program_id(0))
    tl.store(y_ptr + row + place, x / tl.where(total < 1e-12, 1e-12, total), mask=place < n)  # a NaN stays one


def two_pass(x: torch.Tensor) -> torch.Tensor:
    """Two kernels: the second reads again what no longer is in L2."""
    y, sums = torch.empty_like(x), torch.empty(x.shape[0], device=x.device)
    _sums_kernel[(x.shape[0],)](x, sums, x.shape[1], BLOCK=4096, num_warps=8)
    _divide_kernel[(x.shape[0], triton.cdiv(x.shape[1], 4096))](x, sums, y, x.shape[1], BLOCK=4096, num_warps=8)
    return y


# --- sums over rows ---------------------------------------------------------------------------------------------------


@triton.jit
def _column_sums_kernel(x_ptr, y_ptr, rows, n, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """One program ROWS rows; it adds their sum to the result by atomics."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    mask = (row[:, None] < rows) & (column[None, :] < n)
    x = tl.load(x_ptr + row[:, None].to(tl.int64) * n + column[None, :], mask=mask, other=0.0)
    tl.atomic_add(y_ptr + column, tl.sum(x, 0), mask=column < n)


def _column_sums(x: torch.Tensor, rows: int) -> torch.Tensor:
    y = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device)
    grid, block = (triton.cdiv(x.shape[0], rows),), triton.next_power_of_2(x.shape[1])
    _column_sums_kernel[grid](x, y, *x.shape, ROWS=rows, BLOCK=block, num_warps=4)
    return y


def contended(x: torch.Tensor) -> torch.Tensor:
    """An atomic for every element, all on the same few addresses."""
    return _column_sums(x, 1)


def reduced_first(x: torch.Tensor) -> torch.Tensor:
    return _column_sums(x, 128)
