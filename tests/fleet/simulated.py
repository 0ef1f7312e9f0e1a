"""What a scheduler carries: a simulated cluster of many workers without GPUs, on one machine.

``python -m tests.fleet.simulated --workers 1000 --tasks 10000`` starts a real Dask scheduler and real workers, many to
a process, each with the resource that a worker with a GPU has. The tasks are as large as orders and parts of a run, and
measure nothing. Printed are the scheduler's time and memory, and the tasks a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from typing import Any

import dask
import distributed
import psutil
from distributed import Client, Scheduler, Worker

RESOURCE = "gpu:simulated"

_SETTINGS = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.use-file-locking": False,
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.comm.timeouts.connect": "3600s",
    "distributed.comm.timeouts.tcp": "3600s",
    "distributed.scheduler.worker-ttl": None,
}


def measured_part(order: bytes, size: int, seconds: float) -> bytes:
    """Takes an order and gives back a part of a run, of a size."""
    time.sleep(seconds)
    return os.urandom(size)


async def _schedule(pipe: Any) -> None:
    async with Scheduler(port=0, dashboard=False, dashboard_address=None) as scheduler:
        pipe.send((scheduler.address, os.getpid()))
        await scheduler.finished()


async def _work(address: str, number: int) -> None:
    kinds = {"nthreads": 1, "resources": {RESOURCE: 1}, "memory_limit": None, "dashboard": False}
    workers = [Worker(address, **kinds) for _ in range(number)]
    for start in range(0, number, 25):  # a thousand at once would wait for each other
        await asyncio.gather(*workers[start : start + 25])
    await asyncio.gather(*(worker.finished() for worker in workers))


def _run_scheduler(pipe: Any) -> None:
    with dask.config.set(_SETTINGS):
        asyncio.run(_schedule(pipe))


def _run_workers(address: str, number: int) -> None:
    with dask.config.set(_SETTINGS):
        asyncio.run(_work(address, number))


def simulate(arguments: argparse.Namespace) -> dict[str, float]:
    """Runs the tasks; says what they cost the scheduler."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    started: list[multiprocessing.process.BaseProcess] = [
        context.Process(target=_run_scheduler, args=(theirs,), daemon=True)
    ]
    started[0].start()
    address, pid = ours.recv()
    scheduler = psutil.Process(pid)
    each = arguments.workers // arguments.processes
    for _ in range(arguments.processes):
        started.append(context.Process(target=_run_workers, args=(address, each), daemon=True))
        started[-1].start()
    try:
        with dask.config.set(_SETTINGS), Client(address, timeout=3600) as client:
            return _measure(client, scheduler, each * arguments.processes, arguments)
    finally:
        for process in started:
            process.kill()


def _measure(
    client: Client, scheduler: psutil.Process, workers: int, arguments: argparse.Namespace
) -> dict[str, float]:
    begun = time.monotonic()
    client.wait_for_workers(workers)
    joined_s, idle_mib, before = time.monotonic() - begun, _mib(scheduler), _cpu(scheduler)
    begun = time.monotonic()
    futures = client.map(
        measured_part,
        [os.urandom(arguments.order) for _ in range(arguments.tasks)],
        key=[f"part-{number}" for number in range(arguments.tasks)],
        resources={RESOURCE: 1},
        size=arguments.part,
        seconds=arguments.seconds,
        pure=False,
    )
    submitted_s, most_mib = time.monotonic() - begun, 0.0
    waiting, taken = distributed.as_completed(futures, with_results=True), 0
    del futures
    for batch in waiting.batches():
        taken += sum(len(part) for _, part in batch)
        most_mib = max(most_mib, _mib(scheduler))
    seconds = time.monotonic() - begun
    cpu = _cpu(scheduler) - before
    return {
        "workers": workers,
        "tasks": arguments.tasks,
        "joined_s": joined_s,
        "submitted_s": submitted_s,
        "seconds": seconds,
        "tasks_a_second": arguments.tasks / seconds,
        "scheduler_cpu_s": cpu,
        "scheduler_cpu_ms_a_task": 1000 * cpu / arguments.tasks,
        "scheduler_mib_idle": idle_mib,
        "scheduler_mib_most": most_mib,
        "bytes_a_task": arguments.order + taken / arguments.tasks,
    }


def _mib(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=4, help="that share the workers")
    parser.add_argument("--order", type=int, default=4_000, help="bytes of an order")
    parser.add_argument("--part", type=int, default=250_000, help="bytes of a part of a run")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a task takes")
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "critical"  # read by the processes that are started
    print(json.dumps(simulate(parser.parse_args()), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
