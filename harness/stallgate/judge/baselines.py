"""What is accepted of a case, where that can be held against a run."""

from __future__ import annotations

from typing import NamedTuple

from stallgate.formatting import listed, spaced
from stallgate.model import Accepted, Baseline, BaselineCase, Case, CaseResult, Metric, Run
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.digests import REFERENCE, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.runs.conditions import Conditions, conditions


class Gap(NamedTuple):
    """Why there is nothing that a number could be held against."""

    reason: str
    """A stable code: see ``stallgate/judge/verdicts.py``."""
    sentence: str


def key_of(case: Case) -> str:
    """A case as a baseline names it; the problem is the file's."""
    return f"{case.variant}/{case.configuration}/{case.workload}"


def comparable_digests(run: Run, case: Case) -> dict[str, str]:
    """Digests of what has to be the same for two runs' numbers of a case to be held against each other.

    The roofs' are among them, which matter to what is a fraction of the roof.
    """
    subject = run.subjects.get(case.problem)
    if subject is None:
        return {}
    roofs = [variant_key(r.case.variant) for r in run.cases if r.role == "roof" and r.case.problem == case.problem]
    keys = [REFERENCE, workload_key(case.workload), *dict.fromkeys(roofs)]
    return {key: subject.digests[key] for key in keys if key in subject.digests}


def accepted_of(project: Project, run: Run, result: CaseResult, metric: Metric) -> Accepted | Gap:
    """What a metric of a case of a run is accepted to be; a gap where that is of something else, or nothing is."""
    case = result.case
    baseline = _baseline(project, case.problem, conditions(run, result))
    if isinstance(baseline, Gap):
        return baseline
    entry = baseline.cases.get(key_of(case))
    if entry is None or metric.name not in entry.metrics:
        return Gap("no_baseline", f"no {metric.name} of {case.variant} on {case.workload} is accepted")
    moved = _moved(entry, run, case, metric)
    if moved:
        return Gap("stale_baseline", f"the baseline was accepted before {listed(moved)} changed")
    return entry.metrics[metric.name]


def _baseline(project: Project, problem: str, measured: Conditions) -> Baseline | Gap:
    """The baseline of a problem that was measured under the same conditions."""
    known = project.baselines.get(problem, [])
    if not known:
        return Gap("no_baseline", f"no baseline of {problem} is accepted")
    baseline = next((baseline for baseline in known if baseline.gpu == measured.gpu), None)
    if baseline is None:
        gpus = listed([baseline.gpu for baseline in known])
        return Gap("other_gpu", f"the baseline is of {gpus}, the run of {measured.gpu or 'an unknown GPU'}")
    for name in ("clock_control", "cache_control"):
        wanted, found = getattr(baseline, name), getattr(measured, name)
        if wanted != found:
            sentence = f"the baseline was measured with {spaced(name)} {wanted}, the run with {found or 'unknown'}"
            return Gap(f"other_{name}", sentence)
    return baseline


def _moved(entry: BaselineCase, run: Run, case: Case, metric: Metric) -> list[str]:
    """What a baseline and a run do not have in common, of all that has to be the same."""
    now = comparable_digests(run, case)
    keys = [REFERENCE, workload_key(case.workload)]
    if metric.name == ROOF_FRACTION:
        keys += [key for key in dict.fromkeys([*entry.digests, *now]) if key not in keys]
    return [key for key in keys if entry.digests.get(key) != now.get(key)]
