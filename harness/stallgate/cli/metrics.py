"""``stallgate metrics``: the catalogue."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.chips import on_chip
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import open_project
from stallgate.measure.chip import judged_by
from stallgate.project.catalogue import check_chip, listing
from stallgate.render import terminal


@click.command("metrics")
@click.option("--chip", metavar="NAME", help="Show what this chip has, and which targets cannot be judged on it.")
@root_option
@json_option
def metrics_command(chip: str | None, root: Path | None, as_json: bool) -> int:
    """Show the catalogue, for a chip or for all."""
    project = open_project(root, needed=False)
    check_chip(project.catalogue, chip)
    judging = judged_by(project, list(project.problems))
    rows = [{**row, "judged_by": judging.get(str(row["metric"]), [])} for row in listing(project.catalogue, chip)]
    broken = [*project.broken_problems.values(), *project.broken_stages.values()]
    if as_json:
        faults = [{"message": error.message, "hint": error.hint} for error in broken]
        return print_result("metrics", {"metrics": rows, "broken": faults})
    terminal.show_metrics(rows, project.catalogue.aliases)
    terminal.show_broken(broken)
    terminal.show_chip(*on_chip(project, chip, list(project.problems)))
    return 0
