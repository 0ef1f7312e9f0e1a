"""``stallgate plan``: the cases and the ncu command line of a profile, without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.cli.chips import chip_here, on_chip
from stallgate.cli.examples import examples
from stallgate.cli.options import configuration_option, json_option, root_option, subjects_argument, workload_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import open_project, planned_cases, problems_of
from stallgate.measure.chip import named_chip
from stallgate.measure.ncu import example_command
from stallgate.measure.plan import judging_stages
from stallgate.model import FrozenStruct
from stallgate.project.catalogue import collected
from stallgate.render import terminal
from stallgate.render.terminal_plan import show_plan
from stallgate.runs.estimate import estimate


class PlanArguments(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the command."""

    subjects: tuple[str, ...]
    workloads: tuple[str, ...]
    configurations: tuple[str, ...]
    chip: str | None
    root: Path | None
    as_json: bool


class PlanFacts(FrozenStruct, frozen=True):
    """What ``profile`` would run."""

    cases: list[str]
    """problem/variant/configuration/workload"""
    ncu_command: list[str]
    chip: str | None
    """The chip that is planned for; null where there is no GPU and none was named."""
    unmeasurable: list[str]
    """A sentence for each target that cannot be judged on the chip."""
    ncu: str | None
    """Whether the installed ncu agrees with the catalogue; null where there is no ncu or no chip."""


@click.command("plan", epilog=examples("stallgate plan", "stallgate plan cumprod/blocked_scan -w square"))
@subjects_argument
@workload_option
@configuration_option
@click.option("--chip", metavar="NAME", help="Plan for this chip; default: this machine's, if it has a GPU.")
@root_option
@json_option(PlanFacts)
def plan_command(**given: Any) -> int:
    """Show what `profile` would run, with the ncu command line.

    Exits with 3 if the chip lacks a metric that a target needs.
    """
    arguments = PlanArguments(**given)
    project = open_project(arguments.root)
    cases = planned_cases(project, arguments.subjects, arguments.workloads, arguments.configurations)
    chip = named_chip(project, arguments.chip) or chip_here(project)
    command = example_command(collected(project.catalogue, chip, None, judging_stages(project, cases)))
    gaps, answer = on_chip(project, chip, problems_of(cases))
    status = 3 if gaps else 0
    if arguments.as_json:
        text = answer.text if answer is not None else None
        names = [case.name for case in cases]
        facts = PlanFacts(cases=names, ncu_command=command, chip=chip, unmeasurable=gaps, ncu=text)
        return print_result("plan", facts, status)
    show_plan(cases, command, estimate(project, cases))
    terminal.show_chip(gaps, answer)
    return status
