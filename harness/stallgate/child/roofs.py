"""The built-in roof: it reads as many bytes as a workload's inputs have, and writes as many as its outputs."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit  # type: ignore[untyped-decorator]
def _traffic_kernel(x_ptr, y_ptr, begin, reads, writes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    """One program a block, from block `begin` on: it reads what there is to read, and writes what there is to write."""
    start = (begin + tl.program_id(0).to(tl.int64)) * BLOCK
    offsets = start + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < reads, other=0, eviction_policy="evict_last")
    tl.store(y_ptr + offsets, x, mask=offsets < writes)


def moved(x: torch.Tensor, writes: int) -> torch.Tensor:
    """Bytes that begin with those of ``x`` and go on with zeros.

    Args:
        x: bytes, all of which are read.
        writes: how many bytes are returned.
    """
    y = torch.empty(writes, dtype=torch.uint8, device=x.device)
    wide = torch.int32 if x.numel() % 4 == 0 and writes % 4 == 0 else torch.uint8
    source, target = x.view(wide), y.view(wide)
    blocks, most = triton.cdiv(max(source.numel(), target.numel()), BLOCK), 2**30
    for begin in range(0, blocks, most):
        grid = (min(most, blocks - begin),)
        _traffic_kernel[grid](source, target, begin, source.numel(), target.numel(), BLOCK=BLOCK, num_warps=8)
    return y


def moved_bytes(nbytes: int | None, reads: int, writes: int) -> tuple[int, int]:
    """Bytes that the roof reads and writes: those of the inputs and outputs, in proportion to what a workload says."""
    if nbytes is None:
        return reads, writes
    share = round(nbytes * reads / (reads + writes) / 4) * 4
    return share, nbytes - share


def traffic_source(reads: int, device: str, seed: int) -> torch.Tensor:
    """Random bytes that the roof reads."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randint(0, 256, (reads,), dtype=torch.uint8, device=device, generator=generator)


def traffic_result(x: torch.Tensor, writes: int) -> torch.Tensor:
    """What the roof has to return."""
    y = torch.zeros(writes, dtype=torch.uint8, device=x.device)
    kept = min(writes, x.numel())
    y[:kept] = x[:kept]
    return y


def is_built_in(entry: dict[str, Any]) -> bool:
    """Whether an entry names the roof of this file."""
    return bool(entry["module"] == "stallgate")
