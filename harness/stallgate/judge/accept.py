"""Accepting numbers: from repeated runs to ``metrics/baselines/<gpu>/<problem>.json``, which is reviewed like code.

A baseline is made of separate measurements of the code in the tree, all under the same conditions. Their spread is
part of it: a regression that is smaller than the spread of unchanged code is none.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from datetime import date
from itertools import combinations
from pathlib import Path

import msgspec

from stallgate.errors import BadArgument, NotMeasured
from stallgate.extract.read_run import measurements_of
from stallgate.extract.table import Summary
from stallgate.formatting import listed
from stallgate.judge.baselines import comparable_digests, key_of
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import BASELINE_FORMAT, Accepted, Baseline, BaselineCase, Case, Metric
from stallgate.project.layout import baseline_file, baseline_files
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.project.yardsticks import read_baseline
from stallgate.runs.conditions import TITLES, Conditions, conditions, origin_of
from stallgate.runs.folder import write_whole

FEWEST = 3
"""Fewer runs do not show how far repeated runs lie apart."""

_HEAD = ("format", "gpu", "clock_control", "cache_control")


def accept(project: Project, results: list[JudgedRun], today: date) -> list[Baseline]:
    """The baselines of the problems that runs have candidates of; cases that were accepted before are kept.

    Args:
        project: the baselines so far, and the code that the numbers have to be of.
        results: repeated runs.
        today: the day of acceptance, UTC.

    Raises:
        BadArgument: too few runs, or the same measurement twice, or nothing in them is gated.
        NotMeasured: the runs differ in their cases or conditions, or a case has no numbers to accept.
    """
    _check_runs(results)
    cases = _cases(results)
    by_problem: dict[str, list[Case]] = {}
    for case in cases:
        by_problem.setdefault(case.problem, []).append(case)
    return [_accepted(project, results, problem, mine, today) for problem, mine in by_problem.items()]


def path_of(project: Project, baseline: Baseline) -> Path:
    """The file of a baseline: the one that its GPU has already, or a new one."""
    path = baseline_file(project.root, project.folder_of(baseline.gpu), baseline.problem)
    path = inside(project.root, path.relative_to(project.root).as_posix())
    beside = [found for found in baseline_files(project.root) if found.name == path.name]
    return next((found for found in beside if _accepted_for(project, found)[0] == baseline.gpu), path)


def _accepted_for(project: Project, path: Path) -> tuple[str, str, str]:
    """GPU, clock control and cache control of a baseline's file."""
    found = read_baseline(project.root, path, project.catalogue)
    return found.gpu, found.clock_control, found.cache_control


def write(project: Project, baseline: Baseline) -> Path:
    """Writes a baseline and returns its path.

    Raises:
        BadArgument: the file has numbers of another GPU, or under another clock or cache control, which would be lost.
    """
    path = path_of(project, baseline)
    wanted = (baseline.gpu, baseline.clock_control, baseline.cache_control)
    known = _accepted_for(project, path) if path.is_file() else wanted
    if known != wanted:
        raise BadArgument(
            f"{path.parent.name}/{path.name} was accepted for {', '.join(known)}; this is {', '.join(wanted)}",
            "remove the file if its numbers are no longer needed",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, baseline_text(baseline).encode())
    return path


# --- which runs -------------------------------------------------------------------------------------------------------


def _check_runs(results: list[JudgedRun]) -> None:
    if len(results) < FEWEST:
        raise BadArgument(
            f"a baseline needs at least {FEWEST} runs; got {len(results)}",
            "its tolerance is the spread of repeated runs: repeat the same profile, ten times if you can",
        )
    for result in results:
        if result.run.kind == "imported":
            name = result.argument
            raise BadArgument(f"{name} is an imported run; the code it measured is unknown", "profile with stallgate")
    measurements = [(result, measurements_of(result) | _readings(result)) for result in results]
    for (one, mine), (other, others) in combinations(measurements, 2):
        if mine & others:
            raise BadArgument(
                f"{one.argument} and {other.argument} hold the same measurement",
                "replays of one recording have no spread: name runs that were measured separately",
            )


def _readings(result: JudgedRun) -> frozenset[str]:
    """A digest of all that ncu read of each call. No two calls agree in every metric, whatever file they come from."""
    return frozenset(
        hashlib.sha256(msgspec.json.encode([[launch.kernel, launch.metrics] for launch in call.launches])).hexdigest()
        for call in result.calls
    )


def _cases(results: list[JudgedRun]) -> list[Case]:
    """The gated cases, which every run has with sound numbers.

    Raises:
        BadArgument: there is none.
        NotMeasured: a run lacks one, or its numbers of it cannot be judged.
    """
    cases = list(dict.fromkeys(case for result in results for case in _gated(result)))
    if not cases:
        raise BadArgument(
            "the runs have no candidate, and only candidates are gated", "give one its role in problem.toml"
        )
    for result in results:
        for case in cases:
            _check_case(result, case)
    return cases


