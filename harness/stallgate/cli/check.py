"""``stallgate check``: rightness alone, of variants; and whether an answer is acceptable."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from stallgate.agent.check.check import AnswerOptions, AnswerReport, check_answer
from stallgate.cli.examples import examples
from stallgate.cli.fleet import opened_fleet, refuse_beside_fleet, refuse_without_fleet
from stallgate.cli.options import (
    FleetOptions,
    configuration_option,
    drawn_only_option,
    drawn_option,
    fleet_options,
    json_option,
    python_option,
    root_option,
    seed_option,
    subjects_argument,
    timeout_option,
    workload_option,
)
from stallgate.cli.output import print_result
from stallgate.cli.shared import draw_of, end_on_signals, given_arguments, interpreter, is_given, open_project
from stallgate.errors import BadArgument, NoDevice
from stallgate.measure.check import Checker, CheckOptions
from stallgate.measure.checked import CheckReport, report_of
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.drawn import DrawnPlan, plan_drawn, plan_small
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Case
from stallgate.project.load import Project
from stallgate.render import terminal, terminal_check
from stallgate.render.terminal_answer import show_checked_answer
from stallgate.runs.drawn import Draw

_WORDS = {"configurations": "configuration", "drawn_only": "drawn-only"}
"""Parameters whose options are written otherwise."""

_FILE_SUFFIXES = (".py", ".md", ".markdown", ".txt")

_LONGEST_READ = 2**23
"""Bytes that are read of an answer: many times what one may have."""

_DRAWN_FOR_ANSWERS = 4
"""Workloads that are drawn for an answer, unless --drawn says otherwise."""


def _is_file(subject: str) -> bool:
    """Whether an argument names an answer, not a problem: problems have no suffix."""
    return subject == "-" or subject.endswith(_FILE_SUFFIXES) or Path(subject).is_file()


class FleetCheckReport(CheckReport, frozen=True):
    """A whole check."""

    others: list[CheckReport] = []
    """Of a fleet: the checks on its other GPU models."""


class CheckArguments(FleetOptions, frozen=True, kw_only=True):
    """The parameters of the command."""

    subjects: tuple[str, ...]
    workloads: tuple[str, ...]
    configurations: tuple[str, ...]
    drawn: int | None
    drawn_only: tuple[int, ...]
    seed: int | None
    timeout: float
    python: str | None
    target: Literal["cpu", "cuda"] | None
    problem: str | None
    against: str | None
    stage: str | None
    right_only: bool
    root: Path | None
    as_json: bool

    @property
    def answer(self) -> str | None:
        """The file that is an answer, if the arguments name one: ``-`` is standard input."""
        files = [each for each in self.subjects if _is_file(each)]
        if not files:
            self._refuse_options_of_answers()
            return None
        if len(self.subjects) > 1:
            raise BadArgument(f"{files[0]} is an answer, and answers are checked one at a time", "name one file")
        for option in ("configurations", "drawn_only", "on"):
            if is_given(option):
                raise BadArgument(f"--{_WORDS.get(option, option)} is not for answers", "leave it out")
        return files[0]

    def _refuse_options_of_answers(self) -> None:
        """Refuses options that are only for answers."""
        for option in ("problem", "against", "stage", "right_only"):
            if is_given(option):
                word = option.replace("_", "-")
                raise BadArgument(f"--{word} is for an answer, and no file is named", "name the file, or - for stdin")

    @property
    def request(self) -> Request:
        """The cases that are asked for."""
        return Request(list(self.subjects), list(self.workloads), list(self.configurations))


@click.command(
    "check",
    epilog=examples("stallgate check cumprod --drawn 50 --seed 7", "stallgate check answer.py --problem cumprod"),
)
@subjects_argument
@workload_option
@configuration_option
@drawn_option
@drawn_only_option
@seed_option
@timeout_option
@python_option
@click.option(
    "--device",
    "target",
    type=click.Choice(["cpu", "cuda"]),
    help="cuda: the GPU. cpu: Triton's interpreter, on small inputs. Default: the GPU, if there is one.",
)
@fleet_options
@click.option("--problem", metavar="P", help="Of an answer: the problem. Default: the project's only one.")
@click.option("--against", metavar="VARIANT", help="Of an answer: the version it replaces. Default: the candidate.")
@click.option("--stage", metavar="S", help="Of an answer: the stage. Default: the first that is not met.")
@click.option("--right-only", is_flag=True, help="Of an answer: form, rules and results, not its time.")
@root_option
@json_option(FleetCheckReport | AnswerReport)
def check_command(**given: Any) -> int:
    """Check whether variants are right; without a GPU, in Triton's interpreter.

    Nothing is profiled or timed. Exits with 1 if a variant is wrong, and with 3 if one could not be checked.

    With a FILE (or - for standard input): whether this answer is accepted, a Python file or a text with one fenced
    block. Its form, the stage's rules, its results; and with a GPU its time and counters, against the version that it
    replaces. It runs within limits, in a copy of the project. Exits with 1 if it is refused, and with 3 if it could
    not be judged.
    """
    arguments = CheckArguments(**given)
    refuse_without_fleet(arguments)
    file = arguments.answer
    project = open_project(arguments.root)
    if file is not None:
        return _answered(project, file, arguments)
    draw = draw_of(arguments.drawn, arguments.drawn_only, arguments.seed)
    if arguments.on is not None:
        return _shown(*_on_fleet(project, draw, arguments), as_json=arguments.as_json)
    device = _device(arguments.target)
    end_on_signals()
    plan = _plan(project, arguments, draw, small=device is None)
    return _shown(_checked(plan, draw, device, arguments), as_json=arguments.as_json)


def _shown(found: CheckReport, *others: CheckReport, as_json: bool) -> int:
    """Shows a check, of a fleet that on each GPU model. Whoever is wrong on one model is wrong."""
    ended = {each.exit_status for each in (found, *others)}
    status = 1 if 1 in ended else max(ended)
    if as_json:
        facts = FleetCheckReport(**msgspec.structs.asdict(found), others=list(others))
        return print_result("check", facts, status)
    for each in (found, *others):
        terminal_check.show_check(each)
    return status


def _on_fleet(project: Project, draw: Draw | None, arguments: CheckArguments) -> list[CheckReport]:
    """Checks on a fleet, every case on each GPU model. Workloads are drawn here, by this machine's interpreter."""
    refuse_beside_fleet("target")
    end_on_signals()
    here = msgspec.structs.replace(arguments, python=None)
    with opened_fleet(project, arguments, with_ncu=False) as fleet:
        from stallgate.fleet.check import FleetChecker

        plan = _plan(project, here, draw, small=False)
        with fleet.dispatching(plan.project, arguments.python) as dispatcher, terminal.CheckBar() as bar:
            checker = FleetChecker(plan.project, plan.cases, arguments.timeout, fleet.gpus, bar)
            checked = checker.check(dispatcher)
    return [report_of(found, plan, draw, model) for model, found in checked.items()]


