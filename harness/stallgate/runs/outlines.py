"""What lists and trends need of each run under ``reports/``, from its ``run.json`` and ``verdicts.json``.

What is damaged or missing in one run is a gap with a reason, and does not affect the others.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from stallgate.errors import StallgateError
from stallgate.formatting import spaced
from stallgate.model import Case, CaseResult, FrozenStruct, Outcome, Role, Run, Status
from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded
from stallgate.project.digests import workload_key
from stallgate.runs.conditions import (
    Conditions,
    environment_of,
    gpus_of,
    origin_of,
    problems_in,
    settings_of,
    unreplayed,
)
from stallgate.runs.folder import load
from stallgate.runs.store import KeptParts, Source, Store, shape_of


class StoredVerdict(msgspec.Struct, frozen=True):
    """The part of a verdict that is needed here; other keys are ignored."""

    status: Status
    reason: str = ""
    warning: bool = False


class StoredJudgement(msgspec.Struct, frozen=True):
    """The gate's latest answer."""

    exit_status: Literal[0, 1, 3] | None
    """None where nothing was asked of an imported run."""
    verdicts: list[StoredVerdict]
    kind: str = ""
    """Of the run."""


class MeasurementTime(FrozenStruct, frozen=True, order=True):
    """Time and commit of a measurement; replays use the recording's."""

    created: str
    commit: str
    """Empty where it is unknown."""
    dirty: bool

    @property
    def label(self) -> str:
        """The short commit, ``+`` for local changes; the day where no commit is known."""
        return self.commit[:7] + ("+" if self.dirty else "") if self.commit else self.created[:10]


class RunOutline(FrozenStruct, frozen=True):
    """A run in a list."""

    kind: Literal["live", "recorded", "imported"]
    time: MeasurementTime
    """When the run was made; of a replay, when it was replayed."""
    complete: bool
    gpus: list[str]
    problems: list[str]
    """The problems that it has cases of; without cases, those that it was made for."""
    measured: dict[str, MeasurementTime]
    """Problem -> when it was measured; a replay has problems without a recording, which are not here."""
    outcomes: dict[Outcome, int]
    """Outcome -> number of cases."""
    replays: bool
    """Whether it has numbers of recordings."""
    files: list[str]
    """The names of the ncu reports that an imported run is of, as the user gave them where that is known."""

    @property
    def cases(self) -> int:
        """The number of cases."""
        return sum(self.outcomes.values())


class OutlinedRun(FrozenStruct, frozen=True):
    """A run under ``reports/``; `gaps` explains what is missing."""

    outline: RunOutline | None
    """None where ``run.json`` cannot be read."""
    judgement: StoredJudgement | None
    gaps: list[str]


class Circumstances(FrozenStruct, frozen=True):
    """What the measurements of a series have in common."""

    conditions: Conditions
    workload_digest: str
    """A workload may keep its name and change."""


class CaseOutline(FrozenStruct, frozen=True):
    """A case of a run."""

    case: Case
    role: Role
    outcome: Outcome
    circumstances: Circumstances | None
    """None where they are not known."""


_RUN, _CASES = "run", "cases"

_run_decoder = msgspec.msgpack.Decoder(OutlinedRun)
_cases_decoder = msgspec.msgpack.Decoder(list[CaseOutline])


def outlined_runs(store: Store) -> dict[Path, OutlinedRun]:
    """Folder -> its run, of every run, by name."""
    found = store.parts(_outlines(), [_RUN])
    return {folder: _run_decoder.decode(parts[_RUN]) for folder, parts in found.items()}


def outlined_cases(store: Store) -> dict[Path, tuple[OutlinedRun, list[CaseOutline]]]:
    """Folder -> its run with its cases, of every run, by name; the same cases are one list."""
    decoded: dict[bytes, list[CaseOutline]] = {}  # most runs have the same cases
    found = store.parts(_outlines(), [_RUN, _CASES])
    for parts in found.values():
        if parts[_CASES] not in decoded:
            decoded[parts[_CASES]] = _cases_decoder.decode(parts[_CASES])
    return {folder: (_run_decoder.decode(parts[_RUN]), decoded[parts[_CASES]]) for folder, parts in found.items()}


