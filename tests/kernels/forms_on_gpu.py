"""Times every form that can take a call, and a few settings of each, on a CUDA device: what `choose.py` is written by.

    forms_on_gpu.py OUT [--calls 130] [--seed 1] [--part 0/1] [--data near1] [--compile] [--seconds 300]

Calls are drawn: 2**12 to 2**28 elements, any dimension and dtype. OUT gets a line of JSON for each: the call, what the
package launches, microseconds by form and of a copy. With --compile nothing is timed: several such processes, each with
its part, fill triton's cache side by side before one times. Calls of fewer than 2**22 elements are timed by CUDA
graphs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from chips import Drawn, drawn
from on_gpu import load
from packages import get

ROOT = Path(__file__).resolve().parents[2]
GRAPH_BELOW, GRAPH_CALLS, SAMPLES = 2**22, 8, 3

Settings = dict[str, Any]


def alternatives(axis: int, inner: int, lines: int) -> Iterator[tuple[str, Settings]]:
    """Forms, by name with what is not their default, that can take sequences of a length, a distance and a number."""
    yield "chosen", {}
    if axis <= 2048 or (lines >= 4096 and axis <= 65536):
        for vector, ahead in ((1, 8), (1, 16), (4, 4), (4, 8)):
            yield f"lines {vector} {ahead}", {"form": "lines", "VECTOR": vector, "AHEAD": ahead}
    if inner == 1 and axis <= 16384:
        for registers in (96, 128, 152, 255):
            yield f"short {registers}", {"form": "short", "registers": registers}
    if inner == 1 and axis >= 64:
        for block, parts, registers in ((2048, 1, 128), (2048, 2, 80), (2048, 2, 96), (2048, 2, 128), (4096, 2, 128)):
            settings = {"BLOCK": block, "PARTS": parts, "registers": registers}
            yield f"rows {block} {parts} {registers}", {"form": "rows", **settings}
    if inner > 1 and axis <= 2**20:
        for rows, stages in ((16, 1), (16, 3), (8, 3)):
            yield f"strips {rows} {stages}", {"form": "strips", "ROWS": rows, "num_stages": stages}
    if axis >= 64:
        for block in (1024, 2048, 4096, 8192):
            yield f"tiles {block}", {"form": "tiles", "BLOCK": block}


def data(call: Drawn, kind: str) -> torch.Tensor:
    """A tensor for a call: near1 stays near 1 along the dimension, decay sinks slowly, normal and uniform fast."""
    dtype = getattr(torch, call.dtype)
    if not dtype.is_floating_point:
        return (torch.randint(0, 4, call.shape, device="cuda") * 2 - 3).to(dtype)
    wide = dtype if dtype.itemsize > 2 else torch.float32
    x = torch.empty(call.shape, dtype=wide, device="cuda")
    if kind == "normal":
        return x.normal_().to(dtype)
    low, high = {"near1": (0.7, 1.4), "decay": (0.9, 1.0), "uniform": (0.0, 1.0)}[kind]
    x.uniform_(low, high)
    if kind == "near1":
        before = x.roll(1, call.dim)
        before.narrow(call.dim, 0, 1).fill_(1)
        x /= before
    return x.to(dtype)


class Timer:
    """Microseconds of a call, by events or by a graph of several."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "harness"))
        from stallgate.child.bench.clock import GpuClock

        self._clock = GpuClock()

    def of(self, call: Callable[[], object], elements: int) -> float:
        if elements >= GRAPH_BELOW:
            call()
            return median(self._clock.time(call)[0] for _ in range(SAMPLES))
        replay = self._clock.graph([call] * GRAPH_CALLS)
        replay()
        return median(self._clock.time(replay)[0] for _ in range(SAMPLES)) / GRAPH_CALLS


def line_of(scan: ModuleType, call: Drawn, kind: str, timer: Timer | None) -> dict[str, Any]:
    """What a call takes in each form; nothing but compiled, where there is no timer."""
    x = data(call, kind)
    axis = call.shape[call.dim]
    inner = math.prod(call.shape[call.dim + 1 :])
    took: dict[str, Any] = {}
    for name, settings in alternatives(axis, inner, x.numel() // axis):
        try:
            scan.products(x, call.dim, **settings)
            torch.cuda.synchronize()
            if timer is not None:
                took[name] = timer.of(lambda settings=settings: scan.products(x, call.dim, **settings), x.numel())
        except Exception as error:  # noqa: BLE001  (a form that does not run is a result)
            took[name] = f"{type(error).__name__}: {error}"[:200]
    if timer is not None:
        took["copy"] = timer.of(lambda: torch.empty_like(x).copy_(x), x.numel())
    launches = get(scan, "prepared")(x, call.dim).work.launches
    chosen = [(each.kernel.__name__, each.options) for each in launches]
    return {"call": call, "data": kind, "axis": axis, "inner": inner, "chosen": chosen, "us": took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=130)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--data", default="near1")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    ends = time.monotonic() + given.seconds
    calls = [each for each in drawn(given.seed, 3 * given.calls) if each.kind == "products"]
    calls = [each for each in calls if math.prod(each.shape) <= 2**28][: given.calls]
    scan, timer = load("scan"), None if given.compile else Timer()
    with given.out.open("a", buffering=1) as out:
        for call in calls[part::parts]:
            if time.monotonic() > ends:
                break
            line = line_of(scan, call, given.data, timer)
            if timer is not None:
                print(json.dumps(line), file=out)
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
