"""What the timing child asks of the GPU: the time of a call, on the device and on the host."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

import torch

TimedCall = Callable[[], object]

HOLD_US = 3000.0
"""How long the L2 is overwritten before a time: Python enqueues a call meanwhile, and an H100 whose memory was idle
takes 0.5 ms of traffic to be as fast as it gets.
"""


class Clock(Protocol):
    """Takes times; a stand-in can take its place where there is no GPU."""

    def describe(self) -> dict[str, object]: ...
    def time(self, call: TimedCall) -> tuple[float, object]: ...
    def host_times(self, calls: Sequence[TimedCall]) -> list[float]: ...
    def graph(self, calls: Sequence[TimedCall]) -> Callable[[], list[object]]: ...


class GpuClock:
    """CUDA events on the current device; the L2 is overwritten before each time that is taken."""

    def __init__(self) -> None:
        facts = torch.cuda.get_device_properties(0)
        self._l2_bytes = int(facts.L2_cache_size)
        self._multiprocessors = int(facts.multi_processor_count)
        self._scratch = torch.empty(2 * self._l2_bytes, dtype=torch.uint8, device="cuda")
        self._flush_us = 30.0  # until it is known, as fast as any
        self._flush_us = median(self.time(self._scratch.zero_)[0] for _ in range(9))

    def describe(self) -> dict[str, object]:
        """The cache, and what two events cost with nothing in between, in microseconds."""
        return {
            "multiprocessors": self._multiprocessors,
            "l2_bytes": self._l2_bytes,
            "flush_us": self._flush_us,
            "event_us": median(self.time(lambda: None)[0] for _ in range(9)),
        }

    def time(self, call: TimedCall) -> tuple[float, object]:
        """Microseconds between an event before and an event after what a call launches, and the call's result.

        The flush goes on until the host has enqueued the call, so that the GPU does not wait for Python, and the
        previous contender does not affect the time.

        Args:
            call: what is timed; it launches on the current stream.
        """
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        for _ in range(math.ceil(HOLD_US / self._flush_us)):
            self._scratch.zero_()
        begin.record()
        result = call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e3, result

    def host_times(self, calls: Sequence[TimedCall]) -> list[float]:
        """Microseconds from each call to its return, with nothing waited for in between."""
        torch.cuda.synchronize()
        times = []
        for call in calls:
            begin = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - begin) / 1e3)
        torch.cuda.synchronize()
        return times

    def graph(self, calls: Sequence[TimedCall]) -> Callable[[], list[object]]:
        """A CUDA graph of calls, each with an output of its own; what it gives replays it and returns the outputs."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = [call() for call in calls]

        def replay() -> list[object]:
            graph.replay()
            return outputs

        return replay
