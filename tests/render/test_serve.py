"""``stallgate report --serve``: this machine's browser sees reports/, nobody sees anything else."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from stallgate.errors import BadArgument, NoRun
from stallgate.render.serve import Server
from tests.conftest import Stallgate, environment

PAGE = "<html><body><p>{}</p></body></html>"


def draw(folder: Path) -> None:
    (folder / "report.html").write_text(PAGE.format(folder.name))


def land(reports: Path, name: str, page: bool = True) -> Path:
    """A run that has been measured and is the latest."""
    folder = reports / name
    folder.mkdir(parents=True)
    (folder / "verdicts.json").write_text("{}")
    if page:
        draw(folder)
    (reports / "latest").unlink(missing_ok=True)
    (reports / "latest").symlink_to(name)
    return folder


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder with one run, and a secret beside it."""
    folder = tmp_path / "reports"
    land(folder, "first")
    (folder / "index.html").write_text("<p>no body")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "reports-of-others").mkdir()
    (tmp_path / "reports-of-others/secret.txt").write_text("secret")
    return folder


@pytest.fixture
def server(reports: Path) -> Iterator[Server]:
    with Server(reports, 0, draw) as found:
        thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


class Answer:
    """What the server said."""

    def __init__(self, server: Server, path: str, method: str = "GET", host: str | None = "localhost") -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        connection.close()


def test_it_listens_on_loopback_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(5)
        with pytest.raises(OSError):  # noqa: PT011  (refused or unreachable, as the system has it)
            other.connect(("127.0.0.2", server.server_port))


def test_the_root_leads_to_the_latest_page(server: Server, reports: Path) -> None:
    assert Answer(server, "/").headers["Location"] == "/first/report.html"
    land(reports, "second")
    answer = Answer(server, "/?x=1")
    assert (answer.status, answer.headers["Location"]) == (302, "/second/report.html")


def test_a_latest_run_without_a_page_is_drawn(server: Server, reports: Path) -> None:
    folder = land(reports, "second", page=False)
    assert Answer(server, "/").headers["Location"] == "/second/report.html"
    assert (folder / "report.html").is_file()


def test_a_page_that_cannot_be_drawn_says_why(server: Server, reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise NoRun("it is gone", "make another")

    monkeypatch.setattr(server, "_draw", refuse)
    land(reports, "second", page=False)
    answer = Answer(server, "/")
    assert (answer.status, answer.body) == (503, b"it is gone\nmake another\n")


def test_a_run_that_is_being_measured_is_not_shown_yet(server: Server, reports: Path) -> None:
    (land(reports, "second", page=False) / "verdicts.json").unlink()
    assert Answer(server, "/").headers["Location"] == "/first/report.html"


@pytest.mark.parametrize("target", ["latest", "..", "../reports-of-others", "nowhere", "/", "caf\udce9"])
def test_a_latest_that_is_no_run_of_the_folder_is_passed_over(server: Server, reports: Path, target: str) -> None:
    (reports / "caf\udce9").mkdir()
    (reports / "caf\udce9/report.html").write_text("<p>odd")
    os.utime(reports / "caf\udce9/report.html", ns=(1 << 62, 1 << 62))
    (reports / "latest").unlink()
    (reports / "latest").symlink_to(target)
    assert Answer(server, "/").headers["Location"] == "/first/report.html"


def test_every_answer_has_a_policy(server: Server, reports: Path) -> None:
    (reports / "first/bench.svg").write_text("<svg/>")
    for path in ("/", "/_latest", "/_refresh.js", "/first/report.html", "/first/bench.svg", "/nothing"):
        policy = Answer(server, path).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert policy.endswith("frame-ancestors 'none'")
    nonces = {re.search("nonce-([^']+)", Answer(server, "/first/report.html").headers["Content-Security-Policy"])[1]}  # type: ignore[index]
    assert nonces.isdisjoint(re.findall('nonce="([^"]+)"', Answer(server, "/first/report.html").body.decode()))


def test_a_page_that_cannot_be_written_says_why(server: Server, reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(server, "_draw", full)
    land(reports, "second", page=False)
    answer = Answer(server, "/")
    assert answer.status == 503
    assert b"No space left on device" in answer.body


def test_a_folder_without_runs(server: Server, reports: Path) -> None:
    shutil.rmtree(reports / "first")
    assert Answer(server, "/").status == 404
    assert json.loads(Answer(server, "/_latest").body) == {"run": "", "drawn": "0"}


def test_a_served_page_refreshes_and_the_file_does_not(server: Server, reports: Path) -> None:
    for path in ("/first/report.html", "/latest/report.html"):
        answer = Answer(server, path)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert re.search(
            rb'<p>first</p><script nonce="[\w-]+" src="/_refresh.js" data-run="first" data-drawn="\d+"></script>'
            rb"</body></html>",
            answer.body,
        )
        assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert Answer(server, "/index.html").body.startswith(b"<p>no body<script nonce=")
    assert (reports / "first/report.html").read_text() == PAGE.format("first")
    assert b"/_latest" in Answer(server, "/_refresh.js").body


def test_the_answer_to_the_script_changes_when_a_run_lands_or_is_drawn_again(server: Server, reports: Path) -> None:
    before = json.loads(Answer(server, "/_latest").body)
    assert json.loads(Answer(server, "/_latest").body) == before
    os.utime(reports / "first/report.html", ns=(1, 1))
    drawn = json.loads(Answer(server, "/_latest").body)
    assert drawn == {"run": "first", "drawn": "1"} != before
    land(reports, "second", page=False)
    assert json.loads(Answer(server, "/_latest").body) == {"run": "second", "drawn": "1"}


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/first/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "//../secret.txt",
        "/../reports-of-others/secret.txt",
        "/{root}/secret.txt",
        "/%2f{root}/secret.txt",
        "/out.txt",
        "/out/secret.txt",
        "/outer/out.txt",
        "/circle/secret.txt",
        "/first/%00report.html",
        "/nothing",
        "/first",
        "/first/",
        "/latest/",
        "/" + "x" * 5000,
    ],
)
def test_nothing_outside_and_no_listing(server: Server, reports: Path, path: str) -> None:
    (reports / "out.txt").symlink_to(reports.parent / "secret.txt")
    (reports / "out").symlink_to(reports.parent)
    (reports / "outer").symlink_to(".")
    (reports / "circle").symlink_to("circle")
    answer = Answer(server, path.format(root=reports.parent))
    assert answer.status == 404
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost:x", "", None]
)
def test_another_name_of_this_machine_is_refused(server: Server, host: str | None) -> None:
    for path in ("/", "/_latest", "/_refresh.js", "/first/report.html"):
        assert Answer(server, path, host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:80"])
def test_our_own_names_are_answered(server: Server, host: str) -> None:
    assert Answer(server, "/first/report.html", host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    assert Answer(server, "/first/report.html", method).status == 501


def test_head_has_the_headers_and_no_body(server: Server, reports: Path) -> None:
    (reports / "first/run.json").write_text("{}")
    for path in ("/first/report.html", "/first/run.json", "/_latest"):
        head = Answer(server, path, "HEAD")
        assert head.status == 200
        assert head.body == b""
        assert head.headers["Content-Length"] == str(len(Answer(server, path).body))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("1.ncu-rep", "application/octet-stream"),
        ("1.ncu-repz", "application/octet-stream"),
        ("run.json", "application/json"),
        ("metrics.csv", "text/csv; charset=utf-8"),
        ("a.png", "image/png"),
        ("1.log", "text/plain; charset=utf-8"),
    ],
)
def test_content_types(server: Server, reports: Path, name: str, kind: str) -> None:
    (reports / "first" / name).write_bytes(b"\x00\x01")
    answer = Answer(server, f"/first/{name}")
    assert (answer.headers["Content-Type"], answer.body) == (kind, b"\x00\x01")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_port_that_is_taken(server: Server, reports: Path) -> None:
    with pytest.raises(BadArgument, match=f"port {server.server_port} is not available"):
        Server(reports, server.server_port, draw)


