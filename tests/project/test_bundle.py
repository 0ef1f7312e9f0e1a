"""A package as one file: it does what the package does, or is refused where it would do something else."""

from __future__ import annotations

import ast
import importlib
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.errors import BadArgument, BrokenFile, UnknownName
from stallgate.project.bundle import BUNDLE_MARK, Bundle, bundled, package_folder
from stallgate.project.load import load_project
from tests.conftest import ROOT, Stallgate


def package(root: Path, files: dict[str, str]) -> Path:
    folder = root / "kernels" / "sums" / "whole"
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def made(root: Path, files: dict[str, str]) -> Bundle:
    return bundled(root, package(root, files), "sums/whole")


def values(text: str) -> dict[str, Any]:
    """What a bundle leaves when it runs."""
    names: dict[str, Any] = {"__name__": "bundle"}
    exec(compile(text, "bundle.py", "exec"), names)
    return names


PACKAGE = {
    "__init__.py": '''"""Sums.

More about them.
"""

from .more.totals import total
from .parts import LIMIT, part

__all__ = ["LIMIT", "part", "total"]
''',
    "parts.py": '''"""Parts of a sum."""

import math
import sys as system
from collections import OrderedDict, defaultdict

LIMIT = 3
"""Of parts."""

# What follows stays where it is.


def part(x: float) -> float:
    """One of them."""
    return math.floor(min(x, LIMIT)) + len(defaultdict(int)) + len(OrderedDict()) + 0 * system.maxsize
''',
    "more/__init__.py": "",
    "more/totals.py": r'''"""Whole sums.

With "quotes" and a \\\\ in their text.
"""

import math
from collections import defaultdict

from ..parts import (  # both
    LIMIT,
    part,
)

__all__ = ["total"]


def total(n: int) -> float:
    found = defaultdict(float)
    for k in range(n):
        found[k] = part(k + math.pi)
    return sum(found.values()) + LIMIT
''',
}


def test_one_file_does_what_the_package_does(tmp_path: Path) -> None:
    bundle = made(tmp_path, PACKAGE)
    assert bundle.files == ["parts.py", "more/totals.py", "__init__.py"]
    names = values(bundle.text)
    assert (names["LIMIT"], names["part"](2.5), names["total"](4)) == (3, 2, 15)
    assert names["__doc__"] == "Sums.\n\nMore about them.\n"
    assert names["__all__"] == ["LIMIT", "part", "total"]


def test_it_says_where_it_comes_from_and_reads_like_one_file(tmp_path: Path) -> None:
    text = made(tmp_path, PACKAGE).text
    first, second, *_ = text.splitlines()
    assert first == f"{BUNDLE_MARK}sums/whole`: change its files, not this one."
    assert second.startswith("# SHA-256 of them: ")
    imports = text[text.index("import math") :].split("\n\n")[0]
    assert imports.splitlines() == [
        "import math",
        "import sys as system",
        "from collections import OrderedDict, defaultdict",
    ]
    assert text.count("import math") == 1
    assert "from ." not in text
    assert "# What follows stays where it is." in text
    assert "# Whole sums.\n#\n# With" in text
    assert text.index("def part") < text.index("def total") < text.index("__all__")


def test_the_same_files_give_the_same_bytes_wherever_they_are(tmp_path: Path) -> None:
    one = made(tmp_path / "a", PACKAGE)
    windows = {name: text.replace("\n", "\r\n") for name, text in PACKAGE.items()}
    other = made(tmp_path / "b", dict(reversed(windows.items())))
    assert one == other
    changed = made(tmp_path / "c", {**PACKAGE, "parts.py": PACKAGE["parts.py"].replace("LIMIT = 3", "LIMIT = 4")})
    assert changed.digest != one.digest


def test_future_features_come_first(tmp_path: Path) -> None:
    future = "from __future__ import annotations\n\n"
    files = {
        "__init__.py": f'"""Doc."""\n\n{future}from .a import f\n',
        "a.py": f"{future}def f(x: Nowhere) -> None: ...\n",
    }
    text = made(tmp_path, files).text
    assert values(text)["f"].__annotations__["x"] == "Nowhere"
    assert text.count("__future__") == 1


OWN = {
    "a function": "def _x(): return 2\ndef g(): return _x()\n",
    "a constant": "_x = 2\ndef g(): return _x\n",
    "a class": "class _x:\n    n = 2\ndef g(): return _x.n\n",
    "what a function changes": "_x = 1\ndef g():\n    global _x\n    _x += 1\n    return _x\n",
    "an attribute of the same name": "_x = 2\nclass C: pass\ndef g():\n    C._x = 5\n    return _x\n",
    "within a function's function": "_x = 2\ndef g():\n    return (lambda: [_x for _ in range(1)])()[0]\n",
    "as a default and a decorator": "def _x(f): return f\n@_x\ndef g(h=_x): return 2 if h is _x else 0\n",
    "beside a form feed and words of other letters": "_x = 2  # \f\ndef g(): é = 'ü', _x; return é[1]\n",
}


