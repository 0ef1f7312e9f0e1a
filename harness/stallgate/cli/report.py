"""``stallgate report``: draws a run, or serves all pages on localhost."""

from __future__ import annotations

import signal
import webbrowser
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import click

from stallgate.cli.drawing import draw_compared, draw_run, draw_swept
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option, run_argument, stage_option
from stallgate.cli.output import print_answer, print_result
from stallgate.cli.shared import interrupt, judged, near, open_project
from stallgate.compare.two_runs import compare
from stallgate.errors import BadArgument
from stallgate.judge.evaluate import write_results
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.serve import Server
from stallgate.render.terminal_progress import Working
from stallgate.runs.folder import find, refuse_recording
from stallgate.runs.gated import stages_last_named


class ReportFacts(FrozenStruct, frozen=True):
    """What was drawn, or where it is served."""

    run: str | None
    """The run's folder; null where all runs are served."""
    files: list[str]
    """The page first; empty where pages are served."""
    url: str | None = None
    """With --serve: the address, printed when the server is ready."""


@click.command("report", epilog=examples("stallgate report --open", "stallgate report --serve"))
@run_argument
@stage_option
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser when it is drawn.")
@click.option("--serve", is_flag=True, help="Serve reports/ on localhost until Ctrl-C; draw missing pages.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve; default: a free port.")
@root_option
@json_option(ReportFacts)
def report_command(
    run: str | None,
    stages: tuple[str, ...],
    opens: bool,
    serve: bool,
    port: int | None,
    root: Path | None,
    as_json: bool,
) -> int:
    """Draw a run: report.html and PNGs, and reports/index.html of all runs."""
    if port is not None and not serve:
        raise BadArgument("--port needs --serve", "add --serve, or leave --port out")
    if opens and serve:
        raise BadArgument("--open and --serve contradict each other", "open the address that --serve prints")
    project = open_project(root, needed=False)
    if serve:
        return _serve(project, run, stages, port or 0, as_json=as_json)
    files = _drawn(project, run, stages)
    if opens:
        webbrowser.open(files[0].absolute().as_uri())
    if as_json:
        return print_result("report", ReportFacts(run=str(files[0].parent), files=[str(file) for file in files]))
    for file in files:
        click.echo(near(file))
    return 0


def _drawn(project: Project, run: str | None, stages: tuple[str, ...]) -> list[Path]:
    """Draws a run, and the sweep that it is part of; the paths of its files, the page first."""
    folder = find(project.reports, run)
    refuse_recording(project.reports, folder)
    swept = draw_swept(project, folder)
    if swept and not (folder / "run.json").is_file():
        return swept  # a sweep before its counters
    with Working("reading the reports") as work:
        result = judged(project, str(folder), stages or stages_last_named(folder, project.stages))
        write_results(result)
        work.step("drawing")
        with work.counting():
            return [*draw_run(project, result), *swept]


def _serve(project: Project, run: str | None, stages: tuple[str, ...], port: int, *, as_json: bool) -> int:
    """Serves until Ctrl-C, which is the normal end: exit status 0."""
    reports = project.reports
    folder = find(reports, run)
    if folder.parent != reports.resolve():
        raise BadArgument(f"{folder} is not in {reports}, the only folder that is served", "name a run under reports/")
    if stages or not (folder / "report.html").is_file():
        _drawn(project, str(folder), stages)
    signal.signal(signal.SIGTERM, interrupt)
    draw, compared = partial(_drawn_anew, project.root), partial(_compared_anew, project.root)
    with Server(reports, port, draw, compared) as server, suppress(KeyboardInterrupt):
        url = f"{server.url}{quote(folder.name)}/report.html" if run is not None else server.url
        if as_json:
            print_result("report", ReportFacts(run=str(folder) if run is not None else None, files=[], url=url))
            print_answer(0)  # a reader needs the address now
        else:
            click.echo(f"{url} (Ctrl-C ends it)")
        server.serve_forever()
    return 0


def _drawn_anew(root: Path, folder: Path) -> list[Path]:
    """Draws a run that arrived while serving, with the project's current files."""
    return _drawn(open_project(root, needed=False), str(folder), ())


def _compared_anew(root: Path, before: Path, after: Path) -> Path:
    """Draws the page of two runs that were chosen from the list; its path."""
    project = open_project(root, needed=False)
    run = judged(project, str(after), ())
    return draw_compared(project, compare(project, judged(project, str(before), ()), run), run)
