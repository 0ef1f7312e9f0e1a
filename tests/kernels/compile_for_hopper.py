"""Compiles what variants would launch for compute capability 9.0, which needs no GPU, and prints what came of it.

Run as a program, because an interpreting triton cannot compile: compile_for_hopper.py FOLDER CASES, where CASES is
JSON: for each variant in the folder a list of [shape, dim, dtype, configuration], or "gradient" in the place of a
configuration. Prints for each variant a list with the launches of each case: kernel, PTX, triton's GPU code and spilled
bytes.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor


class Recorder:
    """Stands in for a kernel: a launch compiles it, specialised as triton would, and notes the result."""

    def __init__(self, kernel: JITFunction, launches: list[dict[str, Any]]) -> None:
        self.kernel = kernel
        self.launches = launches

    def __getitem__(self, grid: object) -> Any:
        return self._launch

    def _launch(self, *arguments: object, **named: object) -> None:
        names = self.kernel.arg_names
        bound = {**dict(zip(names, arguments, strict=False)), **{k: v for k, v in named.items() if k in names}}
        options = {name: value for name, value in named.items() if name not in names and value is not None}
        constexprs = {p.name for p in self.kernel.params if p.is_constexpr}
        signature, constants, hints = {}, {}, {}
        for place, name in enumerate(names):
            value = bound[name]
            signature[name], constant, divisible = _specialised(value, name in constexprs)
            if constant:
                constants[(place,)] = value
            if divisible:
                hints[(place,)] = [["tt.divisibility", 16]]
        source = ASTSource(self.kernel, signature=signature, constexprs=constants, attrs=hints)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        self.launches.append(
            {
                "kernel": self.kernel.__name__,
                "ptx": compiled.asm["ptx"],
                "ttgir": compiled.asm["ttgir"],
                "spilled": usage(compiled.asm["cubin"], "STACK"),
                "shared": compiled.metadata.shared,
            }
        )


def _specialised(value: object, is_constexpr: bool) -> tuple[str, bool, bool]:
    """Type of an argument in a signature, whether it is a constant there, whether it is known to divide by 16."""
    if isinstance(value, torch.Tensor):
        return f"*{TYPES[value.dtype]}", False, value.data_ptr() % 16 == 0
    if isinstance(value, TensorDescriptor):
        return f"tensordesc<{TYPES[value.base.dtype]}{value.block_shape}>".replace(" ", ""), False, False
    if is_constexpr or (isinstance(value, int) and value == 1):
        return "constexpr", True, False
    if isinstance(value, float):
        return "fp32", False, False
    assert isinstance(value, int)
    return ("i32" if abs(value) < 2**31 else "i64"), False, value % 16 == 0


TYPES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.uint8: "u8",
    torch.int8: "i8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
}


def usage(cubin: bytes, name: str) -> int:
    """Registers (REG) or bytes of local memory (STACK) that a thread needs."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(rf"{name}:(\d+)", told.stdout + told.stderr)
    assert found is not None
    return int(found.group(1))


def _load(path: Path) -> ModuleType:
    """A variant as a module of a package, made anew with all that it imports from there."""
    folder, name = (path.parent.parent, path.parent.name) if path.name == "__init__.py" else (path.parent, path.stem)
    for stale in [each for each in sys.modules if each.startswith("variants.")]:
        del sys.modules[stale]
    package = sys.modules["variants"] = ModuleType("variants")
    package.__path__ = [str(folder)]
    return import_module(f"variants.{name}")


def recorded(path: Path) -> tuple[ModuleType, list[dict[str, Any]]]:
    """A variant whose launches are compiled and noted instead, and the list of them."""
    launches: list[dict[str, Any]] = []
    module = _load(path)
    for each in [each for name, each in sys.modules.items() if name.startswith("variants.")]:
        for name, value in vars(each).copy().items():
            if isinstance(value, JITFunction) and name.endswith("_kernel"):
                setattr(each, name, Recorder(value, launches))
    return module, launches


def _compiled(path: Path, case: list[Any]) -> list[dict[str, Any]]:
    """What a variant launches for a case."""
    shape, dim, dtype, configuration = case
    module, launches = recorded(path)
    x = torch.ones(shape, dtype=getattr(torch, dtype))
    if configuration == "gradient":
        module.gradient(x, x, x, dim)
    else:
        module.ModelNew(dim, **configuration)(x)
    return launches


def main(folder: str, cases: str) -> None:
    results = {}
    for variant, wanted in json.loads(cases).items():
        package = Path(folder) / variant / "__init__.py"
        path = package if package.exists() else Path(folder) / f"{variant}.py"
        results[variant] = [_compiled(path, case) for case in wanted]
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
