"""``stallgate doctor``: whether this machine can measure."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.fleet import workers_of
from stallgate.cli.options import json_option, on_option, python_option, root_option, wait_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import interpreter, open_project
from stallgate.fleet.hosts import WorkerFacts, faults_of
from stallgate.measure.doctor import Finding, able, examine
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.terminal_fleet import show_workers


class DoctorFacts(FrozenStruct, frozen=True):
    """Whether this machine can measure, and why; with --on, whether each worker of a fleet can."""

    able: bool
    findings: list[Finding]
    workers: list[WorkerFacts] = []


@click.command("doctor", epilog=examples("stallgate doctor", "stallgate doctor --on tcp://lab:8786"))
@python_option
@on_option
@wait_option
@root_option
@json_option(DoctorFacts)
def doctor_command(python: str | None, on: str | None, wait: float, root: Path | None, as_json: bool) -> int:
    """Check whether this machine can measure. Exits with 0 if it can, with 3 if not.

    With --on, the workers of a fleet: each one's GPU, driver, Nsight Compute and permission to read counters.
    """
    project = open_project(root, needed=False)
    if on is not None:
        return _fleet(project, on, wait, as_json=as_json)
    findings = examine(project, interpreter(python))
    status = 0 if able(findings) else 3
    if as_json:
        return print_result("doctor", DoctorFacts(able=able(findings), findings=findings), status)
    terminal.show_findings(findings, able(findings))
    return status


def _fleet(project: Project, on: str, wait: float, *, as_json: bool) -> int:
    """Every worker of a fleet; 0 if each can measure."""
    found = workers_of(project, on, wait)
    is_able = bool(found.workers) and all(not faults_of(facts) for facts in found.workers)
    status = 0 if is_able else 3
    if as_json:
        return print_result("doctor", DoctorFacts(able=is_able, findings=[], workers=found.workers), status)
    show_workers(found.workers, found.allowed_failures)
    return status
