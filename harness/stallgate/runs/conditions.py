"""Where and how a run's numbers were measured. Numbers from different conditions are never compared."""

from __future__ import annotations

from msgspec.structs import replace

from stallgate.formatting import listed, shortened
from stallgate.model import CaseResult, Environment, FrozenStruct, Origin, Run, Settings
from stallgate.runs.folder import attempts_of

TITLES = {"gpu": "GPU", "clock_control": "clock control", "cache_control": "cache control"}
"""The conditions that have to be the same before numbers are compared, and their names for a reader."""


UNKNOWN_GPU = "unknown"
"""What stands for the GPU's name where an ncu report does not have it."""


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
    environment, settings = next(mine, None), settings_of(run, result.case.problem)
    gpu, device = (environment.gpu, environment.device) if environment is not None else (None, None)
    if result.identity is not None:  # a report can be of several GPUs
        known = result.identity.device not in ("", UNKNOWN_GPU)
        gpu, device = result.identity.device if known else None, result.identity.device_index
    return Conditions(
        gpu=gpu,
        device=device,
        clock_control=settings.clock_control if settings is not None else None,
        cache_control=settings.cache_control if settings is not None else None,
    )


def settings_of(run: Run, problem: str) -> Settings | None:
    """How a problem was measured; None where it is not known."""
    origin = run.origins.get(problem)
    return origin.settings if origin is not None and origin.settings is not None else run.settings


def environment_of(run: Run, problem: str, result: CaseResult | None = None) -> Environment | None:
    """Where a problem was measured: the environment of the case's attempt, else of the first attempt that has one.

    Only a live run is of one GPU: elsewhere the attempts of other problems do not count.
    """
    mine = [attempt for attempt in run.attempts if result is not None and attempt.name == result.attempt]
    others = run.attempts if run.kind == "live" else attempts_of(run, problem)
    return next((a.environment for a in [*mine, *others] if a.environment is not None), None)


def environments(run: Run) -> list[Environment]:
    """Where a run's problems were measured, each place once. A live run may be of several GPUs of one model."""
    if run.kind == "live":
        found = [attempt.environment for attempt in run.attempts]
    else:
        found = [environment_of(run, problem) for problem in problems_in(run)]
    return list(dict.fromkeys(environment for environment in found if environment is not None))


def environments_of(run: Run, problem: str) -> list[Environment]:
    """The GPUs that a problem was measured on, each once: on a fleet several of one model."""
    found = [attempt.environment for attempt in attempts_of(run, problem) if attempt.environment is not None]
    first = environment_of(run, problem)
    return list(dict.fromkeys(found)) or ([first] if first is not None else [])


_VERSIONS = ("driver", "ncu", "python", "torch", "triton", "cuda")


def joined_environment(run: Run, problem: str) -> Environment | None:
    """Where a problem was measured, with the versions of all GPUs of a fleet where they differ."""
    found = environments_of(run, problem)
    if not found:
        return None
    joined = {name: ", ".join(dict.fromkeys(getattr(one, name) for one in found)) for name in _VERSIONS}
    return replace(found[0], **joined)


def gpus_of(run: Run) -> list[str]:
    """The names of the GPUs that a run's numbers are from, each once. An imported report can be of several."""
    identities = [result.identity for result in run.cases if result.identity is not None]
    if run.kind != "imported":
        return list(dict.fromkeys(environment.gpu for environment in environments(run)))
    attempts = [attempt.environment.gpu for attempt in run.attempts if attempt.environment is not None]
    return list(dict.fromkeys([*(identity.device for identity in identities if identity.kind != "call"), *attempts]))


def problems_in(run: Run) -> list[str]:
    """The problems that a run has cases of; without cases, those that it was made for."""
    return list(dict.fromkeys(result.case.problem for result in run.cases)) or list(run.subjects)


def unreplayed(run: Run) -> list[str]:
    """The problems that a replay has no recording of."""
    return [problem for problem in problems_in(run) if problem not in run.origins] if run.origins else []


def imported_files(run: Run) -> list[str]:
    """The names of an imported run's reports, as the user gave them; as they are stored where none was kept."""
    given = {result.attempt: result.identity.report for result in run.cases if result.identity is not None}
    stored = {attempt.name: attempt.report.rpartition("/")[2] for attempt in run.attempts if attempt.report is not None}
    return [shortened(given.get(name) or file, _LONGEST_FILE) for name, file in stored.items()]


def origin_of(run: Run, problem: str) -> Origin | Run:
    """What says when, and at which commit, a problem was measured: its recording, else the run itself."""
    return run.origins.get(problem, run)


# --- in words ---------------------------------------------------------------------------------------------------------


_LONGEST_FILE = 60
"""Most characters of the name of an imported report."""

_LONGEST_COMMAND = 100
"""Most characters of a captured program's command line."""


def provenance(run: Run) -> str:
    """A sentence about the origin of a run's numbers."""
    if run.program is not None:
        command = shortened(" ".join(run.program.command), _LONGEST_COMMAND)
        return f"Captured from `{command}` on {listed(gpus_of(run)) or 'an unknown GPU'}."
    if run.kind == "imported":
        files = imported_files(run)
        reports = f"the ncu report {files[0]}" if len(files) == 1 else "ncu reports"
        return f"Imported {reports}, measured on {listed(gpus_of(run)) or 'an unknown GPU'}."
    places = {problem: _place(run, problem) for problem in problems_in(run)}
    if run.kind != "recorded":
        return f"Measured on {'; '.join(dict.fromkeys(places.values()))}."
    if len(places) == 1:
        return f"RECORDED: measured on {next(iter(places.values()))}; nothing was measured here."
    told = "; ".join(f"{problem}: {place}" for problem, place in places.items())
    return f"RECORDED, nothing was measured here. {told}."


def _place(run: Run, problem: str) -> str:
    """GPU, time and commit of a problem's measurement."""
    if problem in unreplayed(run):
        return "not measured"
    made = origin_of(run, problem)
    gpus = _gpus(environments_of(run, problem))
    changed = " with local changes" if made.dirty else ""
    at = f"at commit {made.commit[:12]}{changed}" if made.commit else "at an unknown commit"
    return f"{gpus}, {made.created}, {at}"


def _gpus(found: list[Environment]) -> str:
    """The model; of a fleet how many GPUs of how many hosts, and the versions in which they differ."""
    models = ", ".join(dict.fromkeys(environment.gpu for environment in found)) or "an unknown GPU"
    gpus, hosts = ({getattr(one, name) for one in found} - {""} for name in ("uuid", "host"))
    if not gpus:
        return models
    words = [f"{_number(len(gpus), 'GPU')} of {_number(len(hosts), 'host')}", *_differing(found)]
    return f"{models} ({'; '.join(words)})"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _differing(found: list[Environment]) -> list[str]:
    values = {name: sorted({str(getattr(one, name)) for one in found}) for name in _VERSIONS}
    return [f"{name} {listed(known)}" for name, known in values.items() if len(known) > 1]
