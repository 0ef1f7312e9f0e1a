"""What a scheduler carries: a simulated cluster of many workers without GPUs, on one machine.

``python -m tests.fleet.simulated --workers 1000 --tasks 10000`` starts a real Dask scheduler and real workers, many to
a process, each with the resource that a worker with a GPU has. Tasks go the way of a command's: through the batch that
`--on` uses, as large as orders and parts of a run, telling as many steps. They measure nothing. Printed are the
scheduler's time, memory and connections, and the tasks a second.

Two settings of the workers are not those of a fleet, because hundreds share a process here: the check of the event
loop, which by default each makes fifty times a second, and the watch over the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache, partial
from typing import Any

import dask
import psutil
from distributed import Client, Scheduler, Worker

from stallgate.fleet.engine import Engine, tell_step
from stallgate.fleet.orders import CheckJob, Order, order_of
from stallgate.fleet.slot import RESOURCE

MODEL = "simulated"

PATIENT = {"distributed.comm.timeouts.connect": "600s", "distributed.comm.timeouts.tcp": "600s"}
"""For a machine with fewer cores than processes."""

CROWDED = {
    "distributed.admin.tick.interval": "60s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
}
"""For hundreds of workers in one process."""


def simulated_part(content: bytes, size: int, steps: int, seconds: float) -> bytes:
    """Takes an order, tells its steps, and gives back a part of a run, of a size."""
    order = order_of(content)
    for number in range(steps):
        tell_step(order.topic, order.name, f"cumprod/blocked_scan/default/workload-{number // 8}", "sample 2 of 5")
    time.sleep(seconds)
    return _random(size)


@cache
def _random(size: int) -> bytes:
    """The same bytes for every task of a process: they cannot be compressed."""
    return os.urandom(size)


def _order(number: int, topic: str, size: int) -> Order:
    """An order of a size: its bytes are random, so that they stay as many when they are compressed."""
    return Order(
        name=f"part-{number}",
        model=MODEL,
        sources=os.urandom(size // 2).hex(),
        problems={},
        python="",
        child="",
        topic=topic,
        job=CheckJob([], 0.0),
    )


# --- the cluster ------------------------------------------------------------------------------------------------------


async def _schedule(pipe: Any) -> None:
    async with Scheduler(port=0, dashboard=False, dashboard_address=None) as scheduler:
        pipe.send((scheduler.address, os.getpid()))
        await scheduler.finished()


async def _work(address: str, number: int) -> None:
    resources = {f"{RESOURCE}{MODEL}": 1}
    workers = [Worker(address, nthreads=1, resources=resources, memory_limit=None) for _ in range(number)]
    for start in range(0, number, 100):
        await asyncio.gather(*workers[start : start + 100])
    await asyncio.gather(*(worker.finished() for worker in workers))


def _run_scheduler(pipe: Any) -> None:
    with dask.config.set(PATIENT):
        asyncio.run(_schedule(pipe))


def _run_workers(address: str, number: int, folder: str) -> None:
    with dask.config.set({**PATIENT, **CROWDED, "temporary-directory": folder}):
        asyncio.run(_work(address, number))


def simulate(arguments: argparse.Namespace) -> dict[str, float]:
    """Runs the tasks; says what they cost the scheduler."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    started: list[Any] = [context.Process(target=_run_scheduler, args=(theirs,), daemon=True)]
    started[0].start()
    address, pid = ours.recv()
    each = arguments.workers // arguments.processes
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            for _ in range(arguments.processes):
                started.append(context.Process(target=_run_workers, args=(address, each, folder), daemon=True))
                started[-1].start()
            with dask.config.set(PATIENT), Client(address, timeout=600) as client:
                return _measure(client, _Scheduler(pid), each * arguments.processes, arguments)
        finally:
            for process in started:
                process.kill()
                process.join()


# --- measuring --------------------------------------------------------------------------------------------------------


class _Scheduler:
    """What the scheduler's process has used, seen from outside."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.most_mib = 0.0
        self.most_open = 0

    def look(self) -> None:
        self.most_mib = max(self.most_mib, self._process.memory_info().rss / 2**20)
        self.most_open = max(self.most_open, self._process.num_fds())

    @property
    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _measure(client: Client, scheduler: _Scheduler, workers: int, arguments: argparse.Namespace) -> dict[str, float]:
    begun, started_s = time.monotonic(), scheduler.cpu_s
    client.wait_for_workers(workers)
    scheduler.look()
    found = {
        "workers": workers,
        "tasks": arguments.tasks,
        "joined_s": time.monotonic() - begun,
        "joined_cpu_s": scheduler.cpu_s - started_s,
        "idle_mib": scheduler.most_mib,
    }
    begun, before, own = time.monotonic(), scheduler.cpu_s, time.process_time()
    told, taken = _run_tasks(client, scheduler, arguments)
    seconds, cpu = time.monotonic() - begun, scheduler.cpu_s - before
    return {
        **found,
        "seconds": seconds,
        "tasks_a_second": arguments.tasks / seconds,
        "scheduler_cpu_s": cpu,
        "scheduler_cpu_ms_a_task": 1000 * cpu / arguments.tasks,
        "command_cpu_s": time.process_time() - own,
        "most_mib": scheduler.most_mib,
        "most_open_files": scheduler.most_open,
        "bytes_a_task": taken / arguments.tasks,
        "steps_heard": told,
        "cores": os.cpu_count() or 0,
        "load": os.getloadavg()[0],
    }


def _run_tasks(client: Client, scheduler: _Scheduler, arguments: argparse.Namespace) -> tuple[int, int]:
    """Runs the tasks by a batch: how many steps were heard, and the bytes of orders and parts.

    Raises:
        RuntimeError: a task was lost or done twice.
    """
    told: list[str] = []
    kinds = {"size": arguments.part, "steps": arguments.steps, "seconds": arguments.seconds}
    function = partial(simulated_part, **kinds)
    taken, ended, shown = 0, set(), time.monotonic()
    with Engine(client, wait_s=600).batch(function, lambda case, _: told.append(case)) as batch:
        batch.submit([_order(number, batch.topic, arguments.order) for number in range(arguments.tasks)])
        for landed in batch.landing():
            if landed.order.name in ended:
                raise RuntimeError(f"{landed.order.name} was done twice")
            if not landed.content:
                raise RuntimeError(f"{landed.order.name} was lost: {landed.error or landed.lost}")
            ended.add(landed.order.name)
            taken += len(landed.order.packed()) + len(landed.content)
            scheduler.look()
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{len(ended)} of {arguments.tasks} tasks", file=sys.stderr)
    if len(ended) != arguments.tasks:
        raise RuntimeError(f"{arguments.tasks - len(ended)} tasks were lost")
    return len(told), taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2, help="that share the workers")
    parser.add_argument("--order", type=int, default=4_000, help="bytes of an order")
    parser.add_argument("--part", type=int, default=250_000, help="bytes of a part of a run")
    parser.add_argument("--steps", type=int, default=40, help="that a task tells: five cases with eight each")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a task takes")
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")  # read by the processes that are started
    with suppress(KeyboardInterrupt):
        print(json.dumps(simulate(parser.parse_args()), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
