"""The result of a sweep as it grows: every change is in ``sweep.json`` before the next is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import RLock

from msgspec.structs import replace

from stallgate.measure.sweep_compile import Compiled
from stallgate.model import Case
from stallgate.runs.bench import BenchEnvironment, Entry
from stallgate.runs.clocks import ClockState
from stallgate.runs.sweep import Sweep, Trial, TrialState, Yardstick, save_sweep

STATES: dict[str, TrialState] = {
    "timed": "timed",
    "stopped": "stopped",
    "wrong_result": "wrong_result",
    "crashed": "crashed",
    "timed_out": "timed_out",
}
"""Outcome of a bench -> state of a trial; any other, such as not enough memory, is a crash with its reason."""

_SHARED_MEMORY = ("out of resource: shared memory", "OutOfResources")
_COMPILATION = ("CompilationError", "CompileTimeAssertionFailure", "PTXASError", "failed to compile")


class SweepBook:
    """Takes results from several threads."""

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        self.folder = folder
        self._sweep = sweep
        self._lock = RLock()

    @property
    def sweep(self) -> Sweep:
        return self._sweep

    def write(self, change: Callable[[Sweep], Sweep]) -> None:
        """Changes the result and writes it down."""
        with self._lock:
            self._sweep = change(self._sweep)
            save_sweep(self.folder, self._sweep)

    def write_trial(self, configuration: str, workload: str, change: Callable[[Trial], Trial]) -> None:
        """Changes one trial."""

        def changed(sweep: Sweep) -> Sweep:
            key = (configuration, workload)
            return replace(
                sweep,
                trials=[change(t) if (t.configuration, t.workload) == key else t for t in sweep.trials],
            )

        self.write(changed)

    def settle(self, entry: Entry, workload: str, device: int) -> None:
        """Writes down what became of a contender of a bench: a trial or a yardstick."""
        if entry.role in ("copy", "roof"):
            self.write(lambda sweep: replace(sweep, yardsticks=_with(sweep.yardsticks, entry, workload, device)))
            return
        self.write_trial(entry.configuration, workload, lambda trial: settled(trial, entry, device))

    def note_compiled(self, case: Case, found: Compiled) -> None:
        """Writes down what came of compiling a trial ahead."""
        self.write_trial(case.configuration, case.workload, lambda trial: compiled_trial(trial, found))

    def describe(self, environment: BenchEnvironment) -> None:
        """Writes down where the times are taken; of several GPUs, the first that tells."""
        if self._sweep.environment is None:
            self.write(lambda sweep: replace(sweep, environment=environment))

    def add_clocks(self, before: Iterable[ClockState] = (), after: Iterable[ClockState] = ()) -> None:
        """Writes down clocks."""
        self.write(
            lambda sweep: replace(
                sweep,
                clocks_before=[*sweep.clocks_before, *before],
                clocks_after=[*sweep.clocks_after, *after],
            )
        )

    def add_trials(self, trials: list[Trial]) -> None:
        """Plans more trials."""
        self.write(lambda sweep: replace(sweep, trials=[*sweep.trials, *trials]))


def settled(trial: Trial, entry: Entry, device: int) -> Trial:
    """A trial with the outcome of a bench. The default is timed on every GPU; its first outcome stays."""
    if trial.state not in ("planned",):
        return trial
    return replace(
        trial,
        state=_state(entry),
        reason=entry.reason,
        samples_us=entry.samples_us,
        rounds=len(entry.samples_us),
        device=device,
    )


def compiled_trial(trial: Trial, found: Compiled) -> Trial:
    """A trial with what its compilation says; one that was run has its outcome already, and keeps it."""
    if found.outcome == "unknown":
        return trial
    trial = replace(
        trial,
        registers=found.registers,
        spills=found.spills,
        shared_bytes=found.shared_bytes,
        compile_s=found.seconds,
    )
    if found.outcome == "compiled" or trial.state != "planned":
        return trial
    return replace(trial, state=found.outcome, reason=found.reason)


def _state(entry: Entry) -> TrialState:
    if entry.outcome == "crashed" and any(text in entry.reason for text in _SHARED_MEMORY):
        return "too_much_shared_memory" if "shared memory" in entry.reason else "does_not_compile"
    if entry.outcome == "crashed" and any(text in entry.reason for text in _COMPILATION):
        return "does_not_compile"
    return STATES.get(entry.outcome, "crashed")


def _with(yardsticks: list[Yardstick], entry: Entry, workload: str, device: int) -> list[Yardstick]:
    """The yardsticks with one that was timed; one that has an outcome keeps it."""

    def changed(known: Yardstick) -> Yardstick:
        if (known.name, known.workload) != (entry.name, workload) or known.outcome != "planned":
            return known
        return replace(known, outcome=entry.outcome, reason=entry.reason, samples_us=entry.samples_us, device=device)

    return [changed(known) for known in yardsticks]
