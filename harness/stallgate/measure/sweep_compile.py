"""Compilation ahead: processes on the CPU's cores compile a sweep's configurations while a GPU takes times."""

from __future__ import annotations

import os
from math import isnan
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Annotated, Literal, Self

import msgspec
from msgspec.structs import replace

from stallgate.measure.bench import CompileNotes
from stallgate.measure.child_plan import as_json, child_case, project_places, references
from stallgate.measure.device import Device
from stallgate.measure.process import Spawned, watch
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_plan import SweepRequest, sweep_case, swept_project
from stallgate.measure.sweep_times import split
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.folder import write_whole
from stallgate.runs.sweep import Trial

COMPILER_ENTRY = Path(__file__).resolve().parents[1] / "child" / "sweep" / "__main__.py"

_TIME_LIMIT_S = 120
"""Seconds that one configuration may take to compile."""

_SILENCE_S = 180.0
"""Seconds without an answer from any compiler after which they are given up."""

_PATIENCE_S = 4.0
"""Seconds that compilation may go on after the last time was taken: registers of the rest become known."""

_MOST_WORKERS = 16
"""More make the process that takes times wait: contexts on a GPU begin one after the other (29 took 5 s)."""

_OVER = "over"
"""The line of the notes that says that no more will be compiled: ``child/bench/order.py`` reads it."""

_CONTEXT_MIB = 600
"""GPU memory that a compiling process takes, which computes nothing there: its context and the code that is loaded. An
eighth of the GPU's is left to all of them."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Message(msgspec.Struct, frozen=True, tag_field="event"):
    """What a compiling process says."""


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


_DECODER: msgspec.json.Decoder[Compiled | CompilersUnable] = msgspec.json.Decoder(Compiled | CompilersUnable)


class CompileTarget(FrozenStruct, frozen=True):
    """What is compiled for."""

    device: Literal["cuda", "cpu"] = "cuda"
    """cpu: tensors are the CPU's, and no GPU is asked: for tests."""
    compute_capability: str = "9.0"
    shared_bytes: int | None = None
    """Shared memory that a block may have at most; None: the GPU is asked."""


def worker_count(device: Device, devices: int = 1) -> int:
    """Compiling processes beside a GPU: one core is left for the process that takes times, and most of its memory.

    Args:
        device: the GPU.
        devices: GPUs that share the cores.
    """
    cores = len(os.sched_getaffinity(0)) // devices - 1
    contexts = device.memory_mib / _CONTEXT_MIB / 8
    return max(0, min(_MOST_WORKERS, cores, _MOST_WORKERS if isnan(contexts) else int(contexts)))


def compilers_of(project: Project, request: SweepRequest, book: SweepBook) -> list[CompileAhead]:
    """For each GPU of a sweep, what compiles the planned trials that are timed on it."""
    planned = [trial for trial in book.sweep.trials if trial.state == "planned"]
    shares = zip(request.devices, split(planned, len(request.devices)), strict=True)
    return [CompileAhead(project, request, book, share) for share in shares]


class CompileAhead:
    """Compiles trials that one GPU of a sweep has to time, the first one first, until its ``with`` block ends.

    One process imports what compilers need and forks them. What a compiler cannot do is left to the process that takes
    times. Only what it is sure of becomes a result: code that does not compile, and too much shared memory for the GPU.
    """

    def __init__(
        self,
        project: Project,
        request: SweepRequest,
        book: SweepBook,
        share: tuple[Device, list[Trial]],
        target: CompileTarget | None = None,
        processes: int | None = None,
    ) -> None:
        """Begins nothing.

        Args:
            project: the project, without the sweep's configurations.
            request: what is swept, and how.
            book: takes what is found out.
            share: the GPU, and the trials that are planned for it.
            target: what is compiled for; None: that GPU.
            processes: how many compile; None: as many as cores and memory allow.
        """
        self._project = swept_project(project, book.sweep)
        self._request = request
        self._book = book
        self.device, self.trials = share
        self._target = target or _target(project, self.device)
        self._processes = worker_count(self.device, len(request.devices)) if processes is None else processes
        self._thread: Thread | None = None
        self._spawned: Spawned | None = None
        self._notes: Path | None = None

    @property
    def notes(self) -> CompileNotes | None:
        """What the compilers do, for who takes times meanwhile; None where there are none."""
        if self._notes is None:
            return None
        return CompileNotes(str(self._notes), [sweep_case(self._book.sweep, each).name for each in self.trials])

    def __enter__(self) -> Self:
        if self._processes and self.trials:
            self._spawned = self._spawn()
            self._thread = Thread(target=self._listen, args=(self._spawned,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        """Ends what still runs. Whoever is timed is compiled, so little is left; after an error it ends at once."""
        if self._spawned is None:
            return
        if kind is None:
            self.wait(_PATIENCE_S)
        if self._spawned.process.poll() is None:
            self._spawned.process.terminate()
        self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Waits for all of it, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _listen(self, spawned: Spawned) -> None:
        watch(spawned, _SILENCE_S, self._hear)
        assert self._notes is not None
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(f"{_OVER}\n")

    def _spawn(self) -> Spawned:
        folder = self._book.folder / "compile"
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / str(1 + sum(1 for _ in folder.glob("*.plan.json")))
        plan = stem.with_suffix(".plan.json")
        self._notes = stem.with_suffix(".notes")
        write_whole(plan, self._plan(self._notes))
        command = [self._request.python, str(COMPILER_ENTRY), str(plan)]
        return Spawned(command, self._environment(), stem.with_suffix(".log"), 1.0)

    def _plan(self, notes: Path) -> bytes:
        sweep = self._book.sweep
        return as_json(
            {
                **project_places(self._project),
                "references": references(self._project),
                "target": msgspec.to_builtins(self._target),
                "processes": self._processes,
                "limit_s": _TIME_LIMIT_S,
                "notes": str(notes),
                "cases": [child_case(self._project, sweep_case(sweep, trial), []) for trial in self.trials],
            }
        )

    def _environment(self) -> dict[str, str]:
        """One GPU is seen, and a compiler of its own threads uses one core."""
        shown = {"CUDA_VISIBLE_DEVICES": self.device.uuid} if self._target.device == "cuda" else {}
        return {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "OMP_NUM_THREADS": "1", **shown}

    def _hear(self, line: bytes) -> bool:
        """Takes a line; whether it was a message."""
        try:
            message = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if isinstance(message, Compiled):
            if message.number >= len(self.trials):
                return False
            trial = self.trials[message.number]
            self._book.write_trial(trial.configuration, trial.workload, lambda known: compiled_trial(known, message))
        return True


def _target(project: Project, device: Device) -> CompileTarget:
    card = project.gpu_spec_of(device.name)
    shared = int(card.shared_memory_per_block_kb * 1024) if card is not None else None
    return CompileTarget("cuda", device.compute_capability, shared)


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
