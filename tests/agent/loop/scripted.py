"""A loop without a GPU: a workshop whose times stand in the answers themselves, and answerers that are lists.

A code says of itself ``TIME = 80`` (microseconds), ``ROOF = 50``, ``MEETS = ["one"]``, ``WRONG``, ``SHAPELESS`` or
``FORGED``: the last passes the check and fails when it is profiled.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stallgate.agent.loop.answerer import Answered, AnswererQuestion
from stallgate.agent.loop.code import code_digest, code_in
from stallgate.agent.loop.loop import CheckedAnswer, CheckWish, Looper, MeasuredVersion, PromptWish
from stallgate.runs.journal import (
    JOURNAL_FORMAT,
    START,
    Journal,
    KeptGain,
    KeptObjection,
    LoopLimits,
    LoopRound,
    LoopStop,
    LoopTarget,
    LoopTime,
    LoopTry,
    LoopVersion,
    VersionReading,
    keep_text,
    read_kept,
    save_journal,
)

START_CODE = "TIME = 100\nROOF = 10\nMEETS = []\n"


def code(time: float, *words: str, meets: Sequence[str] = (), roof: float = 10) -> str:
    """A code that says how good it is."""
    return "\n".join([f"TIME = {time}", f"ROOF = {roof}", f"MEETS = {list(meets)}", *words, ""])


def number_in(text: str, name: str) -> float:
    found = re.search(rf"{name} = ([\d.]+)", text)
    return float(found.group(1)) if found else 100.0


def begin(
    folder: Path, *, stages: Sequence[str] = ("one",), seed: int = 0, start: str = START_CODE, **limits: int
) -> Journal:
    """A new journal in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(
        format=JOURNAL_FORMAT,
        name=folder.name,
        created="2026-01-01T00:00:00Z",
        stallgate="0",
        commit=None,
        dirty=False,
        arguments=[],
        problem="p",
        variant="v",
        stages=list(stages),
        command=["answerer"],
        limits=LoopLimits(**limits),  # type: ignore[arg-type]
        seed=seed,
        digests={"the reference": "r"},
        versions=[LoopVersion(START, code_digest(start), keep_text(folder, "start.py", start.encode()))],
    )
    save_journal(folder, journal)
    return journal


