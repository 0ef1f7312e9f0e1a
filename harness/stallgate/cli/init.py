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
from stallgate.project.adoption import AdoptedKernel, Wish, examine_wish
from stallgate.project.layout import packaging_file, project_file
from stallgate.project.load import Project
from stallgate.project.scaffold import write_scaffold
from stallgate.project.scaffold_agents import write_agents
from stallgate.project.written import WrittenFile

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

_NEXT_FOR_AGENTS = {
    "doctor": ("stallgate doctor", "can this machine measure?"),
    "show": ("stallgate show problems", "what is there to work on"),
}
"""The same after the files for agents alone."""


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
    agents: bool
    force: bool
    root: Path | None
    as_json: bool

    @property
    def adopts(self) -> bool:
        """Whether a kernel is to be adopted: not where only the files for agents are asked for."""
        given = (self.kernel, self.reference, self.inputs, self.keywords, self.name, self.stage)
        return not self.agents or any(given) or self.flops is not None or self.pyproject or self.ci or self.force


class InitFacts(FrozenStruct, frozen=True):
    """What was written, and what comes next."""

    root: str
    problem: str | None
    """null where only the files for agents were asked for, like the stage."""
    stage: str | None
    files: list[WrittenFile]
    notes: list[str]
    next: list[str]
    """Command lines."""


@click.command(
    "init",
    epilog=examples(
        'stallgate init --kernel mykernels.softmax:softmax --reference torch.softmax --input "float32[8192,4096]"',
        'stallgate init --kernel src/scan.py:scan --reference torch.cumsum --input "float32[64,4096]" --with dim=-1',
        "stallgate init --agents",
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
@click.option("--agents", is_flag=True, help="Write how to work with stallgate into AGENTS.md and a skill; also alone.")
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
    subject = _examined(root, arguments) if arguments.adopts else None
    files = _adopted(root, subject, arguments) if subject is not None else []
    project = open_project(root)
    if arguments.agents:
        files += write_agents(root, list(project.problems.values()), COMMANDS)
    coming = _next(subject, project)
    facts = InitFacts(
        root=str(root),
        problem=subject.name if subject is not None else None,
        stage=subject.stage if subject is not None else None,
        files=files,
        notes=subject.notes if subject is not None else [],
        next=[line for line, _ in coming],
    )
    if arguments.as_json:
        return print_result("init", facts)
    _show(facts, root, coming)
    return 0


def _examined(root: Path, arguments: InitArguments) -> AdoptedKernel:
    """The kernel to adopt.

    Raises:
        UserFault: it, or its stage, is not what it should be.
    """
    subject = examine_wish(root, _wish(arguments), force=arguments.force)
    open_project(root, needed=False).stage(subject.stage)
    return subject


def _adopted(root: Path, subject: AdoptedKernel, arguments: InitArguments) -> list[WrittenFile]:
    return write_scaffold(root, subject, pyproject=arguments.pyproject, ci=arguments.ci, force=arguments.force)


def _next(subject: AdoptedKernel | None, project: Project) -> list[tuple[str, str]]:
    """The command lines that come next, each with what it is for."""
    if subject is None and not project.problems:
        return [(_EXAMPLE, "adopt a kernel")]
    after = _NEXT if subject is not None else _NEXT_FOR_AGENTS
    return [found for command, found in after.items() if command in COMMANDS]


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


def _show(facts: InitFacts, root: Path, coming: list[tuple[str, str]]) -> None:
    for file in facts.files:
        click.echo(f"{file.change:9} {near(root / file.path)}: {_what_changed(file)}")
    if facts.problem is not None:
        click.echo(f"\nproblem {facts.problem}, gated by the stage {facts.stage}")
    for note in facts.notes:
        click.echo(f"note: {note}")
    click.echo("\nnext:")
    for line, purpose in coming:
        click.echo(f"  {line:28} {purpose}")


def _what_changed(file: WrittenFile) -> str:
    """What happened to a file, after the word for it."""
    if file.change == "updated":
        return "what stands between stallgate's lines"
    return file.reason or f"{file.lines} lines"
