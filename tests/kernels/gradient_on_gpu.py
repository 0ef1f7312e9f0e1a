"""Runs the gradient of scan and its recurrences on a CUDA device, and says which of their results are wrong.

A program of its own because the other kernel tests make triton interpret. Prints a line for each case that is wrong;
its exit status is 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from types import ModuleType

import torch
from linear import before, difference, recurred, verdict
from loading import load
from on_gpu import in_parts, told
from rightness import ratios, with_segments

Case = tuple[str, torch.Tensor, torch.Tensor, int]


def noise(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.float32).to(dtype)


def cases() -> Iterator[Case]:
    """Names, factors, terms and dimensions, of sequences that one can follow one element after the other."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        for shape, dim in (((37, 3000), 1), ((37, 3001), 1), ((3000, 37), 0), ((5, 1000, 7), 1), ((999, 640), 0)):
            yield f"{dtype} {shape} {dim}", ratios(shape, dim, dtype, seed=2).cuda(), noise(shape, dtype), dim
    for shape, dim in (
        ((4096, 32768), 1),
        ((300, 40000), 1),
        ((1000, 32771), 1),
        ((70000, 256), 1),
        ((70000, 255), 1),
        ((64, 300, 500), 1),
        ((4096, 5, 3), 1),
        ((8192, 16384), 0),
        ((8192, 16390), 0),
    ):
        yield f"{shape} {dim}", ratios(shape, dim, torch.float32, seed=3).cuda(), noise(shape, torch.float32), dim
    zeros = ratios((2000, 5000), 1, torch.float32, seed=4)
    zeros[torch.rand(zeros.shape) < 0.0005] = 0
    yield "zeros", zeros.cuda(), noise((2000, 5000), torch.float32), 1
    yield "zeros, down columns", zeros.mT.contiguous().cuda(), noise((5000, 2000), torch.float32), 0
    special = with_segments(ratios((20000,), 0, torch.float32, seed=8), [0, 500, 1022, 4095, 8190, 19996]).cuda()
    yield "special segments", special, noise(tuple(special.shape), torch.float32), 1
    yield "special segments, down columns", special.mT.contiguous(), noise(tuple(special.mT.shape), torch.float32), 0
    masked = torch.full((50, 30000), 3.0, device="cuda")
    masked[:, :100] = 0.5
    loss = torch.zeros_like(masked)
    loss[:, :100] = 1
    yield "growth behind a masked loss", masked, loss, 1
    column = ratios((300, 5000), 1, torch.float32, seed=5).cuda()[:, ::2]
    yield "a column view, a broadcast loss", column, noise((1, 1), torch.float32).expand(300, 2500), 1


def fault(variant: ModuleType, x: torch.Tensor, g: torch.Tensor, dim: int) -> str:
    """What is wrong for an input, called twice; empty where nothing is. Long ones are not followed a third time."""
    y = torch.cumprod(x, dim)
    ways: dict[str, tuple[torch.Tensor | None, bool, Callable[[], torch.Tensor]]] = {
        "gradient": (y, True, lambda: variant.gradient(x, y, g, dim)),
        "forward": (None, False, lambda: variant.recurrence(x, g, dim)),
        "adjoint": (None, True, lambda: variant.recurrence(x, g, dim, adjoint=True)),
    }
    for way, (times, adjoint, called) in islice(ways.items(), 3 if x.shape[dim] <= 5000 else 2):
        got, again = called(), called()
        found = verdict(got, x, g, times, dim, adjoint=adjoint)
        if found or not torch.equal(got.nan_to_num(7.5), again.nan_to_num(7.5)):
            return f"{way}: {found or 'two calls differ'}"
    return ""