@cache
def _outlines() -> Source:
    files = ("run.json", "verdicts.json")
    return Source(name="run", files=files, read=_read, version=shape_of(OutlinedRun, CaseOutline))


def _read(folder: Path) -> KeptParts:
    listed, cases = outlined_folder(folder)
    return {_RUN: msgspec.msgpack.encode(listed), _CASES: msgspec.msgpack.encode(cases)}


def outlined_folder(folder: Path) -> tuple[OutlinedRun, list[CaseOutline]]:
    """The run of a folder with its cases, read now."""
    try:
        run = load(folder)
    except (StallgateError, OSError) as error:
        return OutlinedRun(outline=None, judgement=None, gaps=[reason_in_words(folder, "run.json", error)]), []
    gaps, judgement = _unmeasured(run), None
    try:
        judgement = _judgement(folder / "verdicts.json", run)
    except (OSError, ValueError) as error:
        gaps.append(reason_in_words(folder, "verdicts.json", error))
    return OutlinedRun(outline=outline_of(run), judgement=judgement, gaps=gaps), [
        CaseOutline(
            case=result.case, role=result.role, outcome=result.outcome, circumstances=_circumstances(run, result)
        )
        for result in run.cases
    ]


def outline_of(run: Run) -> RunOutline:
    """What a list says of a run."""
    return RunOutline(
        kind=run.kind,
        time=time_of(run, ""),
        complete=run.complete,
        gpus=gpus_of(run),
        problems=problems_in(run),
        measured={problem: time_of(run, problem) for problem in problems_in(run) if problem not in unreplayed(run)},
        outcomes=dict(Counter(result.outcome for result in run.cases)),
        replays=bool(run.origins),
        files=_files(run),
    )


def time_of(run: Run, problem: str) -> MeasurementTime:
    """When a problem's numbers were measured: in a replay, when its recording was made."""
    made = origin_of(run, problem)
    return MeasurementTime(created=made.created, commit=made.commit or "", dirty=made.dirty)


def _judgement(path: Path, run: Run) -> StoredJudgement:
    """The gate's latest answer. An imported run without a verdict was asked nothing, whatever an older stallgate says.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not what stallgate writes.
    """
    found = decode_json(read_bounded(path, LARGEST_JSON), StoredJudgement)
    return found if found.verdicts or run.kind != "imported" else StoredJudgement(exit_status=None, verdicts=[])


def _unmeasured(run: Run) -> list[str]:
    """How many cases were not measured, by outcome."""
    outcomes = Counter(result.outcome for result in run.cases if result.outcome != "profiled")
    found = [f"{count} {spaced(outcome)}" for outcome, count in outcomes.items()]
    return found if run.complete else ["the run did not come to its end", *found]


def reason_in_words(folder: Path, name: str, error: Exception) -> str:
    """A line about what is wrong with a file, without the folders of this machine."""
    if isinstance(error, FileNotFoundError):
        return f"there is no {name}"
    said = error.strerror if isinstance(error, OSError) else str(error)
    text = (said or type(error).__name__).replace(f"{folder}{os.sep}", "").removeprefix(name)
    return f"{name}: {text.lstrip(': ').strip()}"


def _files(run: Run) -> list[str]:
    if run.kind != "imported" or run.program is not None:
        return []
    named = [result.identity.report for result in run.cases if result.identity is not None and result.identity.report]
    given = [Path(word).name for word in run.arguments if word.endswith((".ncu-rep", ".ncu-repz"))]
    return list(dict.fromkeys(named or given))


def _circumstances(run: Run, result: CaseResult) -> Circumstances | None:
    """The circumstances of a case; None if unknown. An unmeasured case has those of the run's other cases."""
    problem = result.case.problem
    environment, settings = environment_of(run, problem, result), settings_of(run, problem)
    subject = run.subjects.get(problem)
    if environment is None or subject is None or settings is None:
        return None
    return Circumstances(
        conditions=Conditions(
            gpu=environment.gpu,
            device=environment.device,
            clock_control=settings.clock_control,
            cache_control=settings.cache_control,
        ),
        workload_digest=subject.digests.get(workload_key(result.case.workload), ""),
    )
