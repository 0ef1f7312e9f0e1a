"""Sweeps among the runs: what a list says of each. The index and ``stallgate show runs`` have the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from stallgate.compare.history import StoredRun
from stallgate.errors import StallgateError
from stallgate.judge.suggestion import Advised, SweepResult, sweep_result
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.sweep_words import headline_of
from stallgate.runs.folder import SWEEP_FILE
from stallgate.runs.outlines import MeasurementTime
from stallgate.runs.store import KeptParts, Source, Store, shape_of
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

    time: MeasurementTime
    problem: str
    gpus: list[str]
    """The GPU that it was measured on, where that is known."""
    timed: str
    """How many of its trials were timed to the end."""
    complete: bool
    advised: Advised
    headline: str

    @property
    def word(self) -> str:
        """What it advises; whether it is complete."""
        said = SWEEP_ANSWERS[self.advised]
        return said if self.complete else f"{said}, incomplete"


def sweeps_listed(store: Store, project: Project) -> dict[Path, SweepListed]:
    """Folder -> its sweep, of every folder under ``reports/`` with a sweep that can be read."""
    version = f"{shape_of(SweepListed)} {_terms_digest(project)}"
    source = Source(name=_SWEEP, files=(SWEEP_FILE,), read=partial(_read, project), version=version)
    found = store.parts(source, [_SWEEP])
    return {folder: _decoder.decode(parts[_SWEEP]) for folder, parts in found.items() if parts}


_SWEEP = "sweep"
_decoder = msgspec.msgpack.Decoder(SweepListed)


def _terms_digest(project: Project) -> str:
    """A digest of what the project judges a sweep by."""
    judged = {
        problem: {stage: sorted(project.judged_workloads(problem, stage)) for stage in project.stages}
        for problem in project.problems
    }
    terms = [project.catalogue.metrics, project.catalogue.aliases, project.stages, judged]
    return hashlib.sha256(msgspec.json.encode(terms, order="deterministic")).hexdigest()[:16]


def _read(project: Project, folder: Path) -> KeptParts:
    try:
        sweep = load_sweep(folder)
    except (StallgateError, OSError):
        return {}
    return {_SWEEP: msgspec.msgpack.encode(_listed(sweep, sweep_result(project, sweep)))}


def _listed(sweep: Sweep, result: SweepResult) -> SweepListed:
    timed = sum(trial.state in ("timed", "profiled") for trial in sweep.trials)
    return SweepListed(
        time=MeasurementTime(created=sweep.created, commit=sweep.commit or "", dirty=sweep.dirty),
        problem=sweep.problem,
        gpus=[sweep.model] if sweep.model is not None else [],
        timed=f"{timed} of {len(sweep.trials)}",
        complete=sweep.complete,
        advised=result.suggestion.advised,
        headline=headline_of(result),
    )


def with_folders(runs: Sequence[StoredRun], folders: Iterable[Path]) -> list[StoredRun]:
    """The runs and, in their place by time, loops and sweeps that have no counters and so no run; newest first."""
    known = {run.folder for run in runs}
    alone = [StoredRun(folder=folder) for folder in folders if folder not in known]
    return sorted([*runs, *alone], key=lambda run: run.age, reverse=True)
