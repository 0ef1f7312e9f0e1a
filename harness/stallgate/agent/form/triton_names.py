"""What Triton has in the interpreter that will run an answer, asked of that interpreter."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TypeVar

import msgspec

from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct

Printed = TypeVar("Printed")

_PROBE = """
import ast, importlib, inspect, json, pkgutil, textwrap, types
import triton, triton.language as tl
from triton.compiler import code_generator

found, seen = set(), set()

def walk(thing, prefix):
    if id(thing) in seen or prefix.count(".") > 4:
        return
    seen.add(id(thing))
    for name in dir(thing):
        found.add(prefix + name)
        below = getattr(thing, name, None)
        if isinstance(below, types.ModuleType) and below.__name__.startswith("triton.language"):
            walk(below, prefix + name + ".")

for module in pkgutil.walk_packages(tl.__path__, "triton.language."):
    if "hip" not in module.name:
        try:
            importlib.import_module(module.name)
        except Exception:
            pass
walk(tl, "")
def only_raises(thing):
    # what was removed, and left behind to say so
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
        body = [each for each in function.body if not isinstance(each, ast.Expr)]
        return isinstance(body[0], ast.Raise)
    except (TypeError, OSError, SyntaxError, ValueError, IndexError, AttributeError):
        return False

found -= {name for name in dir(tl) if callable(getattr(tl, name)) and only_raises(getattr(tl, name))}
found |= {"tensor." + name for name in dir(tl.tensor)}
found |= {name for name in dir(code_generator.CodeGenerator) if name.startswith("visit_")}
print(json.dumps([triton.__version__, sorted(found)]))
"""


_TORCH_PROBE = """
import json, types
import torch, torch.nn.functional
from triton.runtime.autotuner import Autotuner, Heuristics
from triton.runtime.jit import JITFunction

things = [torch, torch.Tensor, torch.nn, torch.nn.Module, torch.nn.functional, torch.cuda, torch.autograd]
things += [torch.autograd.Function, torch.Generator, torch.dtype, torch.device, torch.Size, torch.UntypedStorage]
things += [JITFunction, Autotuner, Heuristics]
things += [getattr(torch, name) for name in ("linalg", "fft", "special", "jit", "ops", "library", "utils", "overrides")]
things += [each for each in vars(types).values() if isinstance(each, type)]
print(json.dumps(sorted({name for thing in things for name in dir(thing)})))
"""


class TritonFound(FrozenStruct, frozen=True):
    """Triton, as an interpreter has it."""

    version: str
    names: frozenset[str]
    """Of ``triton.language``, those of its modules with a dot; ``tensor.<name>`` for what tensors have, and
    ``visit_<Node>`` for the syntax that kernels may have."""


@cache
def installed_triton(python: str) -> TritonFound:
    """The Triton of an interpreter. Asking takes seconds, so that it is asked once.

    Args:
        python: path of the interpreter.

    Raises:
        BadArgument: it does not run, or has no Triton.
    """
    version, names = _asked(python, _PROBE, tuple[str, list[str]])
    return TritonFound(version=version, names=frozenset(names))


@cache
def torch_names(python: str) -> frozenset[str]:
    """Attributes that tensors, modules, functions of torch, kernels and Python's own objects have.

    Args:
        python: path of the interpreter.

    Raises:
        BadArgument: it does not run, or has no torch.
    """
    return frozenset(_asked(python, _TORCH_PROBE, list[str]))


def _asked(python: str, program: str, kind: type[Printed]) -> Printed:
    """What a program prints as JSON in an interpreter."""
    hint = "name an interpreter that has torch and triton with --python"
    try:
        answer = subprocess.run(
            [python, "-c", program], capture_output=True, text=True, errors="replace", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadArgument(f"{python} does not run: {error}", hint) from error
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no word"]
        raise BadArgument(f"{python} cannot say what Triton has: {last[0]}", hint)
    try:
        return msgspec.json.decode(answer.stdout.splitlines()[-1], type=kind)
    except (msgspec.DecodeError, IndexError) as error:
        raise BadArgument(f"{python} does not answer as Python does", hint) from error


def tl_names(python: str) -> frozenset[str]:
    """What `installed_triton` found, as the rules about slips take it."""
    return installed_triton(python).names
