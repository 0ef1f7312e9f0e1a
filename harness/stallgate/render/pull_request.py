"""A run's summary as a comment of a pull request on GitHub: one comment, updated by every push.

A hidden first line marks the comment. Only a comment that the token's own account wrote is updated: anybody can write
the marker, and a token with write permission could change anybody's comment.

The requests are GitHub's: https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from stallgate.errors import BadArgument, BrokenFile, GithubRefused
from stallgate.formatting import shortened, without_controls
from stallgate.model import FrozenStruct
from stallgate.project.decode import LARGEST_JSON, read_bounded

MOST_COMMENT = 60_000
"""Most characters of a comment; GitHub refuses one of over 65,536."""

ACTIONS_BOT = "github-actions[bot]"
"""The account of a job's own token."""

_TIMEOUT_S = 30
_PAGE = 100
_MOST_PAGES = 100
_LARGEST_ANSWER = 32_000_000

PERMISSION = "give the job `permissions: pull-requests: write`, and the step `GITHUB_TOKEN: ${{ github.token }}`"


# --- which pull request -----------------------------------------------------------------------------------------------


class PullRequest(FrozenStruct, frozen=True):
    """Where a summary is to be posted."""

    api: str
    """The address of GitHub's API."""
    repository: str
    """``owner/name``"""
    number: int
    head: str = ""
    """The commit that was pushed; '' where the event does not say."""
    is_from_fork: bool = False
    """Then a job's token cannot write, unless the workflow runs on ``pull_request_target``."""

    @property
    def comments(self) -> str:
        """The address of its comments."""
        return f"{self.api}/repos/{self.repository}/issues/{self.number}/comments"


def find_pull_request(environment: Mapping[str, str], number: int | None) -> PullRequest | None:
    """The pull request to comment on; None if none is named and the job's event is about none.

    Args:
        environment: the variables of a job on GitHub Actions.
        number: the pull request's; None for the event's.

    Raises:
        BadArgument: the variables do not name a repository.
        BrokenFile: the event's file cannot be read.
    """
    event = _event(environment.get("GITHUB_EVENT_PATH", ""))
    pull = _pull_request(event)
    found = number or pull.get("number") or _commented(event)
    if not isinstance(found, int):
        return None
    repository = environment.get("GITHUB_REPOSITORY", "")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII):
        raise BadArgument(f"GITHUB_REPOSITORY is '{repository}'", "set it to owner/name")
    head = (pull.get("head") if pull.get("number") == found else None) or {}
    return PullRequest(
        api=_api(environment),
        repository=repository,
        number=found,
        head=str(head.get("sha", "")),
        is_from_fork=bool(head) and (head.get("repo") or {}).get("full_name") != repository,
    )


def _event(path: str) -> dict[str, Any]:
    """The event of a job; empty outside of one."""
    if not path:
        return {}
    try:
        event = json.loads(read_bounded(Path(path), LARGEST_JSON))
    except (OSError, ValueError) as error:
        raise BrokenFile(
            f"{path}: not an event of GitHub: {error}", "leave GITHUB_EVENT_PATH as the job has it"
        ) from None
    return event if isinstance(event, dict) else {}


def _pull_request(event: dict[str, Any]) -> dict[str, Any]:
    pull = event.get("pull_request")
    return pull if isinstance(pull, dict) else {}


def _commented(event: dict[str, Any]) -> object:
    """The number of the pull request that an event of a comment is about."""
    issue = event.get("issue")
    return issue.get("number") if isinstance(issue, dict) and issue.get("pull_request") else None


def _api(environment: Mapping[str, str]) -> str:
    api = environment.get("GITHUB_API_URL", "") or "https://api.github.com"
    here = urlsplit(api)
    if here.scheme != "https" and here.hostname not in ("localhost", "127.0.0.1"):
        raise BadArgument(f"GITHUB_API_URL is '{api}'", "it has to begin with https://: a token is sent there")
    return api.rstrip("/")


# --- what is posted ---------------------------------------------------------------------------------------------------


def marker(name: str) -> str:
    """The hidden first line of a comment; summaries of different names have a comment each."""
    return f"<!-- stallgate:{re.sub(r'[^A-Za-z0-9_./]+', '-', name).strip('-')} -->"


def comment_text(mark: str, summary: str, head: str, job: str) -> str:
    """A summary as a comment: without figures, which are files beside it, and without calling anybody by ``@``.

    Args:
        mark: the hidden first line.
        summary: in Markdown.
        head: the commit that it is about; '' if it is not known.
        job: the address of the job that keeps the page; '' if it is not known.
    """
    lines = [line for line in summary.splitlines() if not re.fullmatch(r"!\[[^]]*\]\([^)]*\)", line.strip())]
    text = re.sub(r"@(?=\w)", "@\u200b", "\n".join(lines)).strip()
    end = "\n\n" + " ".join(
        [*([f"Commit {head[:10]}."] if head else []), *([f"[Page and figures]({job})."] if job else [])]
    )
    room = MOST_COMMENT - len(mark) - len(end)
    if len(text) > room:
        text = text[: room - 20].rpartition("\n")[0] + "\n\n(cut short)"
    return f"{mark}\n{text}{end}".rstrip() + "\n"


