"""Parts of a plan as tasks of the engine, until each part has an end: measured, refused, or given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stallgate.errors import NotMeasured
from stallgate.fleet.engine import Batch, Engine, Landed
from stallgate.fleet.losses import Losses
from stallgate.fleet.orders import BenchJob, CheckJob, MeasuredPart, Order, ProfileJob, part_of, program_digest
from stallgate.fleet.sources import Sources
from stallgate.fleet.task import measure_part
from stallgate.model import FrozenStruct
from stallgate.project.load import Project


class Chunk(FrozenStruct, frozen=True):
    """What one task is to measure."""

    model: str
    """The GPU model that it is for."""
    names: list[str]
    """Of its cases, or of the contenders of its rows."""


class FleetWork(Protocol):
    """What is measured, and what takes the results."""

    def chunks(self) -> list[Chunk]: ...
    def job(self, chunk: Chunk) -> ProfileJob | BenchJob | CheckJob: ...
    def take(self, chunk: Chunk, part: MeasuredPart) -> None: ...
    def give_up(self, model: str, name: str, reason: str) -> None: ...


class Dispatcher:
    """Hands tasks to the engine, and what becomes of them to whoever wants them."""

    def __init__(self, engine: Engine, sources: Sources, python: str) -> None:
        """Begins with nothing sent.

        Args:
            engine: runs the tasks.
            sources: the project's files, which every worker has.
            python: the interpreter that has torch and triton; empty: each worker's own.
        """
        self._engine = engine
        self._sources = sources
        self._python = python

    def run(self, project: Project, work: FleetWork, on_step: Callable[[str, str], None]) -> None:
        """Brings every part to an end. A part that is refused does not keep others from being measured.

        Args:
            project: with the problems as they are planned.
            work: the parts.
            on_step: called with the name of a case and the step that it has come to.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        with self._engine.batch(measure_part, on_step) as batch:
            sent = _Sent(self, project, work, batch)
            try:
                sent.to_the_end()
            except KeyboardInterrupt:
                raise NotMeasured("interrupted", "what was measured so far stands in its folder") from None

    def order(self, project: Project, work: FleetWork, chunk: Chunk, name: str, topic: str) -> Order:
        """The task of a part."""
        problems = dict.fromkeys(each.partition("/")[0] for each in chunk.names)
        return Order(
            name=name,
            model=chunk.model,
            sources=self._sources.digest,
            problems={problem: project.problems[problem] for problem in problems},
            python=self._python,
            child=program_digest(),
            topic=topic,
            job=work.job(chunk),
        )


class _Sent:
    """The tasks of one piece of work."""

    def __init__(self, dispatcher: Dispatcher, project: Project, work: FleetWork, batch: Batch) -> None:
        self._dispatcher = dispatcher
        self._project = project
        self._work = work
        self._batch = batch
        self._losses: dict[str, Losses] = {}
        self._chunks: dict[str, Chunk] = {}
        self._refused: list[NotMeasured] = []

    def to_the_end(self) -> None:
        """Sends every part, and takes what becomes of it.

        Raises:
            NotMeasured: a part could not be measured, or no worker is left.
        """
        self._submit(self._work.chunks())
        for landed in self._batch.landing():
            self._take(landed)
        if self._refused:
            raise self._refused[0]

    def _submit(self, chunks: list[Chunk]) -> None:
        orders = []
        for chunk in chunks:
            name = f"part-{len(self._chunks) + 1}"
            self._chunks[name] = chunk
            orders.append(self._dispatcher.order(self._project, self._work, chunk, name, self._batch.topic))
        self._batch.submit(orders)

    def _take(self, landed: Landed) -> None:
        """Takes over what became of a task; what is left of one that lost its workers is submitted again."""
        chunk = self._chunks[landed.order.name]
        if landed.error:
            self._refused.append(NotMeasured(f"a task failed: {landed.error}", "see the worker's log"))
        elif landed.content:
            self._take_part(chunk, landed.content)
        else:
            given_up = self._losses.setdefault(chunk.model, Losses()).blame(chunk.names, landed.lost)
            for name, reason in given_up.items():
                self._work.give_up(chunk.model, name, reason)
            if left := [name for name in chunk.names if name not in given_up]:
                self._submit([Chunk(chunk.model, left)])

    def _take_part(self, chunk: Chunk, content: bytes) -> None:
        try:
            part = part_of(content)
        except NotMeasured as error:
            self._refused.append(error)
            return
        self._work.take(chunk, part)
        if part.refusal is not None:
            self._refused.append(NotMeasured(f"{part.place}: {part.refusal.message}", part.refusal.hint))
