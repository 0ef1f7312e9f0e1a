"""What views say of a run, as statements: a subject, what is said of it, and where.

The views are the page, its summary, the index, the page of two runs, JUnit's XML, the terminal's commands and their
JSON objects. Two statements on one subject have to be equal, and so do their numbers after one rounding: to the
significant digits of the shorter one, which has at least three.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any, NamedTuple

from stallgate.formatting import status_label

Json = dict[str, Any]


class Statement(NamedTuple):
    """What a view says of a subject."""

    subject: tuple[str, ...]
    said: str | float | bool
    where: str
    step: float = 0.0
    """Of a number that was rounded for a reader: what its last digit counts."""


def contradictions(statements: Iterable[Statement]) -> list[str]:
    """Every subject of which two things are said, with who says what."""
    by_subject: dict[tuple[str, ...], list[Statement]] = defaultdict(list)
    for statement in statements:
        by_subject[statement.subject].append(statement)
    return [line for found in by_subject.values() for line in _disagreements(found)]


def _disagreements(found: list[Statement]) -> list[str]:
    first = next((each for each in found if each.step == 0.0), found[0])
    other = [each for each in found if not _agree(first, each)]
    return [f"{' '.join(first.subject)}: {first.where} says {first.said!r}, {o.where} says {o.said!r}" for o in other]


def _agree(one: Statement, other: Statement) -> bool:
    if isinstance(one.said, float) and isinstance(other.said, float):
        slack = (one.step + other.step) / 2 * (1 + 1e-6) + 1e-9 * abs(one.said)
        return abs(one.said - other.said) <= slack
    return one.said == other.said


# --- subjects ---------------------------------------------------------------------------------------------------------


def case_of(verdict: Json) -> str:
    """The case of a verdict."""
    return "/".join(verdict[part] for part in ("problem", "variant", "configuration", "workload"))


def target_of(verdict: Json) -> tuple[str, ...]:
    """The subject of a verdict; a stage may have several targets of a metric, each with its comparison."""
    terms = str(verdict["comparison"] or "") + str(verdict["tolerance"] or verdict["tolerance_points"] or "")
    where = verdict["stage"] or "", verdict["metric"] or "", verdict["kernel"] or "", terms
    return "target", case_of(verdict), verdict["name"], *where, verdict["reason"] if not verdict["metric"] else ""


def tally(labels: Iterable[str]) -> str:
    """How often each word is said, whatever the order."""
    return ", ".join(f"{count} {label}" for label, count in sorted(Counter(labels).items()))


def tally_in(words: str) -> str:
    """The same of words that count: ``2 fail, 1 stale``."""
    counted = [part.strip().partition(" ") for part in words.split(",") if part.strip()[:1].isdigit()]
    return tally(label for count, _, label in counted for _ in range(int(count)))


def labels_of(verdicts: Iterable[Json]) -> list[str]:
    """The word of each verdict."""
    return [status_label(verdict["status"], verdict["reason"]) for verdict in verdicts]


def tells_of_results(verdicts: Iterable[Json]) -> bool:
    """Whether the gate knows of the results of a run: not of other code, nor of cases that it does not judge."""
    reasons = {verdict["reason"] for verdict in verdicts}
    return "stale" not in reasons and bool(reasons - {"no_case"})


# --- numbers ----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"(?<![\w.])(?P<less><)?(?P<digits>-?\d[\d,]*(?:\.\d+)?)"
    r"[ \u00a0]?(?P<unit>(?:ns|µs|ms|s|TB|GB|MB|kB|B|T|G|M|[TGM]?FLOP)(?![\w/]))?"
)
_FACTORS = {"": 1.0, "ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
_FACTORS |= {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "M": 1e6, "G": 1e9, "T": 1e12}
_FACTORS |= {"FLOP": 1.0, "MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12}

LEAST_DIGITS = 3
"""Significant digits that a value is told in, or all that it has."""


def number_in(words: str, unit: str = "") -> tuple[float, float] | None:
    """The first number of some words in its base unit, and what its last digit counts; None where there is none.

    Args:
        words: what is said.
        unit: the unit that a heading names, where the words have none.
    """
    match = _NUMBER.search(words)
    if match is None:
        return None
    digits = match["digits"].replace(",", "")
    factor = _FACTORS[match["unit"] or unit or ""]
    step = 10.0 ** -len(digits.partition(".")[2])
    if match["less"]:
        return float(digits) * factor / 2, float(digits) * factor
    whole = len(digits.lstrip("-").replace(".", ""))
    if "." not in digits and whole > LEAST_DIGITS:
        step = 1.0
    return float(digits) * factor, step * factor


def number_said(subject: tuple[str, ...], words: str, where: str, unit: str = "") -> Iterator[Statement]:
    """A statement of the first number of some words; none where there is no number."""
    found = number_in(words, unit)
    if found is not None:
        yield Statement(subject, found[0], where, found[1])


def digits_in(words: str) -> str:
    """The number of some words as it is written."""
    found = _NUMBER.search(words)
    return found["digits"] if found is not None else ""


# --- words that several views have ------------------------------------------------------------------------------------

_LEFT = re.compile(r"([\d.,]+) % of \S+'s speed(?: \([a-z ]+\))?(?:, (<?[\d.]+) % left)?")


def of_distance(case: str, words: str, where: str) -> Iterator[Statement]:
    """How near the roof a case is said to be."""
    for roof, left in _LEFT.findall(words):
        percent, step = number_in(roof) or (0.0, 0.0)
        yield Statement(("value", case, "roof_fraction"), percent / 100, where, step / 100)
        if left:
            yield from number_said(("left", case), left, where)


def of_results(words: str, where: str) -> Iterator[Statement]:
    """Whether results are right, and of how many cases, from the line that says so."""
    line = " ".join(words.removeprefix("Results").removeprefix(":").split())
    kind = next(word for word in ("wrong", "right", "not known", "not checked") if line.startswith(word))
    yield Statement(("a candidate is wrong",), kind == "wrong", where)
    counted = re.search(r"(\d+) of (\d+)", line)
    if counted is not None:
        yield Statement(("results", kind), counted[0], where)
        yield Statement(("results", "of"), counted[2], where)
    yield Statement(("results in words",), re.split(r"\. |: (?!\d)|,", line.rstrip("."))[0], where)


def of_origin(words: str, where: str) -> Iterator[Statement]:
    """Where, when and at which commit a run was measured; apart where it was measured here, all at once."""
    yield Statement(("origin",), " ".join(words.split()), where)
    live = _LIVE.fullmatch(" ".join(words.split()))
    if live is not None:
        yield Statement(("gpus",), live["gpu"], where)
        yield Statement(("created",), live["created"], where)
        yield Statement(("commit",), (live["commit"] or "unknown")[:7], where)
        yield Statement(("local changes",), live["changes"] is not None, where)


_LIVE = re.compile(
    r"Measured on (?P<gpu>[^;]*), (?P<created>\S+Z), "
    r"at (?:an unknown commit|commit (?P<commit>\w+)(?P<changes> with local changes)?)\."
)


def of_notes(notes: Iterable[str], where: str) -> Iterator[Statement]:
    """The remarks of the gate."""
    yield Statement(("notes",), " | ".join(" ".join(note.split()) for note in notes), where)


_TAG = re.compile(r"<[^>]+>")


def plain(html: str) -> str:
    """The words of a piece of HTML."""
    return " ".join(unescape(_TAG.sub("", html)).split())


SHOWN = {"pass": "pass", "fail": "fail", "undecided": "open", "not_measured": "open", "not_judged": "plain"}
"""A status of a run -> the colour that it has."""

CHANGES = {"✓ faster": "faster", "✗ slower": "slower", "✓ better": "better", "✗ worse": "worse", "≠ moved": "moved"}
CHANGES |= {"no change": "same", "○ not comparable": "not_comparable", "": "shown", "shown": "shown"}
"""The mark of a change -> its word."""
