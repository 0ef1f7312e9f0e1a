"""Serves ``reports/`` over HTTP on localhost; an open page refreshes when there is a new run.

Every answer is a file inside ``reports/``, except four: ``/`` leads to the latest run's page, ``/_latest`` names that
run, ``/_refresh.js`` asks for it every two seconds, and ``/_compare?before=RUN&after=RUN`` draws the page of two runs
and leads to it. Only served pages load that script: the files stay self-contained.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable
from functools import partial
from html import escape
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote

from stallgate.errors import BadArgument, StallgateError
from stallgate.formatting import is_text
from stallgate.render.policy import FILE_POLICY, served_page
from stallgate.runs.folder import LATEST, run_folder

_LOOPBACK = "127.0.0.1"
_OUR_NAME = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?", re.IGNORECASE)
"""Host names that are answered: under any other name, a page from elsewhere could share our origin."""

_REFRESH = b"""\
"use strict";
(function () {
  var shown = document.currentScript.dataset, page = "/" + encodeURIComponent(shown.run) + "/report.html";
  setInterval(function () {
    fetch("/_latest").then(function (answer) { return answer.json(); }).then(function (now) {
      if (now.run === shown.run && now.drawn === shown.drawn) { return; }
      if (now.run !== shown.run && location.pathname === page) { location.assign("/"); } else { location.reload(); }
    }).catch(function () { /* the server has ended: the page stays as it is */ });
  }, 2000);
  var form = document.getElementById("compare");
  if (!form) { return; }
  form.hidden = false;
  form.addEventListener("submit", function (event) {
    event.preventDefault();  // the page's policy lets no form be sent
    location.assign("/_compare?" + new URLSearchParams(new FormData(form)));
  });
})();
"""

_TEXT = "text/plain; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Serves a folder of runs on the loopback interface."""

    def __init__(
        self,
        reports: Path,
        port: int,
        draw: Callable[[Path], object],
        compare: Callable[[Path, Path], Path] | None = None,
    ) -> None:
        """Binds the port; connections wait until ``serve_forever``.

        Args:
            reports: the folder.
            port: 0 for any that is free.
            draw: draws the page of a run's folder.
            compare: draws the page of two runs' folders, the earlier one first, and returns its path.

        Raises:
            BadArgument: the port is not available.
        """
        self.reports = reports.resolve()
        self._draw, self._compare = draw, compare
        self._drawing = Lock()
        try:
            super().__init__((_LOOPBACK, port), partial(_Handler, directory=str(self.reports)))
        except OSError as error:
            raise BadArgument(
                f"port {port} is not available: {error.strerror}", "leave --port out for a free one"
            ) from None

    def server_bind(self) -> None:
        """Binds without a DNS look-up."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _LOOPBACK, self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{_LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores a browser that disconnects and a file that disappears."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def latest(self) -> dict[str, str]:
        """The run to show, empty if there is none, and when a page was last drawn.

        A run without verdicts is still being measured; until it has them, the newest page is shown.
        """
        pages = [path for path in self.reports.glob("*/report.html") if is_text(path.parent.name)]
        drawn = {path.parent.name: path.stat().st_mtime_ns for path in pages}
        drawn.pop(LATEST, None)
        newest = max(drawn, key=lambda name: drawn[name], default="")
        run = self._linked()
        ready = run in drawn or (self.reports / run / "verdicts.json").is_file()
        return {"run": run if run and ready else newest, "drawn": str(max(drawn.values(), default=0))}

    def _linked(self) -> str:
        """The run that ``latest`` points to; empty if it points to none, or elsewhere."""
        try:
            run = (self.reports / LATEST).resolve()
        except RuntimeError:  # links in a circle
            return ""
        return run.name if run.parent == self.reports and is_text(run.name) else ""

    def page(self, run: str) -> Path:
        """The page of a run, drawn first where it has none.

        Raises:
            StallgateError: it cannot be drawn.
        """
        path = self.reports / run / "report.html"
        with self._drawing:
            if not path.is_file():
                self._draw(path.parent)
        return path

    def compared(self, before: str, after: str) -> Path | None:
        """The page of two runs, drawn anew; None unless both are names of runs in the folder.

        Raises:
            StallgateError: it cannot be drawn.
        """
        folders = [run_folder(self.reports, name) for name in (before, after)]
        if self._compare is None or folders[0] is None or folders[1] is None:
            return None
        with self._drawing:
            return self._compare(folders[0], folders[1])


class _Handler(SimpleHTTPRequestHandler):
    """Files inside the folder, as they are; pages with the script that refreshes them."""

    server: Server
    _policy = FILE_POLICY
    server_version, sys_version = "stallgate", ""
    timeout = 30
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".csv": "text/csv; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".xml": "application/xml",
        ".ncu-rep": "application/octet-stream",
        ".ncu-repz": "application/octet-stream",
        **dict.fromkeys((".md", ".log", ".py", ".toml", ".txt", ".jsonl"), _TEXT),
    }

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        where = self.path.partition("?")[0].partition("#")[0]
        if not self._called_by_our_name():
            self.send_error(HTTPStatus.FORBIDDEN, "This server answers to localhost only")
        elif where == "/":
            self._lead_to_latest()
        elif where == "/_compare":
            self._lead_to_compared()
        elif where == "/_latest":
            self._send(json.dumps(self.server.latest()).encode(), "application/json")
        elif where == "/_refresh.js":
            self._send(_REFRESH, "text/javascript; charset=utf-8")
        else:
            self._file()

    def _called_by_our_name(self) -> bool:
        """Whether the request uses one of our host names, as a guard against DNS rebinding."""
        named = self.headers.get_all("Host", [])
        return len(named) == 1 and _OUR_NAME.fullmatch(named[0].strip()) is not None

    def _lead_to_latest(self) -> None:
        run = self.server.latest()["run"]
        if not run:
            return self.send_error(HTTPStatus.NOT_FOUND, "There is no run yet")
        try:
            self.server.page(run)
        except (StallgateError, OSError) as error:
            return self._send(_words(error), _TEXT, HTTPStatus.SERVICE_UNAVAILABLE)
        return self._lead_to(f"/{quote(run)}/report.html")

    def _lead_to_compared(self) -> None:
        """Draws the page of the two runs that the address names. Only pages of this server may ask for it."""
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return self.send_error(HTTPStatus.FORBIDDEN, "Only this server's own pages may ask for it")
        asked = parse_qs(self.path.partition("?")[2], errors="replace")
        before, after = (asked.get(side, [""])[-1] for side in ("before", "after"))
        try:
            page = self.server.compared(before, after)
        except (StallgateError, OSError) as error:
            return self._send(_words(error), _TEXT, HTTPStatus.SERVICE_UNAVAILABLE)
        if page is None:
            return self.send_error(HTTPStatus.NOT_FOUND, "There are no two runs of these names")
        return self._lead_to(f"/{quote(page.parent.name)}/{quote(page.name)}")

    def _lead_to(self, place: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self) -> None:
        path = self.translate_path(self.path)
        if not path:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif path.endswith(".html"):
            self._page(Path(path).read_bytes())
        elif self.command == "HEAD":
            super().do_HEAD()
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """The file that a URL names, all links followed; empty where there is none in the folder."""
        try:
            found = Path(super().translate_path(path)).resolve()
            inside = found.is_relative_to(self.server.reports) and found.is_file()
        except (OSError, RuntimeError, ValueError):  # a name too long; links in a circle; a NUL
            return ""
        return str(found) if inside else ""

    def _page(self, page: bytes) -> None:
        """Sends a page with the script, which learns from its tag what is shown."""
        nonce = secrets.token_urlsafe(16)
        page, self._policy = served_page(page, nonce)
        data = " ".join(f'data-{key}="{escape(value)}"' for key, value in self.server.latest().items())
        script = f'<script nonce="{nonce}" src="/_refresh.js" {data}></script>'.encode()
        head, end, tail = page.rpartition(b"</body>")
        self._send((head or tail) + script + (end + tail if end else b""), "text/html; charset=utf-8")

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        """Adds the headers of every response: no caching, no type sniffing, no other scripts, no framing."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self._policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""


def _words(error: StallgateError | OSError) -> bytes:
    """Why a page cannot be drawn."""
    words = f"{error.message}\n{error.hint}\n" if isinstance(error, StallgateError) else f"{error}\n"
    return words.encode(errors="replace")
