"""The built-in roof: it reads as many bytes as a workload's inputs have, and writes as many as its outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

_BLOCK = 1024
"""Words that a program moves where as many are read as written: one vector of 16 bytes a thread, as in a copy."""

_MOST_BLOCKS = 4
"""Blocks of one direction that a program moves at most, beside one of the other."""


@triton.jit  # type: ignore[untyped-decorator]
def _traffic_kernel(x_ptr, y_ptr, begin, reads, writes, read, written, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    """Each program, from number `begin` on, reads `read` words and writes `written`, as long as there are any."""
    program = begin + tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCK)
    source, target = program * read + k, program * written + k
    x = tl.load(x_ptr + source, mask=(k < read) & (source < reads), other=0, eviction_policy="evict_last")
    tl.store(y_ptr + target, x, mask=(k < written) & (target < writes))


class _Shares(NamedTuple):
    """How reads and writes are spread over programs, so that every program moves both."""

    block: int
    programs: int
    read: int
    written: int

    @staticmethod
    def of(reads: int, writes: int) -> _Shares:
        """The shares of each program: multiples of 32 words, so that vectors are aligned."""
        most, least = max(reads, writes, 1), max(min(reads, writes), 1)
        block = _BLOCK * min(_MOST_BLOCKS, 1 << (round(most / least).bit_length() - 1))
        programs = triton.cdiv(most, block)
        read, written = (min(block, triton.cdiv(triton.cdiv(count, programs), 32) * 32) for count in (reads, writes))
        return _Shares(block, programs, read, written)


def moved(x: torch.Tensor, writes: int) -> torch.Tensor:
    """Bytes, each program's with those that it reads in front, and zeros behind them.

    Args:
        x: bytes, all of which are read.
        writes: how many bytes are returned.
    """
    y = torch.empty(writes, dtype=torch.uint8, device=x.device)
    wide = _word(x.numel(), writes)
    source, target = x.view(wide), y.view(wide)
    shares = _Shares.of(source.numel(), target.numel())
    for begin in range(0, shares.programs, _MOST_PROGRAMS):
        grid = (min(_MOST_PROGRAMS, shares.programs - begin),)
        sizes = (source.numel(), target.numel(), shares.read, shares.written)
        _traffic_kernel[grid](source, target, begin, *sizes, BLOCK=shares.block, num_warps=8)
    return y


_MOST_PROGRAMS = 2**30
"""Of a launch, which has room for 2**31 - 1."""


def _word(reads: int, writes: int) -> torch.dtype:
    return torch.int32 if reads % 4 == 0 and writes % 4 == 0 else torch.uint8


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
    source = x.view(_word(x.numel(), writes))
    words = writes // source.element_size()
    shares = _Shares.of(source.numel(), words)
    size = shares.programs * shares.read
    padded = torch.nn.functional.pad(source[:size], (0, max(0, size - source.numel())))
    rows = padded.view(shares.programs, shares.read)[:, : shares.written]
    rows = torch.nn.functional.pad(rows, (0, max(0, shares.written - shares.read)))
    return rows.flatten()[:words].contiguous().view(torch.uint8)


def is_built_in(entry: dict[str, Any]) -> bool:
    """Whether an entry names the roof of this file."""
    return bool(entry["module"] == "stallgate")
