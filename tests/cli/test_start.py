"""The group of commands: help that is quick and true, and a command that imports what it needs and no more."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

import stallgate.cli
from stallgate.cli.group import COMMANDS
from stallgate.cli.group import stallgate as group
from tests.conftest import ROOT, Stallgate, environment

FILES = Path(stallgate.cli.__file__).parent
BUDGET_S = 0.2
HEAVY = {"pandas", "matplotlib", "numpy", "torch", "ncu_report"}


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_group_says_of_a_command_what_the_command_says(name: str) -> None:
    assert command(name).name == name
    assert command(name).get_short_help_str(limit=200).rstrip(".") == COMMANDS[name].rstrip(".")


def test_every_command_is_in_the_group() -> None:
    """A command's file has an object that ends with ``_command``; nothing else defines one."""
    defined = {
        node.name.removesuffix("_command")
        for path in FILES.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_command")
    }
    assert defined == set(COMMANDS)
    assert group.list_commands(click.Context(group)) == list(COMMANDS)


def test_help_is_quick() -> None:
    """The best of five, in seconds of the processor, with compiled modules: what else runs is not counted."""
    usual = {name: value for name, value in environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds = []
    for _ in range(5):
        begin = processor_s()
        done = subprocess.run(
            [sys.executable, "-m", "stallgate", "--help"], env=usual, capture_output=True, text=True, check=True
        )
        seconds.append(processor_s() - begin)
    assert min(seconds) < BUDGET_S
    assert all(f"\n  {name}" in done.stdout for name in COMMANDS)


def processor_s() -> float:
    """What the processes that this one has waited for took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_that_draws_or_measures(arguments: tuple[str, ...]) -> None:
    script = f"""
import sys
sys.argv = ["stallgate", *{arguments!r}, "--help"]
from stallgate.cli import main
try:
    main()
finally:
    print(" ".join(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "Usage: stallgate" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & HEAVY
    mine = {module for module in loaded if module.startswith("stallgate.cli.")}
    others = {f"stallgate.cli.{'import_' if name == 'import' else name}" for name in COMMANDS if name not in arguments}
    assert not mine & others
    if not arguments:
        assert not loaded & {"rich", "msgspec", "jinja2", "zstandard"}


def test_no_function_but_a_commands_own_has_many_parameters() -> None:
    for path in FILES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                assert len(named) <= 8, f"{path.name}: {node.name}"


@pytest.mark.parametrize(
    "words", [("--version",), ("profiel",), ("plan", "--json"), ("gate", "--json"), ("gate", "nonesuch")], ids=" ".join
)
def test_a_fork_says_what_a_new_process_says(
    stallgate: Stallgate, own_process: Stallgate, replayed_square: Path, words: tuple[str, ...]
) -> None:
    """Most tests run commands as forks (`tests/forked.py`), which begin with all modules imported."""
    found, expected = stallgate(*words), own_process(*words)
    assert (found.returncode, found.stdout, found.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_an_unknown_command_is_refused(stallgate: Stallgate) -> None:
    done = stallgate("profiel", "--json")
    assert done.returncode == 2
    assert "No such command" in done.stderr
