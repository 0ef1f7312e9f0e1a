"""The times of a sweep: its trials as contenders of a bench, with the copy, the roofs and the default on every GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from threading import Thread

from msgspec.structs import replace

from stallgate.errors import NotMeasured
from stallgate.measure.bench import BenchOptions, BenchWatcher, EarlyStopping, new_bench
from stallgate.measure.device import Device
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_compile import ToCompile
from stallgate.measure.sweep_plan import DEFAULT_CONFIGURATION, SweepRequest, sweep_case, swept_project
from stallgate.measure.sweep_site import SweepSite
from stallgate.model import Case
from stallgate.project.load import Project
from stallgate.runs.bench import Entry
from stallgate.runs.sweep import Effort, Final, Sweep, Trial

ROUNDS: dict[Effort, int] = {"quick": 9, "full": 25}
"""Samples of a trial that is not stopped."""

_RUNGS: dict[Effort, list[tuple[int, float]]] = {
    "quick": [(0, 4.0), (3, 1.5), (5, 1.15)],
    "full": [(0, 4.0), (4, 1.5), (10, 1.15)],
}
"""Rounds -> how many times the best a trial may take."""

FINAL_ROUNDS: dict[Effort, int] = {"quick": 20, "full": 60}
"""Samples of a finalist."""

MOST_FINALISTS = 4
"""The best of a workload that are timed again, beside the default."""

_HOST_CALLS = 5
_FINAL_BUDGET_S = 30.0


class FinishedTimer:
    """Takes what one bench of a sweep finds, and passes progress on."""

    def __init__(self, watcher: BenchWatcher, settle: Callable[[str, Entry], None]) -> None:
        self._watcher = watcher
        self._settle = settle

    def begun(self, contenders: int) -> None:
        self._watcher.begun(contenders)

    def waiting(self) -> None:
        self._watcher.waiting()

    def at_work(self, case: str, step: str) -> None:
        self._watcher.at_work(case, step)

    def finished(self, row: str, entry: Entry) -> None:
        self._settle(row.rpartition("/")[2], entry)
        self._watcher.finished(row, entry)


def split(trials: list[Trial], devices: int) -> list[list[Trial]]:
    """The trials of each GPU: in turn, so that each has a part of every corner of the space."""
    return [trials[number::devices] for number in range(devices)]


class SweepTimer:
    """Times the trials of a sweep that have no outcome on each of its GPUs, and the finalists at its end."""

    def __init__(self, project: Project, request: SweepRequest, book: SweepBook, site: SweepSite) -> None:
        self._project = project
        self._request = request
        self._book = book
        self._site = site
        self._final_folders: dict[int, Path] = {}
        """Index of a GPU -> where its finals are timed."""

    def time_trials(self, watcher: BenchWatcher, seconds: float | None = None) -> None:
        """Brings every planned trial to an outcome. Trials are compiled ahead of their times.

        Args:
            watcher: receives progress.
            seconds: of rounds, after which no more are begun; None: no limit.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        planned = [trial for trial in self._book.sweep.trials if trial.state == "planned"]
        if not planned:
            return
        devices = self._request.devices
        shares = split(planned, len(devices))
        rungs = _RUNGS[self._request.effort]
        options = self._options(ROUNDS[self._request.effort], EarlyStopping(rungs=rungs, seconds=seconds))
        jobs = [
            partial(self._time_share, device, share, options, watcher)
            for device, share in zip(devices, shares, strict=True)
            if share
        ]
        side_by_side(jobs)

    def _options(self, rounds: int, elimination: EarlyStopping | None) -> BenchOptions:
        return BenchOptions(
            python=self._request.python,
            rounds=rounds,
            timeout_s=self._request.timeout_s,
            grace_s=self._request.grace_s,
            elimination=elimination,
            host_calls=_HOST_CALLS,
            peers=False,
        )

    def _time_share(self, device: Device, share: list[Trial], options: BenchOptions, watcher: BenchWatcher) -> None:
        """The trials of one GPU, in the order in which they are compiled ahead."""
        sweep = self._book.sweep
        cases, ahead = contenders_of(self._project, sweep, share), [sweep_case(sweep, trial) for trial in share]
        timer = FinishedTimer(watcher, lambda load, entry: self._book.settle(entry, load, device.index))
        self._bench(device, cases, options, self._unused_folder(device), timer, ahead)

    def _bench(
        self,
        device: Device,
        cases: list[Case],
        options: BenchOptions,
        folder: Path,
        timer: FinishedTimer,
        ahead: Sequence[Case] = (),
    ) -> None:
        """One bench, in a folder of its own below the sweep's; some of its cases are compiled ahead."""
        project = swept_project(self._project, self._book.sweep)
        bench = replace(new_bench(project, cases, options, []), row_budget_s=_FINAL_BUDGET_S)
        to_compile = ToCompile(list(ahead), self._book.note_compiled)
        found = self._site.take_times(project, bench, options, device, folder, timer, to_compile)
        if found.environment is not None:
            self._book.describe(found.environment)

    def _unused_folder(self, device: Device) -> Path:
        above = self._book.folder / "times"
        number = 1
        while (above / f"{device.index}-{number}").exists():
            number += 1
        folder = above / f"{device.index}-{number}"
        folder.mkdir(parents=True)
        return folder

    # --- finals ---

    @contextmanager
    def finals_starting(self) -> Iterator[None]:
        """Starts what will time the finals, which begins once ``time_finals`` is called within the block."""
        folders = {device.index: self._unused_folder(device) for device in self._final_devices(self._book.sweep.trials)}
        devices = {device.index: device for device in self._request.devices}
        self._final_folders = folders
        with self._site.starting(self._final_options(), {path: devices[index] for index, path in folders.items()}):
            yield

    def _final_options(self) -> BenchOptions:
        rounds = FINAL_ROUNDS[self._request.effort]
        return replace(self._options(rounds, None), in_turn=True, clocks=True)

    def _final_devices(self, trials: list[Trial]) -> list[Device]:
        """One GPU for each workload, as far as there are so many: what is compared is timed in turn on one GPU."""
        return self._request.devices[: len({trial.workload for trial in trials})]

    def time_finals(self, watcher: BenchWatcher) -> None:
        """Times the best of each workload again, forwards and backwards in turn, within ``finals_starting``.

        Args:
            watcher: receives progress.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        sweep = self._book.sweep
        done = {(final.configuration, final.workload) for final in sweep.finals}
        chosen = finalists(sweep)
        if done >= {(trial.configuration, trial.workload) for trial in chosen}:
            return
        finals: dict[tuple[str, str], Final] = {}  # all of them again: only what was timed in turn is compared
        devices, workloads = self._final_devices(chosen), list(dict.fromkeys(trial.workload for trial in chosen))
        jobs = []
        for number, device in enumerate(devices):
            mine = [trial for trial in chosen if trial.workload in workloads[number :: len(devices)]]
            jobs.append(partial(self._time_finals_on, device, mine, finals, watcher))
        side_by_side(jobs)

    def _time_finals_on(
        self, device: Device, chosen: list[Trial], finals: dict[tuple[str, str], Final], watcher: BenchWatcher
    ) -> None:
        """The finals of some workloads, put beside those of others."""
        sweep = self._book.sweep
        places = {(trial.configuration, trial.workload): number for number, trial in enumerate(sweep.trials)}

        def settle(workload: str, entry: Entry) -> None:
            if entry.role in ("copy", "roof") or not entry.samples_us:
                return
            final = Final(entry.configuration, workload, entry.samples_us, entry.clock)

            def added(known: Sweep) -> Sweep:
                finals[(final.configuration, workload)] = final
                return replace(known, finals=[finals[key] for key in sorted(finals, key=places.__getitem__)])

            self._book.write(added)

        cases = [sweep_case(sweep, trial) for trial in chosen]
        timer = FinishedTimer(watcher, settle)
        self._bench(device, cases, self._final_options(), self._final_folders[device.index], timer)


def contenders_of(project: Project, sweep: Sweep, share: list[Trial]) -> list[Case]:
    """The cases of trials, and before those of each workload its roofs and the default."""
    roofs = [v.name for v in project.problem(sweep.problem).variants.values() if v.role == "roof"]
    cases: list[Case] = []
    for workload in dict.fromkeys(trial.workload for trial in share):
        cases += [Case(sweep.problem, roof, DEFAULT_CONFIGURATION, workload) for roof in roofs]
        cases.append(Case(sweep.problem, sweep.variant, DEFAULT_CONFIGURATION, workload))
        cases += [
            sweep_case(sweep, trial)
            for trial in share
            if trial.workload == workload and trial.configuration != DEFAULT_CONFIGURATION
        ]
    return cases


def finalists(sweep: Sweep) -> list[Trial]:
    """The best few trials of each workload, and its default, where they were timed to the end."""
    found: list[Trial] = []
    for workload in dict.fromkeys(trial.workload for trial in sweep.trials):
        ranked = ranked_trials(sweep, workload)
        best = ranked[:MOST_FINALISTS]
        default = [trial for trial in ranked[MOST_FINALISTS:] if trial.configuration == DEFAULT_CONFIGURATION]
        found += [*best, *default]
    return found


def ranked_trials(sweep: Sweep, workload: str) -> list[Trial]:
    """The trials of a workload that were timed to the end, the fastest first."""
    timed = [t for t in sweep.trials if t.workload == workload and t.state in ("timed", "profiled") and t.samples_us]
    return sorted(timed, key=lambda trial: (median(trial.samples_us), trial.configuration))


def side_by_side(jobs: Sequence[Callable[[], object]]) -> None:
    """Runs jobs in threads, a single one in this thread. The first error is raised once all have ended.

    Threads are daemons: after Ctrl-C this process ends, and with it the children that they started.

    Raises:
        NotMeasured: the user interrupted.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
            errors.append(error)

    threads = [Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.02)
    except KeyboardInterrupt:
        raise NotMeasured("interrupted", "what was measured so far is kept") from None
    if errors:
        raise errors[0]
