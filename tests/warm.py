"""Children of a command in processes that begin with torch imported, which is most of what a child costs.

Each worker of a session has one process that imports torch, and none of stallgate's own modules. A child that a command
starts by its script (`stallgate/child/**/__main__.py`) is a fork of it: a process of its own, in a session of its own,
with the descriptors, working directory, environment and exit status that it would have had. Everything else that is
started is started as always: other interpreters, ncu, children of `own_process`, and all of them where there is a GPU.

A child that interprets kernels is a fork of a second process, which has imported triton for its interpreter as well:
the quick one (`kernels/quick.py`), in which kernels take a third of their time.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

CHILDREN = Path(__file__).resolve().parents[1] / "harness" / "stallgate" / "child"
LONGEST_MESSAGE = 1 << 17
MOST_DESCRIPTORS = 16
AS_SPAWNED = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "start_new_session": True}
"""How stallgate starts its children; a process that is started in another way is no fork."""


@cache
def address() -> str:
    """Where this worker's process with torch listens, started when it is first needed; empty where there is a GPU."""
    if shutil.which("nvidia-smi"):
        return ""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind("")  # the kernel chooses a name that no file has
    listening.listen(MOST_DESCRIPTORS)
    ours, theirs = os.pipe()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(
        [sys.executable, __file__, str(listening.fileno()), str(ours)],
        env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # with threads it could not fork
        stdin=subprocess.DEVNULL,
        pass_fds=[listening.fileno(), ours],
    )
    os.close(ours)
    name: bytes = listening.getsockname()
    listening.close()

    def end() -> None:
        os.close(theirs)
        process.wait()

    atexit.register(end)
    return name.decode("latin-1")


def starting_at(where: str) -> type[subprocess.Popen[bytes]]:
    """What takes the place of ``subprocess.Popen``, so that children are forks of the process that listens there."""

    class Popen(subprocess.Popen[Any]):
        def __new__(cls, args: Any, **named: Any) -> Any:
            return ForkedChild(where, args, **named) if _is_child(args, named) else super().__new__(cls)

    return Popen if where else subprocess.Popen


def _is_child(args: Any, named: Mapping[str, Any]) -> bool:
    if not isinstance(args, list) or len(args) < 2 or args[0] != sys.executable:
        return False
    script = Path(args[1])
    return (
        script.name == "__main__.py"
        and script.is_relative_to(CHILDREN)
        and named.keys() == {*AS_SPAWNED, "stdout", "env", "pass_fds"}
        and all(named[name] == value for name, value in AS_SPAWNED.items())
    )


class ForkedChild:
    """As much of a ``Popen`` as those need who start children."""

    def __init__(
        self, where: str, args: list[str], *, stdout: Any, env: Mapping[str, str], pass_fds: tuple[int, ...], **_: Any
    ) -> None:
        self.args, self.returncode = args, None
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(where.encode("latin-1"))
        message = json.dumps([args[1:], str(Path.cwd()), dict(env), list(pass_fds)]).encode()
        socket.send_fds(self._line, [message], [stdout.fileno(), *pass_fds])
        self.pid = int(self._line.recv(LONGEST_MESSAGE))

    returncode: int | None

    def poll(self) -> int | None:
        """Its exit status, once it has one."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end.

        Raises:
            TimeoutExpired: it takes longer.
        """
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._line.recv(LONGEST_MESSAGE))
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


# --- within the process that is forked --------------------------------------------------------------------------------


def serve(listening: socket.socket, lifeline: int) -> None:
    """Forks a child for each connection, or has it forked where triton is imported, until the worker is gone."""
    interpreting: socket.socket | None = None
    while lifeline not in select.select([listening, lifeline], [], [])[0]:
        line, _ = listening.accept()
        message, descriptors, *_ = socket.recv_fds(line, LONGEST_MESSAGE, MOST_DESCRIPTORS)
        if "torch" not in sys.modules:
            import torch  # noqa: F401

            gc.freeze()  # or every child, at its end, would look through what it was born with
        told = json.loads(message)
        if told[2].get("TRITON_INTERPRET") == "1":
            interpreting = interpreting or interpreter(listening)
            socket.send_fds(interpreting, [message], [line.fileno(), *descriptors])
        elif os.fork() == 0:
            begin(line, told, descriptors)
        for each in (line.detach(), *descriptors):
            os.close(each)
        _reap()
    _reap()


def interpreter(listening: socket.socket) -> socket.socket:
    """A line to a fork of this process that interprets kernels; what comes over it becomes a child there."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() != 0:
        theirs.close()
        return ours
    for each in (listening, ours):
        each.close()
    os.environ["TRITON_INTERPRET"] = "1"  # triton asks when it is imported
    sys.path.insert(1, str(Path(__file__).parent / "kernels"))
    from quick import quick_interpreter

    sys.path.pop(1)
    quick = quick_interpreter()
    quick.__enter__()
    gc.freeze()
    while True:
        message, descriptors, *_ = socket.recv_fds(theirs, LONGEST_MESSAGE, MOST_DESCRIPTORS + 1)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            begin(socket.socket(fileno=descriptors[0]), json.loads(message), descriptors[1:])
        for each in descriptors:
            os.close(each)
        _reap()


def _reap() -> None:
    """Takes note of the forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def begin(line: socket.socket, told: list[Any], descriptors: list[int]) -> None:
    """Forks the child, and waits for it: only a parent learns how a process ended. Returns in neither."""
    child = os.fork()
    if child == 0:
        become(*told, descriptors)
    for each in descriptors:
        os.close(each)
    with suppress(OSError):  # who started it may be gone
        line.send(str(child).encode())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):
        line.send(str(status).encode())
    os._exit(0)


def become(
    arguments: list[str], folder: str, environment: dict[str, str], numbers: list[int], descriptors: list[int]
) -> NoReturn:
    """Does in this process what ``python SCRIPT`` does in a new one, and raises SystemExit as it does."""
    os.setsid()
    _take(numbers, descriptors)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = arguments
    paths = environment.get("PYTHONPATH", "")
    sys.path[:1] = [str(Path(arguments[0]).parent), *filter(None, paths.split(os.pathsep))]
    with ended_at_once():
        runpy.run_path(arguments[0], run_name="__main__")
        sys.exit(0)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Ends this process at the exit within, but does not take all modules down, which takes longest of an exit.

    What is registered for the end is called as always. An exit with a text to say is left to Python.
    """
    try:
        yield
    except SystemExit as leaving:
        if not isinstance(leaving.code, int | None):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit((leaving.code or 0) & 0xFF)


def _take(numbers: list[int], descriptors: list[int]) -> None:
    """The first descriptor becomes the output, the others get their numbers; all else but the input is closed."""
    output, *passed = [fcntl.fcntl(each, fcntl.F_DUPFD, max(numbers, default=2) + 1) for each in descriptors]
    for source, number in ((output, 1), (output, 2), *zip(passed, numbers, strict=True)):
        os.dup2(source, number)
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in numbers:
            with suppress(OSError):  # the listing's own
                os.close(number)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
