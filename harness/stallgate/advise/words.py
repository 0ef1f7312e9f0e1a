"""Advice in words: what can be gained, a reading with its launch, NVIDIA's results, a hot line."""

from __future__ import annotations

from stallgate.advise.advice import spelled
from stallgate.formatting import difference, percent, rounded
from stallgate.model import Advice, CitedReading, HotLine, RuleResult

_LEAST = 0.0005
"""A smaller share would be told as 0.0 %."""


def gain_in_words(advice: Advice) -> str:
    """The most that can be gained, as a share of the time and as a time."""
    if advice.stops:
        return f"{percent(advice.gain)} of the time is left" if advice.gain >= _LEAST else "nothing is left to gain"
    time = CitedReading(metric="duration", value=1e6 * advice.gain_ms, unit="ns", launch=None, sample="")
    return f"up to {percent(advice.gain)} of the time, {spelled(time)}"


def reading_in_words(reading: CitedReading) -> str:
    """A reading with what it is of: ``dram_throughput 12.0 % (median of 5)``, or one launch. Facts are of neither."""
    if reading.samples > 1:
        return f"{reading.metric} {spelled(reading)} (median of {reading.samples})"
    where = [f"launch {reading.launch}"] if reading.launch is not None else []
    where += [f"sample {reading.sample}"] if reading.sample else []
    return f"{reading.metric} {spelled(reading)}" + (f" ({', '.join(where)})" if where else "")


def result_in_words(result: RuleResult) -> str:
    """One of NVIDIA's results, with its estimate and whether that is of the whole launch."""
    if result.speedup is None or result.scope is None:
        return f"{result.title}: no estimate"
    scope = {"whole": "GLOBAL", "part": "LOCAL: of a part, no speed-up of the kernel"}[result.scope]
    return f"{result.title}: {difference(result.speedup)} % ({scope})"


def line_in_words(line: HotLine) -> str:
    """A hot line: its place, its text where that is known, and how its warps mostly waited."""
    share = 100 * line.reason_samples / line.samples if line.samples else 0.0
    parts = [f"{line.file}:{line.line}", line.text.strip(), f"({line.reason} {rounded(share)} %)"]
    return "  ".join(filter(None, parts))
