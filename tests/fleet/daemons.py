"""A scheduler and workers as ``docs/fleet.md`` starts them by hand, on free ports of this machine alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stallgate.fleet.cluster import Cluster
from stallgate.fleet.engine import SLOT_MODULE, opened

_HERE = "127.0.0.1"

PATIENCE_S = 180
"""What a scheduler and its workers may take to start on a busy machine."""


@contextmanager
def fleet_by_hand(folder: Path, workers: int, environ: Mapping[str, str]) -> Iterator[str]:
    """The address of a scheduler with so many workers, each with a GPU; all of them end with the block.

    Args:
        folder: takes their logs and the workers' files.
        workers: how many there are.
        environ: their environment, whole.
    """
    folder.mkdir(parents=True)
    there = folder / "scheduler.json"
    ports = ("--host", _HERE, "--port", "0", "--no-dashboard", "--dashboard-address", ":0")
    wanted = ("--nworkers", str(workers), "--nthreads", "1", "--preload", SLOT_MODULE)
    around = {**environ, "DASK_TEMPORARY_DIRECTORY": str(folder)}
    with ExitStack() as stack:
        scheduler = _started(stack, folder, around, "scheduler", *ports, "--scheduler-file", str(there))
        _wait_for(there, scheduler, folder)
        address = json.loads(there.read_text())["address"]
        _started(stack, folder, around, "worker", address, "--host", _HERE, "--no-dashboard", *wanted)
        _wait_for_gpus(address, workers, folder)
        yield address


def _started(
    stack: ExitStack, folder: Path, environ: Mapping[str, str], kind: str, *words: str
) -> subprocess.Popen[bytes]:
    """One of Dask's commands, which is ended when the stack is."""
    log = stack.enter_context((folder / f"{kind}.log").open("wb"))
    command = [sys.executable, "-m", "dask", kind, *words]
    process = subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=log, stderr=subprocess.STDOUT)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(path: Path, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not (path.is_file() and path.read_text().rstrip().endswith("}")):
        assert process.poll() is None, _logs(folder)
        assert time.monotonic() < end, _logs(folder)
        time.sleep(0.1)


def _wait_for_gpus(address: str, workers: int, folder: Path) -> None:
    with opened(Cluster(scheduler=address), PATIENCE_S) as engine:
        engine.wait_for_gpus(workers)
        found = engine.models()
    assert sum(found.values()) == workers, f"{found}\n{_logs(folder)}"


def _logs(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.log")))
