"""The end of a profile in the terminal: the verdict, each candidate's time and waits, and the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stallgate.formatting import on_several, scaled, spaced, spread_in_words, whom
from stallgate.model import Case, display_name
from stallgate.render.headroom import missed_by
from stallgate.render.next_command import next_command
from stallgate.render.states import waits_in_words
from stallgate.render.terminal_gate import show_conclusion
from stallgate.render.terminal_text import hang, out, show_next, styled
from stallgate.render.verdict_words import title_of, verdict_in_words

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.model import Verdict
    from stallgate.project.load import Project


def show_digest(result: JudgedRun, project: Project) -> None:
    """The verdict by the problems' stages, each judged case in a few lines, and what to run next."""
    found = result.judgement
    show_conclusion(found, project.catalogue)
    several = on_several(found.verdicts)
    cases: dict[Case, list[Verdict]] = {}
    for verdict in found.verdicts:
        case = Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)
        cases.setdefault(case, []).append(verdict)
    for case, verdicts in cases.items():
        _judged_case(result, project, case, verdicts, with_problem=several)
    for note in found.notes:
        hang(out, styled(""), note, 2, "yellow")
    show_next(*next_command(result.run, found))


def _judged_case(
    result: JudgedRun, project: Project, case: Case, verdicts: list[Verdict], *, with_problem: bool
) -> None:
    about = whom(verdicts[0], with_problem=with_problem)
    if case.configuration not in ("default", "") and verdicts[0].name == "":
        about = about.replace(case.variant, display_name(case.variant, case.configuration), 1)
    parts = [time for time in [_time(result, case)] if time]
    parts.append(_targets(result, project, case, verdicts))
    hang(out, styled(f"  {about}  ", "bold"), ", ".join(parts), 4)
    if _time(result, case):
        hang(out, styled("    "), _waits(result, project, case), 6, "dim")


def _time(result: JudgedRun, case: Case) -> str:
    """The median of a case's time with the spread of its samples; empty where there is none."""
    time = result.summaries.get((case, "duration"))
    if time is None or not time.median or time.low is None or time.high is None:
        return ""
    spread = spread_in_words(time.low, time.median, time.high) if time.samples > 1 else "(one sample)"
    return f"{scaled(time.median, 'ns')} {spread}"


def _targets(result: JudgedRun, project: Project, case: Case, verdicts: list[Verdict]) -> str:
    """The targets that are missed, each with how far; else that they are met."""
    outcomes = {each.case: each.outcome for each in result.run.cases}
    if any(verdict.reason == outcomes.get(case) for verdict in verdicts):
        return f"not judged: {spaced(outcomes[case])}"  # the table above says why
    unmet = [verdict for verdict in verdicts if verdict.status not in ("pass", "excused")]
    if not unmet:
        return f"targets met ({len(verdicts)})"
    return "; ".join(dict.fromkeys(_unmet_target(project, verdict) for verdict in unmet))


def _unmet_target(project: Project, verdict: Verdict) -> str:
    missed = missed_by(verdict)
    if verdict.metric is not None and missed:
        waived = " (waived)" if verdict.status == "waived" else ""
        return f"{title_of(verdict.metric, project.catalogue)} missed by {missed}{waived}"
    return verdict_in_words(verdict, project.catalogue)


def _waits(result: JudgedRun, project: Project, case: Case) -> str:
    """What a case's warps wait for most, in words with the state's name."""
    shares = {
        metric.state: summary.median
        for metric in project.catalogue.metrics.values()
        if metric.state is not None
        and (summary := result.summaries.get((case, metric.name))) is not None
        and summary.median is not None
    }
    return waits_in_words(shares) or "What its warps wait for was not measured"
