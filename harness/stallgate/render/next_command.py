"""The command to run next, by what is the matter with a run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from stallgate.judge.verdicts import Judgement
    from stallgate.model import Run, Verdict


class NextCommand(NamedTuple):
    """A command line, and what it is for."""

    purpose: str
    command: str


class NextStep(NamedTuple):
    """What to do next."""

    words: str
    """Without full stop."""
    command: str = ""
    """A command line that does it, or ''."""


_REPORT = "stallgate report --open"
_PAGE = NextCommand("the page", _REPORT)


def next_command(run: Run, found: Judgement) -> NextCommand:
    """What to run after this run. The most serious verdict decides."""
    step = _step(run, found)
    return (
        NextCommand(step.purpose, f"stallgate report {shlex.quote(run.name)} --open")
        if step.command == _REPORT
        else step
    )


_MENDED_FIRST = ("wrong_result", "crashed", "timed_out", "foreign_kernel")
"""Reason codes of what is to be mended before anything is measured or made faster, the gravest first."""


def to_mend(found: Judgement) -> Verdict | None:
    """The verdict on what has to be mended first; None where nothing has."""
    counted = [verdict for verdict in found.verdicts if not verdict.warning]
    return next((verdict for reason in _MENDED_FIRST for verdict in counted if verdict.reason == reason), None)


def _step(run: Run, found: Judgement) -> NextCommand:
    if run.kind == "imported":
        return _import_step(run, found)
    mended = to_mend(found)
    if mended is not None:
        return _STEPS.get(mended.reason, _look)(mended)
    if run.kind == "live" and not run.complete:
        return NextCommand("finish the run", "stallgate profile --resume")
    open_verdicts = [verdict for verdict in found.verdicts if verdict.status in ("fail", "undecided", "not_measured")]
    for verdict in sorted(open_verdicts, key=lambda verdict: _ORDER.index(verdict.status)):
        return _STEPS.get(verdict.reason, _look)(verdict)
    return _PAGE if found.verdicts else NextCommand("what can be asked", "stallgate show stages")


def _import_step(run: Run, found: Judgement) -> NextCommand:
    gate = f"stallgate gate {shlex.quote(run.name)} --stage NAME"
    if not found.is_asked:
        return NextCommand("a stage judges it", gate)
    return NextCommand("a stage that needs no roof and no baseline", gate) if found.exit_status == 3 else _PAGE


_ORDER = ("fail", "not_measured", "undecided")


def _subject(verdict: Verdict) -> str:
    name = f"{verdict.problem}/{verdict.variant}" if verdict.variant else verdict.problem
    return shlex.quote(name)


def _look(_: Verdict) -> NextCommand:
    return NextCommand("what the time goes to", _REPORT)


def _check(verdict: Verdict) -> NextCommand:
    return NextCommand("why", f"stallgate check {_subject(verdict)}")


def _measure(verdict: Verdict) -> NextCommand:
    return NextCommand("measure it", f"stallgate profile {_subject(verdict)}")


def _more_samples(verdict: Verdict) -> NextCommand:
    return NextCommand("more samples decide", f"stallgate profile {_subject(verdict)} --samples 15")


def _accept(_: Verdict) -> NextCommand:
    return NextCommand("accept a baseline of three runs", "stallgate baseline RUN RUN RUN")


def _doctor(_: Verdict) -> NextCommand:
    return NextCommand("whether this machine can measure", "stallgate doctor")


_STEPS: dict[str, Callable[[Verdict], NextCommand]] = {
    "wrong_result": _check,
    "crashed": _check,
    "timed_out": _check,
    "straddles": _more_samples,
    "stale": _measure,
    "planned": _measure,
    "no_case": _measure,
    "no_roof": lambda verdict: NextCommand("with its roof", f"stallgate profile {shlex.quote(verdict.problem)}"),
    "absent": _measure,
    "no_baseline": _accept,
    "stale_baseline": _accept,
    "other_gpu": _accept,
    "not_profiled": _doctor,
}
