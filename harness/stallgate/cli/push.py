"""``stallgate push``: sends runs and accepted baselines to a place that several machines share."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.copied import SharedFacts, tell_shared
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.shared import open_runs
from stallgate.runs.remote import Remote
from stallgate.runs.share import push


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
