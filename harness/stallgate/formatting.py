"""The words for results, the same in the terminal and on the page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # --help is to answer at once
    from stallgate.model import Comparison, Status, Verdict

MARKS: dict[Status, str] = {
    "pass": "✓ pass",
    "fail": "✗ fail",
    "undecided": "≈ undecided",
    "not_measured": "○ not measured",
    "waived": "~ waived",
    "excused": "✓ excused",
}

_UNJUDGED = ("no_roof", "no_workload", "no_baseline", "stale_baseline", "no_target")
"""Reasons with which a number may be measured, and nothing says what it is held to."""


def status_label(status: str, reason: str) -> str:
    """A verdict's status in a word. What is `not_measured` may have numbers, stale or without a yardstick."""
    if status != "not_measured":
        return spaced(status)
    if reason == "stale":
        return "stale"
    return "not judged" if reason in _UNJUDGED or reason.startswith("other_") else spaced(status)


def verdict_mark(verdict: Verdict) -> str:
    """The mark of a verdict's status, with its word."""
    sign = MARKS[verdict.status].partition(" ")[0]
    return f"{sign} {status_label(verdict.status, verdict.reason)}"


def counted_verdicts(verdicts: Iterable[tuple[str, str]]) -> str:
    """How many verdicts there are of each word, by status and reason, in the order of the marks."""
    found = [(status, status_label(status, reason)) for status, reason in verdicts]
    words = {word: None for status in MARKS for each, word in found if each == status}
    labels = [word for _, word in found]
    return ", ".join(f"{labels.count(word)} {word}" for word in words)


SIGNS: dict[Comparison, str] = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}


class HeldTo(NamedTuple):
    """A reading beside the bound of its target; pages style the two apart."""

    value: str
    comma: str
    bound: str

    def __str__(self) -> str:
        return f"{self.value}{self.comma} {self.bound}".strip()


def held_to(value: str, comparison: Comparison, bound: str, *, met: bool) -> HeldTo:
    """``0.985 ≥ 0.97`` of a target that is met, else ``0.958, wanted ≥ 0.97``: the sign alone would say what is untrue.

    Args:
        value: the reading in words; '' where there is none.
        comparison: how it is held to the bound.
        bound: in words.
        met: whether the target is met; not where it is undecided, waived or excused.
    """
    limit = f"{SIGNS[comparison]} {bound}"
    return HeldTo(value, "", limit) if met else HeldTo(value, "," if value else "", f"wanted {limit}")


@lru_cache(1024)  # lists say the same few words of ten thousand runs
def spaced(code: str) -> str:
    """A reason code or another identifier as words."""
    return code.replace("_", " ")


def listed(names: list[str], word: str = "and") -> str:
    """``a``; ``a and b``; ``a, b and c``; nothing for no name."""
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def shortened(name: str, length: int) -> str:
    """A name, cut to so many characters."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def within_sentence(words: str) -> str:
    """A title or a sentence inside of another; an abbreviation such as DRAM stays as it is."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def numbered(names: Iterable[str]) -> list[str]:
    """The names; one that was there before gets a number."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def as_text(word: str | Path) -> str:
    """A path, an argument or a name as UTF-8 can write it: a byte that is not UTF-8 becomes ``xff``."""
    return _SURROGATE.sub(_escaped, str(word))


def is_text(word: str | Path) -> bool:
    """Whether a path, an argument or a name is UTF-8: JSON, TOML and HTML hold nothing else."""
    return _SURROGATE.search(str(word)) is None


_SURROGATE = re.compile("[\ud800-\udfff]")
"""Python's stand-in for a byte of a file's name or of an argument that is not UTF-8."""


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def without_controls(words: str) -> str:
    """Words of another program without the control characters that would steer a terminal; lines stay lines."""
    return _CONTROLS.sub("\ufffd", words)


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def whom(verdict: Verdict, *, with_problem: bool) -> str:
    """The variant that a verdict is about, and its workload."""
    if verdict.name:
        return verdict.name
    variant = variant_of(verdict, with_problem=with_problem)
    return f"{variant} on {verdict.workload}" if verdict.workload else variant


def variant_of(verdict: Verdict, *, with_problem: bool) -> str:
    """A verdict's variant, with its problem where there are several: their variants may share a name."""
    if verdict.name:
        return verdict.name
    return f"{verdict.problem}/{verdict.variant}" if with_problem else verdict.variant


