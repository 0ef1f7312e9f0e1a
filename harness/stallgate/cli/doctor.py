"""``stallgate doctor``: whether this machine can measure."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, python_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import interpreter, open_project
from stallgate.measure.doctor import Finding, able, examine
from stallgate.model import FrozenStruct
from stallgate.render import terminal


class DoctorFacts(FrozenStruct, frozen=True):
    """Whether this machine can measure, and why."""

    able: bool
    findings: list[Finding]


@click.command("doctor", epilog=examples("stallgate doctor", "stallgate doctor --json"))
@python_option
@root_option
@json_option(DoctorFacts)
def doctor_command(python: str | None, root: Path | None, as_json: bool) -> int:
    """Check whether this machine can measure. Exits with 0 if it can, with 3 if not."""
    findings = examine(open_project(root, needed=False), interpreter(python))
    status = 0 if able(findings) else 3
    if as_json:
        return print_result("doctor", DoctorFacts(able=able(findings), findings=findings), status)
    terminal.show_findings(findings, able(findings))
    return status
