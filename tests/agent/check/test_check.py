"""``stallgate check FILE`` in Triton's interpreter: answers are judged rightly, with reasons, and leave nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.agent.check.adopt import adopt, project_state
from stallgate.agent.check.check import AnswerOptions, AnswerReport, check_answer
from stallgate.agent.check.right import RightAnswer, RightOptions, check_right, interpreter_hint
from stallgate.agent.limits.isolate import default_limits, interpreter_places, isolation
from stallgate.project.load import load_project
from tests.agent.check.cheating import CATALOGUE, CHEATS, cheated_project
from tests.agent.form.answering import ANSWERS
from tests.conftest import Stallgate, command_line, in_this_process

pytestmark = pytest.mark.usefixtures("warm_children")

GOOD = ANSWERS / "good"
LIMITS = replace(default_limits(on_gpu=False), memory=2**30, processes=32)
OPTIONS = AnswerOptions(
    python=sys.executable, device=None, drawn=0, workloads=["hand"], right_only=True, limits=LIMITS, timeout_s=60.0
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return cheated_project(tmp_path / "project")


@pytest.fixture
def check(project: Path) -> Stallgate:
    return command_line(project)


def checked(project: Path, text: str | bytes, **more: object) -> AnswerReport:
    """An answer's report; the project is as it was."""
    before = project_state(project)
    found = check_answer(load_project(project), text, replace(OPTIONS, **more))
    assert project_state(project) == before
    return found


def honest() -> str:
    return (GOOD / "one_kernel.py").read_text()


# --- the command ------------------------------------------------------------------------------------------------------

QUICK = ("-w", "hand", "--drawn", "1", "--seed", "7", "--right-only")


def test_a_wrong_answer_is_refused_with_its_reason(check: Stallgate) -> None:
    done = check("check", str(CHEATS / "known_shapes.py"), *QUICK, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["accepted"], found["what"]) == (1, 1, False, "answer")
    (objection, *_) = found["objections"]
    assert (objection["part"], objection["code"]) == ("right", "wrong_result")
    assert "elements are wrong" in objection["text"]
    states = {step["part"]: step["state"] for step in found["steps"]}
    assert states == {"form": "passed", "stage": "passed", "right": "refused", "better": "not_done"}


