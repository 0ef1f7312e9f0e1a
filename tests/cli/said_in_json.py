"""What the JSON objects of the commands, and the files beside a page, say of a run."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from stallgate.formatting import status_label
from tests.cli.statements import (
    SHOWN,
    Json,
    Statement,
    case_of,
    labels_of,
    of_notes,
    of_origin,
    tally,
    target_of,
    tells_of_results,
)

_ANSWERS = {0: "pass", 1: "fail", 3: "open", None: "plain"}


def of_gate(found: Json, status: int | None, where: str = "gate --json") -> Iterator[Statement]:
    """The object of ``gate``, or ``verdicts.json``."""
    yield Statement(("answer",), _ANSWERS[status], where)
    yield Statement(("verdicts counted",), tally(labels_of(found["verdicts"])), where)
    yield from of_notes(found["notes"], where)
    wrong = any(v["reason"] == "wrong_result" for v in found["verdicts"] if not v["warning"])
    if wrong or tells_of_results(found["verdicts"]):
        yield Statement(("a candidate is wrong",), wrong, where)
    for verdict in found["verdicts"]:
        yield Statement(target_of(verdict), status_label(verdict["status"], verdict["reason"]), where)
        yield Statement(("sentence", *target_of(verdict)), " ".join(verdict["sentence"].split()), where)
        value = verdict["value"]
        median = value["median"] if isinstance(value, dict) else value
        if verdict["metric"] and median is not None and verdict["kernel"] is None:
            yield Statement(("value", case_of(verdict), verdict["metric"]), float(median), where)
        if verdict["metric"] and verdict["bound"] is not None:
            yield Statement(("bound", *target_of(verdict)), float(verdict["bound"]), where)


def of_show(found: Json) -> Iterator[Statement]:
    """The object of ``show run``."""
    where = "show --json"
    yield Statement(("answer",), SHOWN[found["verdict"]], where)
    yield Statement(("gpus",), ", ".join(found["gpus"]), where)
    yield Statement(("kind",), found["kind"], where)
    for case, metrics in found["metrics"].items():
        for metric, value in metrics.items():
            if value["median"] is not None:
                yield Statement(("value", case, metric), float(value["median"]), where)
    for case in found["cases"]:
        if case["identity"] is None:
            yield Statement(("standing", case["case"]), _standing(case), where)
    yield Statement(("measured",), _measured([case["outcome"] for case in found["cases"]]), where)
    yield from _ranks(found)


def _standing(case: Json) -> str:
    """What a table has to say of a case beside its name."""
    if case["outcome"] != "profiled":
        return f"{case['role']}, {case['outcome'].replace('_', ' ')}"
    return f"{case['role']}, wrong on edge cases" if case["edge_case_fault"] else str(case["role"])


def _measured(outcomes: list[str]) -> str:
    return f"{outcomes.count('profiled')} of {len(outcomes)}"


def _ranks(found: Json) -> Iterator[Statement]:
    """Which case of a workload is the fastest, by the times."""
    times: dict[tuple[str, str], dict[str, float]] = {}
    for case, metrics in found["metrics"].items():
        problem, _, _, workload = case.split("/")
        median = metrics.get("duration", {}).get("median")
        if median is not None:
            times.setdefault((problem, workload), {})[case] = median
    for (problem, workload), mine in times.items():
        order = sorted(mine, key=lambda case: mine[case])
        if found["kind"] != "imported" and len(set(mine.values())) == len(mine):
            for rank, case in enumerate(order):
                yield Statement(("rank", case), str(rank + 1), "the times of show --json")
            yield Statement(("fastest", problem, workload), order[0], "the times of show --json")


def of_runs(found: Json, name: str) -> Iterator[Statement]:
    """The run's entry in the object of ``show runs``."""
    where = "show runs --json"
    mine = next(run for run in found["runs"] if run["name"] == name)
    yield Statement(("answer",), SHOWN[mine["verdict"]], where)
    yield Statement(("gpus",), ", ".join(mine["gpus"]), where)
    yield Statement(("kind",), mine["kind"], where)
    outcomes = [outcome for outcome, count in mine["outcomes"].items() for _ in range(count)]
    yield Statement(("measured",), _measured(outcomes), where)
    if mine["kind"] != "imported":
        yield Statement(("problems",), ", ".join(mine["problems"]), where)
    if mine["kind"] == "live":
        yield Statement(("commit",), (mine["commit"] or "unknown")[:7], where)
        yield Statement(("local changes",), bool(mine["commit"] and mine["dirty"]), where)
        yield Statement(("created",), mine["created"], where)


