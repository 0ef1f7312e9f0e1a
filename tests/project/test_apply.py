"""The winner of a sweep is written where the defaults are declared, and nothing else in the file changes."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.model import EntryPoint, Problem, Variant
from stallgate.project.apply import AppliedChange, TunableLiteral, apply_tunables
from stallgate.project.digests import entry_digest, text_digest, variant_key
from stallgate.project.load import load_project
from stallgate.project.own_files import own_digests
from stallgate.project.space import default_tunables, space_of
from stallgate.render.terminal import show_refusal
from tests.conftest import ROOT

TAIL = """

class ModelNew(nn.Module):
    def __init__(self, dim, **configuration):
        super().__init__()
        self.configuration = configuration

    def forward(self, x):
        return wrapper(x, **self.configuration)
"""


def a_problem(
    root: Path, source: str | bytes, *, attribute: str = "", keywords: Mapping[str, object] | None = None
) -> Problem:
    """A problem of one variant, whose file has this text."""
    content = source if isinstance(source, bytes) else source.encode()
    (root / "v.py").write_bytes(content)
    digest = text_digest(root / "v.py")
    entry = EntryPoint(path="v.py", digest=digest, attribute=attribute, keywords=dict(keywords or {}))
    variant = Variant(name="v", role="candidate", entry=entry, configurations={"default": {}})
    reference = EntryPoint(path="r.py", digest="")
    return Problem(
        name="p", title="", file="problem.toml", reference=reference, stages=[], workloads={}, variants={"v": variant}
    )


def applied(root: Path, problem: Problem, **tunables: TunableLiteral) -> list[AppliedChange]:
    measured = {variant_key("v"): entry_digest(problem.variants["v"].entry)}
    return apply_tunables(root, problem, "v", tunables, measured)


def test_the_default_of_a_wrapper_changes_and_nothing_else(tmp_path: Path) -> None:
    source = (
        "import torch\n\n\ndef wrapper(x, *, BLOCK: int = 1024,  # elements\n            num_warps=8):\n    pass\n"
        + TAIL
    )
    (change,) = applied(tmp_path, a_problem(tmp_path, source), BLOCK=2048, num_warps=8)
    assert change.text == "v.py:4: BLOCK = 1024 → 2048"
    assert (tmp_path / "v.py").read_text() == source.replace("1024", "2048")


@pytest.mark.parametrize(
    ("source", "attribute"),
    [
        ("class ModelNew:\n    def __init__(self, dim, BLOCK=64):\n        pass\n", ""),
        ("class ModelNew:\n    def forward(self, x):\n        pass\n    def __init__(self, *, BLOCK=64): pass\n", ""),
        ("def run(x, BLOCK=64):\n    pass\n", "run"),
        ("def inner(x, BLOCK=64): pass\ndef run(x, **more):\n    return inner(x, **more)\n", "run"),
        ("try:\n    import t\nexcept ImportError:\n    pass\nelse:\n    def run(x, BLOCK=64): pass\n", "run"),
        ("class M:\n    def __init__(self, **c): self.c = dict(c)\n"
         "    def forward(self, x): return self.go(x, **self.c)\n    def go(self, x, BLOCK=64): pass\n", "M"),
    ],
)  # fmt: skip
def test_defaults_are_found_where_they_are_declared(tmp_path: Path, source: str, attribute: str) -> None:
    (change,) = applied(tmp_path, a_problem(tmp_path, source, attribute=attribute), BLOCK=128)
    assert (change.old, change.new) == ("64", "128")
    assert (tmp_path / "v.py").read_text() == source.replace("64", "128")


def test_of_a_folder_the_file_that_declares_them_is_written(tmp_path: Path) -> None:
    """Unless one of its files changed since."""
    source = f"def wrapper(x, *, BLOCK=64): pass\n{TAIL}"
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "__init__.py").write_text("from .model import ModelNew\n")
    (tmp_path / "v" / "model.py").write_text(source)
    (tmp_path / "v" / "parts.py").write_text("")
    problem = a_problem(tmp_path, "")
    one = problem.variants["v"]
    entry = replace(one.entry, path="v/__init__.py", digest=text_digest(tmp_path / "v/__init__.py"))
    problem = replace(problem, variants={"v": replace(one, entry=entry)})
    measured = {variant_key("v"): entry_digest(entry), **own_digests(tmp_path, entry)}
    (change,) = apply_tunables(tmp_path, problem, "v", {"BLOCK": 128}, measured)
    assert change.text == "v/model.py:1: BLOCK = 64 → 128"
    assert (tmp_path / "v" / "model.py").read_text() == source.replace("64", "128")
    with pytest.raises(BrokenFile, match=r"module v/model\.py changed since the sweep"):
        apply_tunables(tmp_path, problem, "v", {"BLOCK": 256}, measured)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("BLOCK=_SIZE", "the default of BLOCK is computed: _SIZE"),
        ("BLOCK=2 * 512", "the default of BLOCK is computed: 2 * 512"),
        ("BLOCK", "no keyword default declares BLOCK"),
        ("TILE=1", "no keyword default declares BLOCK"),
        ("BLOCK=None", "the default of BLOCK is computed: None"),
    ],
)
def test_what_is_no_literal_is_refused_and_no_file_is_written(tmp_path: Path, declared: str, said: str) -> None:
    source = f"_SIZE = 4\n\n\ndef wrapper(x, num_warps=4, *, {declared}):\n    pass\n{TAIL}"
    with pytest.raises(BrokenFile, match=re.escape(said)) as refusal:
        applied(tmp_path, a_problem(tmp_path, source), num_warps=8, BLOCK=2048)
    pasted = tomllib.loads(refusal.value.hint.partition("\n")[2])
    assert pasted == {"variants": {"v": {"keywords": {"num_warps": 8, "BLOCK": 2048}}}}
    assert (tmp_path / "v.py").read_text() == source


def test_what_the_hint_says_to_paste_becomes_the_default(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is printed on a narrow terminal, below tiles that the code chooses by shape."""
    shutil.copytree(ROOT / "kernels/matmul", tree / "kernels/matmul", ignore=shutil.ignore_patterns("__pycache__"))
    tunables: dict[str, TunableLiteral] = {
        "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 64, "GROUP_M": 4, "num_warps": 8, "num_stages": 4, "use_tma": True
    }  # fmt: skip
    problem = load_project(tree).problem("matmul")
    measured = {variant_key("tiled"): entry_digest(problem.variants["tiled"].entry)}
    with pytest.raises(BrokenFile, match="no keyword default declares BLOCK_M") as refusal:
        apply_tunables(tree, problem, "tiled", tunables, measured)
    show_refusal(refusal.value.message, refusal.value.hint)
    printed = capsys.readouterr().err
    path = tree / problem.file
    path.write_text(path.read_text() + printed[printed.index("[variants") :])
    tiled = load_project(tree).problem("matmul").variants["tiled"]
    assert tiled.entry.keywords == tunables
    assert default_tunables(tree, tiled, space_of(tree, tiled, None)) == tunables
    measured = {variant_key("tiled"): entry_digest(tiled.entry)}
    changes = apply_tunables(
        tree, load_project(tree).problem("matmul"), "tiled", {**tunables, "BLOCK_N": 128}, measured
    )
    assert [(change.tunable, change.old, change.new) for change in changes] == [("BLOCK_N", "256", "128")]