def test_without_a_gpu_an_answer_that_is_right_is_not_judged(check: Stallgate, project: Path) -> None:
    """Whether it is better is not known: 3, and what is missing."""
    (project / "mine.md").write_text(f"Here it is:\n\n```python\n{honest()}```\n")
    done = check("check", "mine.md", "-w", "hand", "--drawn", "1", "--seed", "7")
    assert done.returncode == 3, done.stdout
    assert "not judged: there is no CUDA device" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_answer_comes_from_standard_input_too(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", "check", "-", "--json"],
        input=b"import torch\nimport os\n",
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(check_answer.__code__.co_filename).parents[3])},
        capture_output=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert {(each["code"], each["line"]) for each in found["objections"]} >= {("import", 2)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_such_file.py",), "no_such_file.py cannot be read"),
        (("mine.py", "--problem", "nothing"), "no problem is named 'nothing'"),
        (("mine.py", "--against", "nothing"), "no variant is named 'nothing'"),
        (("mine.py", "--stage", "nothing"), "no stage is named 'nothing'"),
        (("mine.py", "scan"), "answers are checked one at a time"),
        (("mine.py", "-c", "default"), "--configuration is not for answers"),
        (("scan", "--against", "naive_serial"), "--against is for an answer, and no file is named"),
    ],
)
def test_wrong_arguments_are_status_2(project: Path, arguments: tuple[str, ...], message: str) -> None:
    (project / "mine.py").write_text(honest())
    done = in_this_process(project)("check", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


# --- texts that are no answers ----------------------------------------------------------------------------------------

TEXTS = {
    "empty": ("", "empty"),
    "prose": ("I could not do it, sorry.", "no_block"),
    "two blocks": ("```python\nimport torch\n```\n\n```python\nimport torch\n```\n", "several_blocks"),
    "a syntax error": ("import torch\ndef f(:\n", "syntax_error"),
    "5 MB": ("import torch\n" + "# padding\n" * 500_000, "too_large"),
    "no UTF-8": (b"import torch\n\xff\xfe", "not_utf8"),
    "prints at import": (None, "module_level_action"),
    "the wrong order": (None, "order"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_answer_is_refused_for_what_it_is(project: Path, name: str) -> None:
    text, code = TEXTS[name]
    if name == "prints at import":
        text = honest() + '\nprint("hello")\n'
    if name == "the wrong order":
        head, _, model = honest().partition("class ModelNew")
        imports, kernel, rest = head.partition("\n\n@triton.jit")
        text = f"{imports}\n\n\nclass ModelNew{model}{kernel}{rest}"
    assert text is not None
    found = checked(project, text)
    assert (found.accepted, found.exit_status) == (False, 1)
    assert code in {each.code for each in found.objections}
    assert [step.state for step in found.steps] == ["refused", "not_done", "not_done", "not_done"]


def test_a_crash_is_refused_at_its_line(project: Path) -> None:
    broken = honest().replace("x.movedim(self.dim, -1)", "x.movedim(self.dim, -9)")
    line = broken.splitlines().index(next(each for each in broken.splitlines() if "-9" in each)) + 1
    found = checked(project, f"Text before\n\n```python\n{broken}```\n")
    (objection, *_) = found.objections
    assert objection.code == "crashed"
    assert objection.line == line + 3, "of the text, which begins before the code"


# --- what runs away: their text is refused before, so they are run as if it had not been ------------------------------


def run_away(project: Path, name: str, *, namespaces: bool = True, timeout_s: float = 60.0) -> RightAnswer:
    loaded = load_project(project)
    folder = project.parent / "copy"
    folder.mkdir()
    adopted = adopt(loaded, "scan", "naive_serial", (CHEATS / f"{name}.py").read_text(), folder)
    options = RightOptions(sys.executable, timeout_s, None, None, ["hand"])
    before = project_state(project)
    with isolation(LIMITS, [folder, *interpreter_places(sys.executable)], namespaces=namespaces) as limited:
        found = check_right(adopted, options, limited, LIMITS, _Quiet())
    assert project_state(project) == before
    return found


class _Quiet:
    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, *_: object) -> None: ...


@pytest.mark.parametrize("name", ["daemon"])
def test_what_runs_away_is_refused_and_gone(project: Path, name: str) -> None:
    assert CATALOGUE[name].process in {each.code for each in run_away(project, name).objections}


@pytest.mark.long
@pytest.mark.parametrize("name", ["fork_bomb", "exit_hook", "huge_allocation", "calls_home", "infinite_loop"])
def test_what_takes_long_to_run_away_is_refused_too(project: Path, name: str) -> None:
    timeout_s = 10.0 if name == "infinite_loop" else 60.0
    assert CATALOGUE[name].process in {each.code for each in run_away(project, name, timeout_s=timeout_s).objections}


def test_without_namespaces_changes_of_files_are_found(project: Path) -> None:
    assert "changed_files" in {each.code for each in run_away(project, "exit_hook", namespaces=False).objections}


# --- KernelBench's form -----------------------------------------------------------------------------------------------

KERNELBENCH = '''
import torch
import torch.nn as nn


class Model(nn.Module):
    """The cumulative product along a dimension."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return torch.cumprod(x, dim=self.dim)


batch_size = 4
input_shape = (300,)
dim = 1


def get_inputs():
    return [torch.rand(batch_size, *input_shape)]


def get_init_inputs():
    return [dim]
'''

TABLE = """
reference = "reference.py"
stages = []
[workloads.given]
arguments = {}
bytes = 9_600
flops = 1_200
default = true
[variants.theirs]
entry = "reference.py:Model"
role = "baseline"
"""


def test_an_honest_answer_to_a_problem_in_kernelbenchs_form_is_accepted(tmp_path: Path) -> None:
    """The problem's file is used as it is, and nothing is left in the project."""
    problem = tmp_path / "project" / "kernels" / "cumprod90"
    problem.mkdir(parents=True)
    (problem / "reference.py").write_text(KERNELBENCH)
    (problem / "problem.toml").write_text(TABLE)
    shutil.copyfile(GOOD / "one_kernel.py", tmp_path / "mine.py")
    before = project_state(tmp_path / "project")
    words = ("--right-only", "--drawn", "1", "--seed", "7")
    done = command_line(tmp_path / "project")("check", str(tmp_path / "mine.py"), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("accepted")
    assert "held against cumprod90/theirs, the only baseline" in " ".join(done.stdout.split())
    assert "Triton's interpreter" in done.stdout
    assert project_state(tmp_path / "project") == before
    assert not (tmp_path / "project" / "reports").exists()
    assert (problem / "reference.py").read_text() == KERNELBENCH


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("InterpreterError: AttributeError(\"'int' object has no attribute 'to'\")", "tl.cast"),
        ('InterpreterError: ValueError("arange\'s arguments must be of type tl.constexpr")', "without quotes"),
        ("RuntimeError: shapes differ", ""),
    ],
)
def test_what_only_the_interpreter_cannot_run_has_a_hint(reason: str, hint: str) -> None:
    assert hint in interpreter_hint(reason)
    assert bool(interpreter_hint(reason)) == bool(hint)


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.stem)
def test_good_answers_in_every_style_are_accepted(project: Path, path: Path) -> None:
    found = checked(project, path.read_bytes(), drawn=2, seed=11, timeout_s=300.0)
    assert found.accepted, (found.objections, found.steps)
