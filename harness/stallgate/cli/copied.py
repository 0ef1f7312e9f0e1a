"""What ``push`` and ``pull`` tell: what was copied, and what was not."""

from __future__ import annotations

import click

from stallgate.cli.output import print_result
from stallgate.model import FrozenStruct
from stallgate.runs.share import Shared


class SharedFacts(FrozenStruct, frozen=True):
    """What was copied between this project and the place."""

    place: str
    """The address, without a password."""
    runs: list[str]
    """The runs that were copied."""
    known: int
    """How many runs were on both sides before."""
    baselines: list[str]
    """The baselines that were copied, as ``<gpu>/<problem>``."""
    incomplete: list[str]
    """Runs that were not copied because they did not come to their end, or cannot be read."""


def tell_shared(command: str, words: tuple[str, str], place: str, found: Shared, *, as_json: bool) -> int:
    """Prints what was copied, in these words for what was done and where the copies are."""
    verb, where = words
    facts = SharedFacts(
        place=place, runs=found.runs, known=found.known, baselines=found.baselines, incomplete=found.incomplete
    )
    if as_json:
        return print_result(command, facts)
    for name in [*found.runs, *(f"baseline {name}" for name in found.baselines)]:
        click.echo(f"{verb}  {name}")
    counts = f"{_counted(len(found.runs), 'run')} and {_counted(len(found.baselines), 'baseline')} {verb}"
    click.echo(f"{counts}; {_counted(found.known, 'run')} {'was' if found.known == 1 else 'were'} {where}")
    if found.incomplete:
        click.echo(f"not {verb}, incomplete: {', '.join(found.incomplete)}")
    return 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
