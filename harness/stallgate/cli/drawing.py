"""What draws: its import takes as long as judging a run, so it is imported when something is drawn."""

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
    """Imports what draws a page while something else is waited for."""
    _forget_windows()
    Thread(target=import_module, args=("stallgate.render.page",), daemon=True).start()


def draw_run(project: Project, result: JudgedRun) -> list[Path]:
    """Draws a run's page and PNGs, and the index of all runs; their paths, the page first."""
    _forget_windows()
    from stallgate.render.page import draw

    return draw(project, result)


def draw_compared(found: RunComparison, folder: Path) -> Path:
    """Draws the page of two runs into a folder; its path."""
    _forget_windows()
    from stallgate.render.compare_page import draw_comparison

    return draw_comparison(found, folder)


def draw_times(found: Bench, folder: Path) -> None:
    """Draws a bench into its folder."""
    _forget_windows()
    from stallgate.render.bench_figure import draw_bench

    draw_bench(found, folder)


def _forget_windows() -> None:
    """Keeps matplotlib from refusing to be imported: it checks the name of a window system that nothing here uses."""
    os.environ.pop("MPLBACKEND", None)
