"""``stallgate gate``: judges a run and answers with the exit status."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import click

from stallgate.advise.advice import advice_of
from stallgate.cli.examples import examples
from stallgate.cli.facts import MetricValue, RunKind, single_value, unmeasured
from stallgate.cli.failures import unusable
from stallgate.cli.options import json_option, root_option, run_argument, stage_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import judged, open_runs
from stallgate.errors import BrokenFile
from stallgate.judge.evaluate import JudgedRun, asked_status, write_verdicts
from stallgate.judge.headroom import is_of_roof
from stallgate.judge.verdicts import Targets, Uncollected
from stallgate.model import Comparison, Excuse, FrozenStruct, GpuSpec, State, Status, Verdict, Waiver
from stallgate.project.load import Project
from stallgate.render.advice import first_advice
from stallgate.render.github import annotated, append_summary
from stallgate.render.head import head, write_head
from stallgate.render.junit import junit
from stallgate.render.terminal_gate import show_judgement
from stallgate.render.terminal_progress import Working
from stallgate.runs.folder import is_recording, write_whole
from stallgate.runs.naming import case_places


class PartFacts(FrozenStruct, frozen=True):
    """A kernel's part of a call's metric."""

    kernel: str
    value: MetricValue


class ExcuseFacts(FrozenStruct, frozen=True):
    """The number that excused a missed target, with the bound that it meets."""

    metric: str
    comparison: Comparison
    bound: float
    value: MetricValue


class VerdictFacts(FrozenStruct, frozen=True, kw_only=True):
    """The answer to one target on one case, or why a case cannot be judged: ``metric`` is null then."""

    status: Status
    reason: str
    """A stable code: docs/gating.md lists them."""
    sentence: str
    stage: str | None
    problem: str
    variant: str
    """Empty where the verdict is on several cases of an imported run; ``name`` counts them."""
    configuration: str
    workload: str
    name: str
    """What is judged, by the names in the report, in an imported run; empty elsewhere."""
    kernel: str | None
    """The kernel that is judged, where the target's scope is a kernel."""
    metric: str | None
    written_as: str | None
    """The name in the stage's file, where it is not the short name."""
    ncu_name: str | None
    comparison: Comparison | None
    bound: float | None
    """The absolute bound; null where it depends on a missing roof or baseline."""
    of_roof: float | None
    """The fraction of the roof that the bound is."""
    tolerance: float | None
    """How much worse than the baseline the bound allows it to be, as a fraction of the baseline; null of a share."""
    tolerance_points: float | None
    """The same for a share, in percentage points."""
    baseline: MetricValue
    """The accepted value that the tolerance is around."""
    value: MetricValue
    samples: int
    parts: list[PartFacts]
    """The value of each kernel, where the call has several."""
    place: str
    """Of an imported case: its GPU, which stands for the workload; else empty."""
    warning: bool
    """Undecided, and by the stage's rule no reason to shut the gate."""
    waiver: Waiver | None
    """The waiver that covers the target, also one that has ended."""
    excuse: ExcuseFacts | None
    """What excused the target; null where nothing did."""


class GateFacts(FrozenStruct, frozen=True):
    """A run's judgement."""

    run: str
    """The run as commands take it."""
    kind: RunKind
    stages: list[str]
    targets: Targets
    notes: list[str]
    uncollected: list[Uncollected]
    """What an imported run lacks for its stages, with the ncu command line that collects it."""
    gpu_spec: GpuSpec | None
    """The data sheet of the GPU, which nothing is judged by; null where there is none."""
    verdicts: list[VerdictFacts]


