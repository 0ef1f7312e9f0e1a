"""``junit.xml``: the verdicts as CI systems list tests.

A case for each verdict. What is not measured or undecided is an *error*, never *skipped*: most systems show skipped
tests as green. Only waived and excused verdicts and warnings are skipped.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from stallgate.formatting import variant_of, workload_of
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Status, Verdict
from stallgate.runs.conditions import provenance

OUTCOMES: dict[Status, str] = {
    "fail": "failure",
    "undecided": "error",
    "not_measured": "error",
    "waived": "skipped",
    "excused": "skipped",
}
"""The element for a verdict; a test without one has passed."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: JudgedRun) -> bytes:
    """The verdicts of a run as JUnit XML; a run without any is one error, so that no reader takes it for a pass."""
    judged = result.judgement
    tests = [_test(verdict) for verdict in judged.verdicts]
    if not tests:
        tests = [_told("error", "no_verdict", "; ".join(judged.notes), classname="stallgate", name="the run is judged")]
    attributes = {
        "name": f"stallgate {_clean(result.argument)}",
        "timestamp": result.run.created.removesuffix("Z"),
        "tests": str(len(tests)),
        "failures": str(_count(tests, "failure")),
        "errors": str(_count(tests, "error")),
        "skipped": str(_count(tests, "skipped")),
    }
    suite = Xml.Element("testsuite", attributes)
    facts = {
        "provenance": provenance(result.run),
        "stages": ", ".join(judged.stages),
        "targets": judged.targets,
        "exit_status": str(judged.exit_status),
        **{f"note {number}": note for number, note in enumerate(judged.notes, 1)},
    }
    properties = Xml.SubElement(suite, "properties")
    for name, value in facts.items():
        Xml.SubElement(properties, "property", name=name, value=_clean(value))
    suite.extend(tests)
    suites = Xml.Element("testsuites")
    suites.append(suite)
    Xml.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{Xml.tostring(suites, encoding="unicode")}\n'.encode()


def _test(verdict: Verdict) -> Xml.Element:
    where = {"classname": f"{verdict.problem}.{variant_of(verdict, with_problem=False)}", "name": _name(verdict)}
    outcome = "skipped" if verdict.warning else OUTCOMES.get(verdict.status)
    if outcome is not None:
        return _told(outcome, verdict.reason, verdict.sentence, **where)
    test = Xml.Element("testcase", {key: _clean(value) for key, value in where.items()})
    Xml.SubElement(test, "system-out").text = _clean(verdict.sentence)
    return test


def _told(outcome: str, reason: str, sentence: str, **where: str) -> Xml.Element:
    test = Xml.Element("testcase", {key: _clean(value) for key, value in where.items()})
    told = Xml.SubElement(test, outcome, type=reason, message=_clean(sentence))
    told.text = _clean(sentence)
    return test


def _name(verdict: Verdict) -> str:
    """A name that is unique among a run's verdicts and the same from run to run."""
    if verdict.name and not verdict.variant:  # on several cases: a stage may have several of these
        return f"{verdict.stage or 'outcome'}: {verdict.sentence}"
    parts = [workload_of(verdict) or "every workload", verdict.stage or "outcome", verdict.metric, _bound(verdict)]
    return ": ".join(part for part in [*parts, verdict.kernel] if part)


def _bound(verdict: Verdict) -> str | None:
    """The bound as the stage states it; its numeric value may differ between runs."""
    around = verdict.tolerance is not None or verdict.tolerance_points is not None
    if verdict.baseline is not None or (verdict.comparison is None and around):
        return "against the baseline"
    if verdict.comparison is None:
        return None
    if verdict.of_roof is not None:
        return f"{verdict.comparison} {verdict.of_roof:g} of the roof"
    return f"{verdict.comparison} {verdict.bound:g}"


def _count(tests: list[Xml.Element], outcome: str) -> int:
    return sum(test.find(outcome) is not None for test in tests)


def _clean(words: str) -> str:
    """Text without characters that XML does not allow: a reason may quote another program's output."""
    return _NOT_XML.sub("\ufffd", words)
