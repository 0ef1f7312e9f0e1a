"""``stallgate`` in processes that begin with its modules and libraries loaded, which is most of what a command costs.

Each worker of a session has one process that loads them; every command is a fork of it, and as much a process of its
own as any: with its streams, its working directory, its environment and its exit status. Only what Python settles when
it starts is not its own: what ``PYTHON...`` variables say and which signals are ignored. What a command imports, and
that it can, is tested in processes that Python starts (``cli/test_start.py``).

What another process answers the same way every time is asked once: what triton has, and what stands in a report.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import msgspec

from tests import warm

LATE = (
    "PIL.PngImagePlugin",
    "click.shell_completion",
    "encodings.idna",
    "http.server",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "rich.progress",
    "sqlite3",
    "webbrowser",
    "xml.etree.ElementTree",
)
"""What functions import that not every command calls."""

APART = ("__main__", "agent.mcp", "child", "extract.reader", "fleet", "plugin")
"""Modules of processes of their own, and those for which a library has to be installed."""

ROOT = Path(__file__).resolve().parents[1]
LONGEST_MESSAGE = 1 << 17


class Origin:
    """The process that commands are forked from, seen from outside."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._remembered = TemporaryDirectory()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno()), self._remembered.name],
                cwd=ROOT,
                env={**environment, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads is not to be forked
                pass_fds=[theirs.fileno()],
            )

    def run(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], timeout_s: int
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``stallgate`` in a folder.

        Raises:
            TimeoutExpired: it took longer.
        """
        with TemporaryFile() as out, TemporaryFile() as err:
            message = json.dumps([arguments, str(folder), dict(environment), timeout_s, warm.address()]).encode()
            socket.send_fds(self._ours, [message], [out.fileno(), err.fileno()])
            status = int(self._ours.recv(LONGEST_MESSAGE) or b"-1")
            if status == -signal.SIGALRM:
                raise subprocess.TimeoutExpired(["stallgate", *arguments], timeout_s)
            said = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
        return subprocess.CompletedProcess(["stallgate", *arguments], status, *said)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()
        self._remembered.cleanup()


@cache
def origin() -> Origin:
    """This worker's, started when it is first needed, with the environment that the worker has then."""
    from tests.conftest import environment

    found = Origin(environment())
    atexit.register(found.close)
    return found


# --- within the process that is forked --------------------------------------------------------------------------------


def serve(asked: socket.socket, remembered: Path) -> None:
    """Forks a command for each message, until nobody is there to ask for one."""
    for name in (*LATE, *own_modules()):
        import_module(name)
    _compile_templates()
    _ask_once(remembered)
    _read_once(remembered)
    gc.freeze()  # or every command, at its end, would look through what it was born with
    while True:
        message, descriptors, *_ = socket.recv_fds(asked, LONGEST_MESSAGE, 2)
        if not message:
            return
        child = os.fork()
        if child == 0:
            asked.close()
            command(*json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _compile_templates() -> None:
    """Pages are drawn of templates, which take half a second to compile."""
    from stallgate.render.template import template

    for path in (ROOT / "harness/stallgate/render/templates").glob("*.html.j2"):
        template(path.name)


def _ask_once(folder: Path) -> None:
    """What triton and torch have is asked once for all commands: it takes seconds, and is the same every time."""
    from stallgate.agent.form import triton_names

    asked = triton_names._asked

    def remembered(python: str, program: str, kind: type[Any]) -> Any:
        path = folder / sha256(program.encode()).hexdigest()
        if python != sys.executable:
            return asked(python, program, kind)
        if not path.exists():
            path.write_bytes(msgspec.json.encode(asked(python, program, kind)))
        return msgspec.json.decode(path.read_bytes(), type=kind)

    triton_names._asked = remembered


def _read_once(folder: Path) -> None:
    """A report with the same bytes is read once for all commands, as far as the same is asked of it."""
    from stallgate.extract import launches

    read = launches._answer

    def remembered(report: Path, arguments: list[str]) -> dict[str, Any]:
        try:
            content = report.read_bytes()
        except OSError:
            return read(report, arguments)
        path = folder / sha256(b"\0".join([content, *map(str.encode, arguments)])).hexdigest()
        if not path.exists():
            path.write_bytes(json.dumps(read(report, arguments)).encode())
        answer: dict[str, Any] = json.loads(path.read_bytes())
        return answer

    launches._answer = remembered


def own_modules() -> Iterator[str]:
    """Stallgate's modules, by name."""
    harness = ROOT / "harness"
    for path in sorted((harness / "stallgate").rglob("*.py")):
        name = ".".join(path.relative_to(harness).with_suffix("").parts).removesuffix(".__init__")
        if not f"{name}.".startswith(tuple(f"stallgate.{each}." for each in APART)):
            yield name


def command(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    timeout_s: int,
    children: str,
    descriptors: list[int],
) -> None:
    """Does in this process what ``python -m stallgate`` does in a new one, and raises SystemExit as it does."""
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.alarm(timeout_s)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv[1:] = arguments
    subprocess.Popen = warm.starting_at(children)  # type: ignore[misc]
    with warm.ended_at_once():
        runpy.run_module("stallgate", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
