"""The part on what has been tried: rounds of a loop, earlier runs with their effect, configurations, variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, inline, paragraphs
from stallgate.compare.history import StoredRun, stored_runs
from stallgate.compare.rules import sources_when_measured
from stallgate.compare.words import compare_metric, word_label
from stallgate.errors import StallgateError
from stallgate.extract.table import Summary
from stallgate.formatting import listed, rounded, scaled, spaced, tunables
from stallgate.judge.roof import Roof
from stallgate.model import Case, CaseResult, FrozenStruct
from stallgate.project.catalogue import DURATION, ROOF_FRACTION
from stallgate.project.code_changes import code_difference
from stallgate.project.digests import DEFAULT
from stallgate.runs.conditions import Conditions, conditions
from stallgate.runs.folder import SWEEP_FILE, load
from stallgate.runs.outlines import CaseOutline, MeasurementTime
from stallgate.runs.store import Store
from stallgate.runs.sweep import Sweep, load_sweep

_MOST_RUNS, _MOST_CHANGES, _MOST_OTHERS = 8, 4, 8
"""Earlier runs that are told, changes of the code of each, and other cases of the run."""


def tried_part(ground: Ground, extra: Sequence[str]) -> Part:
    """What is known of attempts before this one, newest first."""
    history = [*map(inline, extra), *_earlier(ground)]
    beside = [*_configurations(ground), *_sweeps(ground), *_variants(ground)]
    if not history and not beside:
        text = "Nothing that is known of."
        return Part(name="tried", title="What has been tried", text=text, shorter=[_nothing()])
    title_of_beside = "Measured beside it:"
    text = paragraphs(
        bullets(history) or "No earlier version is known.", title_of_beside * bool(beside), bullets(beside)
    )
    some = bullets(history[:3])
    shorter = [ShorterForm(text=some, usefulness=15, loses="what was tried but for the three newest attempts")] * (
        bool(some) and some != text
    )
    return Part(name="tried", title="What has been tried", text=text, shorter=[*shorter, _nothing()])


def _nothing() -> ShorterForm:
    return ShorterForm(text="", usefulness=48, loses="what has been tried")


# --- earlier runs -----------------------------------------------------------------------------------------------------


class _Version(FrozenStruct, frozen=True):
    """The variant in one run."""

    time: MeasurementTime
    folder: Path
    results: dict[str, CaseResult]
    """Workload -> its case in the default configuration."""
    durations: dict[str, Summary]
    conditions: Conditions
    sources: dict[str, str]
    """Path -> text as it was measured; empty where that is not known."""


def _earlier(ground: Ground) -> list[str]:
    """A line for each of the newest runs that have the variant: what changed, and the effect."""
    found = _measured(ground)
    if [stored.folder for stored in found.values()] == [ground.folder]:
        return []
    newest = sorted(found)[-_MOST_RUNS - 1 :]  # the oldest of them is what the next one is compared with
    versions = [version for time in newest if (version := _version(ground, time, found[time])) is not None]
    lines = [_told(ground, version, versions[place - 1] if place else None) for place, version in enumerate(versions)]
    left = len(found) - _MOST_RUNS
    more = [f"{left} older runs are left out."] if left > 0 else []
    return [*lines[::-1][:_MOST_RUNS], *more]


def _measured(ground: Ground) -> dict[MeasurementTime, StoredRun]:
    """Every run that measured the variant, by its time; replays of one measurement once."""
    found: dict[MeasurementTime, StoredRun] = {}
    problem = ground.problem.name
    for stored in stored_runs(Store(ground.project.reports), [DURATION]):
        outline = stored.outline
        if outline is not None and outline.kind != "imported" and any(_is_of(ground, each) for each in stored.cases):
            found.setdefault(outline.measured.get(problem, outline.time), stored)
    return found


def _is_of(ground: Ground, found: CaseOutline | CaseResult) -> bool:
    """Whether a case is of the variant, in its default configuration, on a workload that counts."""
    case = found.case
    return (case.problem, case.variant, case.configuration) == (
        ground.problem.name,
        ground.variant.name,
        DEFAULT,
    ) and case.workload in ground.workloads


def _version(ground: Ground, time: MeasurementTime, stored: StoredRun) -> _Version | None:
    """The variant in a run; None where the run has gone since it was listed."""
    try:
        run = load(stored.folder)
    except (StallgateError, OSError):
        return None
    results = {result.case.workload: result for result in run.cases if _is_of(ground, result)}
    durations = stored.summaries.get(DURATION, {})
    return _Version(
        time=time,
        folder=stored.folder,
        results=results,
        durations={name: durations[found.case] for name, found in results.items() if found.case in durations},
        conditions=conditions(run, next(iter(results.values()))),
        sources=sources_when_measured(ground.project, stored.folder, run, ground.problem.name, ground.variant.name),
    )


def _told(ground: Ground, version: _Version, before: _Version | None) -> str:
    """A run in a line."""
    when = f"{version.time.created[:10]}, {version.time.label}" if version.time.commit else version.time.created[:10]
    here = " (the run of the readings)" if version.folder == ground.folder else ""
    effects = "; ".join(_effect(ground, version, before, load) for load in version.results)
    return f"{inline(when)}{here}: {effects}{_changed(version, before)}"


def _effect(ground: Ground, version: _Version, before: _Version | None, workload: str) -> str:
    """The time on a workload, against the run before where the two can be compared; or why there is none."""
    where, result = f"on {code_span(workload)}", version.results[workload]
    if result.outcome != "profiled":
        return f"{where} {spaced(result.outcome)}: {inline(result.reason)}"
    now = version.durations.get(workload)
    if now is None or now.median is None:
        return f"{where} not measured"
    took = f"{where} {scaled(now.median, 'ns', 4)}"
    then = before.durations.get(workload) if before is not None else None
    if before is None or then is None or then.median is None:
        return took
    if before.conditions != version.conditions:
        return f"{took} (measured under other conditions than the run before)"
    change = compare_metric(ground.project.catalogue.metrics[DURATION], then, now)
    return f"{took}, {change.text} against the run before ({word_label(change.word)})"


def _changed(version: _Version, before: _Version | None) -> str:
    """What changed in the code since the run before."""
    if before is None or not version.sources or not before.sources:
        return ""
    if version.sources == before.sources:
        return "; the same code"
    changes = code_difference(before.sources, version.sources).changes
    told = [code_span(change.sentence) for change in changes[:_MOST_CHANGES]]
    more = [f"{len(changes) - _MOST_CHANGES} more"] if len(changes) > _MOST_CHANGES else []
    return f"; changed: {listed([*told, *more])}" if told else "; the code changed"


# --- beside it --------------------------------------------------------------------------------------------------------


def _time(ground: Ground, case: Case) -> str:
    """Time and fraction of the roof of a case of the run; '' where the time is not measured or not to be relied on."""
    if ground.result is None or ground.grounds is None or case in ground.grounds.unsound:
        return ""
    duration = ground.result.summaries.get((case, DURATION))
    fraction = ground.result.summaries.get((case, ROOF_FRACTION))
    if duration is None or duration.median is None:
        return ""
    roof = ground.result.roofs[case.problem, case.workload].deciding
    if fraction is None or fraction.median is None or not isinstance(roof, Roof):
        return scaled(duration.median, "ns", 4)
    of = f" ({rounded(fraction.median)} of the {roof.noun})"
    return f"{scaled(duration.median, 'ns', 4)}{of}"


def _configurations(ground: Ground) -> list[str]:
    """A line for each other configuration of the variant that the run has."""
    if ground.result is None or ground.result.run.kind == "imported":
        return []
    swept = ground.result.run.subjects[ground.problem.name].swept.get(ground.variant.name, {})
    known = {**swept, **ground.variant.configurations}
    times: dict[str, list[str]] = {}
    for result in ground.variants_cases:
        case = result.case
        if case.configuration != DEFAULT and (time := _time(ground, case)):
            times.setdefault(case.configuration, []).append(f"{time} on {code_span(case.workload)}")
    return [
        f"configuration {code_span(name)} ({inline(tunables(known.get(name, {})))}): {listed(found)}"
        for name, found in times.items()
    ][:_MOST_OTHERS]


def _variants(ground: Ground) -> list[str]:
    """A line for each other variant but roofs that the run has, in its default configuration."""
    if ground.result is None or ground.result.run.kind == "imported":
        return []
    times: dict[str, list[str]] = {}
    roles: dict[str, str] = {}
    for result in ground.result.run.cases:
        case = result.case
        is_other = case.problem == ground.problem.name and case.variant != ground.variant.name and result.role != "roof"
        if (
            is_other
            and case.configuration == DEFAULT
            and case.workload in ground.workloads
            and (time := _time(ground, case))
        ):
            times.setdefault(case.variant, []).append(f"{time} on {code_span(case.workload)}")
            roles[case.variant] = result.role
    return [f"{roles[name]} {code_span(name)}: {listed(found)}" for name, found in times.items()][:_MOST_OTHERS]


def _sweeps(ground: Ground) -> list[str]:
    """A line for the newest sweep of the variant: its best configuration on each workload."""
    for folder in reversed(Store(ground.project.reports).folders(SWEEP_FILE)):
        try:
            sweep = load_sweep(folder)
        except (StallgateError, OSError):
            continue
        if (sweep.problem, sweep.variant) == (ground.problem.name, ground.variant.name):
            return _of_sweep(sweep)
    return []


def _of_sweep(sweep: Sweep) -> list[str]:
    told = []
    for workload in dict.fromkeys(trial.workload for trial in sweep.trials):
        timed = [
            (time, trial)
            for trial in sweep.trials
            if trial.workload == workload
            and trial.state in ("timed", "profiled")
            and (time := trial.median_us) is not None
        ]
        if not timed:
            continue
        best, trial = min(timed, key=lambda pair: (pair[0], pair[1].configuration))
        default = next((time for time, each in timed if each.configuration == DEFAULT), None)
        beside = f", the default {scaled(1e3 * default, 'ns', 4)}" if default is not None else ""
        told.append(
            f"sweep {code_span(sweep.name)} of {len(sweep.trials)} trials, on {code_span(workload)}: the fastest is "
            f"{inline(tunables(trial.tunables)) or 'the default'} with {scaled(1e3 * best, 'ns', 4)}{beside}"
        )
    return told
