"""A project's modules: loaded from the sources that their digests are of, wherever they lie, and told apart."""

from __future__ import annotations

import os
import py_compile
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stallgate.child.load import Changed, ProjectModules, constructed
from stallgate.project.digests import text_digest
from tests.child.plans import entry_of

Files = dict[str, str]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Callable[[Files], ProjectModules]]:
    """Writes files below a root, and gives what loads them; afterwards nothing of it is left in Python."""
    before, path, finders = set(sys.modules), list(sys.path), list(sys.meta_path)

    def make(files: Files) -> ProjectModules:
        for name, text in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        modules = ProjectModules(str(tmp_path), [str(tmp_path), str(tmp_path / "src")])
        modules.install()
        return modules

    yield make
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def module_entry(root: Path, path: str, module: str, attribute: str = "") -> dict[str, Any]:
    return entry_of(root / path, module=module, attribute=attribute)


def test_two_projects_in_one_process_find_what_is_installed(project: Callable[[Files], ProjectModules]) -> None:
    modules = project({"one.py": "import colorsys"})
    project({})
    sys.modules.pop("colorsys", None)
    assert modules.find_spec("colorsys") is not None
    assert modules.find_spec("no_such_module_anywhere") is None


def test_bytecode_of_another_source_is_not_run(project: Callable[[Files], ProjectModules], tmp_path: Path) -> None:
    """Python would run it: the source has the size and the time that it was compiled of."""
    modules = project({"v.py": "ANSWER = 1\n", "lib/__init__.py": "", "lib/part.py": "ANSWER = 1\n"})
    for path in (tmp_path / "v.py", tmp_path / "lib/part.py"):
        before = path.stat()
        py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
        path.write_text("ANSWER = 2\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert modules.load(entry_of(tmp_path / "v.py")).ANSWER == 2
    assert modules.load(module_entry(tmp_path, "lib/part.py", "lib.part", "ANSWER")) == 2


def test_a_file_that_changed_since_it_was_planned(project: Callable[[Files], ProjectModules], tmp_path: Path) -> None:
    modules = project({"v.py": "ANSWER = 1\n", "lib.py": "def f(): ..."})
    planned = entry_of(tmp_path / "v.py"), module_entry(tmp_path, "lib.py", "lib", "f")
    for path in ("v.py", "lib.py"):
        (tmp_path / path).write_text("def f(): return 2")
    for entry in planned:
        with pytest.raises(Changed, match=r"has changed since the run was planned"):
            modules.load(entry)


WAYS = {
    "a sibling": {"kernels/p/v.py": "import helper\nANSWER = helper.ANSWER", "kernels/p/helper.py": "ANSWER = 5"},
    "a relative import": {
        "kernels/p/v.py": "from .helper import ANSWER",
        "kernels/p/helper.py": "from .deeper import ANSWER",
        "kernels/p/deeper.py": "ANSWER = 5",
    },
    "the project's package": {
        "kernels/p/v.py": "from mylib.scan import ANSWER",
        "mylib/__init__.py": "",
        "mylib/scan.py": "from mylib import part\nANSWER = part.ANSWER",
        "mylib/part.py": "ANSWER = 5",
    },
    "a package below src": {"kernels/p/v.py": "from mylib import ANSWER", "src/mylib/__init__.py": "ANSWER = 5"},
    "a dataclass under postponed annotations": {
        "kernels/p/v.py": "from __future__ import annotations\nfrom dataclasses import dataclass, field\n"
        "from typing import ClassVar\n@dataclass\nclass A:\n    x: ClassVar[int] = 5\n"
        "    y: list[int] = field(default_factory=list)\n"
        "ANSWER = A().x"
    },
    "an import when it is called": {
        "kernels/p/v.py": "def later():\n    import helper\n    return helper.ANSWER\nANSWER = later()",
        "kernels/p/helper.py": "ANSWER = 5",
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_file_imports_is_found_and_known(
    project: Callable[[Files], ProjectModules], tmp_path: Path, way: str
) -> None:
    modules = project(WAYS[way])
    entry = entry_of(tmp_path / "kernels/p/v.py")
    assert modules.load(entry).ANSWER == 5
    others = {name: text_digest(tmp_path / name) for name in WAYS[way] if name != "kernels/p/v.py"}
    assert modules.loaded_by(entry) == others


def test_a_folder_is_loaded_as_a_package(project: Callable[[Files], ProjectModules], tmp_path: Path) -> None:
    modules = project({"k/scan/__init__.py": "from .part import f", "k/scan/part.py": "def f(): return 5"})
    entry = entry_of(tmp_path / "k/scan/__init__.py", attribute="f")
    assert modules.load(entry)() == 5
    assert set(modules.loaded_by(entry)) == {"k/scan/part.py"}


def test_modules_of_others_are_not_the_entrys(project: Callable[[Files], ProjectModules], tmp_path: Path) -> None:
    """Neither what another entry has loaded, nor what is installed, though it lies below the root."""
    modules = project(
        {
            "a.py": "import shared_part\nimport inside",
            "b.py": "import only_b",
            "shared_part.py": "",
            "only_b.py": "",
            ".venv/lib/site-packages/inside.py": "",
        }
    )
    sys.path.append(str(tmp_path / ".venv/lib/site-packages"))
    one, other = entry_of(tmp_path / "a.py"), entry_of(tmp_path / "b.py")
    modules.load(one), modules.load(other)
    assert set(modules.loaded_by(one)) == {"shared_part.py"}
    assert set(modules.loaded_by(other)) == {"only_b.py"}


def test_an_entry_knows_what_an_earlier_one_had_loaded(
    project: Callable[[Files], ProjectModules], tmp_path: Path
) -> None:
    modules = project({"a.py": "import part", "b.py": "from part import X", "part.py": "X = 1"})
    one, other = entry_of(tmp_path / "a.py"), entry_of(tmp_path / "b.py")
    modules.load(one), modules.load(other)
    assert set(modules.loaded_by(other)) == {"part.py"}


def test_siblings_of_one_name_in_two_folders(project: Callable[[Files], ProjectModules], tmp_path: Path) -> None:
    modules = project(
        {
            **{f"k/{p}/v.py": "import helper\nANSWER = helper.ANSWER" for p in "ab"},
            **{f"k/{p}/helper.py": f"ANSWER = '{p}'" for p in "ab"},
        }
    )
    for problem in ("a", "b", "a"):
        assert problem == modules.load(entry_of(tmp_path / f"k/{problem}/v.py")).ANSWER


def test_a_callable_of_an_installed_package(project: Callable[[Files], ProjectModules]) -> None:
    import torch

    modules = project({})
    plain = {"path": "", "digest": "", "attribute": "", "keywords": {}}
    assert modules.load({**plain, "module": "torch.nn.functional.rms_norm"}) is torch.nn.functional.rms_norm
    assert modules.load({**plain, "module": "torch", "attribute": "softmax"}) is torch.softmax
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        modules.load({**plain, "module": "no_such_package.f"})
    with pytest.raises(AttributeError, match="no_such_function"):
        modules.load({**plain, "module": "torch.no_such_function"})


def test_a_module_that_fails_to_import_says_what_it_lacks(
    project: Callable[[Files], ProjectModules], tmp_path: Path
) -> None:
    modules = project({"lib/__init__.py": "", "lib/part.py": "import no_such_package"})
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        modules.load(module_entry(tmp_path, "lib/part.py", "lib.part", "f"))


def test_packages_that_a_project_imports_have_versions(
    project: Callable[[Files], ProjectModules], tmp_path: Path
) -> None:
    modules = project({"v.py": "import msgspec, json, torch"})
    entry = entry_of(tmp_path / "v.py")
    modules.load(entry)
    assert list(modules.packages_of(entry)) == ["msgspec"]


class Made:
    def __init__(self, *arguments: int, **named: int) -> None:
        self.made_of = arguments, named


def test_what_is_called() -> None:
    """A class is made with its arguments; a function gets the keywords at each call."""
    assert constructed(Made, [1], {"b": 2}, "cpu", None).made_of == ((1,), {"b": 2})
    assert constructed(lambda x, *, b: (x, b), [1], {"b": 2}, "cpu", None)(5) == (5, 2)