def job_address(environment: Mapping[str, str]) -> str:
    """The page of the job that runs; '' outside of one."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


# --- posting it -------------------------------------------------------------------------------------------------------


class PostedComment(FrozenStruct, frozen=True):
    """What became of a comment."""

    action: Literal["created", "updated"]
    url: str
    """Its address for a browser."""


def post_comment(pull: PullRequest, token: str, text: str, author: str | None = None) -> PostedComment:
    """Updates the comment that has the text's first line, or creates it.

    Args:
        pull: where.
        token: with permission to write to pull requests.
        text: of which the first line is the marker.
        author: the account that the token acts for; None to ask GitHub.

    Raises:
        GithubRefused: GitHub refuses, or cannot be reached.
    """
    github = _Github(token)
    mark = text.partition("\n")[0]
    mine = author or _account(github, pull)
    own = (found for found in _comments(github, pull) if _login(found) == mine and _first_line(found) == mark)
    comment = next(own, None)
    if comment is None:
        return _posted("created", github.send("POST", pull.comments, text))
    address = f"{pull.api}/repos/{pull.repository}/issues/comments/{int(comment['id'])}"
    return _posted("updated", github.send("PATCH", address, text))


def _posted(action: Literal["created", "updated"], answer: Any) -> PostedComment:
    return PostedComment(action=action, url=str(answer.get("html_url", "")) if isinstance(answer, dict) else "")


def _account(github: _Github, pull: PullRequest) -> str:
    """The account of the token. GitHub tells it to users only; a job's token belongs to the bot of GitHub Actions."""
    try:
        found = github.send("GET", f"{pull.api}/user")
    except GithubRefused as error:
        if error.answer not in (403, 404):
            raise
        return ACTIONS_BOT
    return str(found.get("login", "")) if isinstance(found, dict) else ""


def _comments(github: _Github, pull: PullRequest) -> Iterator[dict[str, Any]]:
    for page in range(1, _MOST_PAGES + 1):
        found = github.send("GET", f"{pull.comments}?per_page={_PAGE}&page={page}")
        comments = found if isinstance(found, list) else []
        yield from (comment for comment in comments if isinstance(comment, dict))
        if len(comments) < _PAGE:
            return


def _login(comment: dict[str, Any]) -> str | None:
    user = comment.get("user")  # null of a deleted account
    return user.get("login") if isinstance(user, dict) else None


def _first_line(comment: dict[str, Any]) -> str:
    return str(comment.get("body") or "").partition("\n")[0].strip()


# --- requests ---------------------------------------------------------------------------------------------------------


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: urllib would send the token along, wherever it leads."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Refuses."""


class _Github:
    """Sends requests with a token."""

    def __init__(self, token: str) -> None:
        self._opener = build_opener(_NoRedirect)
        self._headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "stallgate",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def send(self, method: str, address: str, text: str | None = None) -> Any:
        """Sends a request, with the text of a comment; the answer as JSON.

        Raises:
            GithubRefused: GitHub refuses, or cannot be reached.
        """
        data = json.dumps({"body": text}).encode() if text is not None else None
        request = Request(address, data=data, headers=self._headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return json.loads(answer.read(_LARGEST_ANSWER))
        except HTTPError as error:
            raise _refused(method, address, error) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise GithubRefused(f"GitHub cannot be reached at {address}: {reason}", "run the job again") from None


def _refused(method: str, address: str, error: HTTPError) -> GithubRefused:
    says = _says(error)
    limited = error.code == 429 or error.headers.get("x-ratelimit-remaining") == "0" or "rate limit" in says.lower()
    if limited:
        hint = "its rate limit is reached: run the job again later"
    elif error.code == 401:
        hint = "the token is not valid: set `GITHUB_TOKEN: ${{ github.token }}` in the step"
    elif error.code in (403, 404):
        hint = PERMISSION
    elif error.code in (301, 302, 307, 308):
        hint = "the repository was renamed: set GITHUB_REPOSITORY to its present name"
    else:
        hint = "run the job again"
    message = f"GitHub refused {method} {address}: {error.code} {says}".rstrip()
    return GithubRefused(message, hint, answer=0 if limited else error.code)


def _says(error: HTTPError) -> str:
    """What GitHub says about a refusal, in a line."""
    try:
        found = json.loads(error.read(_LARGEST_ANSWER))
        says = str(found.get("message", "")) if isinstance(found, dict) else ""
    except (OSError, HTTPException, ValueError):
        says = str(error.reason)
    return shortened(" ".join(without_controls(says).split()), 200)