def _gated(result: JudgedRun) -> list[Case]:
    return [r.case for r in result.run.cases if r.role == "candidate" and r.case.configuration == "default"]


def _check_case(result: JudgedRun, case: Case) -> None:
    again = "profile the same cases with the code that is here"
    if case not in _gated(result):
        raise NotMeasured(f"{result.argument} did not measure {case.name}; another run did", again)
    about = (case.problem, case.variant, case.workload)
    for verdict in result.judgement.verdicts:
        if verdict.stage is None and (verdict.problem, verdict.variant, verdict.workload) == about:
            raise NotMeasured(f"{result.argument}: {case.name}: {verdict.sentence}", again)


def _conditions(results: list[JudgedRun], cases: list[Case]) -> Conditions:
    """The conditions that all cases of a problem share in all runs.

    Raises:
        NotMeasured: they differ, or are not known.
    """
    found = {
        conditions(result.run, measured): result.argument
        for result in results
        for measured in result.run.cases
        if measured.case in cases
    }
    for name, title in TITLES.items():
        values = {str(getattr(one, name) or "unknown") for one in found}
        if len(values) > 1 or "unknown" in values:
            raise NotMeasured(
                f"the {title} of the runs is {listed(sorted(values))}", "use runs with the same GPU and settings"
            )
    return next(iter(found))


# --- what is accepted -------------------------------------------------------------------------------------------------


def _accepted(project: Project, results: list[JudgedRun], problem: str, cases: list[Case], today: date) -> Baseline:
    measured = _conditions(results, cases)
    made = {key_of(case): _case(project, results, case, today) for case in cases}
    return Baseline(
        format=BASELINE_FORMAT,
        problem=problem,
        gpu=measured.gpu or "",
        clock_control=measured.clock_control or "",
        cache_control=measured.cache_control or "",
        cases=dict(sorted({**_kept(project, problem, measured), **made}.items())),
    )


def _kept(project: Project, problem: str, measured: Conditions) -> dict[str, BaselineCase]:
    """Cases that were accepted before under the same conditions, and that the project still has."""
    known = project.problems[problem]
    here = [b for b in project.baselines.get(problem, []) if b.gpu == measured.gpu]
    same = [b for b in here if (b.clock_control, b.cache_control) == (measured.clock_control, measured.cache_control)]
    names = {f"{variant}/default/{workload}" for variant in known.variants for workload in known.workloads}
    return {key: case for baseline in same for key, case in baseline.cases.items() if key in names}


def _case(project: Project, results: list[JudgedRun], case: Case, today: date) -> BaselineCase:
    """A case's numbers: of each metric that has a direction and that every run measured."""
    last = results[-1].run
    judged = [metric for metric in project.catalogue.metrics.values() if metric.direction != "neither"]
    metrics = {
        metric.name: _metric(metric, [r.summaries.get((case, metric.name)) for r in results]) for metric in judged
    }
    return BaselineCase(
        runs=len(results),
        accepted=today,
        commit=origin_of(last, case.problem).commit,
        digests=comparable_digests(last, case),
        metrics={name: accepted for name, accepted in metrics.items() if accepted is not None},
    )


def _metric(metric: Metric, summaries: list[Summary | None]) -> Accepted | None:
    medians = [s.median for s in summaries if s is not None and s.median is not None]
    if len(medians) < len(summaries):
        return None
    return Accepted(
        low=min(s.low for s in summaries if s is not None and s.low is not None),
        median=statistics.median(medians),
        high=max(s.high for s in summaries if s is not None and s.high is not None),
        unit=metric.unit,
    )


# --- as a file --------------------------------------------------------------------------------------------------------


def baseline_text(baseline: Baseline) -> str:
    """A baseline as JSON with a line for each entry, so that a change of one number is a change of one line."""
    plain = msgspec.to_builtins(baseline)
    lines = [f" {json.dumps(name)}: {json.dumps(plain[name])}," for name in _HEAD]
    cases = [_case_text(name, case) for name, case in plain["cases"].items()]
    return "\n".join(["{", *lines, ' "cases": {', ",\n".join(cases), " }", "}"]) + "\n"


def _case_text(name: str, case: dict[str, object]) -> str:
    """A case of a baseline: a line for each of its facts, digests and metrics."""
    parts = []
    for key, value in case.items():
        if isinstance(value, dict):
            rows = [f"    {json.dumps(row)}: {json.dumps(entry)}" for row, entry in value.items()]
            parts.append(f"   {json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n   }")
        else:
            parts.append(f"   {json.dumps(key)}: {json.dumps(value)}")
    return f"  {json.dumps(name)}: {{\n" + ",\n".join(parts) + "\n  }"
