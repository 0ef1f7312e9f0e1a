"""Advice in words: for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from stallgate.advise.advice import CaseAdvice, advice_by_case, spelled
from stallgate.errors import BrokenFile
from stallgate.formatting import difference, percent, rounded
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Advice, CitedReading, FrozenStruct, HotLine, Role, RuleResult
from stallgate.project.load import Project

_LEAST = 0.0005
"""A smaller share would be told as 0.0 %."""

MOST_ON_PAGE = 3
"""Advice on a case that a page shows; ``stallgate advise`` has all."""


class AdviceRow(FrozenStruct, frozen=True):
    """One advice in words, as the page and ``advice.json`` have it."""

    name: str
    """The case for a reader."""
    case: str
    workload: str
    role: Role
    stops: bool
    """Whether it says that nothing is left to gain."""
    kernel: str
    """Empty where the advice is on a call of several."""
    rule: str
    gain: float
    """The largest share of the case's time that the cause can explain, 0 to 1."""
    gain_words: str
    title: str
    text: str
    readings: list[str]
    line: str
    """The file and line that show the cause, or ''."""
    line_text: str
    tries: str
    disproved_by: str
    trap: str
    theirs: list[str]
    """NVIDIA's results on the same cause."""
    contradictions: list[str]


def advice_part(project: Project, result: JudgedRun) -> tuple[list[AdviceRow], str]:
    """The advice for a run's page, and why there is none: a broken rule costs the page its advice, and nothing else."""
    try:
        return advice_rows(advice_by_case(result, project), result), ""
    except BrokenFile as error:
        return [], error.message


def advice_rows(found: Iterable[CaseAdvice], result: JudgedRun) -> list[AdviceRow]:
    """The advice of a run for its page, the first few of each case."""
    roles = {case.case: case.role for case in result.run.cases}
    first = [advice for each in found for advice in each.advice[:MOST_ON_PAGE]]
    return [_row(advice, result.names[advice.case], roles[advice.case]) for advice in first]


def _row(advice: Advice, name: str, role: Role) -> AdviceRow:
    line = advice.line
    return AdviceRow(
        name=name,
        case=advice.case.name,
        workload=advice.case.workload,
        role=role,
        stops=advice.stops,
        kernel=advice.kernel,
        rule=advice.rule,
        gain=advice.gain,
        gain_words=gain_in_words(advice),
        title=advice.title,
        text=advice.text,
        readings=[reading_in_words(reading) for reading in advice.readings],
        line=f"{line.file}:{line.line}" if line is not None else "",
        line_text=line.text.strip() if line is not None else "",
        tries=advice.tries,
        disproved_by=advice.disproved_by,
        trap=advice.trap,
        theirs=[result_in_words(result) for result in advice.theirs],
        contradictions=advice.contradictions,
    )


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


def advice_lines(advice: Advice, number: int) -> list[tuple[int, str]]:
    """An advice for the terminal: lines, each with its indentation."""
    kernel = f" · {advice.kernel}" if advice.kernel else ""
    lines = [(2, f"{number}. {advice.title}: {gain_in_words(advice)}{kernel}"), (5, advice.text)]
    if advice.line is not None:
        lines.append((5, f"line        {line_in_words(advice.line)}"))
    lines.append((5, f"try         {advice.tries}"))
    lines.append((5, f"disproof    {advice.disproved_by}"))
    lines.append((5, f"not for     {advice.trap}"))
    lines.append((5, f"readings    {'; '.join(map(reading_in_words, advice.readings))}"))
    lines += [(5, f"NVIDIA      {result_in_words(result)}") for result in advice.theirs]
    return lines + [(5, f"but         {said}") for said in advice.contradictions]


_LABEL = 12
"""Columns of a line's label, such as ``disproof``, and the spaces after it."""


def lines_in_width(words: str, indent: int, width: int) -> list[str]:
    """A line for the terminal in as many as it needs; what follows a label stays in its column."""
    hanging = indent + _start(words)
    lines = wrap(
        words.replace(" %", f"{_JOINED}%"),
        max(width, hanging + 30),
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_JOINED, " ") for line in lines] or [""]


_JOINED = "\u00a0"
"""Between a number and its %: a line does not break there."""


def _start(words: str) -> int:
    """The column in which a line's own words begin, after its label or number."""
    if words[_LABEL - 4 : _LABEL].isspace() and not words[_LABEL : _LABEL + 1].isspace():
        return _LABEL
    number, dot, _ = words.partition(". ")
    return len(number + dot) if number.isdecimal() else 0


def first_advice(advice: Advice) -> str:
    """The first advice on a case in one line, for a gate that says no."""
    return f"{advice.title} ({gain_in_words(advice)}): {advice.text} Try: {advice.tries}"
