"""Times every form that can take a call, and a few settings of each, on a CUDA device: what `choose.py` is written by.

    forms_on_gpu.py OUT [--calls 130] [--seed 1] [--part 0/1] [--chosen] [--compile] [--seconds 300]

Calls are drawn as `stallgate bench --drawn` draws them. OUT gets a line of JSON for each: the call, what the package
launches, microseconds by form, of torch and of a copy; quantiles are printed at the end. With --chosen only what the
package chooses is timed. With --compile nothing is: several such processes, each with its part, fill triton's cache
side by side before one times. Calls of fewer than 2**22 elements are timed by CUDA graphs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from types import ModuleType
from typing import Any

import torch
from loading import load
from packages import get

ROOT = Path(__file__).resolve().parents[2]
GRAPH_BELOW, GRAPH_CALLS, SAMPLES = 2**22, 8, 3
SLOW_US = 50_000.0
"""Of what takes so long, one sample is enough."""

Settings = dict[str, Any]
Forms = Callable[[int, int, int], Iterator[tuple[str, Settings]]]
"""Of a length, a distance and a number of sequences: forms that can take them, with what is not their default."""


def only_chosen(axis: int, inner: int, lines: int) -> Iterator[tuple[str, Settings]]:
    """What the package takes when nothing is asked for."""
    yield "chosen", {}


def alternatives(axis: int, inner: int, lines: int) -> Iterator[tuple[str, Settings]]:
    """That, and every other form."""
    yield from only_chosen(axis, inner, lines)
    if axis <= 2048 or (lines >= 4096 and axis <= 65536):
        for vector, ahead in ((1, 8), (1, 16), (4, 4), (4, 8)):
            yield f"lines {vector} {ahead}", {"form": "lines", "VECTOR": vector, "AHEAD": ahead}
    if inner == 1 and axis <= 16384:
        for block, warps, registers in (
            (2048, 2, 128),
            (2048, 4, 128),
            (4096, 4, 128),
            (4096, 8, 128),
            (8192, 8, 128),
            (8192, 16, 128),
            (16384, 16, 128),
        ):
            settings = {"BLOCK": block, "num_warps": warps, "registers": registers}
            yield f"short {block} of {warps} warps", {"form": "short", **settings}
    if inner == 1 and axis >= 64:
        for block, warps, registers in ((2048, 2, 128), (2048, 4, 128), (4096, 4, 128), (4096, 4, 168), (8192, 8, 128)):
            settings = {"BLOCK": block, "num_warps": warps, "registers": registers}
            yield f"rows {block} of {warps} warps, {registers} registers", {"form": "rows", **settings}
    if inner > 1 and axis <= 2**20:
        for rows, stages in ((16, 1), (16, 3), (8, 3)):
            yield f"strips {rows} {stages}", {"form": "strips", "ROWS": rows, "num_stages": stages}
    if axis >= 64:
        yield from _tiles(inner)


def _tiles(inner: int) -> Iterator[tuple[str, Settings]]:
    """Tiles of fewer or more columns, with smaller or larger windows, and of other sizes."""
    for columns in (4, 8, 16, 32) if inner > 4 else ():
        yield f"tiles of {columns} columns", {"form": "tiles", "COLUMNS": columns}
    for registers in (128, 168, 255) if inner > 1 else (96, 128, 168):
        for look in (16, 32, 64) if inner > 1 else (64, 128, 256, 512):
            settings = {"form": "tiles", "LOOK": look, "registers": registers}
            yield f"tiles that look at {look}, {registers} registers", settings
    for block, warps in ((512, 4), (1024, 4), (2048, 4), (4096, 4), (4096, 8), (8192, 4), (8192, 8), (8192, 16)):
        yield f"tiles {block} of {warps} warps", {"form": "tiles", "BLOCK": block, "num_warps": warps}


class Timer:
    """Microseconds of a call, by events or by a graph of several."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "harness"))
        from stallgate.child.bench.clock import GpuClock

        self._clock = GpuClock()

    def of(self, call: Callable[[], object], elements: int) -> float:
        if elements >= GRAPH_BELOW:
            first = self._clock.time(call)[0]
            return first if first > SLOW_US else median(self._clock.time(call)[0] for _ in range(SAMPLES))
        replay = self._clock.graph([call] * GRAPH_CALLS)
        replay()
        return median(self._clock.time(replay)[0] for _ in range(SAMPLES)) / GRAPH_CALLS


