"""``stallgate baseline``: accepts the numbers of repeated runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import near, open_project
from stallgate.judge.accept import accept, write
from stallgate.judge.evaluate import evaluate
from stallgate.model import FrozenStruct
from stallgate.render import terminal
from stallgate.runs.folder import find


class BaselineFacts(FrozenStruct, frozen=True):
    """The baselines that were written."""

    files: list[str]


@click.command("baseline", epilog=examples("stallgate baseline RUN RUN RUN", "stallgate baseline latest"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@root_option
@json_option(BaselineFacts)
def baseline_command(runs: tuple[str, ...], root: Path | None, as_json: bool) -> int:
    """Accept the numbers of repeated runs as a baseline. They go to metrics/baselines/GPU/PROBLEM.json."""
    project = open_project(root)
    folders = dict.fromkeys(find(project.reports, run) for run in runs)
    results = [evaluate(project, folder, [], only_judge=True) for folder in folders]
    accepted = accept(project, results, datetime.now(UTC).date())
    files = [near(write(project, baseline)) for baseline in accepted]
    if as_json:
        return print_result("baseline", BaselineFacts(files=files))
    terminal.show_baselines(accepted, files)
    return 0
