"""``stallgate pull``: brings runs and accepted baselines from a place that several machines share."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.copied import SharedFacts, tell_shared
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.shared import open_runs
from stallgate.runs.remote import Remote
from stallgate.runs.share import pull


@click.command("pull", epilog=examples("stallgate pull s3://bucket/kernels", "stallgate pull /mnt/shared/kernels"))
@click.argument("source")
@root_option
@json_option(SharedFacts)
def pull_command(source: str, root: Path | None, as_json: bool) -> int:
    """Bring runs and accepted baselines from a place that several machines share.

    SOURCE is what was given to `stallgate push`. What is here already is not brought again.
    """
    remote = Remote(source)
    return tell_shared("pull", ("brought", "here"), remote.shown, pull(open_runs(root), remote), as_json=as_json)
