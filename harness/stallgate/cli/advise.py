"""``stallgate advise``: what to try next, from a run's readings."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.advise.advice import CaseAdvice, advice_by_case
from stallgate.cli.examples import examples
from stallgate.cli.facts import RunKind
from stallgate.cli.options import json_option, root_option, run_argument
from stallgate.cli.output import print_result
from stallgate.cli.shared import judged, open_runs
from stallgate.errors import UnknownName
from stallgate.extract.foreign import IMPORTED
from stallgate.formatting import scaled
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Advice, FrozenStruct
from stallgate.project.advice import read_advice_rules, wanted_by
from stallgate.project.catalogue import asked_for
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.advice import advice_lines, lines_in_width
from stallgate.runs.conditions import environment_of, provenance
from stallgate.runs.naming import case_places


class CaseAdviceFacts(FrozenStruct, frozen=True):
    """The advice on a case, the most time first."""

    case: str
    name: str
    """The case for a reader."""
    duration_ms: float | None
    unsound: str
    """Why its numbers cannot be relied on, or ''. There is no advice then."""
    advice: list[Advice]
    silent: dict[str, list[str]]
    """Rule that could not be asked -> the readings that it lacks."""


class MissingMetric(FrozenStruct, frozen=True):
    """A metric that some rule lacks on some case."""

    metric: str
    rules: list[str]
    ncu_names: list[str]
    """What ncu is asked for; empty where the chip has no such counter."""


class AdviceFacts(FrozenStruct, frozen=True):
    """The advice on a run."""

    run: str
    """The run as commands take it."""
    kind: RunKind
    cases: list[CaseAdviceFacts]
    missing: list[MissingMetric]


@click.command("advise", epilog=examples("stallgate advise", "stallgate advise --variant blocked_scan --limit 1"))
@run_argument
@click.option("--variant", "variants", multiple=True, metavar="NAME", help="Only this variant. Repeatable.")
@click.option(
    "--limit", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Most advice on a case."
)
@click.option("--missing", "shows_missing", is_flag=True, help="Show the metrics that silent rules lack.")
@root_option
@json_option(AdviceFacts)
def advise_command(
    run: str | None, variants: tuple[str, ...], limit: int, shows_missing: bool, root: Path | None, as_json: bool
) -> int:
    """Say what to try next, from readings alone.

    Each advice has the readings that it stands on, what would disprove it, and what it must not be used for. It is
    ranked by the time that its cause can explain at most. A rule whose readings are missing is silent.
    """
    project = open_runs(root)
    result = judged(project, run, ())
    found = _wanted(advice_by_case(result, project), variants)
    lacking = _missing(project, result, found)
    if as_json:
        return print_result("advise", _facts(result, found, lacking, limit))
    terminal.out.print(provenance(result.run), markup=False, highlight=False)
    if shows_missing:
        _show_missing(lacking, result.run.kind)
        return 0
    places = case_places(result.run)
    for case in found:
        problem = f"{case.case.problem}: " if case.case.problem != IMPORTED else ""
        _show_case(case, f"{problem}{result.names[case.case]} on {places[case.case]}", limit)
    if lacking:
        count = len({rule for metric in lacking for rule in metric.rules})
        rules = "1 rule lacks" if count == 1 else f"{count} rules lack"
        _print(0, f"{rules} readings on some case: `stallgate advise --missing` names what to collect.")
    return 0


def _wanted(found: list[CaseAdvice], variants: tuple[str, ...]) -> list[CaseAdvice]:
    known = dict.fromkeys(each.case.variant for each in found)
    for name in variants:
        if name not in known:
            raise UnknownName("variant of this run", name, known)
    return [each for each in found if not variants or each.case.variant in variants]


def _facts(result: JudgedRun, found: list[CaseAdvice], lacking: list[MissingMetric], limit: int) -> AdviceFacts:
    return AdviceFacts(
        run=result.argument,
        kind=result.run.kind,
        cases=[
            CaseAdviceFacts(
                case=each.case.name,
                name=result.names[each.case],
                duration_ms=each.duration_ms,
                unsound=each.unsound.sentence if each.unsound is not None else "",
                advice=each.advice[:limit],
                silent=each.silent,
            )
            for each in found
        ],
        missing=lacking,
    )


# --- as text ----------------------------------------------------------------------------------------------------------


def _print(indent: int, words: str) -> None:
    for line in lines_in_width(words, indent, terminal.out.width):
        terminal.out.print(line, markup=False, highlight=False, soft_wrap=True)


def _show_case(found: CaseAdvice, name: str, limit: int) -> None:
    time = f", {scaled(1e6 * found.duration_ms, 'ns')}" if found.duration_ms is not None else ""
    _print(0, "")
    _print(0, f"{name}{time}")
    if found.unsound is not None:
        _print(2, f"no advice: {found.unsound.sentence}")
    elif not found.advice:
        _print(2, "no rule has evidence of a cause")
    for number, advice in enumerate(found.advice[:limit], 1):
        for indent, words in advice_lines(advice, number):
            _print(indent, words)
    if len(found.advice) > limit:
        _print(2, f"and {len(found.advice) - limit} more: --limit {len(found.advice)}")


def _show_missing(lacking: list[MissingMetric], kind: RunKind) -> None:
    if not lacking:
        _print(0, "Every metric that a rule reads was measured on every case.")
        return
    for metric in lacking:
        names = ", ".join(metric.ncu_names) or "no counter of this chip"
        _print(0, f"{metric.metric}: {names}")
        _print(2, f"for {', '.join(metric.rules)}")
    how = "`ncu --set full`" if kind == "imported" else "`stallgate profile --detail`"
    _print(0, f"{how} collects what the chip has of them, beside all that a run has without it.")


def _missing(project: Project, result: JudgedRun, found: list[CaseAdvice]) -> list[MissingMetric]:
    """The metrics that ncu could have been asked for and that rules lack, with the ncu names."""
    lacked = {(rule, name) for case in found for rule, names in case.silent.items() for name in names}
    rules = read_advice_rules(project.root, project.catalogue)
    return [
        MissingMetric(
            metric=name,
            rules=[rule for rule in asking if (rule, name) in lacked],
            ncu_names=asked_for(project.catalogue, project.catalogue.metrics[name], _chip(result)),
        )
        for name, asking in wanted_by(rules, project.catalogue).items()
        if any((rule, name) in lacked for rule in asking)
    ]


def _chip(result: JudgedRun) -> str | None:
    """The chip of the first problem that says one."""
    known = (environment_of(result.run, problem) for problem in result.run.subjects)
    return next((found.chip for found in known if found is not None and found.chip), None)