def in_pieces(a: torch.Tensor, b: torch.Tensor, length: int) -> torch.Tensor:
    """The forward recurrence of long sequences (n, columns), whose pieces are joined one after the other."""
    n, columns = b.shape
    a, b = a.double().view(-1, length, columns), b.double().view(-1, length, columns)
    products, inside = torch.cumprod(a, 1), recurred(a, b, 1, adjoint=False)
    entering = torch.zeros_like(b[:, 0])
    for k in range(1, len(b)):
        entering[k] = inside[k - 1, -1] + products[k - 1, -1] * entering[k - 1]
    return (inside + products * entering[:, None]).view(n, columns)


def long_fault(variant: ModuleType, n: int, columns: int, dtype: torch.dtype) -> str:
    """What is wrong with few sequences that are cut into chunks, along dimension 0 of (n, columns)."""
    x, g = ratios((n, columns), 0, dtype, seed=6).cuda(), noise((n, columns), dtype)
    x[n // 3 : n // 3 + 2] = 0
    y = torch.cumprod(x.double(), 0).to(dtype)
    factors = torch.cat([torch.zeros_like(x[:1]), x[1:].flip(0)])  # of the way from the end
    want, size = (in_pieces(f, t.flip(0), 4096).flip(0) for f, t in ((factors, g), (factors.abs(), g.abs())))
    none = torch.zeros((), dtype=torch.bool, device="cuda")
    given = (x, y, g) if columns > 1 else (x[:, 0], y[:, 0], g[:, 0])
    got = variant.gradient(*given, 0)
    if not torch.equal(got, variant.gradient(*given, 0)):
        return "two calls differ"
    times = before(y, 0)
    found = difference(got.view(n, columns), times * want, times.abs() * size, n, none)
    if found:
        return found
    want, size = in_pieces(x, g, 4096), in_pieces(x.abs(), g.abs(), 4096)
    return difference(variant.recurrence(given[0], given[2], 0).view(n, columns), want, size, n, none)


def beyond_32_bits(variant: ModuleType) -> str:
    """More than 2**31 elements: the last sequences are those whose offsets need 64 bits."""
    rows, n = 65540, 32776
    if torch.cuda.mem_get_info()[0] < 5 * rows * n * 2:
        return ""
    tail, loss = ratios((6, n), 1, torch.float16, seed=11).cuda(), noise((6, n), torch.float16)
    x, g = (torch.ones(rows, n, dtype=torch.float16, device="cuda") for _ in range(2))
    g[:-6] = 0
    x[-6:], g[-6:] = tail, loss
    y = torch.ones_like(x)
    y[-6:] = torch.cumprod(tail.float(), 1).half()
    got = variant.gradient(x, y, g, 1)
    if bool(got[:-6].any()):
        return "rows of no loss differ"
    found = verdict(got[-6:], tail, loss, y[-6:], 1, adjoint=True)
    flat = variant.recurrence(x.view(-1), g.view(-1), 0)  # one sequence, where all that comes before is 0
    a, b = tail.view(-1, 1), loss.view(-1, 1)
    want, size = in_pieces(a, b, n // 8), in_pieces(a.abs(), b.abs(), n // 8)
    none = torch.zeros((), dtype=torch.bool, device="cuda")
    return found or difference(flat[-6 * n :, None], want, size, rows * n, none)


LONG = [(2**24, 1, torch.float32), (2**23, 2, torch.float64), (2**20, 64, torch.float32), (2**20, 24, torch.bfloat16)]


def faults(parts: int, part: int) -> list[str]:
    """A line for each case that comes out wrong, of one of several parts of the cases."""
    torch.manual_seed(1)
    variant = load("scan")
    found = {name: told(fault, variant, x, g, dim) for name, x, g, dim in islice(cases(), part, None, parts)}
    for n, columns, dtype in islice(LONG, part, None, parts):
        found[f"{dtype} {n} x {columns}"] = told(long_fault, variant, n, columns, dtype)
    if part == parts - 1:
        found["more than 2**31 elements"] = told(beyond_32_bits, variant)
    return [f"scan: {name}: {what}" for name, what in found.items() if what]


def main() -> int:
    found = in_parts(faults, 8)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
