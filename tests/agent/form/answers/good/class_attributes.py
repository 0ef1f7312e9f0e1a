"""Settings are attributes of the class, and the kernel is launched in `forward`."""
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def serial_columns(x_ptr, y_ptr, n, inner, total, COLUMNS: tl.constexpr, ACC: tl.constexpr):
    """COLUMNS sequences side by side, one element of each after the other."""
    column = tl.program_id(0).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    mask = column < total
    places = column // inner * n * inner + column % inner
    product = tl.full([COLUMNS], 1, dtype=ACC)
    for _ in range(n):
        product = product * tl.load(x_ptr + places, mask=mask, other=1).to(ACC)
        tl.store(y_ptr + places, product.to(y_ptr.dtype.element_ty), mask=mask)
        places += inner


class ModelNew(nn.Module):
    COLUMNS: int = 64
    num_warps = 2
    TYPES = {torch.int64: tl.int64}

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    @staticmethod
    def result_type(x: torch.Tensor) -> torch.dtype:
        return x.dtype if x.dtype.is_floating_point else torch.int64

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(x, dtype=self.result_type(x), memory_format=torch.contiguous_format)
        if x.numel() == 0:
            return y
        source = (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous()
        n, inner = (1, 1) if x.ndim == 0 else (source.shape[self.dim], source.stride(self.dim))
        total = source.numel() // n
        grid = (triton.cdiv(total, self.COLUMNS), 1, 1)
        acc = self.TYPES.get(y.dtype, tl.float64)
        serial_columns[grid](source, y, n, inner, total, self.COLUMNS, acc, num_warps=self.num_warps)
        return y
