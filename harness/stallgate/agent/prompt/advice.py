"""The part with advice: the rules that hold on the variant's readings, each with its evidence."""

from __future__ import annotations

from stallgate.advise.advice import CaseAdvice, advice_by_case
from stallgate.advise.words import gain_in_words, line_in_words, reading_in_words
from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, ShorterForm, bullets, code_span, inline, paragraphs
from stallgate.errors import BrokenFile
from stallgate.model import Advice
from stallgate.project.catalogue import DURATION

_MOST = 3
"""Advice in a prompt."""


def advised_part(ground: Ground) -> Part:
    """The advice that stands on most time."""
    title = "Advice"
    if ground.result is None or not ground.sound:
        text = "None: there are no readings of the present code for a rule to stand on."
        return Part(name="advice", title=title, text=text, shorter=[_nothing()])
    try:
        found = advice_by_case(ground.result, ground.project, {result.case for result in ground.sound})
    except BrokenFile as error:
        text = f"None: a rule of the project is broken: {inline(error.message)}"
        return Part(name="advice", title=title, text=text, shorter=[_nothing()])
    chosen = _chosen(found)
    if not chosen:
        text = "None: no rule has evidence of a cause in the readings of this run."
        return Part(name="advice", title=title, text=text, shorter=[_nothing()])
    names = {result.case: ground.name_of(result) for result in ground.sound}
    several = len(ground.sound) > 1
    of_several = len(ground.kernels) > 1
    told = [_told(each, names[each.case] if several else "", of_several=of_several) for each in chosen]
    head = "From the readings alone; a gain is the most that the cause can explain:"
    shorter = [ShorterForm(text=paragraphs(head, *told[:1]), usefulness=20, loses="all advice but the first")] * (
        len(told) > 1
    )
    return Part(name="advice", title=title, text=paragraphs(head, *told), shorter=[*shorter, _nothing()])


def _nothing() -> ShorterForm:
    return ShorterForm(text="", usefulness=45, loses="the advice")


def _chosen(found: list[CaseAdvice]) -> list[Advice]:
    """The advice with the largest share of the time; a rule once for each kernel, on the workload where it is most."""
    ranked = sorted((advice for each in found for advice in each.advice), key=lambda each: -each.gain)
    once: dict[tuple[str, str], Advice] = {}
    for advice in ranked:
        once.setdefault((advice.rule, advice.kernel), advice)
    return list(once.values())[:_MOST]


def _told(advice: Advice, workload: str, *, of_several: bool) -> str:
    """An advice.

    Args:
        advice: the advice.
        workload: to be named; empty where there is only one.
        of_several: whether the advice is on several kernels.
    """
    where = [f"on {code_span(workload)}"] if workload else []
    if advice.kernel and of_several:
        where.append(f"kernel {code_span(advice.kernel)}")
    lines = [
        f"**{inline(advice.title)}**: {', '.join([gain_in_words(advice), *where])}. {inline(advice.text)}",
        f"  Try: {inline(advice.tries)}",
        f"  Not for: {inline(advice.trap)}",
        f"  Evidence: {_evidence(advice)}",
    ]
    if advice.line is not None:
        lines.append(f"  Hot line: {code_span(line_in_words(advice.line))}")
    return bullets(["\n".join(lines)])


def _evidence(advice: Advice) -> str:
    """The readings of an advice but for the time, with the launch that they are of once for each."""
    launches: dict[str, list[str]] = {}
    for reading in [each for each in advice.readings if each.metric != DURATION] or advice.readings:
        words = reading_in_words(reading)
        number, _, launch = words.partition(" (launch ")
        launches.setdefault(f" (launch {launch}" if launch else "", []).append(number)
    return inline("; ".join(f"{', '.join(found)}{launch}" for launch, found in launches.items()))
