"""Runs a variant on a CUDA device, large and small, and says which of its results are wrong.

A program of its own because the other kernel tests make triton interpret: on_gpu.py VARIANT, or scan --small for a
small case of every form, which compute-sanitizer can watch. Prints a line for each case that is wrong; its exit status
is 1 if there is one.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from types import ModuleType

import torch
from loading import load
from rightness import ratios, tolerance, verdict, with_segments

Case = tuple[str, torch.Tensor, int]


def cases() -> Iterator[Case]:
    """Names, inputs on the CPU and dimensions, one at a time."""
    yield from _dtypes()
    yield from _shapes()
    yield from _specials()
    yield from _vanishing()
    yield from _long()


def _dtypes() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(1)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for shape, dim in (((37, 3000), 1), ((3000, 37), 0), ((5, 1000, 7), 1), ((9, 20001), -1)):
            yield f"{dtype} {shape} {dim}", ratios(shape, dim, dtype, seed=2), dim
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        odd = torch.randint(0, 4, (37, 20000), generator=generator) * 2 - 3
        yield f"{dtype}", odd.abs().to(dtype) if dtype in (torch.bool, torch.uint8) else odd.to(dtype), 1
        yield f"{dtype} transposed", odd.abs().to(dtype).T, 1


def _shapes() -> Iterator[Case]:
    for n in (1, 2, 15, 100, 1000, 1023, 1025, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 24577, 32768):
        yield f"(67, {n})", ratios((67, n), 1, torch.float32, seed=n), 1
    yield "(1000, 32771)", ratios((1000, 32771), 1, torch.float32, seed=3), 1
    yield "(64, 1048576)", ratios((64, 1048576), 1, torch.float32, seed=4), 1
    yield "a column view", ratios((300, 5000), 1, torch.float32, seed=5)[:, ::2], 1
    yield "off by one element", ratios((1, 100001), 1, torch.float32, seed=6)[0, 1:].view(10, 10000), 1
    yield "broadcast", ratios((1, 9000), 1, torch.float32, seed=7).expand(50, 9000), 1


def _specials() -> Iterator[Case]:
    places = [0, 500, 4093, 4094, 4095, 4096, 8190, 8191, 8192, 12287, 16383, 19996]
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        yield f"special segments in {dtype}", with_segments(ratios((20000,), 0, dtype, seed=8), places), 1
    far = [0, 500, 8191, 16383, 32766, 49152, 65535]
    yield "special segments in long rows", with_segments(ratios((70000,), 0, torch.float32, seed=8), far), 1
    rows = with_segments(ratios((2000,), 0, torch.float64, seed=9), [0, 7, 1023])
    yield "where float64 over- and underflows", rows.abs().pow(9).copysign(rows), 1


def _vanishing() -> Iterator[Case]:
    generator = torch.Generator().manual_seed(10)
    uniform = torch.rand(50, 40000, generator=generator, dtype=torch.float64)
    normal = torch.randn(50, 40000, generator=generator, dtype=torch.float64)
    angle = torch.linspace(0, 40, 40001, dtype=torch.float64)
    level = torch.linspace(10, 900, 50, dtype=torch.float64)[:, None] * angle.sin()
    data = {
        "uniform": uniform,
        "normal": normal,
        "growing": uniform + 1,
        "a mask": (uniform > 0.001).double(),
        "a mask with gaps": (normal > -3).double() * (uniform + 0.5),
        "slowly sinking": uniform * 0 + 0.9,
        "sinking and coming back": level.diff(dim=1).exp2(),
    }
    for name, x in data.items():
        for dtype in (torch.float32, torch.float16):
            yield f"{name} in {dtype}", x.to(dtype), 1


TILES: dict[str, int | str] = {"form": "tiles", "BLOCK": 256, "COLUMNS": 8, "num_warps": 1, "registers": 128}
FORMS: dict[str, dict[str, int | str]] = {
    "short": {"form": "short", "BLOCK": 64, "num_warps": 1},
    "rows": {"form": "rows", "BLOCK": 4096, "num_warps": 4},
    "tiles": {**TILES, "LOOK": 128},
    "wide tiles": {**TILES, "BLOCK": 1024, "COLUMNS": 32, "LOOK": 16, "num_warps": 4},
    "strips": {"form": "strips", "ROWS": 8, "num_warps": 1, "num_stages": 3},
    "strips from registers": {"form": "strips", "ROWS": 8, "num_warps": 1, "num_stages": 1},
}
"""Forms that `scan` takes when told to, beside the one that it chooses."""


def forms() -> Iterator[tuple[Case, dict[str, int | str]]]:
    """Special segments in every form but `short`, which long rows are not for; columns see them transposed."""
    for form, settings in FORMS.items():
        for case, x, dim in (*_specials(), *_long(), *islice(_vanishing(), 0, None, 2)) if form != "short" else ():
            if not form.startswith("strips") and not (form == "rows" and x.shape[dim + 1 :]):
                yield (f"{form}: {case}", x, dim), settings
            if form != "rows":
                yield (f"{form}, down columns: {case}", x.mT.contiguous(), dim - 1), settings


def _long() -> Iterator[Case]:
    yield "many tiles a sequence", ratios((3, 2000003), 1, torch.float32, seed=12), 1
    yield "many tiles of integers", torch.randint(0, 4, (3, 400000), dtype=torch.int64) * 2 - 3, 1
    yield "many tiles in float64", ratios((5, 400001), 1, torch.float64, seed=13), 1
    sinking = torch.rand(3, 700001, generator=torch.Generator().manual_seed(15)) * 0.2 + 0.9
    yield "many tiles that sink", sinking, 1
    yield "many tiles that sink, down columns", sinking.mT.contiguous(), 0
    yield "many columns that sink", torch.cat([sinking[:, :100000]] * 20).mT.contiguous(), 0


Inputs = list[tuple[torch.Tensor, int]]


def _many_tiles() -> Inputs:
    sizes = (
        [((2**22 + 17 * k,), 0) for k in range(4)] + [((3, 2**20 + 4 * k), 1) for k in range(3)] + [((2**15, 24), 0)]
    )
    return [(ratios(shape, dim, torch.float32, seed=k), dim) for k, (shape, dim) in enumerate(sizes)]


def _few_tiles() -> Inputs:
    """Also such as sink, grow or hold a zero, whose carries some tiles tell."""
    sizes = [((2**17 + 17 * k,), 0) for k in range(3)] + [((3, 2**18), 1), ((2**13, 24), 0), ((2**14, 2), 0)]
    near_1 = [(ratios(shape, dim, torch.float32, seed=k), dim) for k, (shape, dim) in enumerate(sizes)]
    generator = torch.Generator().manual_seed(16)
    drawn = [torch.rand(shape, generator=generator) for shape in ((2**17,), (2, 2**17), (2**13, 16))]
    sinking = [(x * 0.2 + 0.9, x.ndim - 1 if x.shape[0] < 3 else 0) for x in drawn]
    with_zero = near_1[0][0].clone()
    with_zero[2**16] = 0
    return [*near_1, *sinking, *((x + 0.1, dim) for x, dim in sinking), (with_zero, 0)]


def _wide_tiles() -> Inputs:
    """Near 1, sinking and growing, in columns of which a tile takes 32."""
    sizes = [((2**14, 256), 0), ((2, 8192, 160), 1)]
    near_1 = [(ratios(shape, dim, torch.float32, seed=k), dim) for k, (shape, dim) in enumerate(sizes)]
    drawn = torch.rand(2**14, 256, generator=torch.Generator().manual_seed(19))
    return [*near_1, (drawn * 0.2 + 0.9, 0), (drawn * 0.2 + 1.0, 0)]


def loads() -> Iterator[tuple[str, dict[str, int | str], Inputs]]:
    """Of tiles that wait for each other: settings, and inputs."""
    yield "in windows of 128", {"LOOK": 128}, _many_tiles()
    yield "in windows of 128, few", {"LOOK": 128}, _few_tiles()
    yield "as they are chosen", {}, [*_many_tiles(), *_few_tiles(), *_wide_tiles()]


def under_load(variant: ModuleType, own: dict[str, int | str], inputs: Inputs, repeats: int = 200) -> str:
    """Where programs wait for each other: sizes in turn, another stream busy, results the same to the last bit."""
    busy, there = torch.cuda.Stream(), torch.empty(2**26, device="cuda")
    on_device = [x.cuda() for x, _ in inputs]

    def scanned(k: int) -> torch.Tensor:
        dim = inputs[k][1]
        return variant.ModelNew(dim, form="tiles", **own)(on_device[k])

    first = [scanned(k) for k in range(len(inputs))]
    for got, (x, dim) in zip(first, inputs, strict=True):
        found = verdict(got, x, dim, tolerance(x, dim))
        if found:
            return found
    for repeat in range(repeats):
        with torch.cuda.stream(busy):
            for _ in range(3):
                there.mul_(1.0)
        k = repeat % len(inputs)
        if not torch.equal(scanned(k), first[k]):
            return f"repeat {repeat} differs from the first in {tuple(on_device[k].shape)}"
    torch.cuda.synchronize()
    return ""


def fault(variant: ModuleType, x: torch.Tensor, dim: int, settings: dict[str, int | str] | None = None) -> str:
    """What is wrong with the variant's results for an input, called twice; empty where nothing is."""
    return told(_fault, variant, x, dim, settings or {})


