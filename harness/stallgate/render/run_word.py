"""The verdict of a whole run in one of few words. Page, summary and every other view of a run say the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from stallgate.formatting import listed, on_several, spaced, status_label, whom, within_sentence
from stallgate.judge.headroom import badness, missed_by
from stallgate.judge.reasons import OPEN, open_reason
from stallgate.model import Catalogue, FrozenStruct, Run, Verdict
from stallgate.render.program import program_finding
from stallgate.render.verdict_words import covered_in_words, title_of
from stallgate.runs.conditions import imported_files

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.judge.verdicts import Judgement


class RunWord(FrozenStruct, frozen=True):
    """The verdict of a run."""

    words: str
    style: Literal["pass", "fail", "open", "plain"]
    """A class of the page's style."""
    merge: str
    """Whether the gate lets it be merged, in words."""
    covered: str = ""
    """Of a run that may be merged: how many of its targets are not met but waived or excused, in words."""


def run_word(result: JudgedRun, catalogue: Catalogue) -> RunWord:
    """The verdict of a run: the worst that any candidate got, in a word; of missed targets, which and by how much."""
    return said_of(result.run, result.judgement, catalogue)


def said_of(run: Run, judgement: Judgement, catalogue: Catalogue) -> RunWord:
    """The same, for who has the judgement and not the numbers."""
    status = judgement.exit_status
    if status is None:
        return RunWord(words=_read(run), style="plain", merge="not judged: no stage was named for it")
    counted = [verdict for verdict in judgement.verdicts if not verdict.warning]
    if status == 0:
        return RunWord(words="Pass", style="pass", merge="may be merged", covered=covered_in_words(counted))
    if status == 1:
        return RunWord(words=_failed(counted, catalogue), style="fail", merge="not to be merged")
    return RunWord(words=_undecided(run, counted), style="open", merge="not to be merged yet")


def _failed(verdicts: list[Verdict], catalogue: Catalogue) -> str:
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    reasons = {verdict.reason for verdict in failed}
    if "wrong_result" in reasons:
        return "Wrong result"
    missed = sorted((verdict for verdict in failed if missed_by(verdict)), key=badness, reverse=True)
    if not missed:
        return "Foreign kernel" if "foreign_kernel" in reasons else "Fail"
    if len(missed) == 1:
        return _missed(missed[0], verdicts, catalogue, "missed by")
    told = [_missed(verdict, verdicts, catalogue, "by") for verdict in missed[:_MOST_MISSES]]
    told = [within_sentence(each) for each in told]
    count = sum(verdict.metric is not None for verdict in verdicts)
    more = [f"{len(missed) - len(told)} more"] if len(missed) > len(told) else []
    return f"{len(missed)} of {count} targets missed: {', '.join([*told, *more])}"


_MOST_MISSES = 2
"""Missed targets that the headline names, the worst first."""


def _missed(verdict: Verdict, verdicts: list[Verdict], catalogue: Catalogue, by: str) -> str:
    """A missed target and by how much; with its case, where several are judged."""
    several = len({(v.problem, v.variant, v.configuration, v.workload) for v in verdicts if v.metric is not None}) > 1
    where = f" ({whom(verdict, with_problem=on_several(verdicts))})" if several else ""
    return f"{title_of(verdict.metric or '', catalogue)} {by} {missed_by(verdict)}{where}"


_ENDS = {
    "crashed": "Crashed",
    "timed_out": "Timed out",
    "damaged_report": "Not measured: the ncu report is damaged",
    "stale": "Stale: the code changed since",
    "implausible": "Not measured: implausible numbers",
    "straddles": "Undecided: samples on both sides of a bound",
}
"""Reason code -> the word for a run that is open for it."""

_NOT_OF_IMPORTS = {
    "no_roof": "has no roof",
    "no_baseline": "has no accepted baseline",
    "no_workload": "does not say what its workload needs",
}
"""Reason code -> what an imported report lacks."""


def _undecided(run: Run, verdicts: list[Verdict]) -> str:
    reasons = [verdict.reason for verdict in verdicts if verdict.status in OPEN]
    found = open_reason(reasons, is_import=run.kind == "imported")
    if run.kind == "imported" and found in _NOT_OF_IMPORTS:
        return f"Cannot be judged: an imported report {_NOT_OF_IMPORTS[found]}"
    if found in ("crashed", "timed_out"):
        return f"{_ENDS[found]}{_where(run, found)}"
    if found in _ENDS:
        return _ENDS[found]
    left = _left_out(verdicts)
    others = [verdict for verdict in verdicts if verdict not in left]
    if left and others and all(verdict.status in ("pass", "waived", "excused") for verdict in others):
        return f"Pass so far: {listed([verdict.variant for verdict in left])} not measured"
    label = status_label("not_measured", found).capitalize()
    return f"{label}: {spaced(found)}" if found else label


def _left_out(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts on candidates that a run was not asked to measure."""
    return [verdict for verdict in verdicts if verdict.reason == "no_case" and not verdict.workload]


_SAMPLE = re.compile(r"\bsample (\d+)")


def _where(run: Run, outcome: str) -> str:
    """The sample in which the first case of an outcome ended, where its reason says so."""
    case = next((case for case in run.cases if case.outcome == outcome), None)
    found = _SAMPLE.search(case.reason) if case is not None else None
    return f" in {found[0]}{_of_samples(run)}" if found is not None and case is not None else ""


def _of_samples(run: Run) -> str:
    samples = run.settings.samples if run.settings is not None else None
    return f" of {samples}" if samples is not None else ""


def _read(run: Run) -> str:
    """What an imported run holds; of a captured program, which kernel takes most of its time."""
    if run.program is not None:
        return program_finding(run.program)
    found = [result.identity for result in run.cases if result.identity is not None]
    kernels = {(each.kernel, each.signature) for each in found if each.kind == "launches"}
    graphs = sum(each.kind == "graph" for each in found)
    launches = sum(each.launches for each in found if each.kind in ("launches", "graph"))
    wholes = {kind: sum(each.launches for each in found if each.kind == kind) for kind in ("range", "other")}
    counted = [(len(kernels), "kernel"), (graphs, "CUDA graph"), (launches, "launch")]
    counted += [(wholes["range"], "range"), (wholes["other"], "result")]
    counted = [(count, noun) for count, noun in counted if count] or [(len(run.cases), "case")]
    if len(run.attempts) != 1:
        counted.append((len(run.attempts), "ncu report"))
    told = ", ".join(f"{count:,} {noun}{_ENDINGS.get(noun, 's') * (count != 1)}" for count, noun in counted)
    files = imported_files(run)
    return f"{told} of {files[0]}" if len(files) == 1 and len(run.attempts) == 1 else told


_ENDINGS = {"launch": "es"}
