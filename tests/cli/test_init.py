"""``stallgate init`` and ``stallgate docs`` as commands."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stallgate.cli.group import COMMANDS
from stallgate.cli.init import _NEXT as NEXT
from stallgate.project.documents import document_titles
from stallgate.project.workflow import WORKFLOW
from tests.conftest import ROOT, Stallgate, command_line, environment

KERNEL = ("--kernel", "mykernels:softmax")
REFERENCE = ("--reference", "torch.softmax")
INPUT = ("--input", "float32[8192,4096]")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A repository with one module."""
    root = tmp_path / "theirs"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'mykernels'\n")
    (root / "mykernels.py").write_text("def softmax(x): ...\n")
    return root


def from_a_terminal(folder: Path, answers: str, *arguments: str) -> tuple[int, str]:
    """The status and the standard output of a command whose standard input is a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "stallgate", *arguments],
        cwd=folder,
        env=environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    out, _ = child.communicate(timeout=60)
    os.close(ours)
    return child.returncode, out


def test_init_says_what_it_wrote_and_what_comes_next(theirs: Path) -> None:
    done = command_line(theirs)("init", *KERNEL, *REFERENCE, *INPUT)
    assert done.returncode == 0, done.stderr
    assert "written   stallgate.toml: " in done.stdout
    assert "written   .gitignore: 2 lines" in done.stdout
    assert "note: torch.softmax needs `dim`: dim = -1 is assumed" in done.stdout
    assert "stallgate plan" in done.stdout


def test_the_commands_that_come_next_exist() -> None:
    assert {line.split()[1] for line, _ in NEXT.values()} == set(NEXT)
    named = set(re.findall(r"stallgate ([a-z]+)\b", re.sub("#.*", "", WORKFLOW))) | NEXT.keys()
    assert named <= COMMANDS.keys()
    assert {"check", "profile", "gate"} <= named


def test_init_finds_the_root_from_a_folder_below(theirs: Path) -> None:
    (theirs / "docs").mkdir()
    done = command_line(theirs / "docs")("init", *KERNEL, *REFERENCE, *INPUT, "--json")
    assert json.loads(done.stdout)["root"] == str(theirs)
    assert (theirs / "stallgate.toml").is_file()


@pytest.mark.parametrize("given", [(), KERNEL, (*KERNEL, *INPUT), (*REFERENCE, *INPUT)])
def test_without_a_terminal_everything_that_is_missing_is_said_once(theirs: Path, given: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", "init", *given, "--json"],
        cwd=theirs,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    missing = [option for option in ("--kernel", "--reference", "--input") if option not in given]
    assert error["message"] == f"init needs {', '.join(missing)}"
    assert "stallgate init --kernel mykernels.softmax:softmax" in error["hint"]
    assert not (theirs / "stallgate.toml").exists()


def test_at_a_terminal_what_is_missing_is_asked_for(theirs: Path) -> None:
    status, out = from_a_terminal(theirs, "torch.softmax\nfloat32[8,4]\n\n", "init", *KERNEL)
    assert status == 0
    assert "problem softmax" in out
    assert 'inputs = ["float32[8,4]"]' in (theirs / "stallgate.toml").read_text()


def test_json_never_asks(theirs: Path) -> None:
    status, out = from_a_terminal(theirs, "", "init", *KERNEL, "--json")
    assert status == 2
    assert json.loads(out)["error"]["code"] == "bad_argument"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*KERNEL, *REFERENCE, *INPUT, "--stage", "nonesuch"), "unknown_name"),
        ((*KERNEL, *REFERENCE, "--input", "float32"), "bad_argument"),
        (("--kernel", "mykernels:other", *REFERENCE, *INPUT), "bad_argument"),
        ((*KERNEL, *REFERENCE, *INPUT, "--name", "Two Words"), "bad_argument"),
        ((*KERNEL, *REFERENCE, *INPUT, "--flops", "-1"), "bad_argument"),
        (("--kernel", "\udce9.py", *REFERENCE, *INPUT, "--force"), "bad_argument"),
    ],
)
def test_what_is_refused_writes_nothing(theirs: Path, arguments: tuple[str, ...], code: str) -> None:
    done = command_line(theirs)("init", *arguments, "--json")
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == code
    assert {path.name for path in theirs.iterdir()} == {"pyproject.toml", "mykernels.py"}


# --- docs ---


def test_docs_lists_every_document_with_its_title(stallgate: Stallgate) -> None:
    done = stallgate("docs")
    for name, title in document_titles().items():
        assert f"stallgate docs {name} " in done.stdout
        assert title in done.stdout
    files = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert document_titles().keys() == {name for name in files if "# " in (ROOT / f"docs/{name}.md").read_text()}


def test_docs_prints_a_document(stallgate: Stallgate) -> None:
    text = (ROOT / "docs" / "files.md").read_text()
    assert stallgate("docs", "files").stdout.rstrip() == text.rstrip()
    assert json.loads(stallgate("docs", "files.md", "--json").stdout)["text"] == text


def test_an_unknown_document_is_refused_with_the_nearest(stallgate: Stallgate) -> None:
    done = stallgate("docs", "../files", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["hint"]) == ("unknown_name", "did you mean files?")


def test_no_message_names_a_file_of_the_documentation() -> None:
    """A user of the wheel has no docs/: messages name ``stallgate docs NAME``. Docstrings may name files."""
    for path in (ROOT / "harness").rglob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
        assert not [text for text in texts if isinstance(text, str) and re.search(r"\bdocs/\w+\.md", text)], path