def workload_of(verdict: Verdict) -> str:
    """A verdict's workload; the GPU of an imported case."""
    return verdict.place or verdict.workload


def on_several(verdicts: Iterable[Verdict]) -> bool:
    """Whether verdicts are on several problems."""
    return len({verdict.problem for verdict in verdicts}) > 1


def rounded(value: float, digits: int = 3, *, zeros: bool = False) -> str:
    """A value in so many significant digits, with thousands separators; from 0.000001 on, without an exponent.

    Args:
        value: the value.
        digits: significant digits, where it has no more before the point.
        zeros: keep the zeros at its end, as columns do.
    """
    shown = f"{value:{'#' * zeros},.{digits}g}".removesuffix(".")
    if "e-" in shown and abs(value) >= _SMALLEST_WRITTEN_OUT:
        mantissa, _, exponent = shown.partition("e-")
        return f"{value:.{int(exponent) + len(mantissa.lstrip('-').replace('.', '')) - 1}f}"
    return f"{value:,.0f}" if "e+" in shown else shown


_SMALLEST_WRITTEN_OUT = 1e-6


def number(value: float) -> str:
    """A value in three significant digits, with thousands separators; from a million on with M, G or T."""
    for factor, sign in _COUNTS:
        if factor > 1 and abs(value) >= factor * _ROUNDS_UP:
            return f"{rounded(value / factor)}{sign}"
    return rounded(value)


def beside(value: float, bound: float, unit: str) -> tuple[str, str]:
    """A value and its bound with their unit, in three significant digits or as many as it takes to tell them apart.

    The value keeps the zeros at its end, 0.990 beside 0.97; times are in the unit that the bound is read in.
    """
    digits = telling_digits(value, bound)
    return quantity(value, unit, digits, like=bound), limit(bound, unit, digits)


def telling_digits(value: float, bound: float) -> int:
    """Three significant digits, or as many as it takes to tell a value from its bound."""
    unlike = (n for n in range(_DIGITS, _MOST_DIGITS) if f"{value:.{n}g}" != f"{bound:.{n}g}")
    return next(unlike, _MOST_DIGITS) if value != bound else _DIGITS


_DIGITS = 3
"""Significant digits of a value, everywhere; more only where it would look like its bound."""

_MOST_DIGITS, _TELLING_DIGITS = 9, 16


def quantity(value: float, unit: str, digits: int = _DIGITS, *, like: float | None = None) -> str:
    """A measured value with its unit, the zeros at its end kept.

    Args:
        value: the value.
        unit: its unit.
        digits: significant digits.
        like: of times, another one, in whose multiple of the unit this one is told.
    """
    if unit == "%" or unit not in _SCALES:
        shown = share(value, digits) if unit == "%" else measured(value, unit, digits)
        return f"{shown} {unit}".rstrip()
    factor, sign = _scale(value if like is None else like, unit)
    return f"{rounded(value / factor, digits, zeros=unit in _TIMES)}{sign}"


def limit(value: float, unit: str, digits: int = _DIGITS) -> str:
    """A bound with its unit, as somebody writes it: without zeros at its end."""
    if unit in _SCALES:
        factor, sign = _scale(value, unit)
        return f"{rounded(value / factor, digits)}{sign}"
    return f"{number(value) if digits == _DIGITS else rounded(value, digits)} {unit}".rstrip()


def measured(value: float, unit: str, digits: int = _DIGITS) -> str:
    """A measured value without its unit: ratios and rates keep the zeros at their end, counts have none."""
    if digits > _DIGITS:
        return rounded(value, digits, zeros=_is_continuous(unit) and abs(value) < _WHOLE)
    return rounded(value, zeros=True) if _is_continuous(unit) and 0 < abs(value) < _WHOLE else number(value)


_WHOLE = 1e3
"""From here on, three digits have no place after the point."""


def _is_continuous(unit: str) -> bool:
    return unit in ("", "%", "µs", "ms", "s") or "/" in unit


def share(value: float, digits: int = _DIGITS) -> str:
    """A percentage, without its sign, in three significant digits; what is not 0 is not called 0."""
    if 0 < abs(value) < _SMALLEST_SHARE:
        return f"<{_SMALLEST_SHARE}"
    return measured(value, "%", digits)


