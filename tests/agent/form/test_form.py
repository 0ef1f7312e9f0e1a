"""The form of answers: good ones pass, and each bad line is refused for what it is, at its place."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stallgate.agent.answer import read_answer
from stallgate.agent.form.form import MOST_OBJECTIONS, objections_to_form
from tests.agent.form.answering import ANSWERS, BAD, GOOD, installed_names, marked, others_names, refusals
from tests.conftest import ROOT

LOOK_ALIKES = [
    *("kernels/cumprod/copy_roof.py", "kernels/cumprod/naive_serial.py", "tests/agent/loop/pipelined_scan.py"),
    *("kernels/matmul/naive.py", "kernels/matmul/tiled.py", "kernels/rmsnorm/fused.py", "kernels/rmsnorm/naive.py"),
]
"""Files of this repository in an answer's form that nobody wrote as answers."""


def source(path: Path) -> str:
    return read_answer(path.read_text()).source


@pytest.mark.parametrize("path", [*GOOD, *(ROOT / name for name in LOOK_ALIKES)], ids=lambda path: path.name)
def test_good_answers_pass(path: Path) -> None:
    answer = read_answer(path.read_text())
    assert objections_to_form(answer, installed_names(), others_names) == ()
    assert objections_to_form(answer, (), others_names) == ()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad_answers_are_refused_at_the_line_and_for_the_reason_that_they_say(path: Path) -> None:
    text = path.read_text()
    assert refusals(text) == marked(text) != set()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_every_objection_says_what_to_do(path: Path) -> None:
    for each in objections_to_form(read_answer(path.read_text()), installed_names()):
        assert each.part == "form"
        assert each.text
        assert "\n" not in each.text
        assert each.hint


def test_an_unreadable_answer_has_its_own_objections() -> None:
    answer = read_answer("import torch\nx = (\n")
    assert objections_to_form(answer) == answer.objections


# --- the format that answers come in ----------------------------------------------------------------------------------

KERNELBENCH = '''import torch
import torch.nn as nn


class Model(nn.Module):
    """Products of the elements up to each, along one dimension."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return torch.cumprod(x, dim=self.dim)


def get_inputs():
    return [torch.rand(3, 1100)]


def get_init_inputs():
    return [1]
'''


VARIANTS = [path for path in sorted((ROOT / "kernels").glob("*/*.py")) if "class ModelNew" in path.read_text()]


def test_answers_and_variants_load_in_kernelbenchs_form_and_good_answers_are_right(tmp_path: Path) -> None:
    """The problem is judged as it is; ``ModelNew`` takes what its ``get_init_inputs`` and ``get_inputs`` give."""
    problem = tmp_path / "problem.py"
    problem.write_text(KERNELBENCH)
    answers = [tmp_path / f"{path.stem}.py" for path in GOOD]
    for path, file in zip(GOOD, answers, strict=True):
        file.write_text(source(path))
    command = [sys.executable, str(Path(__file__).with_name("run_answers.py")), str(problem), *map(str, answers)]
    done = subprocess.run([*command, "--", *map(str, VARIANTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"wrong": {}, "loaded": [str(path) for path in VARIANTS]}
    assert len(VARIANTS) >= 9


def test_a_problem_in_kernelbenchs_form_is_no_answer() -> None:
    assert {"input_functions", "test_code", "no_model", "no_kernel"} <= {code for _, code in refusals(KERNELBENCH)}


# --- kinds, not cases -------------------------------------------------------------------------------------------------

INSTEAD = [
    "exec('x = 1')",
    "eval('1')",
    "__import__('os')",
    "globals()['x'] = 1",
    "getattr(torch, 'cumsum')",
    "setattr(torch, 'cumsum', None)",
    "torch.cumsum = None",
    "torch.cuda.Event.elapsed_time = None",
    "torch.softmax(torch.zeros(1), 0)",
    "torch.ops.aten.cumprod",
    "torch.nn.functional.relu",
    "open('/etc/passwd')",
    "import os",
    "from ctypes import CDLL",
    "print('hello')",
    "del torch.cumprod",
    "torch.cuda.synchronize()",
    "torch.cuda.Stream()",
    "torch.load('x.pt')",
    "input()",
    "[].__class__",
    "torch.zeros(1).cumsum(0)",
    "torch.zeros(1) @ torch.zeros(1)",
    "torch.zeros(1) + 1",
    "type('X', (object,), {})",
]


def places(text: str, *, inside: bool) -> list[tuple[int, str]]:
    """(line, indentation) of every statement of host functions, or of the module, behind its imports."""
    tree = ast.parse(text)
    imports = max(node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    if not inside:
        starts = [
            min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))]) for node in tree.body
        ]
        return [(line, "") for line in starts if line > imports]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not any("jit" in ast.unparse(each) for each in node.decorator_list):
            found += [(each.lineno, " " * each.col_offset) for each in node.body]
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(st.data())
def test_a_bad_statement_anywhere_is_refused_at_its_line(data: st.DataObject) -> None:
    text = source(data.draw(st.sampled_from(GOOD)))
    statement = data.draw(st.sampled_from(INSTEAD))
    line, indent = data.draw(st.sampled_from(places(text, inside=data.draw(st.booleans()))))
    lines = text.split("\n")
    lines.insert(line - 1, indent + statement)
    assert line in {where for where, _ in refusals("\n".join(lines))}, statement


def renamed(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<![\w.\"]){old}(?!\w)(?!=[^=])", new, text)


EDITS = st.sampled_from(["comment", "blank", "docstring", "rename", "quotes", "spaces"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(st.data())
def test_harmless_edits_change_no_verdict(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([*GOOD, *(each for each in BAD if each.suffix == ".py")]))
    text = source(path)
    before = sorted(code for _, code in refusals(text))
    for edit in data.draw(st.lists(EDITS, min_size=1, max_size=4)):
        text = edited(text, edit, data)
    assert sorted(code for _, code in refusals(text)) == before


def edited(text: str, edit: str, data: st.DataObject) -> str:
    lines = text.split("\n")
    tree = ast.parse(text)
    starts = [(node.lineno, node.col_offset) for node in tree.body[1:] if not getattr(node, "decorator_list", [])]
    line, _ = data.draw(st.sampled_from(starts))
    if edit in ("comment", "blank"):
        lines.insert(line - 1, {"comment": "# nothing to see: exec(torch.cumprod)", "blank": ""}[edit])
    elif edit == "docstring":
        bodies = [n.body[0] for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and ast.get_docstring(n) is None]
        bodies = [each for each in bodies if not getattr(each, "decorator_list", [])]
        if bodies:
            at = data.draw(st.sampled_from(bodies))
            lines.insert(at.lineno - 1, " " * at.col_offset + '"""Says eval and torch.softmax."""')
    elif edit == "rename":
        return renamed(text, "y", data.draw(st.sampled_from(["result", "out_1", "z"])))
    elif edit == "quotes":
        return ast.unparse(tree) + "\n"
    else:
        lines = [each + "  " if each.strip() and '"""' not in each else each for each in lines]
    return "\n".join(lines)


def test_the_first_objections_are_enough() -> None:
    text = (ANSWERS / "bad/no_model.py").read_text() + "\nprint(1)" * 300
    found = objections_to_form(read_answer(text))
    assert len(found) == MOST_OBJECTIONS
    assert list(found) == sorted(found, key=lambda each: each.line or 0)