def told(check: Callable[..., str], *arguments: object) -> str:
    """What a check finds wrong, or raises."""
    try:
        return check(*arguments)
    except Exception as error:  # noqa: BLE001  (whatever a variant raises is its fault)
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:300]}"


def _fault(variant: ModuleType, x: torch.Tensor, dim: int, settings: dict[str, int | str]) -> str:
    on_device = x.cuda() if x.is_contiguous() else _same_layout(x)
    got = variant.ModelNew(dim, **settings)(on_device)
    again = variant.ModelNew(dim, **settings)(on_device)
    same = (
        torch.equal(got.nan_to_num(7.5), again.nan_to_num(7.5)) if got.is_floating_point() else torch.equal(got, again)
    )
    found = verdict(got, x, dim, tolerance(x, dim))
    return found or ("" if same else "two runs differ")


def _same_layout(x: torch.Tensor) -> torch.Tensor:
    """On the device with the strides that `x` has on the CPU."""
    whole = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage())
    return whole.cuda().as_strided(x.shape, x.stride(), x.storage_offset())


def beyond_32_bits(variant: ModuleType) -> str:
    """More than 2**31 elements: those at the end are those whose offsets need 64 bits. Of one sequence, too."""
    rows, n = 65540, 32776
    if torch.cuda.mem_get_info()[0] < 3 * rows * n * 2:
        return ""
    line = torch.ones(2**31 + 1001, dtype=torch.float16, device="cuda")
    end = ratios((3000,), 0, torch.float16, seed=16)
    line[-3000:] = end.cuda()
    if variant.__name__ == "cumprod.scan":  # others take seconds for one sequence
        got = variant.ModelNew(0)(line)
        found = verdict(got[-3000:].contiguous(), end, 0, tolerance(end, 0))
        if found or not bool((got[:-3000] == 1).all()):
            return f"one sequence: {found or 'ones differ'}"
        del got
    del line
    tail = ratios((6, n), 1, torch.float16, seed=11)
    x = torch.ones(rows, n, dtype=torch.float16, device="cuda")
    x[-6:] = tail.cuda()
    got = variant.ModelNew(1)(x)
    return verdict(got[-6:], tail, 1, tolerance(tail, 1)) or ("" if bool((got[:-6] == 1).all()) else "rows of 1 differ")


