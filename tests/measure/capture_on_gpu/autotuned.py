"""A Triton kernel that an autotuner chooses the configuration of, beside kernels of torch.

The autotuner times each configuration a fixed number of times. It would else time for so many milliseconds, and make
another number of launches under every profiler.
"""

import time

import torch
import triton
import triton.language as tl

ROWS, COLUMNS, CALLS = 8192, 8192, 20


def times_of(call, quantiles):
    """The time of a call in milliseconds, as an autotuner wants it: once for each quantile."""
    found = []
    for _ in range(5):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        call()
        torch.cuda.synchronize()
        found.append(1e3 * (time.perf_counter() - begun))
    return [sorted(found)[len(found) // 2]] * len(quantiles)


@triton.autotune(
    configs=[triton.Config({"BLOCK": block}, num_warps=warps) for block in (512, 1024, 2048) for warps in (2, 4, 8)],
    key=["columns"],
    do_bench=times_of,
)
@triton.jit
def scaled_softplus(source, target, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < columns
        value = tl.load(source + row * columns + at, mask=inside)
        tl.store(target + row * columns + at, 2.0 * tl.log(1.0 + tl.exp(value)), mask=inside)


torch.manual_seed(0)
source = torch.randn(ROWS, COLUMNS, device="cuda")
target = torch.empty_like(source)
for _ in range(CALLS):
    scaled_softplus[(ROWS,)](source, target, COLUMNS)
    product = target[:2048] @ target[:2048].T
    total = product.sum() + source.cumsum(dim=1)[0, 0]
torch.cuda.synchronize()
print(f"done: {total.item():.6g}")
