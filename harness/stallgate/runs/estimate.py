"""How long a profile will take, by how long its recordings took."""

from __future__ import annotations

from stallgate.errors import StallgateError
from stallgate.model import Case, FrozenStruct, Run
from stallgate.project.load import Project
from stallgate.runs.folder import load
from stallgate.runs.recording import find_recordings


class Estimate(FrozenStruct, frozen=True):
    """The time of a profile."""

    seconds: float
    cases: int
    """The cases that a recording has a time of."""
    unknown: int
    """The cases that none has."""


def estimate(project: Project, cases: list[Case]) -> Estimate | None:
    """The time that the cases took when they were recorded; None where no recording says.

    An attempt measures several cases: each has an equal part of its time.
    """
    try:
        folders = find_recordings(project, cases).recordings.values()
        recorded = [load(folder) for folder in folders]
    except StallgateError:
        return None
    times: dict[Case, float] = {}
    for run in recorded:
        times.update(_times(run))
    known = [times[case] for case in cases if case in times]
    return Estimate(seconds=sum(known), cases=len(known), unknown=len(cases) - len(known)) if known else None


def _times(run: Run) -> dict[Case, float]:
    """Case -> its part of the seconds that its attempt took."""
    seconds = {attempt.name: attempt.seconds for attempt in run.attempts if attempt.kind == "samples"}
    cases = [result for result in run.cases if seconds.get(result.attempt or "") is not None]
    shared = [result.attempt for result in cases]
    return {result.case: (seconds[result.attempt or ""] or 0.0) / shared.count(result.attempt) for result in cases}