def whole_numbers(variant: ModuleType) -> str:
    """Products are exact as long as float32 holds them, and the first of a row is its first factor."""
    for n in (12, 300, 9000):
        x = torch.ones(64, n)
        places = torch.randint(0, n, (64, 10), generator=torch.Generator().manual_seed(n))
        for row, chosen in enumerate(places):
            x[row, chosen] = torch.tensor([2.0, 3, 5, 7, 3, 2, 5, 2, 3, 7])
        x[:, 0] = torch.rand(64, generator=torch.Generator().manual_seed(n)).mul(2**8).floor() + 1
        want = torch.cumprod(x.double(), 1)
        got = variant.ModelNew(1)(x.cuda()).cpu()
        bad = (got != want) & (want < 2**24)
        if bad.any() or not torch.equal(got[:, 0], x[:, 0]):
            return f"{int(bad.sum())} of {bad.numel()} products of whole numbers are not exact, along {n}"
    return ""


def small_faults(name: str) -> list[str]:
    """A line for each form of `scan`, along rows and down columns, that gets a small case wrong; in this process."""
    variant = load(name)
    found = {}
    for form, settings in FORMS.items():
        x = ratios((5, 900), 1, torch.float32, seed=14)
        if not form.startswith("strips"):
            found[form] = fault(variant, x, 1, settings)
        if form not in ("rows", "short"):
            found[f"{form}, down columns"] = fault(variant, x.mT.contiguous(), 0, settings)
    return [f"{name}: {case}: {fault}" for case, fault in found.items() if fault]


def faults(name: str, parts: int, part: int) -> list[str]:
    """A line for each case that a variant gets wrong, of one of several parts of the cases."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // parts))
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills fresh memory with NaN
    variant = load(name)
    checked = {case: fault(variant, x, dim) for case, x, dim in islice(cases(), part, None, parts)}
    for (case, x, dim), settings in islice(forms() if name == "scan" else (), part, None, parts):
        checked[case] = fault(variant, x, dim, settings)
    if part == 0:
        checked["more than 2**31 elements"] = beyond_32_bits(variant)
        checked["whole numbers"] = whole_numbers(variant)
    if name == "scan":
        for place, (whose, own, inputs) in enumerate(loads()):
            if part == parts - 1 - place:
                checked[f"tiles {whose} under load"] = under_load(variant, own, inputs)
    return [f"{name}: {case}: {found}" for case, found in checked.items() if found]


def main(name: str, *options: str) -> int:
    found = small_faults(name) if "--small" in options else all_faults(name)
    print("\n".join(found))
    return 1 if found else 0


def all_faults(name: str) -> list[str]:
    return in_parts(partial(faults, name), 15 if name == "scan" else 6)


def in_parts(faults: Callable[[int, int], list[str]], most: int) -> list[str]:
    """All lines of a function of the number of parts and of one of them, each part in a process of its own.

    Most of the time goes into compiling, which they share.
    """
    parts = min(most, os.cpu_count() or 1)
    with ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as pool:
        return [line for lines in pool.map(partial(faults, parts), range(parts)) for line in lines]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
