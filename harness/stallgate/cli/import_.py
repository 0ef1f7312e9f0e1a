"""``stallgate import``: a run made from ncu reports made elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.facts import RunFacts
from stallgate.cli.finish import finish
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import given_arguments, open_project
from stallgate.extract.imported import import_reports


@click.command(
    "import",
    epilog=examples("stallgate import report.ncu-rep", "stallgate import a.ncu-rep b.ncu-rep --stage memory_access"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.ncu-rep...")
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="NAME",
    help="Judge the run by this stage, also later; default: those for imports in stallgate.toml, else none.",
)
@root_option
@json_option(RunFacts)
def import_command(files: tuple[Path, ...], stages: tuple[str, ...], root: Path | None, as_json: bool) -> int:
    """Make a run from ncu reports made elsewhere. Exits with 0 where they were read, whatever a stage says of them."""
    project = open_project(root, needed=False)
    project.with_included(stages)  # refuses unknown ones before anything is made
    folder = import_reports(list(files), project.reports, given_arguments(), stages=list(stages))
    finished = finish(project, folder, as_json=as_json)
    return print_result("import", finished.facts, finished.status) if as_json else finished.status
