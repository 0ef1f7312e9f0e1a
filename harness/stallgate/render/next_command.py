"""The command to run next, by what is the matter with a run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from stallgate.formatting import listed
from stallgate.runs.folder import RECORDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from stallgate.judge.verdicts import Judgement, Targets
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


def next_command(run: Run, found: Judgement, name: str) -> NextCommand:
    """What to run after this run, which commands take by a name. The most serious verdict decides."""
    step = _step(run, found, name)
    if step.command != _REPORT:
        return step
    if name.startswith(f"{RECORDED}/"):  # nothing is drawn into it
        return NextCommand("a page, of a replay where there is no GPU", shlex.join(_replay(run)))
    return NextCommand(step.purpose, shlex.join(["stallgate", "report", name, "--open"]))


def _replay(run: Run) -> list[str]:
    return ["stallgate", "profile", *run.subjects, "--report"]


_MENDED_FIRST = ("wrong_result", "crashed", "timed_out", "foreign_kernel")
"""Reason codes of what is to be mended before anything is measured or made faster, the gravest first."""


def to_mend(found: Judgement) -> Verdict | None:
    """The verdict on what has to be mended first; None where nothing has."""
    counted = [verdict for verdict in found.verdicts if not verdict.warning]
    return next((verdict for reason in _MENDED_FIRST for verdict in counted if verdict.reason == reason), None)


def _step(run: Run, found: Judgement, name: str) -> NextCommand:
    if run.kind == "imported":
        return _import_step(name, found)
    mended = to_mend(found)
    if mended is not None:
        return _STEPS.get(mended.reason, _look)(mended)
    if run.kind == "live" and not run.complete:
        return _finish(run, name)
    open_verdicts = [verdict for verdict in found.verdicts if verdict.status in ("fail", "undecided", "not_measured")]
    for verdict in sorted(open_verdicts, key=lambda verdict: _ORDER.index(verdict.status)):
        return _STEPS.get(verdict.reason, _look)(verdict)
    return _PAGE if found.verdicts else NextCommand("what can be asked", "stallgate show stages")


def _import_step(name: str, found: Judgement) -> NextCommand:
    """The gate by a stage that can judge the run, as it can be pasted; the page where there is none."""
    if found.is_asked and found.exit_status != 3:
        return _PAGE
    if found.is_asked and found.targets == "all" and _judges_a_part(found):
        return NextCommand("without targets that need a roof or a baseline", _gate(name, found.stages, "absolute"))
    others = [stage for stage in found.able.whole if stage not in found.stages]
    if others:
        return NextCommand(
            f"to gate it, name a stage that can judge it: {listed(others, 'or')}", _gate(name, others[:1])
        )
    if found.is_asked:
        return _PAGE
    if found.able.part:
        purpose = f"to gate it without a roof and a baseline, name a stage: {listed(found.able.part, 'or')}"
        return NextCommand(purpose, _gate(name, found.able.part[:1], "absolute"))
    return NextCommand("the page; no stage here can judge this run by what it has", _REPORT)


def _judges_a_part(found: Judgement) -> bool:
    """Whether stages that need a roof or a baseline decide something without it."""
    return any(v.reason in ("no_roof", "no_baseline") for v in found.verdicts) and bool(
        set(found.stages) & set(found.able.part)
    )


def _finish(run: Run, name: str) -> NextCommand:
    if any(subject.swept for subject in run.subjects.values()):
        return NextCommand("finish the sweep", f"stallgate sweep --resume {shlex.quote(name)}")
    return NextCommand("finish the run", f"stallgate profile --resume {shlex.quote(name)}")


def _gate(name: str, stages: list[str], targets: Targets = "all") -> str:
    named = [word for stage in stages for word in ("--stage", stage)]
    chosen = ["--targets", targets] if targets != "all" else []
    return shlex.join(["stallgate", "gate", name, *named, *chosen])


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
