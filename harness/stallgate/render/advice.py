"""Advice in words: for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterable

from stallgate.advise.advice import CaseAdvice, spelled
from stallgate.formatting import percent, rounded
from stallgate.model import Advice, Case, CitedReading, FrozenStruct, RuleResult

MOST_ON_PAGE = 3
"""Advice on a case that a page shows; ``stallgate advise`` has all."""


class AdviceRow(FrozenStruct, frozen=True):
    """One advice on the page."""

    name: str
    """The case for a reader."""
    case: str
    workload: str
    gain: str
    advice: Advice
    readings: list[str]
    theirs: list[str]


def advice_rows(found: Iterable[CaseAdvice], names: dict[Case, str]) -> list[AdviceRow]:
    """The advice of a run for its page, the first few of each case."""
    return [
        AdviceRow(
            name=names[advice.case],
            case=advice.case.name,
            workload=advice.case.workload,
            gain=gain_in_words(advice),
            advice=advice,
            readings=[reading_in_words(reading) for reading in advice.readings],
            theirs=[result_in_words(result) for result in advice.theirs],
        )
        for each in found
        for advice in each.advice[:MOST_ON_PAGE]
    ]


def gain_in_words(advice: Advice) -> str:
    """The most that can be gained, as a share of the time and as a time."""
    if advice.stops:
        return f"{percent(advice.gain)} of the time is left"
    return f"up to {percent(advice.gain)} of the time, {rounded(advice.gain_ms)} ms"


def reading_in_words(reading: CitedReading) -> str:
    """A reading with the launch that it is of: ``dram_throughput 12 % (launch 25, sample 3)``. Facts have none."""
    where = [f"launch {reading.launch}"] if reading.launch is not None else []
    where += [f"sample {reading.sample}"] if reading.sample else []
    return f"{reading.metric} {spelled(reading)}" + (f" ({', '.join(where)})" if where else "")


def result_in_words(result: RuleResult) -> str:
    """One of NVIDIA's results, with its estimate and whether that is of the whole launch."""
    if result.speedup is None or result.scope is None:
        return f"{result.title}: no estimate"
    scope = {"whole": "GLOBAL", "part": "LOCAL: of a part, no speed-up of the kernel"}[result.scope]
    return f"{result.title}: {rounded(result.speedup)} % ({scope})"


def advice_lines(advice: Advice, number: int) -> list[tuple[int, str]]:
    """An advice for the terminal: lines, each with its indentation."""
    kernel = f" · {advice.kernel}" if advice.kernel else ""
    lines = [(2, f"{number}. {advice.title}: {gain_in_words(advice)}{kernel}"), (5, advice.text)]
    if advice.line is not None:
        share = 100 * advice.line.reason_samples / advice.line.samples if advice.line.samples else 0.0
        line = advice.line
        lines.append(
            (5, f"line        {line.file}:{line.line}  {line.text.strip()}  ({line.reason} {rounded(share)} %)")
        )
    lines.append((5, f"try         {advice.tries}"))
    lines.append((5, f"disproof    {advice.disproved_by}"))
    lines.append((5, f"not for     {advice.trap}"))
    lines.append((5, f"readings    {'; '.join(map(reading_in_words, advice.readings))}"))
    lines += [(5, f"NVIDIA      {result_in_words(result)}") for result in advice.theirs]
    return lines + [(5, f"but         {said}") for said in advice.contradictions]


def first_advice(advice: Advice) -> str:
    """The first advice on a case in one line, for a gate that says no."""
    return f"{advice.title} ({gain_in_words(advice)}): {advice.text} Try: {advice.tries}"
