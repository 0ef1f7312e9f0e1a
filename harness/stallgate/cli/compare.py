"""``stallgate compare``: two runs, metric by metric."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import click

from stallgate.cli.drawing import draw_compared
from stallgate.cli.examples import examples
from stallgate.cli.facts import MetricValue, metric_value
from stallgate.cli.options import complete_runs, json_option, root_option
from stallgate.cli.output import found_so_far, print_result
from stallgate.cli.shared import judged, near, open_runs
from stallgate.compare.rules import VariantRules, rules_of_runs
from stallgate.compare.two_runs import Fact, Pair, Retuned, RunComparison, Side, compare, refuse_empty
from stallgate.compare.words import CHANGED_WORDS, Change, Word
from stallgate.model import FrozenStruct, Identity, Reason, Role
from stallgate.render.terminal_compare import show_comparison
from stallgate.render.terminal_rules import show_rules
from stallgate.runs.folder import refuse_recording


class ChangeFacts(FrozenStruct, frozen=True):
    """One metric of one case in both runs."""

    metric: str
    also: list[str]
    """Other names of the same counter, which is compared once."""
    word: Word
    """faster, slower: of the time. better, worse: a judged target was crossed. moved: any other change. same: none."""
    change: float | None
    """(run - base) / base of the medians; null where it is not comparable, or the base is 0 and the run is not."""
    points: float | None
    """Of a share, run - base of the medians in percentage points: its word is chosen by this. null of anything else."""
    text: str
    """The change for a reader, as pages and the terminal show it."""
    base: MetricValue
    run: MetricValue
    obstacle: Reason | None
    """Why it is not comparable, or only shown; null elsewhere."""


class PairFacts(FrozenStruct, frozen=True):
    """A case in both runs, or in one of them."""

    case: str
    """problem/variant/configuration/workload"""
    role: Role
    about: str
    """What an imported case is, by the names in the report; empty elsewhere."""
    base_identity: Identity | None
    """Of an imported case that the base has."""
    run_identity: Identity | None
    differs: list[str]
    """What differs between two imported cases that are paired, in words."""
    code: Literal["same", "changed", "unknown"]
    """Whether the variant's code is the same in both runs."""
    obstacle: Reason | None
    """Why none of its metrics is comparable; null where some are."""
    retuned: list[Retuned]
    """Kernels for which an autotuner chose differently."""
    changes: list[ChangeFacts]


class CompareFacts(FrozenStruct, frozen=True):
    """Two runs, metric by metric."""

    base: Side
    run: Side
    word: Word
    """What changed for the candidates, in one word: the gravest of their times, crossed targets and stage metrics."""
    finding: str
    """A sentence about the times that changed beyond the noise, and the targets that were crossed."""
    tally: dict[Word, int]
    """How many changes there are of each word, over every metric of every case."""
    left_out: int
    """How many of them are not in ``pairs``; with --all, none."""
    obstacles: list[Reason]
    """Conditions that differ, so that numbers are not compared."""
    same_conditions: bool
    """The user's word that conditions of imported runs were alike where they are not known."""
    reservations: list[Reason]
    """Why changes between imported runs are shown without a word: `shown`."""
    notes: list[str]
    facts: list[Fact]
    main: list[str]
    """The duration and the metrics of the stages."""
    pairs: list[PairFacts]
    rules: list[VariantRules]
    """The candidates whose code changed, and the rules of their stages that this broke."""


@click.command("compare", epilog=examples("stallgate compare BEFORE", "stallgate compare BEFORE AFTER --report"))
@click.argument("base", metavar="BEFORE", shell_complete=complete_runs)
@click.argument("run", required=False, metavar="[AFTER]", shell_complete=complete_runs)
@click.option("--all", "every", is_flag=True, help="Show every metric; default: the stage's, and those that changed.")
@click.option(
    "--same-conditions",
    is_flag=True,
    help="Your word for imported runs: clocks and caches were controlled alike, so say what changed.",
)
@click.option("--report", "page", is_flag=True, help="Also draw compare-BEFORE.html into AFTER's folder.")
@root_option
@json_option(CompareFacts)
def compare_command(
    base: str,
    run: str | None,
    every: bool,
    same_conditions: bool,
    page: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Compare AFTER with BEFORE, metric by metric. Exits with 0 whatever changed."""
    project = open_runs(root)
    before, after = judged(project, base, ()), judged(project, run, ())
    if page:
        refuse_recording(project.reports, after.folder)
    found = compare(project, before, after, same_conditions=same_conditions)
    rules = rules_of_runs(project, before, after)
    if not as_json:
        show_comparison(found, every)
        show_rules(rules)
    if page:
        click.echo(f"page: {near(draw_compared(project, found, after))}", err=as_json)
    facts = _facts(found, every, rules)
    found_so_far(facts)
    refuse_empty(found)
    return print_result("compare", facts) if as_json else 0


def _facts(found: RunComparison, every: bool, rules: list[VariantRules]) -> CompareFacts:
    pairs = [_pair_facts(pair, found.main, every) for pair in found.pairs]
    words = [change.word for pair in found.pairs for change in pair.changes]
    return CompareFacts(
        base=found.base,
        run=found.run,
        word=found.word,
        finding=found.finding,
        tally={word: words.count(word) for word in get_args(Word)},
        left_out=len(words) - sum(len(pair.changes) for pair in pairs),
        obstacles=found.obstacles,
        same_conditions=found.same_conditions,
        reservations=found.reservations,
        notes=found.notes,
        facts=found.facts,
        main=found.main,
        pairs=pairs,
        rules=rules,
    )


def _pair_facts(pair: Pair, main: list[str], every: bool) -> PairFacts:
    changes = [_change_facts(change) for change in pair.changes if every or _is_short(pair, change, main)]
    return PairFacts(
        case=pair.case.name,
        role=pair.role,
        about=pair.title,
        base_identity=pair.base_identity,
        run_identity=pair.run_identity,
        differs=pair.differs,
        code=pair.code,
        obstacle=pair.obstacle,
        retuned=pair.retuned,
        changes=changes,
    )


def _is_short(pair: Pair, change: Change, main: list[str]) -> bool:
    """Whether a change is in the short answer: what moved; the times; of candidates, the stage's metrics."""
    if pair.obstacle is not None:
        return False
    wanted = ["duration"] if pair.role in ("baseline", "roof") else main
    return change.metric in wanted or change.word in CHANGED_WORDS


def _change_facts(change: Change) -> ChangeFacts:
    return ChangeFacts(
        metric=change.metric,
        also=change.also,
        word=change.word,
        change=change.change,
        points=change.points,
        text=change.text,
        base=metric_value(change.base, change.unit),
        run=metric_value(change.run, change.unit),
        obstacle=change.obstacle,
    )