def test_of_a_table_that_is_there_only_the_lines_are_pasted(tmp_path: Path) -> None:
    source = f"def wrapper(x, *, BLOCK=2 * 512, num_warps=4):\n    pass\n{TAIL}"
    problem = a_problem(tmp_path, source, keywords={"num_warps": 4})
    with pytest.raises(BrokenFile) as refusal:
        applied(tmp_path, problem, BLOCK=2048)
    assert refusal.value.hint == "write it by hand; or add to [variants.v.keywords] in problem.toml:\nBLOCK = 2048"


def test_two_declarations_are_refused(tmp_path: Path) -> None:
    source = "if x:\n    def run(BLOCK=1): pass\nelse:\n    def run(BLOCK=2): pass\n"
    with pytest.raises(BrokenFile, match="several places: lines 2 and 4"):
        applied(tmp_path, a_problem(tmp_path, source, attribute="run"), BLOCK=3)


def test_a_keyword_that_the_caller_gives_is_not_taken_from_the_callee(tmp_path: Path) -> None:
    source = "def inner(x, BLOCK=1): pass\ndef run(x, **more):\n    return inner(x, BLOCK=8, **more)\n"
    with pytest.raises(BrokenFile, match="no keyword default declares BLOCK"):
        applied(tmp_path, a_problem(tmp_path, source, attribute="run"), BLOCK=3)


