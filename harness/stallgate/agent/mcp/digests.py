"""What a program is told first of a command's facts: what decides, in few tokens. Everything else is a section away."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stallgate.formatting import shortened

Facts = dict[str, Any]
"""What a command printed under ``--json``."""

_DIGITS = 5
"""Significant digits of a number that is no whole one: more than noise leaves."""

_LONGEST = 400
"""Characters of a text in a digest."""

_REPLAYED = "a recording was replayed: nothing was measured here"
_ROLES = ("candidate", "unknown", "roof", "baseline")
"""In the order in which cases are told."""


def run_label(run: str) -> str:
    """A run as the tools take it: its name below ``reports/``."""
    if not run.startswith("/"):
        return run
    return run.rpartition("/reports/")[2] if "/reports/" in run else run.rpartition("/")[2]


# --- lists ------------------------------------------------------------------------------------------------------------


def listed_things(facts: Facts) -> Facts:
    """Runs, problems or stages, a line each."""
    what = facts["what"]
    line = {"runs": _run_line, "problems": _problem_line, "stages": _stage_line}[what]
    head = {"latest": facts["latest"]} if what == "runs" else {}
    return head | {what: [line(each) for each in facts[what]]}


def _run_line(run: Facts) -> Facts:
    kept = ("name", "kind", "created", "gpus", "problems", "verdict", "complete")
    return {key: run[key] for key in kept} | _present(gaps=run["gaps"])


def _problem_line(problem: Facts) -> Facts:
    return {
        "name": problem["name"],
        "title": problem["title"],
        "stages": problem["stages"],
        "variants": {each["name"]: each["role"] for each in problem["variants"]},
        "workloads": [each["name"] for each in problem["workloads"]],
        "default_workloads": [each["name"] for each in problem["workloads"] if each["default"]],
        "recordings": problem["recordings"],
    }


def _stage_line(stage: Facts) -> Facts:
    return {
        "name": stage["name"],
        "focus": _short(stage["focus"]),
        "targets": [_target_text(each) for each in stage["targets"]],
        "problems": stage["problems"],
    }


def _target_text(target: Facts) -> str:
    if target["of_roof"] is not None:
        wanted = f"{target['comparison']} {target['of_roof']} of the roof's"
    elif target["bound"] is not None:
        wanted = f"{target['comparison']} {target['bound']} {target['unit']}".strip()
    elif target["tolerance_points"] is not None:
        wanted = f"at most {target['tolerance_points']:g} points worse than the baseline"
    else:
        wanted = f"at most {100 * (target['tolerance'] or 0):g} % worse than the baseline"
    return f"{target['metric']} {wanted}"


# --- a run ------------------------------------------------------------------------------------------------------------


def run_digest(facts: Facts) -> Facts:
    """A run: what was measured where, and of each case the time and the metrics of the stages."""
    kept = ("kind", "created", "gpus", "complete", "verdict", "stages")
    cases = sorted(facts["cases"], key=lambda case: _ROLES.index(case["role"]))
    return {
        "run": run_label(facts["run"]),
        **_present(note=_REPLAYED if facts["kind"] == "recorded" else ""),
        **{key: facts[key] for key in kept},
        "units": _units(facts["metrics"]),
        "cases": [_case_line(case, facts["metrics"].get(case["case"], {})) for case in cases],
        **_present(sweep="this run is part of a sweep: section 'sweep' has what it found" if facts["sweep"] else ""),
    }


def _case_line(case: Facts, metrics: Facts) -> Facts:
    return {
        "case": case["case"],
        "role": case["role"],
        "outcome": case["outcome"],
        **{name: _number(value) for name, value in metrics.items()},
        **_present(
            name=case["name"] if case["identity"] is not None else "",
            reason=_short(case["reason"]),
            wrong_on_edge_cases=_short(case["edge_case_fault"] or ""),
            kernels_of_others=[shortened(each, 80) for each in case["foreign_kernels"]],
        ),
    }


def _units(metrics: Facts) -> dict[str, str]:
    return {name: value["unit"] for case in metrics.values() for name, value in case.items() if value["unit"]}


def run_cases(facts: Facts) -> Facts:
    """The cases of a run as they are."""
    return {"run": run_label(facts["run"]), "kind": facts["kind"], "cases": facts["cases"]}


def run_metrics(facts: Facts) -> Facts:
    """Every metric of a run's cases, with its spread."""
    rows = [{"case": case, "metrics": metrics} for case, metrics in facts["metrics"].items()]
    return {"run": run_label(facts["run"]), "kind": facts["kind"], "cases": rows}


def run_sweep(facts: Facts) -> Facts:
    """What the sweep found that a run is part of."""
    found = facts["sweep"]
    return {"run": run_label(facts["run"]), "sweep": found if found is not None else "this run is of no sweep"}


# --- what is said of a run --------------------------------------------------------------------------------------------


def advice_digest(facts: Facts) -> Facts:
    """The advice on each case, with the readings under it."""
    return {
        "run": run_label(facts["run"]),
        **_present(note=_REPLAYED if facts["kind"] == "recorded" else ""),
        "cases": [_advised_case(case) for case in facts["cases"]],
    }


def _advised_case(case: Facts) -> Facts:
    return {
        "case": case["case"],
        "duration_ms": _rounded(case["duration_ms"]),
        **_present(no_advice=case["unsound"], silent_rules=len(case["silent"])),
        "advice": [_advice_line(each) for each in case["advice"]],
    }


def _advice_line(advice: Facts) -> Facts:
    return {
        "title": advice["title"],
        "says": _short(advice["text"]),
        "explains_at_most_ms": _rounded(advice["gain_ms"]),
        "try": _short(advice["tries"]),
        "disproved_by": _short(advice["disproved_by"]),
        "trap": _short(advice["trap"]),
        "readings": {each["metric"]: _rounded(each["value"]) for each in advice["readings"]},
        **_present(stop=advice["stops"], kernel=advice["kernel"], line=_line_text(advice["line"])),
    }


