"""Layers of ``torch.nn`` hold weights in an answer, and compute nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stallgate.agent.form.allowed import is_weight
from stallgate.agent.form.syntax import AnswerCode
from stallgate.agent.objection import Objection

_CONTAINERS = ("ModuleList", "ModuleDict", "ParameterList", "ParameterDict")


def layers_called(code: AnswerCode) -> Iterator[Objection]:
    """A layer under another name, ``layer = self.layer``, and one in a list that is called, ``self.layers[0](x)``.

    ``self.layer(x)`` itself is refused with all other calls of fields.
    """
    single, several = _fields_with_layers(code)
    for node in code.host_nodes():
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Load()) if name in single:
                above = code.parents.get(node)
                if not isinstance(above, ast.Attribute) and not (isinstance(above, ast.Call) and above.func is node):
                    text = f"self.{name} is a layer of torch and is handed on, where it may be called"
                    yield code.object_to(node, "torch_operation", text, _HINT)
            case ast.Call(func=ast.Subscript(value=ast.Attribute(value=ast.Name(id="self"), attr=name))) if (
                name in single | several
            ):
                text = f"self.{name}[…](…) lets a layer of torch compute"
                yield code.object_to(node, "torch_operation", text, _HINT)
            case _:
                pass


_HINT = "take its weights, self.layer.weight, and compute in a kernel"


def _fields_with_layers(code: AnswerCode) -> tuple[set[str], set[str]]:
    """Fields that are a layer, and those that have layers in them."""
    single: set[str] = set()
    several: set[str] = set()
    for node in ast.walk(code.tree):
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                made = [code.path(each.func) for each in ast.walk(value) if isinstance(each, ast.Call)]
                if any(_is_layer(path) for path in made):
                    is_one = isinstance(value, ast.Call) and _is_layer(code.path(value.func))
                    (single if is_one else several).add(name)
            case _:
                pass
    return single, several


def _is_layer(path: str) -> bool:
    name = path.removeprefix("torch.nn.")
    return path.startswith("torch.nn.") and is_weight(path) and name[:1].isupper() and name not in _NO_LAYERS


_NO_LAYERS = frozenset({*_CONTAINERS, "Parameter", "Buffer", "Module", "UninitializedParameter"})