def of_compare(found: Json) -> Iterator[Statement]:
    """The object of ``compare --all``."""
    where = "compare --json"
    yield Statement(("changed",), found["word"], where)
    yield Statement(("finding",), found["finding"], where)
    yield from of_origin(found["run"]["provenance"], where)
    yield Statement(("origin before",), found["base"]["provenance"], where)
    yield Statement(("compared notes",), " | ".join(found["notes"]), where)
    same = [(pair["case"], c) for pair in found["pairs"] for c in pair["changes"] if c["word"] == "same"]
    yield Statement(("unchanged",), f"{len(same)} of {len({case for case, _ in same})}", where)
    words = [change["word"] for pair in found["pairs"] for change in pair["changes"]]
    for word, count in found["tally"].items():
        yield Statement(("changes", word), float(count), "compare --json's tally")
        yield Statement(("changes", word), float(words.count(word)), "compare --json's pairs")
    for pair in found["pairs"]:
        for change in pair["changes"]:
            subject = (pair["case"], change["metric"])
            yield Statement(("changed", *subject), change["word"], where)
            yield Statement(("change", *subject), change["text"], where)
            for side, key in (("before", "base"), ("value", "run")):
                if change[key]["median"] is not None:
                    yield Statement((side, *subject), float(change[key]["median"]), where)


Terms = tuple[str, float, bool]


def of_bounds(then: Json, now: Json, stages: list[str], notes: list[str]) -> Iterator[Statement]:
    """Whether a stage asks for something else of a metric than when the run before was judged.

    Args:
        then: its ``verdicts.json``.
        now: the object of ``show stages``.
        stages: those that judge the run after.
        notes: those of ``compare``.
    """
    asked: dict[tuple[str, str], set[Terms]] = {}
    for v in then["verdicts"]:
        if v["stage"] in stages and v["metric"] and v["bound"] is not None and v["baseline"] is None:
            of_roof = v["of_roof"] is not None
            asked.setdefault((v["stage"], v["metric"]), set()).add(
                (v["comparison"], v["of_roof"] if of_roof else v["bound"], of_roof)
            )
    for stage in now["stages"]:
        targets = [t for t in stage["targets"] if t["comparison"] is not None]
        for metric in {target["metric"] for target in targets}:
            before = asked.get((stage["name"], metric), set())
            terms = {_terms(target) for target in targets if target["metric"] == metric}
            changed = bool(before - terms) and bool(terms - before)
            told = any(note.startswith(f"the bound of {metric} in {stage['name']} changed") for note in notes)
            yield Statement(("bound changed", stage["name"], metric), changed, "verdicts.json and show stages --json")
            yield Statement(("bound changed", stage["name"], metric), told, "compare --json")


def _terms(target: Json) -> Terms:
    of_roof = target["of_roof"] is not None
    return target["comparison"], target["of_roof"] if of_roof else target["bound"], of_roof


def of_advise(found: Json) -> Iterator[Statement]:
    """The object of ``advise``: the times of cases, and the readings that are of a whole case."""
    for case in found["cases"]:
        if case["duration_ms"] is not None:
            yield Statement(("value", case["case"], "duration"), 1e6 * case["duration_ms"], "advise --json")
        for advice in case["advice"]:
            if advice["stops"]:
                yield Statement(("left", case["case"]), 100 * float(advice["gain"]), "advise --json")
            for reading in advice["readings"]:
                if reading["sample"] == "" and reading["launch"] is None:
                    subject = ("value", case["case"], reading["metric"])
                    yield Statement(subject, float(reading["value"]), "advise --json")


# --- JUnit ------------------------------------------------------------------------------------------------------------

_ELEMENTS = {
    "fail": "failure",
    "undecided": "error",
    "not_measured": "error",
    "waived": "skipped",
    "excused": "skipped",
}


def junit_of_gate(found: Json) -> Iterator[Statement]:
    """What JUnit's XML has to say for verdicts: how many tests of each outcome, and their sentences."""
    outcomes = ["skipped" if v["warning"] else _ELEMENTS.get(v["status"], "passed") for v in found["verdicts"]]
    yield Statement(("junit",), tally(outcomes or ["error"]), "gate --json")
    for verdict, outcome in zip(found["verdicts"], outcomes, strict=True):
        yield Statement(("junit", " ".join(verdict["sentence"].split()), case_of(verdict)), outcome, "gate --json")


def of_junit(text: bytes, found: Json) -> Iterator[Statement]:
    """``junit.xml``; its tests stand in the order of the verdicts."""
    suite = ElementTree.fromstring(text)[0]
    tests = suite.findall("testcase")
    outcomes = [next((e.tag for e in test if e.tag != "system-out"), "passed") for test in tests]
    yield Statement(("junit",), tally(outcomes), "junit.xml")
    for counted, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        yield Statement(("junit", counted), suite.attrib[counted], "junit.xml")
        yield Statement(("junit", counted), str(outcomes.count(tag)), "the tests of junit.xml")
    facts = {each.attrib["name"]: each.attrib["value"] for each in suite.iter("property")}
    yield from of_origin(facts["provenance"], "junit.xml")
    status = None if facts["exit_status"] == "None" else int(facts["exit_status"])
    yield Statement(("answer",), _ANSWERS[status], "junit.xml")
    yield from of_notes([value for name, value in facts.items() if name.startswith("note ")], "junit.xml")
    for test, outcome, verdict in zip(tests, outcomes, found["verdicts"], strict=False):
        words = " ".join((test[0].text or "").split())
        yield Statement(("junit", words, case_of(verdict)), outcome, "junit.xml")