def _line_text(line: Facts | None) -> str:
    return f"{line['file']}:{line['line']} {line['text']}" if line is not None else ""


def gate_digest(facts: Facts) -> Facts:
    """The verdicts: how many of each, and first those that shut the gate."""
    shut_first = sorted(facts["verdicts"], key=lambda verdict: verdict["status"] == "pass")
    return {
        "run": run_label(facts["run"]),
        **_present(note=_REPLAYED if facts["kind"] == "recorded" else ""),
        "stages": facts["stages"],
        "tally": dict(Counter(verdict["status"] for verdict in facts["verdicts"])),
        **_present(notes=[_short(note) for note in facts["notes"]]),
        "verdicts": [_verdict_line(verdict) for verdict in shut_first],
    }


def _verdict_line(verdict: Facts) -> Facts:
    parts = ("problem", "variant", "configuration", "workload")
    return {
        "status": verdict["status"],
        "reason": verdict["reason"],
        "case": "/".join(verdict[part] for part in parts if verdict[part]),
        "sentence": _short(verdict["sentence"]),
        **_present(name=verdict["name"], warning=verdict["warning"]),
    }


# --- checks, comparisons, this machine --------------------------------------------------------------------------------


def check_digest(facts: Facts) -> Facts:
    """Whether each variant is right, and where it is not; or whether an answer is accepted, and why not."""
    if facts["what"] == "answer":
        return _answer_digest(facts)
    wrong_first = sorted(facts["variants"], key=lambda variant: variant["answer"] == "right")
    where = "the GPU" if facts["device"] == "cuda" else "Triton's interpreter on small inputs: no races, no speed"
    return {
        "checked_on": where,
        **_present(seed=facts["seed"], notes=[_short(note) for note in facts["notes"]]),
        "variants": [_checked_line(each) for each in wrong_first],
    }


def _answer_digest(facts: Facts) -> Facts:
    """Whether an answer is accepted, and every reason why not: lines are those of the text that was given."""
    kept = ("accepted", "problem", "against", "stage")
    return {
        **{key: facts[key] for key in kept},
        "steps": {each["part"]: ": ".join(filter(None, (each["state"], each["why"]))) for each in facts["steps"]},
        **_present(
            stage_met=facts["stage_met"],
            run=run_label(facts["run"] or ""),
            gains=[f"{each['workload']}: {each['gain']:.1%}" for each in facts["gains"]],
            notes=[_short(note) for note in facts["notes"]],
        ),
        "objections": [_present(**each | {"text": _short(each["text"])}) for each in facts["objections"]],
    }


def _checked_line(variant: Facts) -> Facts:
    failed = [case for case in variant["cases"] if case["outcome"] != "right"]
    return {
        "variant": f"{variant['problem']}/{variant['variant']}",
        "configuration": variant["configuration"],
        "role": variant["role"],
        "answer": variant["answer"],
        "right_on": f"{variant['right']} of {len(variant['cases'])} workloads",
        **_present(failed=[_failed_case(case) for case in failed[:3]], more_failed=max(len(failed) - 3, 0)),
    }


def _failed_case(case: Facts) -> Facts:
    return {
        "workload": case["workload"],
        "outcome": case["outcome"],
        "reason": _short(case["reason"]),
        **_present(arguments=case["arguments"]),
    }


def comparison_digest(facts: Facts) -> Facts:
    """What changed from one run to the other: times of all cases, and of candidates the metrics of the stages."""
    return {
        "base": facts["base"]["name"],
        "run": facts["run"]["name"],
        "word": facts["word"],
        "finding": _short(facts["finding"] or ""),
        **_present(
            obstacles=[_short(text) for text in facts["obstacles"]],
            reservations=[_short(text) for text in facts["reservations"]],
            notes=[_short(text) for text in facts["notes"]],
            broken_rules=[_short(found["text"]) for each in facts["rules"] for found in each["broken"]],
        ),
        "pairs": [_pair_line(pair) for pair in facts["pairs"]],
    }


def _pair_line(pair: Facts) -> Facts:
    return {
        "case": pair["case"],
        "role": pair["role"],
        **_present(code=pair["code"], obstacle=pair["obstacle"]),
        "changes": {each["metric"]: _change_text(each) for each in pair["changes"]},
    }


def _change_text(change: Facts) -> str:
    numbers = f"{_number(change['base'])} -> {_number(change['run'])} {change['run']['unit']}".rstrip()
    return f"{change['word']}: {change['text']}, {numbers}"


def doctor_digest(facts: Facts) -> Facts:
    """Whether this machine can measure; what is missing comes first."""
    missing_first = sorted(facts["findings"], key=lambda finding: finding["state"] == "ok")
    return {
        "able_to_measure": facts["able"],
        "findings": [
            {"name": each["name"], "state": each["state"], "text": _short(each["text"]), **_present(hint=each["hint"])}
            for each in missing_first
        ],
    }


# --- parts ------------------------------------------------------------------------------------------------------------


def _present(**values: Any) -> Facts:
    """Those values that say something."""
    return {name: value for name, value in values.items() if value not in ("", None, False, 0, [], {})}


def _short(text: str) -> str:
    return shortened(text, _LONGEST)


def _number(value: Facts) -> float | str:
    """The median of a metric's value, or why there is none."""
    return _rounded(value["median"]) if value["state"] == "measured" else str(value["state"])


def _rounded(value: Any) -> Any:
    """A number with few digits; anything else as it is."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else float(f"{value:.{_DIGITS}g}")
