"""``stallgate comment`` and a server that plays GitHub: one comment, its own, updated; errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from stallgate.errors import BadArgument, BrokenFile
from stallgate.render.pull_request import ACTIONS_BOT, MOST_COMMENT, comment_text, find_pull_request, marker
from tests.conftest import Stallgate

MARK = "<!-- stallgate:gate/judge -->"
SUMMARY = "## Pass\n\n- **✓ pass** blocked_scan on square: @triton is quick\n\n![times](square.png)\n"
COMMENTS = "/repos/o/r/issues/7/comments"


class Github(HTTPServer):
    """A repository with a pull request and its comments."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answerer)
        self.comments: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.refusals: dict[str, tuple[int, object]] = {"/user": (403, {"message": "Resource not accessible"})}
        """Path, or method and path -> the answer, instead of what GitHub would do."""

    def comment(self, login: str | None, body: str) -> dict[str, Any]:
        number = len(self.comments) + 1
        user = {"login": login} if login is not None else None
        self.comments.append({"id": number, "user": user, "body": body, "html_url": f"https://github.com/c/{number}"})
        return self.comments[-1]


class Answerer(BaseHTTPRequestHandler):
    """Answers as GitHub's API does."""

    server: Github

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        if not self.refused("GET", parts.path):
            begin = (query["page"] - 1) * query["per_page"]
            self.answer(200, self.server.comments[begin : begin + query["per_page"]])

    def do_POST(self) -> None:
        body = self.body()
        if not self.refused("POST", self.path):
            assert self.path == COMMENTS
            self.answer(201, self.server.comment(ACTIONS_BOT, body))

    def do_PATCH(self) -> None:
        body = self.body()
        if not self.refused("PATCH", self.path):
            start, _, number = self.path.rpartition("/")
            assert start == "/repos/o/r/issues/comments"
            self.server.comments[int(number) - 1]["body"] = body
            self.answer(200, self.server.comments[int(number) - 1])

    def body(self) -> str:
        found: str = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        return found

    def refused(self, method: str, path: str) -> bool:
        self.server.requests.append((method, path))
        self.server.tokens.add(self.headers["Authorization"])
        refusal = self.server.refusals.get(path) or self.server.refusals.get(f"{method} {path}")
        if refusal is not None:
            self.answer(*refusal)
        return refusal is not None

    def answer(self, status: int, found: object) -> None:
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 301:
            self.send_header("Location", COMMENTS)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[Github]:
    server = Github()
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pull_request(*, fork: bool = False, number: int = 7) -> dict[str, object]:
    head = {"sha": "0123456789abcdef", "repo": {"full_name": "stranger/r" if fork else "o/r"}}
    return {"pull_request": {"number": number, "head": head}}


@pytest.fixture
def job(github: Github, tmp_path: Path, tree: Path) -> dict[str, str]:
    """The variables of a job that has judged a run; ``tree`` has the run."""
    (tree / "reports/a-run").mkdir()
    (tree / "reports/a-run/summary.md").write_text(SUMMARY)
    (tree / "reports/latest").symlink_to("a-run")
    (tmp_path / "event.json").write_text(json.dumps(pull_request()))
    return {
        "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_JOB": "judge",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_TOKEN": "secret-token",
        "GITHUB_WORKFLOW": "gate",
        "GH_TOKEN": "",
        "no_proxy": "127.0.0.1",
    }


def event_is(job: dict[str, str], event: object) -> None:
    Path(job["GITHUB_EVENT_PATH"]).write_text(event if isinstance(event, str) else json.dumps(event))


# --- one comment ------------------------------------------------------------------------------------------------------


def test_the_first_call_creates_and_the_second_updates(
    stallgate: Stallgate, github: Github, job: dict[str, str]
) -> None:
    first = stallgate("comment", **job)
    assert (first.returncode, first.stdout) == (0, "created: https://github.com/c/1\n"), first.stderr
    summary = Path(job["GITHUB_EVENT_PATH"]).parent / "project/reports/a-run/summary.md"
    summary.write_text("## Missed by 5.2 points\n")
    second = stallgate("comment", "a-run", **job)
    assert (second.returncode, second.stdout) == (0, "updated: https://github.com/c/1\n"), second.stderr
    [comment] = github.comments
    assert comment["body"].startswith(f"{MARK}\n## Missed by 5.2 points\n")
    assert "Commit 0123456789. [Page and figures](https://github.com/o/r/actions/runs/42)." in comment["body"]
    assert github.tokens == {"Bearer secret-token"}


