"""The end of a profile in the terminal: what is right, each judged case, the next command and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stallgate.formatting import on_several, scaled, spaced, spread_in_words, status_label, whom
from stallgate.judge.headroom import badness, missed_by
from stallgate.model import Case, display_name
from stallgate.render.next_command import next_command
from stallgate.render.results_line import results_line
from stallgate.render.terminal_gate import show_answer
from stallgate.render.terminal_text import hang, out, show_next, styled
from stallgate.render.verdict_words import title_of, verdict_in_words
from stallgate.render.what_limits import CasesRead, limit_in_words, memory_path, waiting_in_words

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.model import Verdict
    from stallgate.project.load import Project


_MOST_EXPLAINED = 3
"""Cases that meet their targets and are told with their limit, waits and bytes; of further ones only the time."""

_ORDER = ("fail", "not_measured", "undecided", "waived", "excused", "pass")


def show_digest(result: JudgedRun, project: Project) -> None:
    """Whether results are right, each judged case in a few lines, those that miss most first, and what to run next."""
    found = result.judgement
    line = results_line(result)
    hang(out, styled(""), line.words, 2, _STYLES.get(line.style, ""))
    several = on_several(found.verdicts)
    cases: dict[Case, list[Verdict]] = {}
    for verdict in found.verdicts:
        case = Case(verdict.problem, verdict.variant, verdict.configuration, verdict.workload)
        cases.setdefault(case, []).append(verdict)
    explained = 0
    for case, verdicts in sorted(cases.items(), key=lambda each: _urgency(each[1])):
        is_met = all(verdict.status in ("pass", "excused") for verdict in verdicts)
        explained += is_met
        _judged_case(result, project, case, verdicts, with_problem=several)
        if not is_met or explained <= _MOST_EXPLAINED:
            _explain(result, project, case)
    for note in found.notes:
        hang(out, styled(""), note, 2, "yellow")
    show_next(*next_command(result.run, found, result.argument))
    show_answer(found)


_STYLES = {"fail": "bold red", "open": "yellow"}


def _urgency(verdicts: list[Verdict]) -> tuple[int, float]:
    """The worst of a case's verdicts, and how much it misses by: what is to be told first."""
    return min(_ORDER.index(verdict.status) for verdict in verdicts), -max(badness(verdict) for verdict in verdicts)


def _judged_case(
    result: JudgedRun, project: Project, case: Case, verdicts: list[Verdict], *, with_problem: bool
) -> None:
    about = whom(verdicts[0], with_problem=with_problem)
    if case.configuration not in ("default", "") and verdicts[0].name == "":
        about = about.replace(case.variant, display_name(case.variant, case.configuration), 1)
    parts = [time for time in [_time(result, case)] if time]
    parts.append(_targets(result, project, case, verdicts))
    hang(out, styled(f"  {about}  ", "bold"), ", ".join(parts), 4)


def _explain(result: JudgedRun, project: Project, case: Case) -> None:
    """What limits a case, what its warps wait for, and the way of its bytes; nothing of one without a time."""
    found = next((each for each in result.run.cases if each.case == case), None)
    if found is None or not _time(result, case):
        return
    read = CasesRead(project, result, case.problem, case.workload)
    waits = waiting_in_words(read, found) or "What its warps wait for was not measured"
    for said in (limit_in_words(read, found), waits, memory_path(read, found)):
        if said:
            hang(out, styled("    "), said, 6, "dim")


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
    ended = next((verdict for verdict in verdicts if verdict.reason == outcomes.get(case)), None)
    if ended is not None:  # the table above says why
        return f"{status_label(ended.status, ended.reason)}: {spaced(ended.reason)}"
    unmet = [verdict for verdict in verdicts if verdict.status not in ("pass", "excused")]
    if not unmet:
        excused = sum(verdict.status == "excused" for verdict in verdicts)
        met = [f"targets met ({len(verdicts) - excused})"] * (excused < len(verdicts))
        return ", ".join([*met, *([f"{excused} excused"] if excused else [])])
    return "; ".join(dict.fromkeys(_unmet_target(project, verdict) for verdict in unmet))


def _unmet_target(project: Project, verdict: Verdict) -> str:
    missed = missed_by(verdict)
    if verdict.metric is not None and missed:
        waived = " (waived)" if verdict.status == "waived" else ""
        return f"{title_of(verdict.metric, project.catalogue)} missed by {missed}{waived}"
    return verdict_in_words(verdict, project.catalogue)