_SMALLEST_SHARE = 0.01


def difference(value: float) -> str:
    """A change, a distance or a rest, in per cent or in points: one place after the point, below 1 two digits."""
    if 0 < abs(value) < _SMALLEST_SHARE:
        return f"<{_SMALLEST_SHARE}"
    return f"{value:,.1f}" if abs(value) >= _ONE else rounded(value, 2, zeros=value != 0)


_ONE = 0.995
"""From here on, two significant digits round up to 1.0."""


def percent(fraction: float) -> str:
    """A fraction as a percentage: of a change, a distance or a rest."""
    return f"{difference(100 * fraction)} %"


def spread_in_words(low: float, median: float, high: float) -> str:
    """How far the samples lie from their median at most: ``± 0.076 %``."""
    farthest = max(high - median, median - low)
    return f"± {percent(farthest / abs(median))}" if median else f"{rounded(low)} to {rounded(high)}"


_TIMES = ("ns", "us")

_SCALES = {
    "us": ((1e6, " s"), (1e3, " ms"), (1, " µs"), (1e-3, " ns")),
    "ns": ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns")),
    "byte": ((1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")),
    "FLOP": ((1e12, " TFLOP"), (1e9, " GFLOP"), (1e6, " MFLOP"), (1, " FLOP")),
}
_COUNTS = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1, ""))

_ROUNDS_UP = 0.9995
"""From this fraction of a unit on, three digits round up to the whole."""


def scaled(value: float, unit: str, digits: int = 3) -> str:
    """A value in few characters: times and bytes in a multiple of their unit, counts with M or G."""
    if unit == "%":
        return f"{share(value)} %"
    factor, sign = _scale(value, unit)
    return f"{rounded(value / factor, digits, zeros=unit in _TIMES)}{sign}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    """The multiple of a unit that a value is read in, and its sign."""
    scales = _SCALES.get(unit, _COUNTS)
    return next((scale for scale in scales if abs(value) >= scale[0] * _ROUNDS_UP), scales[-1])


def scaled_apart(value: float, other: float, unit: str) -> tuple[str, str]:
    """Two values that are not equal, in as many digits as it takes to tell them apart; at least three."""
    for digits in range(3, _TELLING_DIGITS):
        shown = scaled(value, unit, digits), scaled(other, unit, digits)
        if shown[0] != shown[1]:
            break
    return shown


def has_own_unit(unit: str) -> bool:
    """Whether ``with_unit`` tells a value with its unit; other units are told in a heading or a column of their own."""
    return unit in _SCALES or unit in ("%", "byte/s", "flop/s", "flop")


def with_unit(value: float, unit: str) -> str:
    """A value in three significant digits, with its unit or a multiple of it where that is shorter."""
    if unit in _SCALES or unit == "%":
        return scaled(value, unit)
    if unit == "byte/s":
        return f"{scaled(value, 'byte')}/s"
    if unit == "flop/s":
        return f"{scaled(value, 'FLOP')}/s"
    if unit == "flop":
        return scaled(value, "FLOP")
    return measured(value, unit)


def duration_in_words(seconds: float) -> str:
    """A time that somebody waits: ``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def aliases(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """Old names in a stage's file, each with the metric that stands for it."""
    found = {v.written_as: v for v in verdicts if v.written_as}
    return [(old, f"is read as {v.metric}: {v.ncu_name or 'not measured'}") for old, v in found.items()]


def tunables(values: Mapping[str, object]) -> str:
    """Named tunables in words: ``BLOCK 1024, num_warps 4``."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def inline_table(values: Mapping[str, object]) -> str:
    """Arguments as TOML, so that they can be pasted into a problem's file."""
    return f"{{ {', '.join(f'{name} = {_toml(value)}' for name, value in values.items())} }}"


def workload_keys(arguments: Mapping[str, object], inputs: Sequence[object]) -> str:
    """What a workload is called with, as its table in a problem's file has it."""
    return f"inputs = {_toml(inputs)}" if inputs else f"arguments = {inline_table(arguments)}"


def _toml(value: object) -> str:
    match value:
        case Mapping():
            return inline_table(value)
        case list() | tuple():
            return f"[{', '.join(_toml(part) for part in value)}]"
        case str() | bool():
            return json.dumps(value)
        case _:
            return repr(value)
