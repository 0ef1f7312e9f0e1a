"""What ``--help`` and the usage say: whole summaries, the command's own name, and examples that parse."""

from __future__ import annotations

import shlex

import click
import pytest

from stallgate.cli.examples import EXAMPLES
from stallgate.cli.group import COMMANDS
from stallgate.cli.group import stallgate as group
from tests.conftest import Stallgate


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def examples_of(name: str) -> list[str]:
    """The command lines below the heading of a command's help, as it is printed."""
    _, found, below = command(name).get_help(click.Context(command(name), info_name=name)).partition(EXAMPLES)
    assert found, f"{name} has no examples"
    return [line.strip() for line in below.splitlines() if line.strip()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str) -> None:
    lines = examples_of(name)
    assert len(lines) >= 2
    for line in lines:
        program, called, *arguments = shlex.split(line)
        assert (program, called) == ("stallgate", name), line
        command(name).make_context(name, arguments)  # refuses an option or a value that does not exist


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_the_help_has_every_summary_whole(stallgate: Stallgate, columns: str) -> None:
    shown = stallgate("--help", COLUMNS=columns).stdout
    assert max(map(len, shown.splitlines())) <= int(columns)
    words = " ".join(shown.split())
    assert [summary for summary in COMMANDS.values() if summary not in words] == []
    assert "..." not in words.partition("Commands:")[2]


def test_usage_names_the_command_however_it_was_started(own_process: Stallgate) -> None:
    done = own_process("gate", "--no-such-option")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: stallgate gate ")
    assert "python" not in done.stderr


def test_a_shell_can_complete_commands_and_options(own_process: Stallgate) -> None:
    script = own_process(_STALLGATE_COMPLETE="bash_source")
    assert "complete -o nosort -F" in script.stdout
    asked = {"_STALLGATE_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "stallgate ga"}
    assert "gate" in own_process(**asked).stdout
    asked |= {"COMP_CWORD": "2", "COMP_WORDS": "stallgate profile cump"}
    assert own_process(**asked).stdout == "plain,cumprod\n"
