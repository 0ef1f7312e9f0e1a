"""Where and how a run's numbers were measured. Numbers from different conditions are never compared."""

from __future__ import annotations

from stallgate.model import CaseResult, Environment, FrozenStruct, Run

TITLES = {"gpu": "GPU", "clock_control": "clock control", "cache_control": "cache control"}
"""The conditions that have to be the same before numbers are compared, and their names for a reader."""


class Conditions(FrozenStruct, frozen=True):
    """The conditions of a case's measurement; None for unknown ones."""

    gpu: str | None
    """The GPU's name, as the driver reports it."""
    device: int | None
    """Index of the GPU on its machine."""
    clock_control: str | None
    cache_control: str | None


def conditions(run: Run, result: CaseResult) -> Conditions:
    """The conditions of a case. The environment is that of its own attempt, of which a run has several."""
    mine = (attempt.environment for attempt in run.attempts if attempt.name == result.attempt)
    environment = next(mine, None)
    return Conditions(
        gpu=environment.gpu if environment is not None else None,
        device=environment.device if environment is not None else None,
        clock_control=run.settings.clock_control if run.settings is not None else None,
        cache_control=run.settings.cache_control if run.settings is not None else None,
    )


def environment_of(run: Run, result: CaseResult | None = None) -> Environment | None:
    """Where a run was measured: the environment of the case's attempt, else of the first attempt that has one."""
    mine = [attempt for attempt in run.attempts if result is not None and attempt.name == result.attempt]
    return next((a.environment for a in [*mine, *run.attempts] if a.environment is not None), None)


def provenance(run: Run) -> str:
    """A sentence about the origin of a run's numbers."""
    environment = environment_of(run)
    gpu = environment.gpu if environment is not None else "an unknown GPU"
    if run.kind == "imported":
        return f"Imported ncu reports from {gpu}."
    when, commit, dirty = run.created, run.commit, run.dirty
    if run.origin is not None:
        when, commit, dirty = run.origin.created, run.origin.commit, run.origin.dirty
    at = f"at commit {commit[:12]}{' with local changes' if dirty else ''}" if commit else "at an unknown commit"
    if run.kind == "recorded":
        return f"A RECORDING, nothing was measured here: {gpu}, {when}, {at}."
    return f"Measured on {gpu}, {when}, {at}."
