"""Several short rows a program; sizes are computed while the kernel is compiled."""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import nn

TILE: Final[int] = 2048
WIDEST: Final[int] = 1024


@triton.jit
def tiles_of_rows(x_ptr, y_ptr, rows, n, LOG_N: tl.constexpr, SIZE: tl.constexpr, IS_FLOAT: tl.constexpr):
    WIDTH: tl.constexpr = 1 << LOG_N
    HEIGHT: tl.constexpr = SIZE // WIDTH if SIZE > WIDTH else 1
    ACC: tl.constexpr = tl.float64 if IS_FLOAT else tl.int64
    tl.static_assert(WIDTH * HEIGHT <= 4096, "the tile is too large")
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    column = tl.arange(0, WIDTH)
    carry = tl.full((HEIGHT,), 1, ACC)
    for start in range(0, n, WIDTH):
        at = start + column
        mask = (row < rows)[:, None] & (at < n)[None, :]
        places = row[:, None] * n + at[None, :]
        x = tl.load(x_ptr + places, mask=mask, other=1).to(ACC)
        y = tl.cumprod(x, 1) * carry[:, None]
        tl.store(y_ptr + places, y.to(y_ptr.dtype.element_ty), mask=mask)
        if n > WIDTH:
            carry = tl.sum(tl.where(column[None, :] == WIDTH - 1, y, 0), 1)


def short_rows(x: torch.Tensor) -> torch.Tensor:
    """Of a contiguous matrix, along its rows."""
    rows, n = x.shape
    y = torch.empty((rows, n), dtype=x.dtype if x.dtype.is_floating_point else torch.int64, device=x.device)
    width = min(WIDEST, triton.next_power_of_2(n))
    height = max(1, TILE // width)
    grid = ((rows + height - 1) // height,)
    tiles_of_rows[grid](x, y, rows, n, width.bit_length() - 1, TILE, y.is_floating_point(), num_warps=4)
    return y


class ModelNew(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.bool:
            x = x.view(torch.uint8)
        if x.numel() == 0:
            return torch.empty_like(x, dtype=x.dtype if x.dtype.is_floating_point else torch.int64)
        moved = x.unsqueeze(0) if x.dim() == 0 else x.transpose(self.dim, -1)
        y = short_rows(moved.contiguous().flatten(0, -2) if moved.dim() > 1 else moved.contiguous().view(1, -1))
        y = y.view(moved.shape)
        return y.squeeze(0) if x.dim() == 0 else y.transpose(self.dim, -1)
