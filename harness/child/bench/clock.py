"""What the timing child asks of the GPU: the time of a call, on the device and on the host."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

import torch

Call = Callable[[], object]

LONGEST_HOLD_US = 1000.0
"""A call that itself waits for the GPU cannot be enqueued ahead; no flush is drawn out for it beyond this."""


class Clock(Protocol):
    """Takes times; a stand-in can take its place where there is no GPU."""

    def describe(self) -> dict[str, object]: ...
    def time(self, call: Call, host_us: float) -> tuple[float, object]: ...
    def host_times(self, calls: Sequence[Call]) -> list[float]: ...
    def graph(self, calls: Sequence[Call]) -> Callable[[], list[object]]: ...


class GpuClock:
    """CUDA events on the current device; the L2 is overwritten before each time that is taken."""

    def __init__(self) -> None:
        facts = torch.cuda.get_device_properties(0)
        self._l2_bytes = int(facts.L2_cache_size)
        self._multiprocessors = int(facts.multi_processor_count)
        self._scratch = torch.empty(2 * self._l2_bytes, dtype=torch.uint8, device="cuda")
        self._flush_us = 1.0
        self._flush_us = median(self.time(self._scratch.zero_, 0.0)[0] for _ in range(9))

    def describe(self) -> dict[str, object]:
        """The cache, and what two events cost with nothing in between, in microseconds."""
        return {
            "multiprocessors": self._multiprocessors,
            "l2_bytes": self._l2_bytes,
            "flush_us": self._flush_us,
            "event_us": median(self.time(lambda: None, 0.0)[0] for _ in range(9)),
        }

    def time(self, call: Call, host_us: float) -> tuple[float, object]:
        """Microseconds between an event before and an event after what a call launches, and what it returned.

        The flush goes on until the host has enqueued the call: the GPU never waits for Python.

        Args:
            call: what is timed; it launches on the current stream.
            host_us: what it takes the host to enqueue it.
        """
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        for _ in range(1 + math.ceil(2 * min(host_us, LONGEST_HOLD_US) / self._flush_us)):
            self._scratch.zero_()
        begin.record()
        result = call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e3, result

    def host_times(self, calls: Sequence[Call]) -> list[float]:
        """Microseconds from each call to its return, with nothing waited for in between."""
        torch.cuda.synchronize()
        times = []
        for call in calls:
            begin = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - begin) / 1e3)
        torch.cuda.synchronize()
        return times

    def graph(self, calls: Sequence[Call]) -> Callable[[], list[object]]:
        """A CUDA graph of calls, each with an output of its own; what it gives replays it and returns the outputs."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = [call() for call in calls]

        def replay() -> list[object]:
            graph.replay()
            return outputs

        return replay
