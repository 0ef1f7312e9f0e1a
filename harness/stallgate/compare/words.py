"""The one rule for what changed between two measurements.

=============== ======================================================================================================
word            meaning
=============== ======================================================================================================
faster, slower  the time changed: beyond the noise, and by the least effect or more
better, worse   a judged target was crossed: missed before and met after, or the other way round
moved           anything else that changed beyond the noise and by the least effect or more
same            none of these: no change
shown           of imported runs: values whose conditions are not known to be alike, without a word
not_comparable  no number on one of the sides, or numbers of something else
=============== ======================================================================================================

Shares are compared in points: a stall that goes from 11.16 to 13.23 % of the time is 2.1 points more. Everything else
is compared in per cent. Every page, figure, table, sentence and JSON object takes its words and its figures from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec.structs import replace

from stallgate.extract.table import Summary
from stallgate.formatting import difference, listed, spaced
from stallgate.model import FrozenStruct, Metric, Reason
from stallgate.project.catalogue import DURATION, points_of

Word = Literal["faster", "slower", "better", "worse", "moved", "same", "shown", "not_comparable"]

Crossing = Literal["better", "worse"]
"""A judged target was missed before and is met after; or the other way round."""

JUDGED_WORDS: tuple[Word, ...] = ("faster", "slower", "better", "worse", "moved", "same")
"""The words for numbers of the same conditions."""

CHANGED_WORDS: tuple[Word, ...] = ("worse", "slower", "better", "faster", "moved")
"""The words for what is not the same, gravest first."""

WORD_ORDER: tuple[Word, ...] = (*CHANGED_WORDS, "same", "shown", "not_comparable")
"""Words in the order of a tally."""

LEAST_EFFECT = 0.005
"""A smaller change is none, however small the noise is: half a per cent, or half a point of a share."""

SINGLE_SAMPLE = 0.02
"""With a single sample, a smaller change is none: the noise is unknown."""


def word_label(word: Word) -> str:
    """A word for a reader."""
    return "no change" if word == "same" else spaced(word)


class Change(FrozenStruct, frozen=True):
    """One metric of one case in both runs."""

    metric: str
    unit: str
    base: Summary | None
    """None where the base does not have the metric."""
    run: Summary | None
    change: float | None
    """(run - base) / base of the medians; None where it is not comparable, or the base is 0 and the run is not."""
    word: Word
    points: float | None = None
    """Of a share: run - base of the medians, in percentage points. None of anything else."""
    obstacle: Reason | None = None
    """Set exactly where the word is ``not_comparable`` or ``shown``: why no other word is said."""
    also: list[str] = []
    """Other names of the same counter: it is compared once."""

    @property
    def effect(self) -> float | None:
        """The change by which the word is chosen: 0.01 is one per cent, or one point of a share."""
        return self.change if self.points is None else self.points / 100

    @property
    def text(self) -> str:
        """The change for a reader, such as ``+2.1 points`` or ``-0.4 %``."""
        return change_text(self.effect, in_points=self.points is not None)

    @property
    def size(self) -> str:
        """The change without its sign."""
        return self.text.lstrip("+-")

    @property
    def band(self) -> tuple[float, float] | None:
        """The effects that the noise allows; 0 is among them where the word is ``same``."""
        base, run = _spread(self.base), _spread(self.run)
        effect, scale = self.effect, points_of(self.metric, self.unit)
        if effect is None or base is None or run is None or (base.low <= 0 and not scale):
            return None
        if scale:
            low, high = scale * (run.low - base.high) / 100, scale * (run.high - base.low) / 100
        else:
            low, high = run.low / base.high - 1, run.high / base.low - 1
        doubt = SINGLE_SAMPLE if _single(base, run) else LEAST_EFFECT if abs(effect) < LEAST_EFFECT else 0.0
        return min(low, effect - doubt), max(high, effect + doubt)


def change_text(effect: float | None, *, in_points: bool = False) -> str:
    """A change in per cent, or in points, with its sign; zero, and what is near it, has none."""
    if effect is None:
        return "–"
    size = difference(100 * abs(effect))
    sign = "" if effect == 0 or size.startswith("<") else "+" if effect > 0 else "-"
    return f"{sign}{size} {'points' if in_points else '%'}"


# --- the rule ---------------------------------------------------------------------------------------------------------


def compare_metric(
    metric: Metric, base: Summary | None, run: Summary | None, crossing: Crossing | None = None
) -> Change:
    """One metric of a case that is comparable.

    Args:
        metric: of the catalogue.
        base: its samples before.
        run: its samples after.
        crossing: whether a judged target of it was crossed.
    """
    before, after = _spread(base), _spread(run)
    if before is None or after is None:
        where = [_gap("before", base)] * (before is None) + [_gap("after", run)] * (after is None)
        return not_compared(metric, base, run, Reason(code="not_measured", sentence=listed(where)))
    change = Change(
        metric=metric.name,
        unit=metric.unit,
        base=base,
        run=run,
        change=_relative(before.median, after.median),
        word="same",
        points=_points(metric, before, after),
    )
    return replace(change, word=_word(change, before, after, crossing))


def not_compared(metric: Metric, base: Summary | None, run: Summary | None, obstacle: Reason) -> Change:
    """A metric that is not comparable, with both values as far as there are any."""
    return Change(
        metric=metric.name, unit=metric.unit, base=base, run=run, change=None, word="not_comparable", obstacle=obstacle
    )


def _word(change: Change, before: _Spread, after: _Spread, crossing: Crossing | None) -> Word:
    moved = not _within_noise(before, after) and not _is_small(change.effect, before, after)
    if change.metric == DURATION and moved:
        return "slower" if after.median > before.median else "faster"
    return crossing or ("moved" if moved else "same")


def worst_word(words: Iterable[Word]) -> Word:
    """One word for several: the gravest."""
    found = set(words)
    return next((word for word in WORD_ORDER if word in found), "not_comparable")


# --- noise ------------------------------------------------------------------------------------------------------------


class _Spread(NamedTuple):
    """A metric that is measured in every sample."""

    low: float
    median: float
    high: float
    samples: int


def _spread(summary: Summary | None) -> _Spread | None:
    if summary is None or summary.median is None or summary.low is None or summary.high is None:
        return None
    return _Spread(summary.low, summary.median, summary.high, summary.samples)


def _gap(side: str, summary: Summary | None) -> str:
    return f"{spaced(summary.state) if summary is not None else 'not collected'} in the run {side}"


def _relative(base: float, run: float) -> float | None:
    if base == 0:
        return 0.0 if run == 0 else None
    return (run - base) / abs(base)


def _points(metric: Metric, base: _Spread, run: _Spread) -> float | None:
    scale = points_of(metric.name, metric.unit)
    return scale * (run.median - base.median) if scale else None


def _single(base: _Spread, run: _Spread) -> bool:
    return min(base.samples, run.samples) == 1


def _within_noise(base: _Spread, run: _Spread) -> bool:
    """Whether the samples of the two runs overlap, from the lowest to the highest."""
    return run.low <= base.high and base.low <= run.high


def _is_small(effect: float | None, base: _Spread, run: _Spread) -> bool:
    """Whether a change is none whatever the samples are; from zero to something is none of a small one."""
    return effect is not None and abs(effect) < (SINGLE_SAMPLE if _single(base, run) else LEAST_EFFECT)
