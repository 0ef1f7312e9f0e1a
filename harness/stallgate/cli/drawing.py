"""Drawing. The libraries take as long to import as a run takes to judge, so they are imported only to draw."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from threading import Thread

from stallgate.compare.two_runs import RunComparison
from stallgate.judge.evaluate import JudgedRun
from stallgate.project.load import Project
from stallgate.runs.bench import Bench


def import_meanwhile() -> None:
    """Imports the drawing libraries in a thread, while the GPU measures."""
    _forget_windows()
    Thread(target=import_module, args=("stallgate.render.page",), daemon=True).start()


def draw_run(project: Project, result: JudgedRun) -> list[Path]:
    """Draws a run's page and PNGs, and the index of all runs; their paths, the page first."""
    _forget_windows()
    from stallgate.render.page import draw

    return draw(project, result)


def draw_compared(project: Project, found: RunComparison, after: JudgedRun) -> Path:
    """Draws the page of two runs into the folder of the later one; its path."""
    _forget_windows()
    from stallgate.render.compare_page import draw_comparison, views_of_both

    return draw_comparison(found, after.folder, views_of_both(project, found, after))


def draw_times(found: Bench, folder: Path) -> None:
    """Draws a bench into its folder."""
    _forget_windows()
    from stallgate.render.bench_figure import draw_bench

    draw_bench(found, folder)


def draw_swept(project: Project, folder: Path, *, against: str = "") -> list[Path]:
    """Draws the sweep of a folder, against a metric or the stage's stall; its files, the page first, or none."""
    _forget_windows()
    from stallgate.render.sweep import draw_sweep

    return draw_sweep(project, folder, against=against)


def draw_looped(project: Project, folder: Path) -> Path:
    """Draws the loop of a folder, and the index of all runs; the path of its page."""
    _forget_windows()
    from stallgate.render.index import write_index
    from stallgate.render.loop_page import draw_loop

    page = draw_loop(project, folder)
    write_index(project)
    return page


def _forget_windows() -> None:
    """Removes ``MPLBACKEND``: matplotlib refuses to be imported if it names an unknown backend, and none is needed."""
    os.environ.pop("MPLBACKEND", None)