def line_of(
    scan: ModuleType, call: dict[str, Any], x: torch.Tensor, timer: Timer | None, forms: Forms
) -> dict[str, Any]:
    """What a call takes in each form, by torch and as a copy; nothing but compiled, where there is no timer."""
    dim = call["dim"] % x.dim()
    axis = x.shape[dim]
    inner = math.prod(x.shape[dim + 1 :])
    took: dict[str, Any] = {}
    for name, settings in forms(axis, inner, x.numel() // axis):
        try:
            scan.products(x, dim, **settings)
            torch.cuda.synchronize()
            if timer is not None:
                took[name] = timer.of(lambda settings=settings: scan.products(x, dim, **settings), x.numel())
        except Exception as error:  # noqa: BLE001  (a form that does not run is a result)
            took[name] = f"{type(error).__name__}: {error}"[:200]
    if timer is not None:
        took["copy"] = timer.of(lambda: torch.empty_like(x).copy_(x), x.numel())
        took["torch"] = timer.of(lambda: torch.cumprod(x, dim), x.numel())
    launches = get(scan, "prepared")(x, dim).work.launches
    chosen = [(each.kernel.__name__, each.options) for each in launches]
    return {**call, "axis": axis, "inner": inner, "lines": x.numel() // axis, "chosen": chosen, "us": took}


def summary(lines: list[dict[str, Any]]) -> Iterator[str]:
    """The quantiles of what was chosen: of a copy where memory is the limit, over a copy where it is not."""
    timed = [each for each in lines if not isinstance(each["us"]["chosen"], str)]
    large = [each["us"] for each in timed if each["axis"] * each["lines"] >= GRAPH_BELOW]
    small = [each["us"] for each in timed if each["axis"] * each["lines"] < GRAPH_BELOW]
    yield f"{len(lines) - len(timed)} of {len(lines)} calls failed"
    for name, found in (
        ("of copy, 2**22 elements or more", [us["copy"] / us["chosen"] for us in large]),
        ("us over copy, fewer elements", [us["chosen"] - us["copy"] for us in small]),
        ("of torch's time", [each["us"]["chosen"] / each["us"]["torch"] for each in timed]),
    ):
        if len(found) > 1:
            cuts = quantiles(found, n=20, method="inclusive")
            shown = {5: cuts[0], 25: cuts[4], 50: cuts[9], 75: cuts[14], 90: cuts[17], 95: cuts[18]}
            said = ", ".join(f"{share} %: {cut:.3g}" for share, cut in shown.items())
            yield f"{name}: {len(found)} calls, {min(found):.3g} to {max(found):.3g}; {said}"
    slower = sum(each["us"]["chosen"] > 1.02 * each["us"]["torch"] for each in timed)
    yield f"slower than 1.02 of torch's time: {slower}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=130)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--chosen", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    ends = time.monotonic() + given.seconds
    scan, reference, timer = load("scan"), load("reference"), None if given.compile else Timer()
    chance = random.Random(given.seed)
    calls = [reference.draw(chance) for _ in range(given.calls)]
    lines = []
    with given.out.open("a", buffering=1) as out:
        for number, call in enumerate(calls):
            if number % parts != part or time.monotonic() > ends:
                continue
            if timer is None:
                x = torch.ones(call["shape"], dtype=getattr(torch, call["dtype"]), device="cuda")
            else:
                (x,) = reference.get_inputs(**call, device="cuda", seed=number)
            lines.append(line_of(scan, call, x, timer, only_chosen if given.chosen else alternatives))
            if timer is not None:
                print(json.dumps(lines[-1]), file=out)
            del x
            torch.cuda.empty_cache()
    if timer is not None:
        print("\n".join(summary(lines)))


if __name__ == "__main__":
    main()