def test_a_file_that_changed_since_the_sweep_is_refused(tmp_path: Path) -> None:
    problem = a_problem(tmp_path, "def run(BLOCK=1): pass\n", attribute="run")
    (tmp_path / "v.py").write_text("def run(BLOCK=1): return 1\n")
    with pytest.raises(BrokenFile, match="changed since the sweep"):
        applied(tmp_path, problem, BLOCK=2)
    assert (tmp_path / "v.py").read_text() == "def run(BLOCK=1): return 1\n"


def test_an_installed_package_is_refused(tmp_path: Path) -> None:
    problem = a_problem(tmp_path, "", attribute="run")
    entry = EntryPoint(path="", digest="", written="torch.matmul")
    variant = Variant(name="v", role="candidate", entry=entry, configurations={"default": {}})
    problem = Problem(
        name="p", title="", file="problem.toml", reference=entry, stages=[], workloads={}, variants={"v": variant}
    )
    with pytest.raises(BrokenFile, match=r"torch\.matmul: its file is not the project's"):
        applied(tmp_path, problem, BLOCK=2)


# --- the problem's file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[variants.v.keywords]\n# BLOCK = 64\nBLOCK =  64  # elements\nTILE = 64\n",
        "[variants.v]\nkeywords = { TILE = 64, BLOCK = 64 }\n",
        "[other]\nBLOCK = 64\n[variants]\nv.keywords.BLOCK = 64\n",
        'title = "BLOCK = 64"\r\n[problems.p.variants.v.keywords]\r\n"BLOCK"=64\r\n',
        "[tool.stallgate.problems.p.variants.v.keywords]\nBLOCK = 64",
    ],
)
def test_a_keyword_is_written_into_the_problems_file(tmp_path: Path, text: str) -> None:
    problem = a_problem(tmp_path, "def run(BLOCK=1): pass\n", attribute="run", keywords={"BLOCK": 64})
    (tmp_path / "problem.toml").write_bytes(text.encode())
    (change,) = applied(tmp_path, problem, BLOCK=128)
    after = (tmp_path / "problem.toml").read_bytes().decode()
    assert after.count("128") == 1
    assert after.replace("128", "64") == text
    assert after.splitlines()[change.line - 1].count("128") == 1
    assert not text.splitlines()[change.line - 1].startswith(("#", "title", "[other"))
    assert (tmp_path / "v.py").read_text() == "def run(BLOCK=1): pass\n"


def test_a_named_configuration_is_written_into_the_problems_file(tmp_path: Path) -> None:
    project = load_project(ROOT)
    problem = project.problem("matmul")
    for file in ("kernels/matmul/problem.toml", "kernels/matmul/tiled.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    measured = {variant_key("tiled"): entry_digest(problem.variants["tiled"].entry)}
    changes = apply_tunables(
        tmp_path, problem, "tiled", {"BLOCK_N": 256, "num_warps": 8}, measured, configuration="square"
    )
    before, after = ((root / "kernels/matmul/problem.toml").read_text().splitlines() for root in (ROOT, tmp_path))
    different = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert different == [("BLOCK_N = 128", "BLOCK_N = 256")]
    assert [change.tunable for change in changes] == ["BLOCK_N"]


def test_this_repositorys_candidates_take_a_winner(tmp_path: Path) -> None:
    project = load_project(ROOT)
    for name, variant, tunables in [
        ("cumprod", "blocked_scan", {"BLOCK": 4096, "num_warps": 16, "num_stages": 3}),
        ("matmul", "tiled", {"GROUP_M": 4, "use_tma": True}),
    ]:
        problem = project.problem(name)
        path = problem.variants[variant].path
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
        measured = {variant_key(variant): entry_digest(problem.variants[variant].entry)}
        changes = apply_tunables(tmp_path, problem, variant, tunables, measured)
        assert [(change.tunable, change.new) for change in changes] == [(k, repr(v)) for k, v in tunables.items()]


# --- the property -----------------------------------------------------------------------------------------------------

_VALUES = st.one_of(
    st.integers(-(2**20), 2**40),
    st.booleans(),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.sampled_from(["rows", "it's", 'a "b"', "ü", "back\\slash"]),
)
_NAMES = ["BLOCK", "BLOCK_K", "num_warps", "num_stages", "use_tma"]
_SPACES = st.sampled_from(["", " ", "  # ein Kömmentar\n        ", "\n\n        "])


@st.composite
def declarations(draw: st.DrawFn) -> tuple[str, dict[str, TunableLiteral], dict[str, TunableLiteral]]:
    """A file that declares defaults in some style, the values that it declares, and others."""
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=5, unique=True))
    old: dict[str, TunableLiteral] = {name: draw(_VALUES) for name in names}
    new: dict[str, TunableLiteral] = {name: draw(_VALUES) for name in names}
    star = draw(st.integers(0, len(names)))
    parts = ["x"]
    for place, name in enumerate(names):
        parts += ["*"] if place == star else []
        annotation = draw(st.sampled_from(["", ": int", ": 'dict[str, int]'"]))
        sign = draw(st.sampled_from(["=", " = ", "=  "]))
        parts.append(f"{name}{annotation}{sign}{_written(draw, old[name])}")
    between = [draw(_SPACES) for _ in parts]
    inside = ",".join(f"{space}{part}" for space, part in zip(between, parts, strict=True))
    head = draw(st.sampled_from(["", "# -*- coding: utf-8 -*-\n", '"""Größe."""\n\nBLOCK = 64\n']))
    return f"{head}@decorated(BLOCK=64)\ndef wrapper({inside}):\n    return dict(BLOCK=64)\n{TAIL}", old, new