def test_the_command_draws_serves_and_ends_well(signals: None, replayed_square: Path, tree: Path) -> None:
    command = [sys.executable, "-m", "stallgate", "report", "--serve"]
    with subprocess.Popen(
        command, cwd=tree, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\n", said)
        assert found, said + process.stderr.read()
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        connection.request("GET", "/latest/report.html")
        body = connection.getresponse().read()
        run = replayed_square.name
        connection.request("GET", f"/_compare?before={run}&after={run}")
        led = connection.getresponse()
        connection.close()
        process.send_signal(signal.SIGINT)
        try:
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert b"nothing was measured here" in body
    assert b"_refresh.js" in body
    assert (led.status, led.headers["Location"]) == (302, f"/{run}/compare-{run}.html")
    assert (replayed_square / f"compare-{run}.html").is_file()
    assert "_refresh.js" not in (tree / "reports/latest/report.html").read_text()
    assert (process.returncode, rest, errors) == (0, "", "")


def test_what_cannot_be_served_is_refused(stallgate: Stallgate, recording: Path) -> None:
    none = stallgate("report", "--serve")
    assert none.returncode == 3
    assert "there is no run yet" in none.stderr
    outside = stallgate("report", str(recording), "--serve")
    assert outside.returncode == 2
    assert "name a run under reports/" in outside.stderr
    port = stallgate("report", "--port", "8000")
    assert port.returncode == 2
    assert "--port needs --serve" in port.stderr


# --- comparing two runs -----------------------------------------------------------------------------------------------


def compared(before: Path, after: Path) -> Path:
    page = after / f"compare-{before.name}.html"
    page.write_text(PAGE.format(f"{before.name} and {after.name}"))
    return page


@pytest.fixture
def comparing(reports: Path) -> Iterator[Server]:
    land(reports, "second run")
    for name in ("first", "second run"):
        (reports / name / "run.json").write_text("{}")
    with Server(reports, 0, draw, compared) as found:
        thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_two_runs_of_the_list_are_compared(comparing: Server) -> None:
    answer = Answer(comparing, "/_compare?before=first&after=second+run")
    assert (answer.status, answer.headers["Location"]) == (302, "/second%20run/compare-first.html")
    assert b"first and second run" in Answer(comparing, answer.headers["Location"]).body
    assert b"/_compare?" in Answer(comparing, "/_refresh.js").body


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "?before=first",
        "?before=first&after=..",
        "?before=..%2Freports-of-others&after=first",
        "?before=latest&after=first",
        "?before=first&after=%2Fetc",
        "?before=first&after=a%00b",
        "?before=%ff&after=first",
    ],
)
def test_only_runs_of_the_folder_are_compared(comparing: Server, asked: str) -> None:
    assert Answer(comparing, f"/_compare{asked}").status == 404


def test_a_server_that_cannot_compare_says_so(server: Server) -> None:
    assert Answer(server, "/_compare?before=first&after=first").status == 404


def test_a_page_from_elsewhere_cannot_have_runs_compared(comparing: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", comparing.server_port, timeout=60)
    connection.request(
        "GET", "/_compare?before=first&after=second+run", headers={"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
    )
    assert connection.getresponse().status == 403
    connection.close()