def test_somebody_elses_comment_is_not_touched(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    theirs = [github.comment("mallory", f"{MARK}\ntheirs"), github.comment(None, f"{MARK}\nof a deleted account")]
    before = [dict(comment) for comment in theirs]
    quoted = github.comment(ACTIONS_BOT, f"> quoted\n{MARK}\n")["body"]
    assert stallgate("comment", **job).stdout.startswith("created: ")
    assert github.comments[:2] == before
    assert github.comments[2]["body"] == quoted
    assert stallgate("comment", **job).stdout.startswith("updated: https://github.com/c/4")


def test_a_comment_is_found_on_a_later_page(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    for number in range(230):
        github.comment("somebody", f"remark {number}")
    github.comment(ACTIONS_BOT, f"{MARK}\r\nof an earlier commit")
    assert stallgate("comment", **job).stdout == "updated: https://github.com/c/231\n"


def test_names_tell_comments_apart(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    for name in ("h100", "h200", "h100"):
        assert stallgate("comment", "--name", name, **job).returncode == 0
    assert [comment["body"].partition("\n")[0] for comment in github.comments] == [
        "<!-- stallgate:h100 -->",
        "<!-- stallgate:h200 -->",
    ]


def test_a_users_token_updates_the_users_comment(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    github.refusals["/user"] = (200, {"login": "engineer"})
    bots, mine = github.comment(ACTIONS_BOT, MARK), github.comment("engineer", MARK)
    assert stallgate("comment", **job).returncode == 0
    assert bots["body"] == MARK
    assert "## Pass" in mine["body"]


def test_an_app_is_named(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    github.comment("our-app[bot]", MARK)
    assert stallgate("comment", "--author", "our-app[bot]", **job).stdout.startswith("updated: ")
    assert ("GET", "/user") not in github.requests


def test_a_dry_run_sends_nothing(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    done = stallgate("comment", "--dry-run", **(job | {"GITHUB_TOKEN": ""}))
    assert done.returncode == 0
    assert done.stdout.startswith(f"{MARK}\n## Pass\n")
    assert stallgate("comment", "--dry-run", GITHUB_EVENT_PATH="").returncode == 0
    found = json.loads(stallgate("comment", "--dry-run", "--json", **job).stdout)
    assert (found["action"], found["url"], found["text"][: len(MARK)]) == ("none", None, MARK)
    assert not github.requests


def test_json_says_what_was_done(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    found = json.loads(stallgate("comment", "--json", **job).stdout)
    assert (found["action"], found["url"], found["note"]) == ("created", "https://github.com/c/1", "")


# --- what is posted ---------------------------------------------------------------------------------------------------


def test_figures_stay_behind_and_nobody_is_called() -> None:
    text = comment_text(MARK, SUMMARY, "", "")
    assert "![" not in text
    assert "@triton" not in text
    assert "@\u200btriton" in text


def test_a_long_summary_is_cut_at_a_line() -> None:
    text = comment_text(MARK, "| a row |\n" * 20_000, "0123456789abcdef", "https://github.com/o/r/actions/runs/1")
    assert len(text) <= MOST_COMMENT
    assert text.startswith(f"{MARK}\n| a row |\n")
    assert "| a row |\n\n(cut short)\n\nCommit 0123456789." in text


def test_a_name_cannot_end_the_marker() -> None:
    assert marker("a --> <b>\n*c*") == "<!-- stallgate:a-b-c -->"


# --- which pull request -----------------------------------------------------------------------------------------------


def found_in(tmp_path: Path, event: object, number: int | None = None) -> tuple[int, bool, str] | None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    pull = find_pull_request({"GITHUB_EVENT_PATH": str(path), "GITHUB_REPOSITORY": "o/r"}, number)
    return (pull.number, pull.is_from_fork, pull.head[:4]) if pull is not None else None


def test_the_event_says_which_pull_request(tmp_path: Path) -> None:
    assert found_in(tmp_path, pull_request()) == (7, False, "0123")
    assert found_in(tmp_path, pull_request(fork=True)) == (7, True, "0123")
    assert found_in(tmp_path, {"pull_request": {"number": 7, "head": {"sha": "01234", "repo": None}}}) == (
        7,
        True,
        "0123",
    )
    assert found_in(tmp_path, pull_request(), number=9) == (9, False, "")
    assert found_in(tmp_path, {"issue": {"number": 8, "pull_request": {}}}) is None
    assert found_in(tmp_path, {"issue": {"number": 8, "pull_request": {"url": "x"}}}) == (8, False, "")
    assert found_in(tmp_path, {"ref": "refs/heads/main"}) is None
    assert found_in(tmp_path, ["odd"]) is None
    assert found_in(tmp_path, {"pull_request": {"number": "7/../8"}}) is None


def test_odd_variables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="GITHUB_REPOSITORY is ''"):
        find_pull_request({}, 7)
    with pytest.raises(BadArgument, match="GITHUB_REPOSITORY"):
        find_pull_request({"GITHUB_REPOSITORY": "o/r/../x"}, 7)
    with pytest.raises(BadArgument, match="GITHUB_API_URL"):
        find_pull_request({"GITHUB_REPOSITORY": "o/r", "GITHUB_API_URL": "http://api.example.com"}, 7)
    with pytest.raises(BrokenFile, match="not an event of GitHub"):
        find_pull_request({"GITHUB_EVENT_PATH": str(tmp_path / "nowhere")}, None)
    assert find_pull_request({}, None) is None


# --- what cannot be posted --------------------------------------------------------------------------------------------


def test_an_event_without_a_pull_request_is_no_error(stallgate: Stallgate, github: Github, job: dict[str, str]) -> None:
    event_is(job, {"ref": "refs/heads/main"})
    done = stallgate("comment", **job)
    assert (done.returncode, done.stdout) == (0, "not posted: the job's event is about no pull request\n")
    assert not github.requests


def test_without_a_job_there_has_to_be_a_pull_request(stallgate: Stallgate, job: dict[str, str]) -> None:
    job["GITHUB_EVENT_PATH"] = ""
    done = stallgate("comment", **job)
    assert done.returncode == 2
    assert "there is no pull request to comment on" in done.stderr
    assert stallgate("comment", "--pull-request", "7", **job).stdout.startswith("created: ")


@pytest.mark.parametrize("token", ["", "read-only"])
def test_a_fork_is_no_error(stallgate: Stallgate, github: Github, job: dict[str, str], token: str) -> None:
    event_is(job, pull_request(fork=True))
    github.refusals[f"POST {COMMENTS}"] = (403, {"message": "Resource not accessible by integration"})
    done = stallgate("comment", **(job | {"GITHUB_TOKEN": token}))
    assert done.returncode == 0
    assert done.stdout.startswith("not posted: the pull request is from a fork")


def test_without_a_token_the_permission_is_named(stallgate: Stallgate, job: dict[str, str]) -> None:
    done = stallgate("comment", **(job | {"GITHUB_TOKEN": ""}))
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert "GITHUB_TOKEN is not set" in words
    assert "pull-requests: write" in words
    assert stallgate("comment", **(job | {"GITHUB_TOKEN": "", "GH_TOKEN": "x"})).returncode == 0


@pytest.mark.parametrize(
    ("path", "status", "answer", "says", "hint"),
    [
        (f"POST {COMMENTS}", 403, {"message": "Resource not accessible by integration"}, "403", "pull-requests: write"),
        (COMMENTS, 404, {"message": "Not Found"}, "404 Not Found", "pull-requests: write"),
        ("/user", 401, {"message": "Bad credentials"}, "401 Bad credentials", "the token is not valid"),
        (COMMENTS, 403, {"message": "API rate limit exceeded"}, "rate limit", "again later"),
        (COMMENTS, 502, b"<html>bad gateway</html>", "502", "run the job again"),
        (COMMENTS, 301, {"message": "Moved"}, "301 Moved", "renamed"),
        (COMMENTS, 200, b"no json", "cannot be reached", "run the job again"),
    ],
)
def test_a_refusal_is_a_line_and_a_hint(
    stallgate: Stallgate,
    github: Github,
    job: dict[str, str],
    path: str,
    status: int,
    answer: object,
    says: str,
    hint: str,
) -> None:
    github.refusals[path] = (status, answer)
    done = stallgate("comment", "--json", **job)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "github_refused"
    assert says in error["message"]
    assert hint in error["hint"]
    assert "\n" not in error["message"]
    assert "secret-token" not in done.stdout + done.stderr
    assert not github.comments


def test_a_server_that_is_not_there_is_an_error(stallgate: Stallgate, job: dict[str, str]) -> None:
    done = stallgate("comment", **(job | {"GITHUB_API_URL": "http://127.0.0.1:9"}))
    assert done.returncode == 2
    assert "GitHub cannot be reached" in done.stderr


def test_a_run_that_was_not_judged_replaces_the_older_comment(
    stallgate: Stallgate, github: Github, job: dict[str, str], tree: Path
) -> None:
    assert stallgate("comment", **job).returncode == 0
    (tree / "reports/latest").unlink()
    done = stallgate("comment", **job)
    assert done.returncode == 3
    [comment] = github.comments
    assert comment["body"].startswith(f"{MARK}\n## Not judged\n\nthere is no run yet\n")
    assert stallgate("comment", "a-run", "--dry-run", **job).returncode == 0
    (tree / "reports/a-run/summary.md").unlink()
    assert "has no summary.md" in stallgate("comment", "a-run", **job).stderr


@pytest.mark.usefixtures("replayed_square")
def test_what_a_gate_wrote_is_posted(stallgate: Stallgate, github: Github, tree: Path, tmp_path: Path) -> None:
    assert stallgate("gate").returncode == 0
    done = stallgate("comment", "--dry-run", GITHUB_EVENT_PATH="")
    assert done.stdout.startswith("<!-- stallgate:")
    assert "\n## Pass\n" in done.stdout
