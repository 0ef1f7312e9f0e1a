"""Sweeps among the runs: what a list says of each. The index and ``stallgate show runs`` have the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from stallgate.compare.history import StoredRun
from stallgate.errors import StallgateError
from stallgate.judge.suggestion import Advised, sweep_result
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.sweep_words import headline_of
from stallgate.runs.folder import SWEEP_FILE
from stallgate.runs.sweep import Sweep, load_sweep

SWEEP_ANSWERS: dict[Advised, str] = {
    "change": "suggests a change",
    "keep_default": "keeps the default",
    "no_default": "has no default to compare with",
    "nothing": "timed nothing to the end",
}
"""What a sweep advises, in a word or two: the gate does not judge it."""


class SweepListed(FrozenStruct, frozen=True):
    """A sweep in a list."""

    sweep: Sweep
    advised: Advised
    headline: str

    @property
    def word(self) -> str:
        """What it advises; whether it is complete."""
        said = SWEEP_ANSWERS[self.advised]
        return said if self.sweep.complete else f"{said}, incomplete"

    @property
    def gpus(self) -> list[str]:
        """The GPU that it was measured on, where that is known."""
        return [self.sweep.environment.gpu] if self.sweep.environment is not None else []

    @property
    def timed(self) -> str:
        """How many of its trials were timed to the end."""
        done = sum(trial.state in ("timed", "profiled") for trial in self.sweep.trials)
        return f"{done} of {len(self.sweep.trials)}"


def sweeps_listed(project: Project) -> dict[Path, SweepListed]:
    """Folder -> its sweep, of every folder under ``reports/`` with a sweep that can be read."""
    found: dict[Path, SweepListed] = {}
    for path in sorted(project.reports.glob(f"*/{SWEEP_FILE}")):
        if path.parent.is_symlink():
            continue
        try:
            sweep = load_sweep(path.parent)
        except (StallgateError, OSError):
            continue
        result = sweep_result(project, sweep)
        found[path.parent] = SweepListed(sweep=sweep, advised=result.suggestion.advised, headline=headline_of(result))
    return found


def with_folders(runs: Sequence[StoredRun], folders: Iterable[Path]) -> list[StoredRun]:
    """The runs and, in their place by time, loops and sweeps that have no counters and so no run; newest first."""
    known = {run.folder for run in runs}
    alone = [StoredRun(folder=folder) for folder in folders if folder not in known]
    return sorted([*runs, *alone], key=lambda run: run.age, reverse=True)
