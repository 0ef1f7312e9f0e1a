"""``loop.html``: a loop as one self-contained page: the ladder of stages, and each round with its answers."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from stallgate.errors import BrokenFile, StallgateError
from stallgate.formatting import shortened, without_controls
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.loop_screen import loop_screen
from stallgate.render.loop_words import (
    answers_in_words,
    limits_of_loop,
    loop_gain_words,
    loop_headline,
    loop_status,
    objection_text,
    outcome_words,
    provenance_of_loop,
    range_in_words,
    roof_text,
    rung_words,
    target_text,
    times_text,
)
from stallgate.render.template import template
from stallgate.render.verdict_words import stage_label
from stallgate.runs.folder import write_whole
from stallgate.runs.journal import (
    START,
    Journal,
    KeptText,
    LoopRound,
    LoopTarget,
    LoopTry,
    LoopVersion,
    journal_called,
    read_kept,
)
from stallgate.runs.ladder import Rung, ladder

LOOP_PAGE = "loop.html"

_MOST_DIFF_LINES = 400
_LONGEST_LINE = 240
_LONGEST_PROMPT = 20_000


class DiffLine(FrozenStruct, frozen=True):
    """A line of a diff."""

    kind: Literal["added", "removed", "place", "same"]
    text: str


class Diff(FrozenStruct, frozen=True):
    """What a code changes in another."""

    lines: list[DiffLine]
    left_out: int
    """Lines that are not shown."""


class TryRow(FrozenStruct, frozen=True):
    """A try on the page."""

    name: str
    words: str
    style: str
    """``pass``, ``fail`` or ``open``."""
    is_best: bool
    gain: str
    span: str
    reasons: list[str]
    diff: Diff
    answer: str
    """The file of the whole answer; empty where there is none."""
    prompt: str
    """Of a repair: its prompt; empty for others, which share the round's."""
    seconds: str
    run: str


class RoundRow(FrozenStruct, frozen=True):
    """A round on the page."""

    number: int
    anchor: str
    stage: str
    base: str
    verdict: str
    won: bool
    prompt: str
    cut: bool
    tries: list[TryRow]


class RungRow(FrozenStruct, frozen=True):
    """A stage on the page."""

    stage: str
    words: str
    style: str
    rounds: list[RoundRow]


class VersionRow(FrozenStruct, frozen=True):
    """A version in the table of the best."""

    name: str
    times: str
    width: float
    """Of its bar, in per cent of the start's time."""
    roof: str
    met: str
    targets: list[tuple[str, str]]
    """Each with its style."""
    page: str
    """That of its run, relative to the loop's folder; empty where it was not drawn."""


def draw_loop(project: Project, folder: Path) -> Path:
    """Draws the loop of a folder; the path of its page."""
    page = folder / LOOP_PAGE
    write_whole(page, loop_html(project, folder, journal_called(project.reports, folder)).encode())
    return page


def loop_html(project: Project, folder: Path, journal: Journal) -> str:
    """The page of a loop."""
    rungs = [_rung(project, folder, journal, each) for each in ladder(journal)]
    change = _change(folder, journal)
    return template("loop.html.j2").render(
        journal=journal,
        headline=loop_headline(journal),
        style="pass" if loop_status(journal) == 0 else "open",
        screen=loop_screen(project, journal, _best_run(project, folder, journal)),
        change=change,
        changed_lines=_counted(change),
        run_page=_page_of(folder, journal.best.reading.run) if journal.best.reading is not None else "",
        rungs=rungs,
        versions=[_version(folder, journal, each) for each in journal.versions],
        answers=answers_in_words(journal),
        provenance=provenance_of_loop(journal),
        limits=limits_of_loop(journal),
        answerer=without_controls(" ".join(journal.command)),
        arguments=without_controls(" ".join(["stallgate", *journal.arguments])),
    )


def _best_run(project: Project, folder: Path, journal: Journal) -> JudgedRun | None:
    """The run of the best version as its own page has it; None where it is gone or cannot be read."""
    reading = journal.best.reading
    if reading is None:
        return None
    try:
        return evaluate(project, folder / reading.run, [])
    except StallgateError:
        return None


def _rung(project: Project, folder: Path, journal: Journal, rung: Rung) -> RungRow:
    style = {"met": "pass", "skipped": "pass", "open": "open", "waiting": "plain"}.get(rung.state, "fail")
    rounds = [_round(folder, journal, each) for each in rung.rounds]
    return RungRow(stage_label(project, rung.stage), rung_words(rung.state), style, rounds)


