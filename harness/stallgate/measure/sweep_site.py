"""Where the parts of a sweep are measured: on this machine, or wherever else something does it the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from stallgate.measure.attempt import Machine
from stallgate.measure.bench import Bencher, BenchOptions, BenchWatcher, start_timer, timer_files
from stallgate.measure.clocks import clock_state
from stallgate.measure.device import Device
from stallgate.measure.process import Spawned
from stallgate.measure.profile import Profiler, Watcher
from stallgate.measure.sweep_compile import CompileAhead, ToCompile, compiler_count
from stallgate.model import Run
from stallgate.project.load import Project
from stallgate.runs.bench import Bench
from stallgate.runs.clocks import ClockState


class SweepSite(Protocol):
    """Times and profiles what one of a sweep's GPUs has to do."""

    is_here: bool
    """Whether it is this machine: then driver and ncu stay the same."""

    def starting(self, options: BenchOptions, places: dict[Path, Device]) -> AbstractContextManager[None]: ...

    def take_times(
        self,
        project: Project,
        bench: Bench,
        options: BenchOptions,
        device: Device,
        folder: Path,
        watcher: BenchWatcher,
        to_compile: ToCompile,
    ) -> Bench: ...

    def take_counters(self, project: Project, run: Run, machine: Machine, folder: Path, watcher: Watcher) -> Run: ...

    def clock(self, device: Device) -> ClockState | None: ...


class ThisMachine:
    """The machine that the command runs on."""

    is_here = True

    def __init__(self, devices: int = 1) -> None:
        """Starts nothing.

        Args:
            devices: GPUs of this machine that share its cores.
        """
        self._devices = devices
        self._ready: dict[Path, Spawned] = {}
        """Folder of a bench to come -> its timing child, which waits."""

    @contextmanager
    def starting(self, options: BenchOptions, places: dict[Path, Device]) -> Iterator[None]:
        """Starts the timing children of benches to come, which import torch meanwhile and touch no GPU.

        Args:
            options: of the benches.
            places: their folders, and the GPU of each.
        """
        try:
            for folder, device in places.items():
                self._ready[folder] = start_timer(options, device, timer_files(folder, 1))
            yield
        finally:
            while self._ready:
                self._ready.popitem()[1].end()

    def take_times(
        self,
        project: Project,
        bench: Bench,
        options: BenchOptions,
        device: Device,
        folder: Path,
        watcher: BenchWatcher,
        to_compile: ToCompile,
    ) -> Bench:
        """Times a bench on a GPU, while the CPU compiles ahead.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        processes = compiler_count(device, self._devices)
        with CompileAhead(project, to_compile, options.python, device, folder / "compile", processes) as ahead:
            options = replace(options, compiled=ahead.notes)
            return Bencher(project, bench, options, device, watcher, self._ready.pop(folder, None)).measure(folder)

    def take_counters(self, project: Project, run: Run, machine: Machine, folder: Path, watcher: Watcher) -> Run:
        """Profiles a run on a GPU.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        return Profiler(project, run, machine, watcher).measure(folder)

    def clock(self, device: Device) -> ClockState | None:
        """The clocks of a GPU now."""
        return clock_state(device)
