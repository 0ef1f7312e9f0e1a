"""Where the parts of a sweep are measured: on this machine, or wherever else something does it the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from stallgate.measure.attempt import Machine
from stallgate.measure.bench import Bencher, BenchOptions, BenchWatcher
from stallgate.measure.clocks import clock_state
from stallgate.measure.device import Device
from stallgate.measure.profile import Profiler, Watcher
from stallgate.model import Run
from stallgate.project.load import Project
from stallgate.runs.bench import Bench
from stallgate.runs.sweep import ClockState


class SweepSite(Protocol):
    """Times and profiles what one of a sweep's GPUs has to do."""

    is_here: bool
    """Whether it is this machine: then its CPU compiles ahead, and driver and ncu stay the same."""

    def take_times(
        self,
        project: Project,
        bench: Bench,
        options: BenchOptions,
        device: Device,
        folder: Path,
        watcher: BenchWatcher,
    ) -> Bench: ...

    def take_counters(self, project: Project, run: Run, machine: Machine, folder: Path, watcher: Watcher) -> Run: ...

    def clock(self, device: Device) -> ClockState | None: ...


class ThisMachine:
    """The machine that the command runs on."""

    is_here = True

    def take_times(
        self,
        project: Project,
        bench: Bench,
        options: BenchOptions,
        device: Device,
        folder: Path,
        watcher: BenchWatcher,
    ) -> Bench:
        """Times a bench on a GPU.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        return Bencher(project, bench, options, device, watcher).measure(folder)

    def take_counters(self, project: Project, run: Run, machine: Machine, folder: Path, watcher: Watcher) -> Run:
        """Profiles a run on a GPU.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        return Profiler(project, run, machine, watcher).measure(folder)

    def clock(self, device: Device) -> ClockState | None:
        """The clocks of a GPU now."""
        return clock_state(device)
