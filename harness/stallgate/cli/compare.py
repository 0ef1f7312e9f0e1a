"""``stallgate compare``: two runs, metric by metric."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from stallgate.cli.drawing import draw_compared
from stallgate.cli.options import json_option, root_option, run_argument
from stallgate.cli.output import found_before, print_result
from stallgate.cli.shared import judged, near, open_project
from stallgate.compare.two_runs import compare, refuse_empty
from stallgate.render import terminal
from stallgate.runs.folder import refuse_recording


@click.command("compare")
@click.argument("base")
@run_argument
@click.option(
    "--all", "every", is_flag=True, help="Show every metric; default: the stage's, and those better or worse."
)
@click.option("--report", "page", is_flag=True, help="Also draw compare-BASE.html into RUN's folder.")
@root_option
@json_option
def compare_command(base: str, run: str | None, every: bool, page: bool, root: Path | None, as_json: bool) -> int:
    """Compare RUN with BASE, metric by metric. Exits with 0 whatever changed."""
    project = open_project(root)
    before, after = judged(project, base, ()), judged(project, run, ())
    if page:
        refuse_recording(project.reports, after.folder)
    found = compare(project, before, after)
    if not as_json:
        terminal.show_comparison(found, every)
    if page:
        click.echo(f"page: {near(draw_compared(found, after.folder))}", err=as_json)
    facts = msgspec.to_builtins(found)
    with found_before(facts):
        refuse_empty(found)
    return print_result("compare", facts) if as_json else 0