@pytest.mark.parametrize("case", OWN)
def test_a_private_name_may_be_in_two_files(tmp_path: Path, case: str) -> None:
    """The later file has it with its own name before it; the first keeps it."""
    first = "_x = 1\ndef f():\n    return _x\n"
    files = {"__init__.py": "from .a import f\nfrom .sub.b import g\n", "a.py": first, "sub/b.py": OWN[case]}
    bundle = made(tmp_path, files)
    found = values(bundle.text)
    assert (found["f"](), found["g"]()) == (1, 2)
    assert first in bundle.text
    assert "_sub_b_x" in found
    assert bundle.digest == made(tmp_path, files).digest


def test_a_private_name_in_three_files_is_three_names(tmp_path: Path) -> None:
    init = "".join(f"from .{name} import get_{name}\n" for name in "abc")
    files = {f"{name}.py": f"_x = '{name}'\ndef get_{name}():\n    return _x\n" for name in "abc"}
    found = values(made(tmp_path, {"__init__.py": init, **files}).text)
    assert [found[f"get_{name}"]() for name in "abc"] == ["a", "b", "c"]
    assert (found["_x"], found["_b_x"], found["_c_x"]) == ("a", "b", "c")


INIT = "from .a import f\nfrom .b import g\n"
A = "def f():\n    return 1\n"
NOT_PLAIN = {
    "that is a parameter as well": "def g(_x=3):\n    return _x\n",
    "that is a keyword as well": "def g():\n    return dict(_x=_x)\n",
    "that is local elsewhere": "def g():\n    _x = 1\n    return _x\n",
    "of a class as well": "class g:\n    _x = 3\n",
    "in a string": "def g():\n    return globals()['_x']\n",
}
"""A file in which a private name may mean something else than its own."""

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "two things of a name": (
        {"__init__.py": INIT, "a.py": f"x = 1\n{A}", "b.py": "x = 2\ndef g(): ...\n"},
        "'x' is one thing in a.py and another in b.py",
    ),
    **{
        f"a private name {case}": (
            {"__init__.py": INIT, "a.py": f"_x = 1\n{A}", "b.py": f"_x = 2\n{text}"},
            "'_x' is one thing in a.py and another in b.py",
        )
        for case, text in NOT_PLAIN.items()
    },
    "a private name that another file imports": (
        {"__init__.py": INIT, "a.py": f"_x = 1\n{A}", "b.py": "from .c import _x\ndef g(): ...\n", "c.py": "_x = 2\n"},
        "'_x' is one thing in a.py and another in c.py",
    ),
    "a private name whose new one is taken": (
        {"__init__.py": INIT, "a.py": f"_x = _b_x = 1\n{A}", "b.py": "_x = 2\ndef g(): ...\n"},
        "'_x' is one thing in a.py and another in b.py",
    ),
    "two imports of a name": (
        {"__init__.py": INIT, "a.py": f"from os import path\n{A}", "b.py": "from sys import path\ndef g(): ...\n"},
        "'path' is one thing in a.py and another in b.py",
    ),
    "a name and an import": (
        {"__init__.py": INIT, "a.py": f"import math\n{A}", "b.py": "math = 1\ndef g(): ...\n"},
        "'math' is one thing in a.py and another in b.py",
    ),
    "one of Python's own": (
        {"__init__.py": INIT, "a.py": f"def max(x): ...\n{A}", "b.py": "def g():\n    return max(1, 2)\n"},
        "a.py defines max, which b.py uses without importing it",
    ),
    "a circle": (
        {"__init__.py": INIT, "a.py": f"from .b import g\n{A}", "b.py": "from .a import f\ndef g(): ...\n"},
        "in a circle: a.py → b.py → a.py",
    ),
    "another name for it": (
        {"__init__.py": "from .a import f as h\n", "a.py": A},
        "imports 'f' as 'h'",
    ),
    "a module": ({"__init__.py": "from . import a\n", "a.py": A}, "names no functions, classes or constants"),
    "everything": ({"__init__.py": "from .a import *\n", "a.py": A}, "names no functions, classes or constants"),
    "a name that is not there": ({"__init__.py": "from .a import g\n", "a.py": A}, "has no such name"),
    "a file that is not there": ({"__init__.py": "from .c import g\n"}, "__init__.py:1: there is no c.py"),
    "above the package": ({"__init__.py": "from ..other import g\n"}, "from above the package"),
    "an import within a function": (
        {"__init__.py": "def f():\n    from .a import f as g\n", "a.py": A},
        "__init__.py:2: imports a file of the package within other code",
    ),
    "an import that shares its line": (
        {"__init__.py": "from .a import f; x = f()\n", "a.py": A},
        "__init__.py:1: shares its line",
    ),
    "some of them in the future": (
        {"__init__.py": INIT, "a.py": f"from __future__ import annotations\n{A}", "b.py": "def g(): ...\n"},
        "a.py and b.py do not import the same from __future__",
    ),
    "a file beside the package": (
        {"__init__.py": "from .a import f\n", "a.py": f"import beside\n{A}", "../beside.py": ""},
        "a.py:1: imports beside, which is the project's",
    ),
    "the package by its own name": (
        {"__init__.py": "from .a import f\n", "a.py": f"import whole.b\n{A}", "b.py": ""},
        "a.py:1: imports whole.b, which is the project's",
    ),
    "what does not parse": ({"__init__.py": "from .a import f\n", "a.py": "def f(:\n"}, "a.py: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_mean_something_else_is_refused(tmp_path: Path, case: str) -> None:
    files, message = REFUSED[case]
    with pytest.raises(BrokenFile) as refused:
        made(tmp_path, files)
    assert message in refused.value.message


def generated(seed: int) -> dict[str, str]:
    """A package of some files, each with functions that call those of files before it, and constants made of them."""
    draw = random.Random(seed)
    files: dict[str, str] = {}
    known: dict[str, str] = {}
    for number in range(draw.randint(1, 8)):
        name = f"f{number}"
        taken = sorted(draw.sample(sorted(known), min(len(known), draw.randint(0, 3))))
        lines = [f'"""File {number}."""'] if draw.random() < 0.7 else []
        lines += draw.sample(["import math", "from math import tau", "import os.path", "from json import dumps"], 2)
        lines += [f"from .{known[each]} import {each}" for each in taken]
        lines += [f"C{number} = {draw.randint(2, 9)}{''.join(f' + {each}(1)' for each in taken)}"]
        lines += [f"# about g{number}", f"def g{number}(x):", f"    return x * C{number} % 1009"]
        files[f"{name}.py"] = "\n".join(lines) + "\n"
        known[f"g{number}"] = name
    imports = [f"from .{file} import {name}" for name, file in sorted(known.items(), key=lambda _: draw.random())]
    files["__init__.py"] = "\n".join([*imports, f"RESULT = [{', '.join(f'{name}(5)' for name in known)}]"]) + "\n"
    return files


@pytest.mark.parametrize("seed", range(12))
def test_a_package_drawn_at_random_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    files = generated(seed)
    bundle = made(tmp_path, files)
    monkeypatch.syspath_prepend(tmp_path / "kernels" / "sums")
    for name in [each for each in sys.modules if each.partition(".")[0] == "whole"]:
        monkeypatch.delitem(sys.modules, name)
    whole = importlib.import_module("whole")
    names = values(bundle.text)
    assert names["RESULT"] == whole.RESULT
    for name in [each for each in sys.modules if each.partition(".")[0] == "whole"]:
        del sys.modules[name]


def test_a_package_goes_by_its_folder_or_by_the_variant_that_it_is() -> None:
    project = load_project(ROOT)
    for name in ("scan", "adaptive_scan"):
        assert package_folder(project, f"cumprod/{name}") == ROOT / "kernels" / "cumprod" / "scan"
    with pytest.raises(BadArgument, match="one file already"):
        package_folder(project, "cumprod/naive_serial")
    with pytest.raises(BadArgument, match="imports others") as refused_file:
        package_folder(project, "cumprod/blocked_scan")
    assert refused_file.value.hint == "copy it with what it needs of kernels/cumprod/scan/"
    with pytest.raises(UnknownName) as refused:
        package_folder(project, "cumprod/scam")
    assert "cumprod/scan" in refused.value.hint


def test_the_command_prints_or_writes_and_replaces_nothing_but_bundles(stallgate: Stallgate, tree: Path) -> None:
    printed = stallgate("bundle", "cumprod/scan")
    assert printed.returncode == 0, printed.stderr
    ast.parse(printed.stdout)
    for _ in range(2):
        assert stallgate("bundle", "cumprod/scan", "-o", "one.py").returncode == 0
        assert (tree / "one.py").read_text(encoding="utf-8") == printed.stdout
    (tree / "one.py").write_text("mine\n")
    refused = stallgate("bundle", "cumprod/scan", "-o", "one.py")
    assert refused.returncode == 2
    assert "is not a bundle" in refused.stderr
    assert (tree / "one.py").read_text() == "mine\n"
