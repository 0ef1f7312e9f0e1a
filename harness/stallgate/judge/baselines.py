"""The accepted numbers of a case, and whether a run can be compared with them."""

from __future__ import annotations

from stallgate.formatting import listed, spaced
from stallgate.model import Accepted, Baseline, BaselineCase, Case, CaseResult, Metric, Reason, Run
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.digests import REFERENCE_KEY, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.runs.conditions import Conditions, conditions


def key_of(case: Case) -> str:
    """The key of a case in a baseline's file, which is of one problem."""
    return f"{case.variant}/{case.configuration}/{case.workload}"


def comparable_digests(run: Run, case: Case) -> dict[str, str]:
    """The digests that have to be the same before numbers of a case are compared with a baseline.

    Those of the roofs are among them; they matter to fractions of the roof alone.
    """
    subject = run.subjects.get(case.problem)
    if subject is None:
        return {}
    roofs = [variant_key(r.case.variant) for r in run.cases if r.role == "roof" and r.case.problem == case.problem]
    keys = [REFERENCE_KEY, workload_key(case.workload), *dict.fromkeys(roofs)]
    return {key: subject.digests[key] for key in keys if key in subject.digests}


def accepted_of(project: Project, run: Run, result: CaseResult, metric: Metric) -> Accepted | Reason:
    """The accepted value of a case's metric, or why none applies."""
    case = result.case
    baseline = _baseline(project, case.problem, conditions(run, result))
    if isinstance(baseline, Reason):
        return baseline
    entry = baseline.cases.get(key_of(case))
    if entry is None or metric.name not in entry.metrics:
        return Reason(
            code="no_baseline", sentence=f"no baseline value for {metric.name} of {case.variant} on {case.workload}"
        )
    moved = _moved(entry, run, case, metric)
    if moved:
        return Reason(code="stale_baseline", sentence=f"the baseline is stale: {listed(moved)} changed since")
    accepted = entry.metrics[metric.name]
    if accepted.unit != metric.unit:
        sentence = (
            f"the baseline has {metric.name} in {accepted.unit or 'no unit'}, the run in {metric.unit or 'no unit'}"
        )
        return Reason(code="stale_baseline", sentence=sentence)
    return accepted


def _baseline(project: Project, problem: str, measured: Conditions) -> Baseline | Reason:
    """The baseline of a problem under the conditions of a run, or why none applies."""
    known = project.baselines.get(problem, [])
    if not known:
        return Reason(code="no_baseline", sentence=f"{problem} has no accepted baseline")
    baseline = next((baseline for baseline in known if baseline.gpu == measured.gpu), None)
    if baseline is None:
        gpus = listed([baseline.gpu for baseline in known])
        sentence = f"the baseline is for {gpus}; the run is on {measured.gpu or 'an unknown GPU'}"
        return Reason(code="other_gpu", sentence=sentence)
    for name in ("clock_control", "cache_control"):
        wanted, found = getattr(baseline, name), getattr(measured, name)
        if wanted != found:
            sentence = f"the baseline was measured with {spaced(name)} {wanted}, the run with {found or 'unknown'}"
            return Reason(code=f"other_{name}", sentence=sentence)
    return baseline


def _moved(entry: BaselineCase, run: Run, case: Case, metric: Metric) -> list[str]:
    """The digests that differ between a baseline and a run, of those that the metric depends on."""
    now = comparable_digests(run, case)
    keys = [REFERENCE_KEY, workload_key(case.workload)]
    if metric.name == ROOF_FRACTION:
        keys += [key for key in dict.fromkeys([*entry.digests, *now]) if key not in keys]
    return [key for key in keys if now.get(key) is None or entry.digests.get(key) != now[key]]
