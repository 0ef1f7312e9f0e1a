"""Compilation ahead: processes on the CPU's cores compile a sweep's configurations while a GPU takes times."""

from __future__ import annotations

import os
import time
from math import isnan
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Annotated, Literal, Self

import msgspec
from msgspec.structs import replace

from stallgate.measure.child_plan import as_json, child_case, project_places, references
from stallgate.measure.device import Device
from stallgate.measure.process import Spawned, watch
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_plan import SweepRequest, sweep_case, swept_project
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.folder import write_whole
from stallgate.runs.sweep import Trial

COMPILER_ENTRY = Path(__file__).resolve().parents[1] / "child" / "sweep" / "__main__.py"

_TIME_LIMIT_S = 120.0
"""Seconds that one configuration may take to compile."""

_PATIENCE_S = 4.0
"""Seconds that compilation may go on after the last time was taken: registers of the rest become known."""

_MOST_WORKERS = 32
_CONTEXT_MIB = 600
"""GPU memory that a compiling process takes, which computes nothing there: its context and the code that is loaded. An
eighth of the GPU's is left to all of them."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Message(msgspec.Struct, frozen=True, tag_field="event"):
    """What a compiling process says."""


class CompileBegun(_Message, frozen=True, tag="compiling"):
    """A configuration is begun."""

    number: _Count


class Compiled(_Message, frozen=True, tag="compiled"):
    """What came of a configuration."""

    number: _Count
    outcome: Literal["compiled", "does_not_compile", "too_much_shared_memory", "unknown"]
    """unknown: it cannot be compiled without running it; the process that takes times compiles it."""
    reason: str = ""
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0
    registers: _Count | None = None
    spills: _Count | None = None
    shared_bytes: _Count | None = None


class CompilersUnable(_Message, frozen=True, tag="unable"):
    """Nothing can be compiled ahead here."""

    reason: str


_DECODER: msgspec.json.Decoder[CompileBegun | Compiled | CompilersUnable] = msgspec.json.Decoder(
    CompileBegun | Compiled | CompilersUnable
)


class CompileTarget(FrozenStruct, frozen=True):
    """What is compiled for."""

    device: Literal["cuda", "cpu"] = "cuda"
    """cpu: tensors are the CPU's, and no GPU is asked: for tests."""
    compute_capability: str = "9.0"
    shared_bytes: int | None = None
    """Shared memory that a block may have at most; None: the GPU is asked."""


def worker_count(device: Device) -> int:
    """Compiling processes: one core is left for the process that takes times, and most of the GPU's memory."""
    cores = len(os.sched_getaffinity(0)) - 1
    contexts = device.memory_mib / _CONTEXT_MIB / 8
    return max(0, min(_MOST_WORKERS, cores, _MOST_WORKERS if isnan(contexts) else int(contexts)))


class CompileAhead:
    """Compiles the planned trials of a sweep, the first one first, until its ``with`` block ends.

    What a compiler cannot do is left to the process that takes times. Only what it is sure of becomes a result: code
    that does not compile, and more shared memory than the GPU has.
    """

    def __init__(
        self,
        project: Project,
        request: SweepRequest,
        book: SweepBook,
        target: CompileTarget | None = None,
        workers: int | None = None,
    ) -> None:
        self._project = swept_project(project, book.sweep)
        self._request = request
        self._book = book
        self._target = target or _target(project, request)
        self._trials = [trial for trial in book.sweep.trials if trial.state == "planned"]
        count = worker_count(request.devices[0]) if workers is None else workers
        self._shares = [share for number in range(count) if (share := self._trials[number::count])]
        self._stopped = Event()
        self._threads: list[Thread] = []
        self._running: list[Spawned] = []

    def __enter__(self) -> Self:
        for number, share in enumerate(self._shares):
            thread = Thread(target=self._work, args=(number, share), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        """Ends what still runs. Whoever is timed is compiled, so little is left; after an error it ends at once."""
        if kind is None:
            self.wait(_PATIENCE_S)
        self._stopped.set()
        for spawned in self._running:
            if spawned.process.poll() is None:
                spawned.process.terminate()
        self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Waits for all of it, at most so many seconds."""
        end = time.monotonic() + seconds if seconds is not None else None
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()) if end is not None else None)

    def _work(self, number: int, share: list[Trial]) -> None:
        """One process after the other, until each trial of a share has an answer or is given up."""
        left = share
        attempt = 0
        while left and not self._stopped.is_set():
            attempt += 1
            conversation = _Compiler(left, self._book)
            stem = self._book.folder / "compile" / f"{number}-{attempt}"
            timed_out = self._process(left, stem, conversation)
            if conversation.is_unable or self._stopped.is_set():
                return
            if conversation.at_work is None:
                return
            if timed_out:
                conversation.give_up(_TIME_LIMIT_S)
            left = left[conversation.at_work + 1 :]

    def _process(self, trials: list[Trial], stem: Path, conversation: _Compiler) -> bool:
        """Runs one compiling process; whether it took too long."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        plan = stem.with_suffix(".plan.json")
        write_whole(plan, self._plan(trials))
        command = [self._request.python, str(COMPILER_ENTRY), str(plan)]
        spawned = Spawned(command, self._environment(), stem.with_suffix(".log"), 1.0)
        self._running.append(spawned)
        if self._stopped.is_set():
            spawned.process.terminate()
        return watch(spawned, _TIME_LIMIT_S, conversation.hear).timed_out

    def _plan(self, trials: list[Trial]) -> bytes:
        sweep = self._book.sweep
        return as_json(
            {
                **project_places(self._project),
                "references": references(self._project),
                "target": msgspec.to_builtins(self._target),
                "cases": [child_case(self._project, sweep_case(sweep, trial), []) for trial in trials],
            }
        )

    def _environment(self) -> dict[str, str]:
        """One GPU is seen, and a compiler of its own threads uses one core."""
        shown = {"CUDA_VISIBLE_DEVICES": self._request.devices[0].uuid} if self._target.device == "cuda" else {}
        return {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "OMP_NUM_THREADS": "1", **shown}


def _target(project: Project, request: SweepRequest) -> CompileTarget:
    card = project.gpu_spec_of(request.devices[0].name)
    shared = int(card.shared_memory_per_block_kb * 1024) if card is not None else None
    return CompileTarget("cuda", request.devices[0].compute_capability, shared)


class _Compiler:
    """Takes the lines of one compiling process."""

    def __init__(self, trials: list[Trial], book: SweepBook) -> None:
        self._trials = trials
        self._book = book
        self.at_work: int | None = None
        """The trial that is being compiled; None between two, and at the end."""
        self.is_unable = False

    def hear(self, line: bytes) -> bool:
        """Takes a line; whether it was a message."""
        try:
            message = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        match message:
            case CompilersUnable():
                self.is_unable = True
            case CompileBegun(number=number) if number < len(self._trials):
                self.at_work = number
            case Compiled(number=number) if number < len(self._trials):
                self.at_work = None
                self._write(self._trials[number], message)
            case _:
                return False
        return True

    def give_up(self, seconds: float) -> None:
        """Writes down that the trial at work took too long to compile."""
        if self.at_work is not None:
            reason = f"it did not compile within {seconds:g} s"
            self._write(self._trials[self.at_work], Compiled(self.at_work, "does_not_compile", reason, seconds))

    def _write(self, trial: Trial, found: Compiled) -> None:
        self._book.write_trial(trial.configuration, trial.workload, lambda known: compiled_trial(known, found))


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
