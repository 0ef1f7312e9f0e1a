"""``stallgate`` in processes that begin with its libraries loaded, which is most of what a command costs.

Each worker of a session has one process that loads them, and none of stallgate's own modules; every command is a fork
of it, and as much a process of its own as any: with its streams, its working directory, its environment and its exit
status. Only what Python settles when it starts is not its own: what ``PYTHON...`` variables say and which signals are
ignored.
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
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

from tests import warm

LIBRARIES = (
    "click",
    "csv",
    "http.server",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "msgspec",
    "numpy",
    "rich.console",
    "rich.progress",
    "rich.table",
    "statistics",
    "tomllib",
    "webbrowser",
    "xml.etree.ElementTree",
    "zstandard",
)

ROOT = Path(__file__).resolve().parents[1]
LONGEST_MESSAGE = 1 << 17


class Origin:
    """The process that commands are forked from, seen from outside."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
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


@cache
def origin() -> Origin:
    """This worker's, started when it is first needed, with the environment that the worker has then."""
    from tests.conftest import environment

    found = Origin(environment())
    atexit.register(found.close)
    return found


# --- within the process that is forked --------------------------------------------------------------------------------


def serve(asked: socket.socket) -> None:
    """Forks a command for each message, until nobody is there to ask for one."""
    for name in LIBRARIES:
        import_module(name)
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
    runpy.run_module("stallgate", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
