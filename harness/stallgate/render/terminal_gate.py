"""Verdicts in the terminal: the conclusion first and last, and what is not met before what is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from shlex import join as quoted
from typing import TYPE_CHECKING

from stallgate.formatting import listed, on_several, spaced, variant_of, verdict_mark, whom, within_sentence
from stallgate.judge.headroom import badness
from stallgate.render.next_command import next_command
from stallgate.render.run_word import said_of
from stallgate.render.terminal_text import hang, out, show_next, show_origin, styled
from stallgate.render.verdict_words import SERIOUS, counted, covered_in_words, title_of, verdict_in_words

if TYPE_CHECKING:
    from rich.text import Text

    from stallgate.judge.evaluate import JudgedRun
    from stallgate.judge.verdicts import Judgement
    from stallgate.model import Catalogue, Run, Status, Verdict
    from stallgate.project.load import Project

_STYLES: dict[Status, str] = {
    "pass": "green",
    "fail": "red",
    "undecided": "yellow",
    "not_measured": "yellow",
    "waived": "yellow",
    "excused": "green",
}

_MOST_UNMET = 20
"""Verdicts of an imported run that are told where it is imported."""

_CONCLUSIONS = {0: ("PASS", "bold green"), 1: ("FAIL", "bold red")}


def show_judgement(result: JudgedRun, project: Project, *, every: bool = False, advice: Iterable[str] = ()) -> None:
    """The gate's answer: the conclusion, what is not met, what is met in one line, and the conclusion again.

    Args:
        result: the run and its judgement.
        project: the metrics, for their titles, and where its runs are.
        every: a line for each target, also for those that are met.
        advice: what to try on cases that miss a target.
    """
    run, found, catalogue = result.run, result.judgement, project.catalogue
    show_conclusion(run, found, catalogue)
    show_origin(run)
    _verdicts(found.verdicts, catalogue, every=every)
    _remarks(found)
    for line in advice:
        hang(out, styled("advice", "bold"), f" {line}", 2)
    show_next(*next_command(run, found, result.argument))
    show_answer(found)


def show_unmet(found: Judgement, catalogue: Catalogue) -> None:
    """The verdicts of an imported run that are not met, and the answer in one line."""
    unmet = [verdict for verdict in found.verdicts if verdict.status not in ("pass", "waived", "excused")]
    _unmet(unmet[:_MOST_UNMET], catalogue, with_problem=on_several(found.verdicts))
    if len(unmet) > _MOST_UNMET:
        hang(out, styled(""), f"and {len(unmet) - _MOST_UNMET} more: `stallgate gate` tells them all", 2)
    _remarks(found)
    show_answer(found)


def show_conclusion(run: Run, found: Judgement, catalogue: Catalogue) -> None:
    """The answer and its first reason, in one line."""
    hang(out, _word(found), f"  {_reason(run, found, catalogue)}", 2)


def _reason(run: Run, found: Judgement, catalogue: Catalogue) -> str:
    """How many targets are met or not; of a single miss, which and by how much; what is open, as the page has it."""
    several = on_several(found.verdicts)
    if found.exit_status == 0:
        green = [verdict for verdict in found.verdicts if not verdict.warning]
        others = covered_in_words(green)
        if not others:
            return f"all {_targets(len(green))} met"
        return f"{_count(green, 'pass')} of {_targets(len(green))} met, {others}"
    if found.exit_status != 1:
        return _open(run, found, catalogue, with_problem=several)
    words = said_of(run, found, catalogue).words
    failed = [v for v in found.verdicts if v.status == "fail" and not v.warning]
    about = whom(max(failed, key=badness), with_problem=several)
    return words if about in words else f"{about}: {within_sentence(words)}"


def _open(run: Run, found: Judgement, catalogue: Catalogue, *, with_problem: bool) -> str:
    """Why a run cannot be decided, in the words of the page, and what that is about."""
    unmet = [v for v in found.verdicts if v.status in ("undecided", "not_measured") and not v.warning]
    if not unmet:
        return "nothing was judged"
    words = said_of(run, found, catalogue).words
    first = next((v for v in unmet if spaced(v.reason) in words.lower()), unmet[0])
    about = whom(first, with_problem=with_problem)
    more = f" and {len(unmet) - 1} more" if len(unmet) > 1 else ""
    return words if run.kind == "imported" or about in words else f"{words}; {about}{more}"


def _targets(count: int) -> str:
    return f"{count} target{'s' * (count != 1)}"


def _count(verdicts: list[Verdict], status: Status) -> int:
    return sum(verdict.status == status for verdict in verdicts)


def _verdicts(verdicts: list[Verdict], catalogue: Catalogue, *, every: bool) -> None:
    several = on_several(verdicts)
    unmet = [verdict for verdict in verdicts if every or verdict.status != "pass"]
    _unmet(unmet, catalogue, with_problem=several)
    met = [verdict for verdict in verdicts if verdict.status == "pass"]
    if met and not every:
        _met(met, catalogue)


def _unmet(verdicts: list[Verdict], catalogue: Catalogue, *, with_problem: bool) -> None:
    """A line for each statement, the most serious first; cases of which the same is said share one."""
    width = max((len(verdict_mark(verdict)) for verdict in verdicts), default=0) + 2
    grouped: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in sorted(verdicts, key=lambda verdict: (SERIOUS.index(verdict.status), verdict.warning)):
        grouped.setdefault((verdict_mark(verdict), _said(verdict, catalogue)), []).append(verdict)
    for (mark, words), same in grouped.items():
        about = _subjects(same, with_problem=with_problem)
        hang(out, styled(f"{mark:<{width}}", _STYLES[same[0].status]), f"{about}: {words}", width)


def _said(verdict: Verdict, catalogue: Catalogue) -> str:
    """What a verdict says beside its mark."""
    return verdict_in_words(verdict, catalogue).removeprefix("stale: ")


def _subjects(verdicts: list[Verdict], *, with_problem: bool) -> str:
    """The variants and workloads of verdicts: ``a and b on square; c on page``."""
    places: dict[str, list[str]] = {}
    for verdict in verdicts:
        found = places.setdefault(variant_of(verdict, with_problem=with_problem), [])
        if verdict.workload and not verdict.name and verdict.workload not in found:
            found.append(verdict.workload)
    variants: dict[str, list[str]] = {}
    for variant, workloads in places.items():
        variants.setdefault(listed(workloads), []).append(variant)
    return "; ".join(f"{listed(names)}{f' on {where}' if where else ''}" for where, names in variants.items())


def _met(verdicts: list[Verdict], catalogue: Catalogue) -> None:
    """One line that counts what is met by metric; what does not fit is counted."""
    counts = Counter(title_of(verdict.metric, catalogue) for verdict in verdicts if verdict.metric is not None)
    parts = [f"{title}{f' ({count})' if count > 1 else ''}" for title, count in counts.items()]
    out.print(
        styled(f"✓ {len(verdicts)} met", _STYLES["pass"]) + styled(_fitting(parts, len(verdicts))), soft_wrap=True
    )


def _fitting(parts: list[str], count: int) -> str:
    """As many parts as fit behind ``✓ 14 met``, and how many do not."""
    room = out.width - len(f"✓ {count} met")
    for kept in range(len(parts), 0, -1):
        more = f" and {len(parts) - kept} more" if kept < len(parts) else ""
        line = f": {', '.join(parts[:kept])}{more}"
        if len(line) <= room:
            return line
    return ""


def _remarks(found: Judgement) -> None:
    """Notes, and how to collect what is missing."""
    for note in found.notes:
        hang(out, styled(""), note, 2, "yellow")
    for missing in found.uncollected:
        hang(out, styled(""), f"what {missing.stage} needs is collected by", 2)
        out.print(styled(f"  {quoted(missing.command)}"), soft_wrap=True)


def show_answer(found: Judgement) -> None:
    """The answer in one line, for the end."""
    hang(out, _word(found), f"  {counted(found.verdicts)}; stages: {', '.join(found.stages) or 'none'}", 2)


def _word(found: Judgement) -> Text:
    status = 3 if found.exit_status is None else found.exit_status
    return styled(*_CONCLUSIONS.get(status, ("NOT DECIDED", "bold yellow")))
