"""Compiles launches of the package for any architecture, which needs no GPU, and prints what came of each.

Run as a program, because an interpreting triton cannot compile: compile_launches.py PACKAGE CASES ARCHITECTURES.
CASES is JSON, a list of [shape, dim, dtype, form, settings, compiler options]; without a form the package chooses.
Prints for each case and architecture what its launches need. Tensors have no memory, so that sizes may be any.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import triton
from compile_for_hopper import TYPES, usage
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


def package(folder: Path) -> ModuleType:
    spec = spec_from_file_location("scan", folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["scan"] = module
    spec.loader.exec_module(module)
    return module


def source_of(kernel: Any, arguments: tuple[Any, ...]) -> ASTSource:
    """The kernel specialised as triton would: a 1 is a constant, and what divides by 16 is known to."""
    signature, constants, hints = {}, {}, {}
    for place, (parameter, value) in enumerate(zip(kernel.params, arguments, strict=True)):
        if isinstance(value, torch.Tensor):
            signature[parameter.name] = f"*{TYPES[value.dtype]}"
        elif parameter.is_constexpr or value == 1:
            signature[parameter.name], constants[(place,)] = "constexpr", value
        else:
            signature[parameter.name] = "i32" if abs(value) < 2**31 else "i64"
        if isinstance(value, torch.Tensor) or (
            isinstance(value, int) and (place,) not in constants and value % 16 == 0
        ):
            hints[(place,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature=signature, constexprs=constants, attrs=hints)


def _compiled(case: list[Any], architecture: int) -> list[dict[str, Any]]:
    """What each launch of a case needs."""
    shape, dim, dtype, form, settings, options = case
    x = torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
    call = sys.modules["scan.forms"].prepared(x, dim, form=form, **settings)
    words = [torch.empty(call.work.words, dtype=torch.int64, device="meta")] if call.work.words else []
    results = []
    for launch in call.work.launches[:1]:
        source = source_of(launch.kernel, (call.x, call.y, *words, *launch.numbers))
        begun = time.monotonic()
        target = GPUTarget("cuda", architecture, 32)
        compiled = triton.compile(source, target=target, options={**launch.options, **options})
        results.append(
            {
                "kernel": launch.kernel.__name__,
                "architecture": architecture,
                "seconds": time.monotonic() - begun,
                "registers": usage(compiled.asm["cubin"], "REG"),
                "spilled": usage(compiled.asm["cubin"], "STACK"),
                "shared": compiled.metadata.shared,
                "ptx": compiled.asm["ptx"],
            }
        )
    return results


def main(folder: str, cases: str, architectures: str) -> None:
    package(Path(folder))
    targets = json.loads(architectures)
    print(json.dumps([[each for target in targets for each in _compiled(case, target)] for case in json.loads(cases)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
