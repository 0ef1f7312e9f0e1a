"""``stallgate gate``: judges a run and answers with the exit status."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from stallgate.cli.failures import unusable
from stallgate.cli.options import json_option, root_option, run_argument, stage_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import judged, open_project
from stallgate.judge.evaluate import JudgedRun, verdicts, write_verdicts
from stallgate.judge.verdicts import Targets
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.github import annotated, append_summary
from stallgate.render.head import head, write_head
from stallgate.render.junit import junit
from stallgate.runs.conditions import provenance
from stallgate.runs.folder import is_recording, write_whole


@click.command("gate")
@run_argument
@stage_option
@click.option(
    "--targets",
    type=click.Choice(["all", "absolute"]),
    default="all",
    show_default=True,
    help="absolute: skip targets that need a roof or a baseline (imported runs have neither).",
)
@root_option
@json_option
def gate_command(run: str | None, stages: tuple[str, ...], targets: Targets, root: Path | None, as_json: bool) -> int:
    """Judge a run: may it be merged?"""
    project = open_project(root)
    result = judged(project, run, stages, targets=targets, only_judge=True)
    if not is_recording(project.reports, result.folder):  # a recording is kept as it was committed
        _if_possible(_write_verdicts, result)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _if_possible(_tell_github, project, result)
    if as_json:
        return print_result("gate", verdicts(result), result.judgement.exit_status)
    terminal.out.print(provenance(result.run))
    terminal.show_judgement(result.judgement)
    return result.judgement.exit_status


def _if_possible(write: Callable[..., None], *what: object) -> None:
    """Writes the results; if that fails, the verdict still stands."""
    try:
        write(*what)
    except OSError as error:
        click.echo(f"stallgate: the results could not be written: {unusable(error).message}", err=True)


def _write_verdicts(result: JudgedRun) -> None:
    write_verdicts(result)
    write_whole(result.folder / "junit.xml", junit(result))
    write_head(result)


def _tell_github(project: Project, result: JudgedRun) -> None:
    """Annotates the log of a job on GitHub Actions, and shows the verdicts on its page."""
    for line in annotated(project, result, Path(os.environ.get("GITHUB_WORKSPACE", Path.cwd()))):
        click.echo(line, err=True)  # GitHub reads both streams, and --json is alone on the other
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        append_summary(Path(summary), head(result))
