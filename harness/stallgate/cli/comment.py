"""``stallgate comment``: posts a run's summary to its pull request on GitHub."""

from __future__ import annotations

import os
from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option, run_argument
from stallgate.cli.output import print_result
from stallgate.cli.shared import open_project
from stallgate.errors import BadArgument, GithubRefused, NoRun, StallgateError
from stallgate.model import FrozenStruct
from stallgate.project.decode import LARGEST_JSON, read_bounded
from stallgate.render.head import markdown
from stallgate.render.pull_request import (
    PERMISSION,
    PullRequest,
    comment_text,
    find_pull_request,
    job_address,
    marker,
    post_comment,
)
from stallgate.runs.folder import find


class CommentFacts(FrozenStruct, frozen=True):
    """What became of the comment."""

    action: str
    """created, updated, or none"""
    url: str | None
    """The comment's address; null where there is none."""
    note: str
    """Why nothing was posted; '' if something was."""
    text: str


@click.command("comment", epilog=examples("stallgate comment", "stallgate comment --dry-run"))
@run_argument
@click.option(
    "--name", metavar="NAME", help="Tells comments of one pull request apart; default: the workflow and its job."
)
@click.option("--pull-request", "number", type=click.IntRange(1), help="Default: the pull request of the job's event.")
@click.option("--author", metavar="LOGIN", help="The account of the token; needed for a GitHub App of your own.")
@click.option("--dry-run", is_flag=True, help="Print the comment, and send nothing.")
@root_option
@json_option(CommentFacts)
def comment_command(
    run: str | None,
    name: str | None,
    number: int | None,
    author: str | None,
    dry_run: bool,
    root: Path | None,
    as_json: bool,
) -> int:
    """Post a run's summary to its pull request: one comment, updated each time.

    Runs in a job on GitHub Actions after `stallgate gate`. The token, GITHUB_TOKEN, needs `pull-requests: write`.
    """
    summary, fault = _summary(root, run)
    pull = find_pull_request(os.environ, number)
    if fault is not None and (dry_run or pull is None or not _token()):
        raise fault
    text = comment_text(marker(name or _job()), summary, pull.head if pull else "", job_address(os.environ))
    facts = _unsent(text, "a dry run: nothing was sent") if dry_run else _sent(pull, text, author)
    if fault is not None:
        raise fault  # the comment says so too
    if as_json:
        return print_result("comment", facts)
    click.echo(text if dry_run else f"{facts.action}: {facts.url}" if facts.url else f"not posted: {facts.note}")
    return 0


def _summary(root: Path | None, run: str | None) -> tuple[str, StallgateError | None]:
    """A run's summary; without one, the error and a text that says so, lest an older comment pass for this commit's."""
    try:
        path = find(open_project(root).reports, run) / "summary.md"
        if not path.is_file():
            raise NoRun(f"{path.parent} has no summary.md", "write it with `stallgate gate` or `stallgate report`")
        return read_bounded(path, LARGEST_JSON).decode(errors="replace"), None
    except StallgateError as error:
        return f"## Not judged\n\n{markdown(error.message)}", error


def _job() -> str:
    """The workflow and the job that runs; 'gate' outside of one."""
    names = [os.environ.get(name, "") for name in ("GITHUB_WORKFLOW", "GITHUB_JOB")]
    return "/".join(name for name in names if name) or "gate"


def _token() -> str:
    return os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""


def _unsent(text: str, note: str) -> CommentFacts:
    return CommentFacts(action="none", url=None, note=note, text=text)


_FROM_FORK = "the pull request is from a fork, whose jobs may not comment; the job's page has the verdicts"


def _sent(pull: PullRequest | None, text: str, author: str | None) -> CommentFacts:
    """Posts a comment, or says why there is nothing to do.

    A fork's job cannot comment whatever its author does, and the verdict does not depend on it: no error.

    Raises:
        BadArgument: there is no pull request to comment on outside of a job, or no token.
        GithubRefused: GitHub refuses, or cannot be reached.
    """
    if pull is None and not os.environ.get("GITHUB_EVENT_PATH"):
        hint = "run it in a job of GitHub Actions, or give --pull-request; --dry-run shows the comment"
        raise BadArgument("there is no pull request to comment on", hint)
    if pull is None:
        return _unsent(text, "the job's event is about no pull request")
    if not _token() and pull.is_from_fork:
        return _unsent(text, _FROM_FORK)
    if not _token():
        raise BadArgument("GITHUB_TOKEN is not set", PERMISSION)
    try:
        posted = post_comment(pull, _token(), text, author)
    except GithubRefused as error:
        if pull.is_from_fork and error.answer in (403, 404):
            return _unsent(text, _FROM_FORK)
        raise
    return CommentFacts(action=posted.action, url=posted.url, note="", text=text)