def _written(draw: st.DrawFn, value: TunableLiteral) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return draw(st.sampled_from([repr(value), f"{value:_}", hex(value), f"({value})"]))
    return repr(value)


@given(declarations(), st.booleans(), st.booleans())
def test_only_the_literals_change(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[str, dict[str, TunableLiteral], dict[str, TunableLiteral]],
    windows: bool,
    mark: bool,
) -> None:
    source, old, new = case
    content = (b"\xef\xbb\xbf" if mark else b"") + source.replace("\n", "\r\n" if windows else "\n").encode()
    root = tmp_path_factory.getbasetemp()
    changes = applied(root, a_problem(root, content), **new)
    after = (root / "v.py").read_bytes()
    different = {name for name in old if (type(old[name]), old[name]) != (type(new[name]), new[name])}
    assert {change.tunable for change in changes} == different
    before, now = ast.parse(content), ast.parse(after)
    assert _defaults_of(now) == {name: (type(value), value) for name, value in new.items()}
    assert ast.dump(_without_defaults(before)) == ast.dump(_without_defaults(now))
    assert _undone(after.decode(), changes) == content.decode()


def _undone(text: str, changes: list[AppliedChange]) -> str:
    """The text with every change taken back at its line: what is left is as it was, to the byte."""
    lines = re.split(r"(?<=\n)", text)
    for change in reversed(changes):
        line = lines[change.line - 1]
        places = [m.end() for m in re.finditer(rf"\b{change.tunable}\b[^=]*=[ (]*", line)]
        at = next(place for place in places if line.startswith(change.new, place))
        lines[change.line - 1] = line[:at] + change.old + line[at + len(change.new) :]
    return "".join(lines)


def _wrapper(tree: ast.Module) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef))


def _defaults_of(tree: ast.Module) -> dict[str, tuple[type, object]]:
    given_by = _wrapper(tree).args
    behind = given_by.args[len(given_by.args) - len(given_by.defaults) :]
    pairs = [*zip(behind, given_by.defaults, strict=True)]
    pairs += [(arg, node) for arg, node in zip(given_by.kwonlyargs, given_by.kw_defaults, strict=True) if node]
    values = {arg.arg: ast.literal_eval(node) for arg, node in pairs}
    return {name: (type(value), value) for name, value in values.items()}


def _without_defaults(tree: ast.Module) -> ast.Module:
    arguments = _wrapper(tree).args
    arguments.defaults = [ast.Constant(0) for _ in arguments.defaults]
    arguments.kw_defaults = [node and ast.Constant(0) for node in arguments.kw_defaults]
    return tree


def test_a_literal_takes_the_manner_of_the_old_one(tmp_path: Path) -> None:
    source = textwrap.dedent("""\
        def run(BLOCK=1_024, form="rows", mode='a', low=-1.5): pass
    """)
    problem = a_problem(tmp_path, source, attribute="run")
    changes = applied(tmp_path, problem, BLOCK=1048576, form="tiles", mode="b", low=-2)
    assert [change.new for change in changes] == ["1_048_576", '"tiles"', "'b'", "-2"]
