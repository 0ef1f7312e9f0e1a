"""The first screen of a loop's page: what the best is, and the questions that every page answers."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from stallgate.formatting import listed
from stallgate.model import FrozenStruct
from stallgate.render.loop_words import loop_gain, loop_gain_text, roof_text, times_text
from stallgate.render.next_step import NextStep
from stallgate.render.results_line import ResultsLine
from stallgate.runs.journal import START, Journal, LoopTry
from stallgate.runs.ladder import is_met


class LoopScreen(FrozenStruct, frozen=True):
    """What a reader of a loop has to know, before anything else."""

    best: str
    gate: str
    results: ResultsLine
    changed: str
    step: NextStep


def loop_screen(journal: Journal) -> LoopScreen:
    """The answers of a loop."""
    return LoopScreen(
        best=_best(journal),
        gate=_gate(journal),
        results=_results(journal),
        changed=_changed(journal),
        step=_step(journal),
    )


def _best(journal: Journal) -> str:
    name = "the start" if journal.best.name == START else f"answer {journal.best.name}"
    if journal.best.reading is None:
        return f"{name}, not measured"
    roof = roof_text(journal.best)
    return f"{name}: {times_text(journal.best)}{f', {roof} of the roof' if roof != '–' else ''}"


def _gate(journal: Journal) -> str:
    """That a loop is not judged, and which stages its best meets."""
    if journal.best.reading is None:
        return "not judged: nothing was measured"
    met = [stage for stage in journal.stages if is_met(journal.best, stage)]
    missed = [stage for stage in journal.stages if stage not in met]
    parts = [f"meets {listed(met)}"] * bool(met) + [f"does not meet {listed(missed)}"] * bool(missed)
    return f"not judged: a loop proposes; the best {' and '.join(parts)}"


def _results(journal: Journal) -> ResultsLine:
    """How many of the answers that ran gave right results: a wrong one never becomes the best."""
    ran = [found for found in map(_is_right, journal.tries()) if found is not None]
    if not ran:
        return ResultsLine(words="not known: no answer came as far as its results", style="open")
    wrong = ran.count(False)
    words = f"right: {len(ran) - wrong} of {len(ran)} answers that ran"
    if not wrong:
        return ResultsLine(words=words, style="pass")
    return ResultsLine(words=f"{words}; wrong ones are refused", style="pass" if wrong < len(ran) else "fail")


def _is_right(found: LoopTry) -> bool | None:
    """Whether the results of a try are right; None where they were not looked at."""
    if any(each.part == "right" for each in found.objections):
        return False
    slow = bool(found.objections) and all(each.part == "better" for each in found.objections)
    return True if found.outcome == "accepted" or (found.outcome == "refused" and slow) else None


def _changed(journal: Journal) -> str:
    gain = loop_gain(journal)
    if gain is None:
        return "not known: nothing was measured"
    if journal.best.name == START:
        return "nothing: no answer was better than the start"
    return f"{loop_gain_text(gain)} than the start"


def _step(journal: Journal) -> NextStep:
    name = shlex.quote(journal.name)
    if journal.stop is None:
        return NextStep(words="finish the loop", command=f"stallgate loop --resume {name}")
    if journal.rehearsal:
        return NextStep(words="run the loop on a GPU: a rehearsal times nothing")
    if journal.best.name == START:
        return NextStep(words="keep the start: there is nothing to apply")
    if not journal.applied:
        words = "write it beside the variant; then profile it and gate it"
        return NextStep(words=words, command=f"stallgate loop --replay {name} --apply")
    written = f"{journal.problem}/{PurePath(journal.applied).stem}"
    words = f"list {journal.applied} in problem.toml, if it is not there yet; then profile it and gate it"
    return NextStep(words=words, command=f"stallgate profile {shlex.quote(written)}")