class ScriptedWorkshop:
    """Judges codes by what they say of themselves; `step` is called first in everything that it does."""

    def __init__(self, folder: Path, step: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.step = step
        self.wishes: list[PromptWish] = []
        self.checked: list[str] = []

    def measure(self, version: LoopVersion) -> MeasuredVersion:
        self.step(f"measure {version.name}")
        text = read_kept(self.folder, version.source)
        if "FORGED" in text:
            return MeasuredVersion(None, "its results were wrong while it was profiled")
        time, roof = number_in(text, "TIME"), number_in(text, "ROOF")
        met = re.findall(r"'(\w+)'", text)
        bound = time if met else min(roof, 0.9 * time)
        target = LoopTarget("one", "duration", "w", "pass" if met else "fail", time, "us", "at_most", bound, "")
        return MeasuredVersion(
            VersionReading(
                run=f"runs/{version.name}",
                gpu="Scripted GPU",
                times={"w": LoopTime(time, time, time)},
                roof_fractions={"w": roof / time},
                targets=[target],
                met=met,
                at_roof=time <= roof,
            )
        )

    def prompt(self, wish: PromptWish) -> str:
        self.step(f"prompt {wish.stage}")
        self.wishes.append(wish)
        tried = "".join(f"tried {each.name}: {each.change}: {each.effect}\n" for each in wish.tried)
        refused = "".join(f"refused: {each.text}\n" for each in wish.refused)
        return f"stage {wish.stage}, base {wish.base.name}\n{tried}{refused}{wish.answer}"

    def check(self, wish: CheckWish) -> CheckedAnswer:
        self.step(f"check {wish.folder}")
        self.checked.append(wish.text)
        text = code_in(wish.text)
        if text is None:
            return CheckedAnswer(False, [KeptObjection("form", "several_blocks", "There are two code blocks.")])
        if "SHAPELESS" in text:
            return CheckedAnswer(False, [KeptObjection("form", "no_model", "There is no ModelNew.", line=1)])
        if "RULED_OUT" in text:
            return CheckedAnswer(False, [KeptObjection("stage", "held", "The stage leaves the grid alone.")])
        if "WRONG" in text:
            return CheckedAnswer(False, [KeptObjection("right", "wrong_result", "It is wrong on 1 of 3 inputs.")])
        before, after = number_in(read_kept(self.folder, wish.base.source), "TIME"), number_in(text, "TIME")
        percent = 100 * (before - after) / before
        gain = KeptGain(percent, percent - 0.5, percent + 0.5)
        meets = wish.stage in re.findall(r"'(\w+)'", text)
        if gain.low < 2 and not (meets and gain.high >= 0):
            return CheckedAnswer(False, [KeptObjection("better", "no_gain", f"It gains {percent:.1f} %.")], gain)
        return CheckedAnswer(True, gain=gain, meets=meets)


class ScriptedAnswerer:
    """Answers by the place of a question: its round, its number and its attempt."""

    def __init__(self, answer: Callable[[int, int, int, int], str | Answered]) -> None:
        self.answer = answer
        self.asked: list[tuple[int, int, int]] = []

    def ask(self, questions: Sequence[AnswererQuestion]) -> Iterator[Answered]:
        for question in questions:
            given = question.variables
            place = int(given["STALLGATE_ROUND"]), int(given["STALLGATE_ANSWER"]), int(given["STALLGATE_ATTEMPT"])
            self.asked.append(place)
            assert question.prompt.is_file()
            found = self.answer(*place, int(given["STALLGATE_SEED"]))
            yield found if isinstance(found, Answered) else Answered("answered", found.encode(), "", 0, 0.0)


def listed_answers(answers: dict[tuple[int, int, int], str]) -> ScriptedAnswerer:
    """Answers of a list; what it lacks is the start's code again."""
    return ScriptedAnswerer(lambda *place: answers.get(place[:3], START_CODE))


def drawn_answers(seed: int) -> ScriptedAnswerer:
    """Answers of every kind, drawn at random, the same whenever they are asked for again."""

    def answer(number: int, place: int, attempt: int, given: int) -> str | Answered:
        rng = random.Random(f"{seed} {number} {place} {attempt} {given}")
        kind = rng.choice(["good", "good", "slow", "WRONG", "SHAPELESS", "RULED_OUT", "FORGED", "none", "blocks"])
        time = rng.choice([95, 90, 80, 60, 40, 20, 10])
        if kind == "none":
            outcome = rng.choice(["empty", "failed", "timed_out", "too_long"])
            return Answered(outcome, b"" if outcome == "empty" else b"x" * 9, "no", None, 0.0)  # type: ignore[arg-type]
        if kind == "blocks":
            return "```python\na = 1\n```\nor\n```python\nb = 2\n```\n"
        meets = [name for name in ("one", "two") if rng.random() < 0.2]
        words = [kind] if kind.isupper() else []
        return code(120 if kind == "slow" else time, *words, meets=meets)

    return ScriptedAnswerer(answer)


class Watched:
    """Notes what a loop says."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def measuring(self, version: LoopVersion) -> None:
        self.told.append(f"measuring {version.name}")

    def measured(self, version: LoopVersion) -> None:
        self.told.append(f"measured {version.name}")

    def round_begun(self, found: LoopRound) -> None:
        self.told.append(f"round {found.number}")

    def asking(self, tries: Sequence[LoopTry]) -> None:
        self.told.append(f"asking {len(tries)}")

    def checking(self, found: LoopTry) -> None:
        self.told.append(f"checking {found.name}")

    def judged(self, found: LoopTry) -> None:
        self.told.append(f"{found.name} {found.outcome}")

    def stopped(self, stop: LoopStop) -> None:
        self.told.append(stop.code)


def looped(folder: Path, journal: Journal, answerer: ScriptedAnswerer) -> Journal:
    """The journal of a whole loop."""
    return Looper(folder, journal, ScriptedWorkshop(folder), answerer, Watched()).run()
