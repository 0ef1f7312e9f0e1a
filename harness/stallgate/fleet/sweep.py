"""A sweep on a fleet: each GPU's share of the trials as parts, which any GPU of the model may measure."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from stallgate.fleet.bench import FleetBencher, ModelBench
from stallgate.fleet.dispatch import Dispatcher
from stallgate.fleet.profile import FleetProfiler, ModelRun
from stallgate.measure.attempt import Machine
from stallgate.measure.bench import BenchOptions, BenchWatcher
from stallgate.measure.device import Device
from stallgate.measure.profile import Watcher
from stallgate.measure.sweep_compile import ToCompile
from stallgate.model import Run
from stallgate.project.load import Project
from stallgate.runs.bench import Bench
from stallgate.runs.clocks import ClockState
from stallgate.runs.folder import load


class FleetSite:
    """Times and profiles shares of a sweep on GPUs of one model."""

    is_here = False

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def starting(self, options: BenchOptions, places: dict[Path, Device]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing: which worker takes a part is known when it begins."""
        return nullcontext()

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
        """Times a share: each workload with the copy, the roofs and the default on the same GPU.

        Whichever host has a workload also compiles its trials ahead.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        planned = [ModelBench(device.name, folder, bench)]
        return FleetBencher(project, self._dispatcher, planned, options, watcher, to_compile).measure()[0]

    def take_counters(self, project: Project, run: Run, machine: Machine, folder: Path, watcher: Watcher) -> Run:
        """Profiles a share: each workload with the roofs and the default on the same GPU.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        FleetProfiler(project, self._dispatcher, [ModelRun(machine.device.name, folder, run)], watcher).measure()
        return load(folder)

    def clock(self, device: Device) -> ClockState | None:  # noqa: ARG002
        """Nothing: which GPU of the model takes a part, the engine decides. The part has the clocks of its finals."""
        return None
