"""``stallgate init``: adopts stallgate in a repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.cli.examples import examples
from stallgate.cli.group import COMMANDS
from stallgate.cli.options import json_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import near, open_project
from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct
from stallgate.project.adoption import Wish, examine_wish
from stallgate.project.layout import packaging_file, project_file
from stallgate.project.scaffold import WrittenFile, write_scaffold

_REQUIRED = {
    "kernel": "the function, package.module:function",
    "reference": "what it has to compute, such as torch.softmax",
    "inputs": 'an input, such as "float32[8192,4096]"',
}
"""Parameters that have to be given, each with what it is."""

_EXAMPLE = 'stallgate init --kernel mykernels.softmax:softmax --reference torch.softmax --input "float32[8192,4096]"'

_NEXT = {
    "plan": ("stallgate plan", "what will run"),
    "check": ("stallgate check", "is the kernel right? No GPU is needed"),
    "profile": ("stallgate profile --report", "measure it on a GPU, and draw the page"),
    "gate": ("stallgate gate", "may it be merged?"),
}
"""Command -> the command line that comes next, and what it is for."""


class InitArguments(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the command."""

    kernel: str | None
    reference: str | None
    inputs: tuple[str, ...]
    keywords: tuple[str, ...]
    name: str | None
    stage: str | None
    flops: int | None
    pyproject: bool
    ci: bool
    force: bool
    root: Path | None
    as_json: bool


class InitFacts(FrozenStruct, frozen=True):
    """What was written, and what comes next."""

    root: str
    problem: str
    stage: str
    files: list[WrittenFile]
    notes: list[str]
    next: list[str]
    """Command lines."""


@click.command(
    "init",
    epilog=examples(
        'stallgate init --kernel mykernels.softmax:softmax --reference torch.softmax --input "float32[8192,4096]"',
        'stallgate init --kernel src/scan.py:scan --reference torch.cumsum --input "float32[64,4096]" --with dim=-1',
    ),
)
@click.option("--kernel", metavar="ENTRY", help="The function: package.module:function, file.py:function, or a folder.")
@click.option("--reference", metavar="ENTRY", help="What it has to compute: torch.softmax, package.module:function.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SPEC",
    help='An input, in order: "float32[8192,4096]", "int64[64] integers(0,9)", or a plain value.',
)
@click.option("--with", "keywords", multiple=True, metavar="NAME=VALUE", help="A keyword of the reference: dim=-1.")
@click.option("--name", metavar="NAME", help="The problem's name; default: the reference's.")
@click.option("--stage", metavar="NAME", help="The stage that gates it; default: streaming, tensor_core for products.")
@click.option("--flops", type=click.IntRange(0), help="Operations that the computation needs.")
@click.option("--pyproject", is_flag=True, help="Write [tool.stallgate] into pyproject.toml, not a file of its own.")
@click.option("--ci", is_flag=True, help="Also write .github/workflows/stallgate.yml.")
@click.option("--force", is_flag=True, help="Write although something is missing; replace a problem of this name.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository's folder; default: the nearest one at or above the working directory.",
)
@json_option(InitFacts)
def init_command(**given: Any) -> int:
    """Adopt stallgate in a repository: write what measures and gates one of its kernels.

    No file is overwritten. A second kernel is added to what is there.
    """
    arguments = InitArguments(**given)
    root = (arguments.root or _repository(Path.cwd())).resolve()
    subject = examine_wish(root, _wish(arguments), force=arguments.force)
    open_project(root, needed=False).stage(subject.stage)
    files = write_scaffold(root, subject, pyproject=arguments.pyproject, ci=arguments.ci, force=arguments.force)
    facts = InitFacts(
        root=str(root),
        problem=subject.name,
        stage=subject.stage,
        files=files,
        notes=subject.notes,
        next=[line for command, (line, _) in _NEXT.items() if command in COMMANDS],
    )
    if arguments.as_json:
        return print_result("init", facts)
    _show(facts, root)
    return 0


def _repository(start: Path) -> Path:
    """The nearest folder at or above ``start`` that looks like a repository's root; else ``start``."""
    for folder in (start, *start.parents):
        if project_file(folder).is_file() or packaging_file(folder).is_file() or (folder / ".git").exists():
            return folder
    return start


def _wish(arguments: InitArguments) -> Wish:
    """What the user asked for; asks for what is missing if there is a terminal.

    Raises:
        BadArgument: something is missing, and there is nobody to ask.
    """
    given = {name: getattr(arguments, name) for name in _REQUIRED}
    missing = [name for name, value in given.items() if not value]
    if missing and (arguments.as_json or not sys.stdin.isatty()):
        options = ", ".join(f"--{name.removesuffix('s')}" for name in missing)
        raise BadArgument(f"init needs {options}", f"for example: {_EXAMPLE}")
    given |= {name: _ask(name) for name in missing}
    return Wish(
        kernel=given["kernel"],
        reference=given["reference"],
        inputs=list(given["inputs"]),
        keywords=list(arguments.keywords),
        name=arguments.name,
        stage=arguments.stage,
        flops=arguments.flops,
    )


def _ask(name: str) -> str | list[str]:
    """What a person answers; for the inputs, one for each line until an empty one."""
    first: str = click.prompt(f"--{name.removesuffix('s')}: {_REQUIRED[name]}", err=True)
    if name != "inputs":
        return first
    answers = [first]
    while more := click.prompt("the next input, or Enter", default="", show_default=False, err=True):
        answers.append(more)
    return answers


def _show(facts: InitFacts, root: Path) -> None:
    for file in facts.files:
        click.echo(f"{file.change:9} {near(root / file.path)}: {file.reason or f'{file.lines} lines'}")
    click.echo(f"\nproblem {facts.problem}, gated by the stage {facts.stage}")
    for note in facts.notes:
        click.echo(f"note: {note}")
    click.echo("\nnext:")
    for command, (line, purpose) in _NEXT.items():
        if command in COMMANDS:
            click.echo(f"  {line:28} {purpose}")