@click.command("gate", epilog=examples("stallgate gate", "stallgate gate RUN --stage memory_access"))
@run_argument
@stage_option
@click.option(
    "--targets",
    type=click.Choice(["all", "absolute"]),
    default="all",
    show_default=True,
    help="absolute: skip targets that need a roof or a baseline (imported runs have neither).",
)
@click.option("--all", "every", is_flag=True, help="A line for each target; default: one for all that are met.")
@root_option
@json_option(GateFacts)
def gate_command(
    run: str | None, stages: tuple[str, ...], targets: Targets, every: bool, root: Path | None, as_json: bool
) -> int:
    """Judge a run: may it be merged?

    An imported run needs --stage, or stages for imports in the project's file.
    """
    project = open_runs(root)
    with Working("reading the reports"):
        result = judged(project, run, stages, targets=targets, only_judge=True)
    status = asked_status(result)
    if not is_recording(project.reports, result.folder):  # a recording is kept as it was committed
        _if_possible(_write_verdicts, project, result)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _if_possible(_tell_github, project, result)
    if as_json:
        return print_result("gate", _facts(result), status)
    advice = _first_advice(project, result)
    show_judgement(result, project, every=every, advice=advice)
    return status


def _first_advice(project: Project, result: JudgedRun) -> list[str]:
    """The first advice on each case that misses a target. A broken rule stops no gate: `stallgate advise` names it."""
    missed = [verdict for verdict in result.judgement.verdicts if verdict.status == "fail"]
    if not missed:
        return []
    try:
        found = advice_of(result, project, missed)
    except BrokenFile as error:
        click.echo(f"stallgate: no advice: {error.message}", err=True)
        return []
    short = {(v.problem, v.variant, v.configuration, v.workload) for v in missed if is_of_roof(v)}
    told = [advice for advice in found if not (advice.stops and tuple(advice.case.name.split("/")) in short)]
    firsts = {advice.case: advice for advice in reversed(told)}
    places = case_places(result.run)
    return [f"on {result.names[case]} on {places[case]}: {first_advice(advice)}" for case, advice in firsts.items()]


def _facts(result: JudgedRun) -> GateFacts:
    judgement = result.judgement
    return GateFacts(
        run=result.argument,
        kind=result.run.kind,
        stages=judgement.stages,
        targets=judgement.targets,
        notes=judgement.notes,
        uncollected=judgement.uncollected,
        gpu_spec=result.gpu_spec,
        verdicts=[_verdict_facts(verdict) for verdict in judgement.verdicts],
    )


def _verdict_facts(verdict: Verdict) -> VerdictFacts:
    unit = verdict.unit or ""
    values = {
        "value": _judged_value(verdict),
        "baseline": single_value(verdict.baseline, unit),
        "excuse": _excuse_facts(verdict.excuse) if verdict.excuse is not None else None,
        "parts": [PartFacts(kernel=part.kernel, value=single_value(part.value, unit)) for part in verdict.parts],
    }
    return VerdictFacts(**{name: getattr(verdict, name) for name in VerdictFacts.__struct_fields__} | values)


def _excuse_facts(excuse: Excuse) -> ExcuseFacts:
    value = MetricValue(state="measured", median=excuse.value, low=excuse.low, high=excuse.high, unit=excuse.unit)
    return ExcuseFacts(metric=excuse.metric, comparison=excuse.comparison, bound=excuse.bound, value=value)


def _judged_value(verdict: Verdict) -> MetricValue:
    """The value that a verdict is about. Where there is none, a reason that is a state says why."""
    unit = verdict.unit or ""
    if verdict.value is None:
        states: dict[str, State] = {state: state for state in get_args(State)}
        return unmeasured(unit, states.get(verdict.reason, "not_measured"))
    return MetricValue(state="measured", median=verdict.value, low=verdict.low, high=verdict.high, unit=unit)


def _if_possible(write: Callable[..., None], *what: object) -> None:
    """Writes the results; if that fails, the verdict still stands."""
    try:
        write(*what)
    except OSError as error:
        click.echo(f"stallgate: the results could not be written: {unusable(error).message}", err=True)


def _write_verdicts(project: Project, result: JudgedRun) -> None:
    write_verdicts(result)
    write_whole(result.folder / "junit.xml", junit(result))
    write_head(result, project.catalogue)


def _tell_github(project: Project, result: JudgedRun) -> None:
    """Annotates the log of a job on GitHub Actions, and shows the verdicts on its page."""
    for line in annotated(project, result, Path(os.environ.get("GITHUB_WORKSPACE", Path.cwd()))):
        click.echo(line, err=True)  # GitHub reads both streams, and --json is alone on the other
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        append_summary(Path(summary), head(result, project.catalogue))
