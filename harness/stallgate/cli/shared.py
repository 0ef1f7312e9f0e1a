"""Functions that several commands share."""

from __future__ import annotations

import random
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource

from stallgate.errors import BadArgument
from stallgate.formatting import as_text, is_text
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.judge.verdicts import Targets
from stallgate.measure.plan import Request, left_out, plan_cases
from stallgate.model import Case
from stallgate.project.load import Project, load_project
from stallgate.project.root import find_root
from stallgate.runs.drawn import Draw
from stallgate.runs.folder import find


def open_project(root: Path | None, *, needed: bool = True) -> Project:
    """The project in a folder, by default in the nearest one at or above the working directory.

    Args:
        root: the folder.
        needed: whether the command needs a project. Without one, the working directory is a project without problems.

    Raises:
        BadArgument: the folder's path is not UTF-8.
        UserFault: a project is needed, and there is none.
    """
    folder = root.resolve() if root is not None else find_root(Path.cwd(), needed=needed)
    if not is_text(folder):
        raise BadArgument(f"the project's path is not UTF-8: {as_text(folder)}", "rename the folder")
    return load_project(folder)


def open_runs(root: Path | None) -> Project:
    """The project whose runs are read. Imported runs need none: the working directory's ``reports/`` will do.

    Raises:
        BadArgument: the folder's path is not UTF-8.
        UserFault: there is neither a project nor ``reports/``.
    """
    return open_project(root, needed=not (Path.cwd() / "reports").is_dir())


def planned_cases(
    project: Project, subjects: tuple[str, ...], workloads: tuple[str, ...], configurations: tuple[str, ...]
) -> list[Case]:
    """The cases that these arguments ask for. Says which problem is left out, and why."""
    request = Request(subjects=list(subjects), workloads=list(workloads), configurations=list(configurations))
    cases = plan_cases(project, request)
    for problem, why in left_out(project, request, cases).items():
        click.echo(f"{problem} is left out: {why}", err=True)
    _warn_of_broken_problems(project)
    return cases


def _warn_of_broken_problems(project: Project) -> None:
    """Names, once in a command, the problems that it goes on without. A server's threads are in no command: quiet."""
    context = click.get_current_context(silent=True)
    if context is None:
        return
    told: set[str] = context.meta.setdefault("stallgate.broken_problems", set())
    for name, error in project.broken_problems.items():
        if name not in told:
            click.echo(f"stallgate: left out, because it is broken: {error.message}", err=True)
            told.add(name)


def draw_of(drawn: int | None, drawn_only: tuple[int, ...], seed: int | None) -> Draw | None:
    """Which workloads to draw, by the options of a command; None if none.

    Raises:
        BadArgument: the options contradict each other.
    """
    if drawn is not None and drawn_only:
        raise BadArgument("--drawn and --drawn-only contradict each other", "use one of them")
    if drawn_only and seed is None:
        raise BadArgument("--drawn-only needs the seed that the workload was drawn with", "add --seed S")
    if drawn is None and not drawn_only:
        if seed is not None:
            raise BadArgument("--seed is only for drawn workloads", "add --drawn N")
        return None
    numbers = list(dict.fromkeys(drawn_only)) if drawn is None else list(range(drawn))
    return Draw(seed=random.randrange(10**6) if seed is None else seed, numbers=numbers)


def problems_of(cases: list[Case]) -> list[str]:
    """The problems of cases, each once."""
    return list(dict.fromkeys(case.problem for case in cases))


def subject_name(cases: list[Case]) -> str:
    """The subject in the name of a run of these cases, after its time."""
    problems = problems_of(cases)
    return problems[0] if len(problems) == 1 else "several"


def judged(
    project: Project, run: str | None, stages: tuple[str, ...], *, targets: Targets = "all", only_judge: bool = False
) -> JudgedRun:
    """A run, read and judged."""
    result = evaluate(project, find(project.reports, run), list(stages), targets=targets, only_judge=only_judge)
    _warn_of_broken_problems(project)
    return result


def interpreter(python: str | None) -> str:
    """The path of an interpreter, by default of the one that runs stallgate.

    Raises:
        BadArgument: there is none of that name.
    """
    try:
        found = shutil.which(python) if python else sys.executable
    except ValueError:  # a NUL, which an old run's arguments may hold
        found = None
    if found is None or not is_text(found):
        raise BadArgument(f"there is no interpreter {as_text(python or '')}", "give --python the path of an executable")
    return str(Path(found).absolute())  # who goes on with it later may be in another folder


def workers_python(begun: str) -> str:
    """The interpreter that something was begun with, on the workers of a fleet; '' for each worker's own.

    That of stallgate itself was named by nobody.
    """
    return begun if begun != sys.executable else ""


def given_arguments() -> list[str]:
    """The arguments of this command line, as a run keeps them."""
    return [as_text(word) for word in sys.argv[1:]]


def is_given(option: str) -> bool:
    """Whether the user gave an option of the command that runs."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def near(path: Path) -> str:
    """A path relative to the working directory where possible, so that it can be clicked or typed."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP interrupt the command as Ctrl-C does; under nohup, SIGHUP stays ignored."""
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)


def interrupt(*_: object) -> NoReturn:
    """Raises what Ctrl-C raises."""
    raise KeyboardInterrupt
