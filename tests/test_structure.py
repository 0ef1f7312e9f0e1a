"""The house as its plan has it: every module in a room, small functions, one meaning a name; tests mirror the rooms."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.recordings import committed

PACKAGE = ROOT / "harness" / "stallgate"
LOOSE = {"__init__", "__main__", "model", "errors", "formatting"}
ROOMS = {
    "advise",
    "agent",
    "child",
    "cli",
    "compare",
    "extract",
    "fleet",
    "judge",
    "measure",
    "plugin",
    "project",
    "render",
    "runs",
}
LONGEST_FUNCTION = 40
MOST_PARAMETERS = 8
SHARED_NAMES = {"main"}
"""Names that several modules may have: each is the entry of a process."""


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module, parsed when a test first asks: workers that run none of these tests need not."""
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def shown(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{shown(path)}:{node.name}", node


def is_command(node: ast.FunctionDef) -> bool:
    """Whether a function is one of click's, whose parameters are the command's options."""
    return any(
        ".command" in ast.unparse(decorator) or "command(" in ast.unparse(decorator)
        for decorator in node.decorator_list
    )


def length(node: ast.FunctionDef) -> int:
    """Lines of a function; of a command without its options."""
    begin = node.body[0].lineno if is_command(node) else node.lineno
    return (node.end_lineno or begin) - begin + 1


def parameters(node: ast.FunctionDef) -> int:
    given = node.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_module_is_loose_and_every_room_is_one_of_the_plan() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == ROOMS


def test_the_layers_are_said_in_a_dozen_lines() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (house,) = [each for each in settings["tool"]["importlinter"]["contracts"] if each["name"] == "the house"]
    assert house["exhaustive"]
    assert len(house["layers"]) <= 12
    named = {name.strip() for layer in house["layers"] for name in layer.split("|")}
    assert named == ROOMS | LOOSE - {"__init__", "__main__"}


def test_no_function_is_long_or_takes_many_arguments() -> None:
    long = {name: length(node) for name, node in functions() if length(node) > LONGEST_FUNCTION}
    assert not long
    many = {name: parameters(node) for name, node in functions() if not is_command(node)}
    assert not {name: count for name, count in many.items() if count > MOST_PARAMETERS}


def public_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name
            case _:
                pass


def test_no_two_public_names_are_alike() -> None:
    homes: dict[str, list[str]] = {}
    for path, tree in modules().items():
        for name in public_names(tree):
            if not name.startswith("_") and name not in SHARED_NAMES:
                homes.setdefault(name, []).append(shown(path))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_room_has_its_tests(room: str) -> None:
    assert list((ROOT / "tests" / room).glob("test_*.py"))


@pytest.mark.parametrize("corner", sorted(path.parent.name for path in (PACKAGE / "agent").glob("*/__init__.py")))
def test_every_package_of_the_agents_room_has_its_tests(corner: str) -> None:
    assert list((ROOT / "tests" / "agent" / corner).glob("test_*.py"))


def test_tests_stand_in_the_rooms_of_what_they_test() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == ROOMS | {"kernels", "fakes"}
    assert {path.name for path in (ROOT / "tests").glob("test_*.py")} == {"test_structure.py"}


def test_no_test_names_the_folder_of_the_recordings() -> None:
    """Recordings of another GPU can then replace them without a change of a test."""
    named = re.compile(rf"recorded[\"'/ ]+{committed().card.name}\b")
    assert [path.name for path in sorted((ROOT / "tests").rglob("*.py")) if named.search(path.read_text())] == []
