"""The end of measuring and of importing: a run is read, its tables are written, and it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from stallgate.cli.drawing import draw_run
from stallgate.cli.facts import RunFacts, run_facts
from stallgate.cli.output import found_so_far
from stallgate.cli.shared import near
from stallgate.judge.evaluate import JudgedRun, evaluate, measured_status, write_results
from stallgate.project.load import Project
from stallgate.render.terminal_gate import show_unmet
from stallgate.render.terminal_progress import Working
from stallgate.render.terminal_run import show_run
from stallgate.render.terminal_text import out


class FinishedRun(msgspec.Struct, frozen=True):
    """A run whose tables are written."""

    result: JudgedRun
    facts: RunFacts
    status: int
    """The exit status of measuring."""


def finish(project: Project, folder: Path, *, as_json: bool, stages: Sequence[str] = ()) -> FinishedRun:
    """Reads a run, writes its tables, and shows them unless ``--json`` prints them at the end."""
    result = evaluate(project, folder, list(stages))
    write_results(result)
    status = measured_status(result)
    if not as_json:
        show_run(result, project)
        if result.run.kind == "imported" and result.judgement.is_asked:
            show_unmet(result.judgement, project.catalogue)
        out.print(f"run: {near(folder)}", soft_wrap=True)
    facts = run_facts(result, {name: metric.unit for name, metric in project.catalogue.metrics.items()})
    found_so_far(facts)
    return FinishedRun(result=result, facts=facts, status=status)


def draw_finished(project: Project, finished: FinishedRun, *, as_json: bool) -> None:
    """Draws the page of a run, and says where it is."""
    with Working("drawing") as work, work.counting():
        page = draw_run(project, finished.result)[0]
    click.echo(f"page: {near(page)}", err=as_json)
