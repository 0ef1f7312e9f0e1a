"""The first screen of a sweep's page: what it suggests, and the questions that every page answers."""

from __future__ import annotations

import shlex
from functools import partial

from stallgate.judge.roof import Roof
from stallgate.judge.suggestion import Standing, SweepResult, TargetCheck, style_of
from stallgate.model import Case, FrozenStruct, Status, Verdict
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.load import Project
from stallgate.render.judged_row import JudgedRow, JudgedTarget, bar_scale, judged_target
from stallgate.render.next_command import NextStep
from stallgate.render.results_line import ResultsLine
from stallgate.render.sweep_words import (
    ANSWER_MARKS,
    changes_from_default,
    gain_over_default,
    microseconds,
    provenance_of,
    samples_text,
)
from stallgate.render.verdict_words import stage_label
from stallgate.render.what_limits import limit_of, memory_path_of, waits_of
from stallgate.runs.sweep import Sweep, Trial


class SweepScreen(FrozenStruct, frozen=True):
    """What a reader of a sweep has to know, before anything else."""

    provenance: str
    suggested: str
    """The tunables that differ from the default's."""
    gate: str
    results: ResultsLine
    changed: str
    step: NextStep
    rows: list[JudgedRow]
    """The suggested configuration on each workload that counts."""
    scale: float
    """Of the bars, in points or per cent."""
    more: int
    """Workloads that have no row."""


_MOST_ROWS = 2


def sweep_screen(project: Project, sweep: Sweep, result: SweepResult) -> SweepScreen:
    """The answers of a sweep."""
    chosen = result.suggested
    loads = result.workloads if chosen is not None else []
    rows = [_row(project, sweep, chosen, load) for load in loads[:_MOST_ROWS]] if chosen is not None else []
    return SweepScreen(
        provenance=f"Measured on {provenance_of(sweep)}",
        suggested=_suggested(sweep, result),
        gate=_gate(project, sweep, result),
        results=_results(sweep),
        changed=f"{_changed(result)}; not compared with other sweeps",
        step=sweep_step(sweep, result),
        rows=rows,
        scale=bar_scale(rows),
        more=len(loads) - len(rows),
    )


def _suggested(sweep: Sweep, result: SweepResult) -> str:
    chosen = result.suggested
    if chosen is None:
        return "nothing: no configuration was timed to the end"
    return changes_from_default(sweep, chosen) or "the default, as it is"


def _gate(project: Project, sweep: Sweep, result: SweepResult) -> str:
    """That a sweep is not judged, and how many targets its suggestion meets."""
    chosen = result.suggested
    if chosen is None or not chosen.checks:
        return "not judged: a sweep suggests; no target was measured"
    met = sum(check.holds for check in chosen.checks)
    stage = stage_label(project, sweep.stage) if sweep.stage else "no stage"
    return f"not judged: a sweep suggests; it meets {met} of {len(chosen.checks)} targets of {stage}"


def _results(sweep: Sweep) -> ResultsLine:
    """How many of the trials that ran gave right results: a wrong one is never suggested."""
    right = sum(trial.state in ("stopped", "timed", "profiled") for trial in sweep.trials)
    wrong = sum(trial.state == "wrong_result" for trial in sweep.trials)
    if not right + wrong:
        return ResultsLine(words="Results: not known, no configuration ran to the end", style="open")
    if not right:
        return ResultsLine(words=f"Results wrong: {wrong} of {wrong} trials that ran", style="fail")
    if not wrong:
        return ResultsLine(words=f"Results right: all {right} trials that ran", style="pass")
    counted = f"{right} of {right + wrong} trials that ran; {wrong} wrong, not suggested"
    return ResultsLine(words=f"Results right: {counted}", style="pass")


def _changed(result: SweepResult) -> str:
    chosen = result.suggested
    if chosen is None or chosen.configuration == "default":
        return "nothing: the default stays"
    if chosen.gain is None:
        return "not known: the default has no time to compare with"
    return gain_over_default(chosen.gain)


