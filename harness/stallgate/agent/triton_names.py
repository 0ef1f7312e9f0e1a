"""What Triton has in the interpreter that will run an answer, asked of that interpreter."""

from __future__ import annotations

import subprocess
from functools import cache

import msgspec

from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct

_PROBE = """
import importlib, json, pkgutil, types
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
found |= {"tensor." + name for name in dir(tl.tensor)}
found |= {name for name in dir(code_generator.CodeGenerator) if name.startswith("visit_")}
print(json.dumps([triton.__version__, sorted(found)]))
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
    hint = "name an interpreter that has torch and triton with --python"
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, errors="replace", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadArgument(f"{python} does not run: {error}", hint) from error
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no word"]
        raise BadArgument(f"{python} cannot say what Triton has: {last[0]}", hint)
    try:
        version, names = msgspec.json.decode(answer.stdout.splitlines()[-1], type=tuple[str, list[str]])
    except (msgspec.DecodeError, IndexError) as error:
        raise BadArgument(f"{python} does not answer as Python does", hint) from error
    return TritonFound(version=version, names=frozenset(names))


def tl_names(python: str) -> frozenset[str]:
    """What `installed_triton` found, as the rules about slips take it."""
    return installed_triton(python).names
