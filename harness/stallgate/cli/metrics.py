"""``stallgate metrics``: the catalogue."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from stallgate.cli.chips import on_chip
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import open_project
from stallgate.measure.chip import judged_by, named_chip
from stallgate.model import Direction, FrozenStruct
from stallgate.project.catalogue import listing
from stallgate.render import terminal


class CatalogueRow(FrozenStruct, frozen=True):
    """A metric of the catalogue."""

    metric: str
    title: str
    unit: str
    direction: Direction
    ncu_name: str | None
    """The name that ncu is asked for; null where the chip lacks the metric, and where it is computed."""
    formula: str | None
    computed: bool
    detail_only: bool
    collect: str
    """always; or stage: only where a stage asks for it."""
    missing_on: list[str]
    """Chips that lack one of its ncu names."""
    about: str
    judged_by: list[str]
    """The stages that have a target on it."""


class BrokenFact(FrozenStruct, frozen=True):
    """A problem or a stage that cannot be read."""

    message: str
    hint: str


class MetricsFacts(FrozenStruct, frozen=True):
    """The catalogue."""

    metrics: list[CatalogueRow]
    broken: list[BrokenFact]


@click.command("metrics", epilog=examples("stallgate metrics", "stallgate metrics --chip h200"))
@click.option(
    "--chip",
    metavar="NAME",
    help="Show what this chip or GPU has (GH100, h200, rtx 4090), and which targets cannot be judged on it.",
)
@root_option
@json_option(MetricsFacts)
def metrics_command(chip: str | None, root: Path | None, as_json: bool) -> int:
    """Show the catalogue, for a chip or for all."""
    project = open_project(root, needed=False)
    chip = named_chip(project, chip)
    judging = judged_by(project, list(project.problems))
    rows = [{**row, "judged_by": judging.get(str(row["metric"]), [])} for row in listing(project.catalogue, chip)]
    broken = [*project.broken_problems.values(), *project.broken_stages.values()]
    if as_json:
        faults = [BrokenFact(message=error.message, hint=error.hint) for error in broken]
        return print_result("metrics", MetricsFacts(msgspec.convert(rows, list[CatalogueRow]), faults))
    terminal.show_metrics(rows, project.catalogue.aliases)
    terminal.show_broken(broken)
    terminal.show_chip(*on_chip(project, chip, list(project.problems)))
    return 0