def _answered(project: Project, file: str, arguments: CheckArguments) -> int:
    """Checks an answer, and shows whether it is accepted.

    Raises:
        BadArgument: the file cannot be read.
    """
    options = AnswerOptions(
        python=interpreter(arguments.python),
        device=_device(arguments.target),
        problem=arguments.problem,
        against=arguments.against,
        stage=arguments.stage,
        workloads=list(arguments.workloads),
        drawn=_DRAWN_FOR_ANSWERS if arguments.drawn is None else arguments.drawn,
        seed=arguments.seed,
        right_only=arguments.right_only,
        timeout_s=arguments.timeout,
        arguments=given_arguments(),
    )
    text = _text_of(file)
    end_on_signals()
    with terminal.AnswerBar() as bar:
        found = check_answer(project, text, options, bar)
    if arguments.as_json:
        return print_result("check", found, found.exit_status)
    show_checked_answer(found, file)
    return found.exit_status


def _text_of(file: str) -> bytes:
    """An answer as it is written; of a very long one, no more than it takes to see that.

    Raises:
        BadArgument: it cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read(_LONGEST_READ)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_LONGEST_READ)
    except OSError as error:
        raise BadArgument(f"{file} cannot be read: {error.strerror}", "name a file, or - for standard input") from None


def _device(target: Literal["cpu", "cuda"] | None) -> Device | None:
    """The GPU to check on; None for the interpreter.

    Raises:
        NoDevice: a GPU is asked for, and there is none.
    """
    devices = find_devices() if target != "cpu" else []
    if target == "cuda" and not devices:
        raise NoDevice("this machine has no CUDA device", "leave out --device to check in Triton's interpreter")
    return choose(devices, None) if devices else None


def _plan(project: Project, arguments: CheckArguments, draw: Draw | None, *, small: bool) -> DrawnPlan:
    """What is checked. The roofs are left out unless they are asked for: they solve nothing."""
    request, python, timeout_s = arguments.request, interpreter(arguments.python), arguments.timeout
    only_drawn = bool(arguments.drawn_only) and not arguments.workloads
    if small:
        plan = plan_small(project, request, draw, python, timeout_s, only_drawn=only_drawn)
    elif draw is not None:
        plan = plan_drawn(project, request, draw, python, timeout_s, only_drawn=only_drawn)
    else:
        plan = DrawnPlan(project, plan_cases(project, request))
    cases = [case for case in plan.cases if _is_asked_for(plan.project, case, request.subjects)]
    return msgspec.structs.replace(plan, cases=cases)


def _is_asked_for(project: Project, case: Case, subjects: list[str]) -> bool:
    is_roof = project.problems[case.problem].variants[case.variant].role == "roof"
    return not is_roof or not subjects or bool({case.problem, f"{case.problem}/{case.variant}"} & set(subjects))


def _checked(plan: DrawnPlan, draw: Draw | None, device: Device | None, arguments: CheckArguments) -> CheckReport:
    options = CheckOptions(python=interpreter(arguments.python), timeout_s=arguments.timeout, device=device)
    with tempfile.TemporaryDirectory(prefix="stallgate-check-") as name, terminal.CheckBar() as bar:
        checked = Checker(plan.project, plan.cases, options, bar).check(Path(name))
    return report_of(checked, plan, draw, device.name if device is not None else None)
