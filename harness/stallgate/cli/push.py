"""``stallgate push``: sends runs and accepted baselines to a place that several machines share."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import open_runs
from stallgate.model import FrozenStruct
from stallgate.runs.remote import Remote
from stallgate.runs.share import Shared, push


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


@click.command("push", epilog=examples("stallgate push s3://bucket/kernels", "stallgate push /mnt/shared/kernels"))
@click.argument("destination")
@root_option
@json_option(SharedFacts)
def push_command(destination: str, root: Path | None, as_json: bool) -> int:
    """Send runs and accepted baselines to a place that several machines share.

    DESTINATION is a folder, or a URL of any file system that fsspec knows. What is there already is not sent again.
    """
    remote = Remote(destination)
    return tell_shared("push", ("sent", "there"), remote.shown, push(open_runs(root), remote), as_json=as_json)


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
