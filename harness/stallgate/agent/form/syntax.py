"""An answer's syntax tree, with what its names mean: shared by all rules about its form."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from functools import cached_property

from stallgate.agent.answer import Answer
from stallgate.agent.objection import Objection
from stallgate.project.source_tree import FunctionNode

_KERNEL_DECORATORS = ("triton.jit", "triton.runtime.jit", "triton.constexpr_function")
TL = "triton.language"


class _Everything(frozenset[str]):
    """Has every name in it: what is not known has to be assumed."""

    def __contains__(self, _: object) -> bool:
        return True


_EVERYTHING = _Everything()


class AnswerCode:
    """The code of an answer that could be read."""

    def __init__(self, answer: Answer, known_elsewhere: Callable[[], Collection[str]] | None = None) -> None:
        """Reads it.

        Args:
            answer: which could be read.
            known_elsewhere: gives the names that tensors, modules and Python's own objects have; None: not known.
        """
        self.answer = answer
        self._known_elsewhere = known_elsewhere
        self.tree = answer.tree
        self.imported = _imported(self.tree)
        """Name -> what it is imported from: ``tl`` -> ``triton.language``."""
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def known_elsewhere(self) -> Collection[str]:
        """Names that others than the answer's objects have. It takes a second to ask for them: only where needed."""
        return self._known_elsewhere() if self._known_elsewhere is not None else _EVERYTHING

    def object_to(self, node: ast.AST, code: str, text: str, hint: str = "") -> Objection:
        """An objection to a piece of the code, at its line in the answer's own text; to the whole module at none."""
        line = getattr(node, "lineno", None)
        line = line + self.answer.first_line - 1 if line is not None else None
        return Objection(part="form", code=code, text=text, hint=hint, line=line)

    # --- names ---

    def path(self, node: ast.AST) -> str:
        """The dotted path of something imported, such as ``torch.nn.Module``; empty for everything else."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imported:
            return ""
        return ".".join([self.imported[node.id], *reversed(names)])

    # --- functions ---

    def is_kernel(self, node: ast.AST) -> bool:
        """Whether a definition is compiled by Triton."""
        if not isinstance(node, ast.FunctionDef):
            return False
        called = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
        return any(self.path(each) in _KERNEL_DECORATORS for each in called)

    @cached_property
    def kernels(self) -> dict[str, ast.FunctionDef]:
        """Functions of the module that Triton compiles."""
        return {
            node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef) and self.is_kernel(node)
        }

    @cached_property
    def functions(self) -> dict[str, FunctionNode]:
        """The other functions of the module."""
        found = [node for node in self.tree.body if isinstance(node, FunctionNode) and not self.is_kernel(node)]
        return {node.name: node for node in found}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @cached_property
    def constants(self) -> dict[str, list[ast.stmt]]:
        """Name -> the assignments of the module that bind it."""
        found: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for each in targets:
                    if isinstance(each, ast.Name):
                        found.setdefault(each.id, []).append(node)
        return found

    @cached_property
    def launchers(self) -> dict[str, ast.expr]:
        """Name -> the kernel of ``name = kernel[grid]``, which a call of the name launches."""
        found: dict[str, ast.expr] = {}
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript(value=kernel))
                    | ast.NamedExpr(target=ast.Name(id=name), value=ast.Subscript(value=kernel))
                ) if any(isinstance(each, ast.Name) and each.id in self.kernels for each in ast.walk(kernel)):
                    found[name] = kernel
                case _:
                    pass
        return found

    @cached_property
    def model(self) -> ast.ClassDef | None:
        return self.classes.get("ModelNew")

    def method(self, owner: ast.ClassDef, name: str) -> FunctionNode | None:
        """A method of a class; the last one, if it is defined twice."""
        found = [node for node in owner.body if isinstance(node, FunctionNode) and node.name == name]
        return found[-1] if found else None

    # --- walks ---

    def host_nodes(self, root: ast.AST | None = None) -> Iterator[ast.AST]:
        """The pieces outside of kernels, or of one definition, in the order of the text."""
        pending: list[ast.AST] = [root or self.tree]
        while pending:
            node = pending.pop()
            yield node
            if self.is_kernel(node) and isinstance(node, ast.FunctionDef):
                pending += reversed(node.decorator_list)
            else:
                pending += reversed(list(ast.iter_child_nodes(node)))

    def within(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a piece stands in, from the inside out."""
        while (node := self.parents.get(node, self.tree)) is not self.tree:
            yield node


def bound_names(root: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every name that a tree binds, beside imports, with where it does."""
    for node in ast.walk(root):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name, node
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield name, node
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name, node
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from ((name, node) for name in names)
            case _:
                pass


def _imported(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                heads = {each.name.partition(".")[0] for each in names if not each.asname}
                found |= {head: head for head in heads} | {each.asname: each.name for each in names if each.asname}
            case ast.ImportFrom(module=str(module), level=0, names=names):
                found |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
            case _:
                pass
    return found
