"""Compiles what the package launches for calls drawn at random on GPUs of every architecture. Needs no GPU.

Run as a program, because an interpreting triton cannot compile: compile_reachable.py PACKAGE SEED CALLS [KINDS]
[ARCHITECTURES [PART PARTS]]. Of the kinds of launches that are found, up to KINDS (0: all) are compiled, drawn by the
same seed. Prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from chips import CHIPS, NAMED, Chip, Drawn, drawn
from compile_for_hopper import usage
from compile_launches import package, source_of
from triton.backends.compiler import GPUTarget


def launches(call: Drawn) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What a call launches, each with the arguments of its kernel; tensors have no memory, so that sizes may be any."""
    x = torch.empty(call.shape, dtype=getattr(torch, call.dtype), device="meta")
    if call.kind == "products":
        prepared = sys.modules["scan.forms"].prepared(x, call.dim)
        words = [torch.empty(prepared.work.words, dtype=torch.int64, device="meta")] if prepared.work.words else []
        yield from ((each, (prepared.x, prepared.y, *words, *each.numbers)) for each in prepared.work.launches)
        return
    found = []
    module = sys.modules["scan.gradient"]
    module._launch = lambda work, *operands: found.extend((each, (*operands, *each.numbers)) for each in work)
    if call.kind == "gradient":
        module.gradient(x, x, x, call.dim)
    else:
        module.recurrence(x, x, call.dim, adjoint=call.kind == "adjoint")
    yield from found


def on(chip: Chip) -> None:
    """From here on the package chooses as on this GPU, in the place of the one that it takes without any."""
    module = sys.modules["scan.chip"]
    module.H100_PROCESSORS, module.H100_SHARED_MEMORY = chip.processors, chip.shared
    module.H100_GENERATION = chip.architecture // 10


def reachable(calls: list[Drawn], architectures: list[int]) -> dict[Any, tuple[Any, Any, int, Drawn, str]]:
    """Kinds of launches: source, options, architecture, and the first call and GPU that led there."""
    kinds = {}
    for chip in CHIPS:
        if chip.architecture not in architectures:
            continue
        on(chip)
        for call in calls:
            for launch, arguments in launches(call):
                source = source_of(launch.kernel, arguments)
                parts = (source.signature, source.constants, source.attrs, launch.options)
                key = (launch.kernel.__name__, chip.architecture, str([sorted(map(str, p.items())) for p in parts]))
                kinds.setdefault(key, (source, launch.options, call, chip))
    return kinds


def compiled(source: Any, options: dict[str, int], call: Drawn, chip: Chip) -> dict[str, Any]:
    """What a launch needs of a GPU."""
    begun = sum(os.times()[:4])  # of this process and those that it has waited for: others may be at work beside it
    result: dict[str, Any] = {"kernel": source.fn.__name__, "architecture": chip.architecture, "chip": chip.name}
    names = [p.name for p in source.fn.params]
    numbers = {names[place[0]]: str(value) for place, value in source.constants.items()}
    result |= {"call": call, "options": options, "constants": numbers}
    try:
        built = triton.compile(source, target=GPUTarget("cuda", chip.architecture, 32), options=options)
    except Exception as error:  # noqa: BLE001  (whatever the compiler fails with is told)
        return result | {"error": f"{type(error).__name__}: {error}"[:500]}
    return result | {
        "seconds": sum(os.times()[:4]) - begun,
        "registers": usage(built.asm["cubin"], "REG"),
        "spilled": usage(built.asm["cubin"], "STACK"),
        "shared": built.metadata.shared,
        "warps": built.metadata.num_warps,
        "room": chip.shared,
    }


def main(
    folder: str, seed: str, calls: str, kinds: str = "0", architectures: str = "", part: str = "0", parts: str = "1"
) -> None:
    package(Path(folder))
    wanted = json.loads(architectures) if architectures else sorted({chip.architecture for chip in CHIPS})
    found = reachable([*NAMED, *drawn(int(seed), int(calls))], wanted)
    keys = sorted(found)
    print(len(keys), "kinds", file=sys.stderr)
    random.Random(int(seed)).shuffle(keys)
    for key in keys[: int(kinds) or None][int(part) :: int(parts)]:
        print(json.dumps(compiled(*found[key])), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
