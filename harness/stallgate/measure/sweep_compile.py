"""Compilation ahead: processes on the CPU's cores compile a sweep's configurations while a GPU takes times."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import isnan
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Annotated, Literal, NamedTuple, Self

import msgspec

from stallgate.measure.bench import CompileNotes
from stallgate.measure.child_plan import as_json, child_case, project_places, references
from stallgate.measure.device import Device
from stallgate.measure.process import Spawned, watch
from stallgate.model import Case, FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.folder import write_whole

COMPILER_ENTRY = Path(__file__).resolve().parents[1] / "child" / "sweep" / "__main__.py"

_TIME_LIMIT_S = 120
"""Seconds that one configuration may take to compile."""

_SILENCE_S = 180.0
"""Seconds without an answer from any compiler after which they are given up."""

_PATIENCE_S = 4.0
"""Seconds that compilation may go on after the last time was taken: registers of the rest become known."""

_MOST_COMPILERS = 16
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


class ToCompile(NamedTuple):
    """What is compiled ahead of its times."""

    cases: list[Case]
    """In the order in which they are compiled."""
    tell: Callable[[Case, Compiled], None]
    """Takes what came of each, in a thread of its own."""


def compiler_count(device: Device, devices: int = 1) -> int:
    """Compiling processes beside a GPU: one core is left for the process that takes times, and most of its memory.

    Args:
        device: the GPU.
        devices: GPUs that share the cores.
    """
    cores = len(os.sched_getaffinity(0)) // devices - 1
    contexts = device.memory_mib / _CONTEXT_MIB / 8
    return max(0, min(_MOST_COMPILERS, cores, _MOST_COMPILERS if isnan(contexts) else int(contexts)))


class CompileAhead:
    """Compiles cases that a GPU has to time, the first one first, until its ``with`` block ends.

    One process imports what compilers need and forks them. What a compiler cannot do is left to the process that takes
    times. Only what it is sure of is a result: code that does not compile, and too much shared memory for the GPU.
    """

    def __init__(
        self,
        project: Project,
        to_compile: ToCompile,
        python: str,
        device: Device,
        folder: Path,
        processes: int,
        target: CompileTarget | None = None,
    ) -> None:
        """Begins nothing.

        Args:
            project: the project, with the configurations of the cases.
            to_compile: the cases, and who is told what came of them.
            python: the interpreter that has torch and triton.
            device: the GPU.
            folder: takes the plan, the notes, and what the compilers print.
            processes: how many compile; with 0, nothing is compiled ahead.
            target: what is compiled for; None: that GPU.
        """
        self._project = project
        self._cases, self._tell = to_compile
        self._python = python
        self._device = device
        self._folder = folder
        self._processes = processes
        self._target = target or _target(project, device)
        self._thread: Thread | None = None
        self._spawned: Spawned | None = None

    @property
    def notes(self) -> CompileNotes | None:
        """What the compilers do, for who takes times meanwhile; None where there are none."""
        if self._spawned is None:
            return None
        return CompileNotes(str(self._notes), [case.name for case in self._cases])

    @property
    def _notes(self) -> Path:
        return self._folder / "notes"

    def __enter__(self) -> Self:
        if self._processes and self._cases:
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
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(f"{_OVER}\n")

    def _spawn(self) -> Spawned:
        self._folder.mkdir(parents=True, exist_ok=True)
        plan = self._folder / "plan.json"
        write_whole(plan, self._plan())
        command = [self._python, str(COMPILER_ENTRY), str(plan)]
        return Spawned(command, self._environment(), self._folder / "compilers.log", 1.0)

    def _plan(self) -> bytes:
        return as_json(
            {
                **project_places(self._project),
                "references": references(self._project),
                "target": msgspec.to_builtins(self._target),
                "processes": self._processes,
                "limit_s": _TIME_LIMIT_S,
                "notes": str(self._notes),
                "cases": [child_case(self._project, case, []) for case in self._cases],
            }
        )

    def _environment(self) -> dict[str, str]:
        """One GPU is seen, and a compiler of its own threads uses one core."""
        shown = {"CUDA_VISIBLE_DEVICES": self._device.uuid} if self._target.device == "cuda" else {}
        return {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "OMP_NUM_THREADS": "1", **shown}

    def _hear(self, line: bytes) -> bool:
        """Takes a line; whether it was a message."""
        try:
            message = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if isinstance(message, Compiled):
            if message.number >= len(self._cases):
                return False
            self._tell(self._cases[message.number], message)
        return True


def _target(project: Project, device: Device) -> CompileTarget:
    card = project.gpu_spec_of(device.name)
    shared = int(card.shared_memory_per_block_kb * 1024) if card is not None else None
    return CompileTarget("cuda", device.compute_capability, shared)