def _round(folder: Path, journal: Journal, found: LoopRound) -> RoundRow:
    prompt = _text(folder, found.tries[0].prompt) if found.tries else ""
    if found.best is not None:
        verdict = f"{found.best} is the best now"
    else:
        verdict = f"{found.base} stays the best" if found.ended else "not over"
    return RoundRow(
        number=found.number,
        anchor=f"round-{found.number}",
        stage=found.stage,
        base=found.base,
        verdict=verdict,
        won=found.best is not None,
        prompt=prompt[:_LONGEST_PROMPT],
        cut=len(prompt) > _LONGEST_PROMPT,
        tries=[_try(folder, journal, found, each) for each in sorted(found.tries, key=lambda t: (t.number, t.repair))],
    )


def _try(folder: Path, journal: Journal, round_: LoopRound, found: LoopTry) -> TryRow:
    is_new = found.source is not None and found.outcome != "repeated"
    diff = _diff(folder, journal.version(round_.base).source, found.source if is_new else None)
    return TryRow(
        name=found.name,
        words=outcome_words(found),
        style={"accepted": "pass", "refused": "fail", None: "open"}.get(found.outcome, "undecided"),
        is_best=round_.best == found.name,
        gain=loop_gain_words(found.gain),
        span=range_in_words(found.gain) if found.gain is not None else "",
        reasons=[objection_text(each) for each in found.objections],
        diff=diff,
        answer=found.asked.answer.path if found.asked is not None and found.asked.answer is not None else "",
        prompt=_text(folder, found.prompt)[:_LONGEST_PROMPT] if found.repair else "",
        seconds=f"{found.asked.seconds:.1f} s" if found.asked is not None else "",
        run=found.run,
    )


def _change(folder: Path, journal: Journal) -> Diff:
    """What the best changes in the start; nothing where it is the start."""
    after = journal.best.source if journal.best.name != START else None
    return _diff(folder, journal.versions[0].source, after)


def _counted(change: Diff) -> str:
    """How many lines the best adds and removes, as far as they are shown; '' where it changes none."""
    added, removed = (sum(line.kind == kind for line in change.lines) for kind in ("added", "removed"))
    if not added + removed:
        return ""
    return f"{'at least ' * bool(change.left_out)}{added} line{'s' * (added != 1)} added, {removed} removed"


def _diff(folder: Path, before: KeptText, after: KeptText | None) -> Diff:
    """What a code changes in another, without what is too long to read."""
    if after is None:
        return Diff([], 0)
    old, new = _text(folder, before).splitlines(), _text(folder, after).splitlines()
    lines = [_diff_line(line) for line in list(unified_diff(old, new, n=2, lineterm=""))[2:]]
    return Diff(lines[:_MOST_DIFF_LINES], max(0, len(lines) - _MOST_DIFF_LINES))


def _diff_line(line: str) -> DiffLine:
    kinds: dict[str, Literal["added", "removed", "place"]] = {"+": "added", "-": "removed", "@": "place"}
    return DiffLine(kinds.get(line[:1], "same"), shortened(without_controls(line), _LONGEST_LINE) if line else "")


def _text(folder: Path, kept: KeptText) -> str:
    """A text of the loop's folder; why it cannot be shown, where it is missing or was changed."""
    try:
        return without_controls(read_kept(folder, kept))
    except BrokenFile as error:
        return error.message


def _version(folder: Path, journal: Journal, version: LoopVersion) -> VersionRow:
    reading, first = version.reading, journal.versions[0].reading
    width = 0.0
    if reading is not None and first is not None:
        shares = [t.median / first.times[load].median for load, t in reading.times.items() if load in first.times]
        width = 100 * max(shares, default=0.0)
    return VersionRow(
        name="the start" if version.name == START else version.name,
        times=times_text(version),
        width=min(width, 100.0),
        roof=roof_text(version),
        met=", ".join(reading.met) if reading is not None and reading.met else "none",
        targets=[(_style(each), target_text(each)) for each in reading.targets] if reading is not None else [],
        page=_page_of(folder, reading.run) if reading is not None else "",
    )


def _style(target: LoopTarget) -> str:
    """The class of a target's words."""
    return {"pass": "pass", "excused": "pass", "waived": "waived", "fail": "fail"}.get(target.status, "undecided")


def _page_of(folder: Path, run: str) -> str:
    """The address of a run's page, where it was drawn."""
    return quote(f"{run}/report.html") if run and (folder / run / "report.html").is_file() else ""
