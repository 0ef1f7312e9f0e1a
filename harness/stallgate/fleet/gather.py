"""Parts of a run put together in the run's folder, as if one machine had measured them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from stallgate.fleet.orders import MeasuredPart, WorkerPlace
from stallgate.measure.profile import unused_attempt_name
from stallgate.model import Attempt, Case, CaseResult, Run
from stallgate.project.paths import inside


def parts_of(cases: list[Case]) -> list[list[Case]]:
    """The cases that are measured on one GPU, one after the other: those of a workload, the roof first among them.

    Two GPUs of one model differ by per cents; what is divided by a roof or held against a peer has to be of one.
    """
    found: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        found.setdefault((case.problem, case.workload), []).append(case)
    return list(found.values())


def gathered(run: Run, folder: Path, part: MeasuredPart) -> Run:
    """A run with the outcomes of a part; the part's files are written into its folder.

    Args:
        run: as it stands.
        folder: the run's.
        part: measured elsewhere. Its attempts get names that the run does not have yet.
    """
    assert part.run is not None
    names: dict[str, str] = {}
    attempts = [*run.attempts]
    for attempt in part.run.attempts:
        names[attempt.name] = unused_attempt_name(folder, attempts)
        attempts.append(_renamed(attempt, names[attempt.name], part.place))
    for path, content in part.files.items():
        target = inside(folder, *_named_anew(PurePosixPath(path), names).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    ended = {result.case: result for result in part.run.cases if result.outcome != "planned"}
    return replace(
        run,
        reader=part.run.reader or run.reader,
        attempts=attempts,
        cases=[_with_outcome(result, ended.get(result.case), names) for result in run.cases],
    )


def _renamed(attempt: Attempt, name: str, place: WorkerPlace) -> Attempt:
    """An attempt under another name, with the place where it ran."""
    environment = attempt.environment
    if environment is not None:
        environment = replace(environment, host=place.host, uuid=place.uuid)
    report = attempt.report
    if report is not None:
        report = _named_anew(PurePosixPath(report), {attempt.name: name}).as_posix()
    return replace(attempt, name=name, report=report, environment=environment)


def _named_anew(path: PurePosixPath, names: dict[str, str]) -> PurePosixPath:
    """The path of an attempt's file under the attempt's new name; other files keep theirs."""
    if path.parent.name != "ncu":
        return path
    name, _, rest = path.name.partition(".")
    return path.with_name(f"{names.get(name, name)}.{rest}")


def _with_outcome(old: CaseResult, new: CaseResult | None, names: dict[str, str]) -> CaseResult:
    if new is None:
        return old
    attempt = names[new.attempt] if new.attempt is not None else None
    return replace(new, role=old.role, attempt=attempt)