def sweep_step(sweep: Sweep, result: SweepResult) -> NextStep:
    """What to do next with a sweep, with the command line that does it."""
    name, subject = shlex.quote(sweep.name), shlex.quote(f"{sweep.problem}/{sweep.variant}")
    if not sweep.complete:
        return NextStep(words="finish the sweep", command=f"stallgate sweep --resume {name}")
    if result.suggestion.advised in ("change", "no_default"):
        steps = [f"stallgate sweep --show {name} --apply", f"stallgate profile {subject}"]
        if result.suggested is not None and any(check.answer == "missed" for check in result.suggested.unmet):
            words = (
                "write it into the code and profile it; no configuration meets the stage, so read what else to change"
            )
            return NextStep(words=words, command=" && ".join([*steps, "stallgate advise"]))
        return NextStep(
            words="write it into the code, profile it and gate it", command=" && ".join([*steps, "stallgate gate"])
        )
    if result.suggestion.advised == "keep_default":
        return NextStep(words="keep the default: there is nothing to apply")
    are_wrong = any(trial.state == "wrong_result" for trial in sweep.trials)
    fault = "no result is right" if are_wrong else "no trial came to its end"
    return NextStep(words=f"find out why {fault}: this checks the default alone", command=f"stallgate check {subject}")


# --- the suggested configuration --------------------------------------------------------------------------------------


def _row(project: Project, sweep: Sweep, chosen: Standing, workload: str) -> JudgedRow:
    trial, span = sweep.trial(chosen.configuration, workload), chosen.times[workload]
    checks = [check for check in chosen.checks if check.workload == workload]
    read, roof = partial(_reading, trial), _roof(sweep, workload)
    fraction = next((check.value for check in checks if check.metric == ROOF_FRACTION), None)
    if fraction is None and roof is not None:
        fraction = roof.duration / (1e3 * span.median)
    return JudgedRow(
        name="suggested" if chosen.configuration != "default" else "the default",
        workload=f"on {workload}",
        case=f"{sweep.problem}/{sweep.variant}/{chosen.configuration}/{workload}",
        time=microseconds(span.median),
        spread=samples_text(span),
        change="timed again among the finalists" if chosen.final else "",
        limit=limit_of(read, fraction, roof),
        waits=waits_of(read, project.catalogue) or f"Waits of warps: not measured{_uncounted(trial)}",
        memory=memory_path_of(read) or f"Bytes: not measured{_uncounted(trial)}",
        targets=[_target(project, sweep, trial, check, roof) for check in checks],
        style=style_of(checks),
    )


def _uncounted(trial: Trial) -> str:
    """Why a trial lacks counters."""
    if trial.counters:
        return ", ncu was not asked for these counters"
    return ", its counters were not collected: a sweep profiles those near the best time, and the default"


def _reading(trial: Trial, metric: str) -> float | None:
    found = trial.counters.get(metric)
    return found.median if found is not None else None


def _roof(sweep: Sweep, workload: str) -> Roof | None:
    """The yardstick of a workload as other pages have it."""
    timed = [each for each in sweep.yardsticks if each.workload == workload and each.samples_us]
    found = [each for each in timed if each.role == "roof"] or [each for each in timed if each.role == "copy"]
    if not found:
        return None
    slowest = max(found, key=lambda each: each.median_us or 0.0)
    case = Case(sweep.problem, slowest.name, "default", workload)
    return Roof(case=case, ceiling=slowest.ceiling or "bytes", duration=1e3 * (slowest.median_us or 0.0))


_STATUS: dict[str, Status] = {
    "met": "pass",
    "excused": "excused",
    "missed": "fail",
    "undecided": "undecided",
    "not_measured": "not_measured",
}


def _target(project: Project, sweep: Sweep, trial: Trial, check: TargetCheck, roof: Roof | None) -> JudgedTarget:
    """A target as the page of a run draws it."""
    verdict = Verdict(
        status=_STATUS[check.answer],
        reason=check.answer,
        sentence="",
        stage=sweep.stage,
        problem=sweep.problem,
        variant=sweep.variant,
        configuration=trial.configuration,
        workload=trial.workload,
        metric=check.metric,
        unit=check.unit,
        comparison=check.comparison,
        bound=check.bound,
        value=check.value,
    )
    metric = project.catalogue.metrics.get(check.metric)
    return judged_target(
        verdict,
        title=metric.title if metric is not None else check.metric,
        mark=f"{ANSWER_MARKS[check.answer]} {check.answer.replace('_', ' ')}",
        of=f"of {roof.name}'s speed" if roof is not None and check.metric == ROOF_FRACTION else "",
        why=_source(trial, check) if check.value is not None else "not measured",
    )


def _source(trial: Trial, check: TargetCheck) -> str:
    """Which calls a target's value is from."""
    if check.metric in trial.counters:
        return "from its profiled calls"
    return "from its times in the rounds, unprofiled"
