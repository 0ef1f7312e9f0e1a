"""A sweep from its plan to its result: compiled ahead, timed, profiled where it is worth it, finalists timed again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from stallgate.errors import NoProfiler
from stallgate.extract.read_run import read_run
from stallgate.measure.attempt import Machine
from stallgate.measure.bench import BenchWatcher
from stallgate.measure.ncu import find_ncu
from stallgate.measure.profile import Watcher, machine_of
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_counters import SweepProfiler, counter_folder, with_counters
from stallgate.measure.sweep_plan import SweepRequest, swept_project
from stallgate.measure.sweep_search import next_batch, objective_of
from stallgate.measure.sweep_site import SweepSite
from stallgate.measure.sweep_times import SweepTimer
from stallgate.project.load import Project
from stallgate.runs.clocks import ClockState
from stallgate.runs.sweep import Sweep

_RESERVED_S = 30.0
"""Of a time frame: what starting, checks, counters and finals take beside the rounds, on the whole."""

_LEAST_ROUNDS_S = 2.0


class SweepWatchers(Protocol):
    """Progress of each stage."""

    def times(self) -> AbstractContextManager[BenchWatcher]: ...
    def counters(self) -> AbstractContextManager[Watcher]: ...


class Sweeper:
    """Brings every trial of a sweep to an outcome; the result stands in its folder at every moment."""

    def __init__(
        self,
        project: Project,
        request: SweepRequest,
        book: SweepBook,
        machines: Mapping[int, Machine],
        watchers: SweepWatchers,
        site: SweepSite,
    ) -> None:
        """Takes a sweep that is planned or was interrupted.

        Args:
            project: the project, without the sweep's configurations.
            request: what is swept, and how.
            book: the result so far.
            machines: index of a GPU -> how it is profiled; empty: there is no ncu, and counters are left out.
            watchers: receive progress.
            site: measures.
        """
        self._project = project
        self._request = request
        self._book = book
        self._machines = machines
        self._watchers = watchers
        self._site = site
        self._timer = SweepTimer(project, request, book, site)
        self._begun = time.monotonic()

    def measure(self) -> Sweep:
        """Times, profiles and times again.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._book.add_clocks(before=self._clocks())
        self._take_times()
        with self._timer.finals_starting():
            self._take_counters()
            while not self._book.sweep.enumerated and self._search_on():
                self._take_times()
                self._take_counters()
            with self._watchers.times() as watcher:
                self._timer.time_finals(watcher)
        self._book.add_clocks(after=self._clocks())
        return self._book.sweep

    def _clocks(self) -> list[ClockState]:
        found = [self._site.clock(device) for device in self._request.devices]
        return [clock for clock in found if clock is not None]

    def _search_on(self) -> bool:
        """Plans the next batch of a search; False once it is over, or the time frame is used up."""
        left = self._seconds_left()
        if left is not None and left <= _LEAST_ROUNDS_S:
            return False
        self._read_counters()
        sweep = self._book.sweep
        stage = self._project.stage(sweep.stage) if sweep.stage is not None else None
        objective = objective_of(stage) if self._machines else None
        card = self._project.gpu_spec_of(self._request.devices[0].name)
        batch = next_batch(sweep, objective, card)
        self._book.add_trials(batch)
        return bool(batch)

    def _read_counters(self) -> None:
        """Reads what was profiled so far into the trials."""
        known = swept_project(self._project, self._book.sweep)
        for device in self._request.devices:
            folder = counter_folder(self._book.folder, self._request.devices, device)
            if (folder / "run.json").is_file():
                found = read_run(known, folder, only_judge=True).summaries
                self._book.write(partial(with_counters, summaries=found))

    def _take_times(self) -> None:
        with self._watchers.times() as watcher:
            self._timer.time_trials(watcher, self._seconds_left())

    def _take_counters(self) -> None:
        if not self._machines:
            note = "counters were not collected: " + NO_NCU
            notes = [each for each in self._book.sweep.notes if each != note]
            self._book.write(lambda sweep: replace(sweep, notes=[*notes, note]))
            return
        with self._watchers.counters() as watcher:
            book, machines, site = self._book, self._machines, self._site
            SweepProfiler(self._project, self._request, book, machines, watcher, site).profile()

    def _seconds_left(self) -> float | None:
        """Seconds for rounds within the time frame; None: there is no frame."""
        if self._request.seconds is None:
            return None
        spent = time.monotonic() - self._begun
        return max(_LEAST_ROUNDS_S, self._request.seconds - spent - _RESERVED_S)


NO_NCU = "ncu is not installed"


def machines_of(project: Project, request: SweepRequest) -> dict[int, Machine]:
    """How each GPU of a sweep is profiled; none where there is no ncu."""
    try:
        executable = find_ncu()
        return {device.index: machine_of(project, device, executable) for device in request.devices}
    except NoProfiler:
        return {}
