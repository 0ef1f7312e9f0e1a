"""``stallgate check``: rightness alone, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from stallgate.cli.examples import examples
from stallgate.cli.options import (
    configuration_option,
    drawn_only_option,
    drawn_option,
    json_option,
    python_option,
    root_option,
    seed_option,
    subjects_argument,
    timeout_option,
    workload_option,
)
from stallgate.cli.output import print_result
from stallgate.cli.shared import draw_of, end_on_signals, interpreter, open_project
from stallgate.errors import NoDevice
from stallgate.measure.check import Checker, CheckOptions
from stallgate.measure.checked import CheckReport, report_of
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.drawn import DrawnPlan, plan_drawn, plan_small
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Case
from stallgate.project.load import Project
from stallgate.render import terminal, terminal_check
from stallgate.runs.drawn import Draw


class CheckArguments(msgspec.Struct, frozen=True, kw_only=True):
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
    root: Path | None
    as_json: bool

    @property
    def request(self) -> Request:
        """The cases that are asked for."""
        return Request(list(self.subjects), list(self.workloads), list(self.configurations))


@click.command(
    "check", epilog=examples("stallgate check cumprod/blocked_scan", "stallgate check cumprod --drawn 50 --seed 7")
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
@root_option
@json_option(CheckReport)
def check_command(**given: Any) -> int:
    """Check whether variants are right; without a GPU, in Triton's interpreter.

    Nothing is profiled or timed. Exits with 1 if a variant is wrong, and with 3 if one could not be checked.
    """
    arguments = CheckArguments(**given)
    project = open_project(arguments.root)
    draw = draw_of(arguments.drawn, arguments.drawn_only, arguments.seed)
    device = _device(arguments.target)
    end_on_signals()
    plan = _plan(project, arguments, draw, small=device is None)
    found = _checked(plan, draw, device, arguments)
    if arguments.as_json:
        return print_result("check", found, found.exit_status)
    terminal_check.show_check(found)
    return found.exit_status


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
