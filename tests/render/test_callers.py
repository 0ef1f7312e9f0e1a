"""Who called a library's line: known where one line alone can have, and never guessed."""

from __future__ import annotations

import ast
from importlib import util
from pathlib import Path

import pytest

from stallgate.model import Case, Detail, HotLine
from stallgate.render.callers import CALLED_AS, MOST_KEPT, TRITON_LIBRARY, CodePlace, callers

CODE = """\
@triton.jit
def _combine(a, b):
    return a + b

@triton.jit
def _once(x):
    return tl.sum(x, 0)

@triton.jit
def _twice(x):
    y = tl.max(x, 0)
    return y + tl.sum(x, 0)

@triton.jit
def _kernel(x_ptr, WIDE: tl.constexpr):
    x = tl.load(x_ptr)
    x = tl.cumprod(x, 0)
    if WIDE:
        return _twice(x)
    return _once(x)

@triton.jit
def _other(x_ptr):
    return tl.cumprod(tl.load(x_ptr), 0)
"""
"""Lines that call: 7 and 12 sum, 11 max, 17 and 23 cumprod."""


def line(number: int, function: str = "", file: str = TRITON_LIBRARY) -> HotLine:
    """A line of a library if a function is named, else of the kernel's own file."""
    return HotLine(
        file=file if function else "scan.py",
        line=number,
        text="",
        samples=5,
        reason="wait",
        reason_samples=3,
        library=bool(function),
        function=function,
    )


def found(*lines: HotLine, kernel: str = "_kernel", code: str = CODE) -> dict[str, int]:
    """Function of a library -> the line that called it."""
    case = Case(problem="p", variant="v", configuration="default", workload="w")
    detail = Detail(case=case, kernel=kernel, samples=100, advice=[], lines=list(lines))
    places = callers({"scan.py": code}, detail)
    assert {place.file for place in places.values()} <= {"scan.py"}
    return {each.function: place.line for each, place in places.items()}


def test_one_call_in_what_the_kernel_reaches() -> None:
    assert found(line(16), line(351, "_prod_combine"), line(360, "cumprod")) == {"_prod_combine": 17, "cumprod": 17}


def test_a_call_in_a_function_without_samples_is_none() -> None:
    assert found(line(7), line(293, "sum")) == {"sum": 7}
    assert found(line(11), line(293, "sum"), line(170, "_elementwise_max")) == {"sum": 12, "_elementwise_max": 11}


@pytest.mark.parametrize(
    "lines",
    [
        [line(7), line(12), line(293, "sum")],
        [line(16), line(293, "sum")],
        [line(16), line(99, "nobody_calls_it")],
        [line(351, "_prod_combine")],
    ],
    ids=["two calls", "in no function with samples", "not called", "no samples of its own"],
)
def test_a_caller_that_is_not_known_is_not_guessed(lines: list[HotLine]) -> None:
    assert found(*lines) == {}


def test_where_not_every_line_was_kept_each_reachable_call_counts() -> None:
    kept = [line(number) for number in range(100, 100 + MOST_KEPT)]
    assert found(line(7), *kept, line(293, "sum")) == {}
    assert found(*kept, line(360, "cumprod")) == {"cumprod": 17}


def test_a_kernel_that_is_not_there_and_code_that_is_none() -> None:
    assert found(line(16), line(360, "cumprod"), kernel="elsewhere") == {}
    assert found(line(16), line(360, "cumprod"), code="no python(") == {}


def test_another_library_is_called_by_its_own_names() -> None:
    assert found(line(16), line(1, "_prod_combine", file="another/package.py")) == {}
    assert found(line(16), line(1, "cumprod", file="another/package.py")) == {"cumprod": 17}


def test_the_place_is_of_the_file_that_calls() -> None:
    case = Case(problem="p", variant="v", configuration="default", workload="w")
    parts = CODE.split("@triton.jit\ndef _other")
    helper = "@triton.jit\ndef _helped(x):\n    return tl.sort(x)\n"
    lines = [line(16), HotLine("helper.py", 3, "", 1, "wait", 1), line(400, "_compare_and_swap")]
    detail = Detail(case=case, kernel="_kernel", samples=100, advice=[], lines=lines)
    calling = parts[0].replace("tl.cumprod(x, 0)", "_helped(x)")
    assert callers({"scan.py": calling, "helper.py": helper}, detail) == {lines[2]: CodePlace("helper.py", 3)}


def test_the_names_are_those_of_triton() -> None:
    """The library that is installed: who reaches each of its functions, directly or not."""
    spec = util.find_spec("triton")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("triton is not installed")
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / "language" / "standard.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    named = {name: _named(node) & functions.keys() - {name} for name, node in functions.items()}
    public = [name for name in functions if not name.startswith("_")]
    for name, known in CALLED_AS.items():
        assert name in functions
        reaching = {user for user in public if user == name or name in _reach(named, user)}
        assert set(known) == reaching, name
    kernels = {name for name, node in functions.items() if _is_kernel(node)}
    alone = {name for name in kernels - CALLED_AS.keys() if name.startswith("_")}
    assert alone == set(), "a kernel knows these by no name of their own"


def _named(node: ast.AST) -> set[str]:
    every = [each for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)]
    return {each.id if isinstance(each, ast.Name) else each.attr for each in every}


def _reach(named: dict[str, set[str]], start: str) -> set[str]:
    seen, names = set[str](), [start]
    while names:
        new = named[names.pop()] - seen
        seen |= new
        names += new
    return seen


def _is_kernel(node: ast.FunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)
