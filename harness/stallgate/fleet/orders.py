"""What goes to a worker and what comes back: a part of a plan, and a part of a run's folder."""

from __future__ import annotations

import msgspec
import zstandard

from stallgate.measure.bench import BenchOptions
from stallgate.measure.check import Checked
from stallgate.model import Case, FrozenStruct, Problem, Run
from stallgate.runs.bench import Bench

_LARGEST_PART = 2**31
"""Bytes of a part once it is unpacked: more than any part of a run has."""


class ProfileJob(FrozenStruct, frozen=True, tag="profile"):
    """Cases to be profiled."""

    run: Run
    """As it is planned, with no cases but those of the part."""


class BenchJob(FrozenStruct, frozen=True, tag="bench"):
    """Rows to be timed."""

    bench: Bench
    """As it is planned, with no rows but those of the part."""
    options: BenchOptions


class CheckJob(FrozenStruct, frozen=True, tag="check"):
    """Cases to be checked."""

    cases: list[Case]
    timeout_s: float


class Order(FrozenStruct, frozen=True):
    """A task: one part of a plan."""

    name: str
    """Unique among those of a command."""
    model: str
    """The GPU that it is for, by its driver's name."""
    sources: str
    """Digest of the project's files."""
    problems: dict[str, Problem]
    """The problems as they are planned: with drawn workloads, and with the configurations of a sweep."""
    python: str
    """The interpreter that has torch and triton; empty: the worker's own."""
    child: str
    """Digest of the measuring child: the worker's has to be the same."""
    topic: str
    """Where its steps are told."""
    job: ProfileJob | BenchJob | CheckJob

    def packed(self) -> bytes:
        return _compressed(msgspec.msgpack.encode(self))


class WorkerPlace(FrozenStruct, frozen=True):
    """Where a part was measured."""

    host: str
    uuid: str
    """Of the GPU."""

    def __str__(self) -> str:
        return f"{self.host}, {self.uuid}"


class Refusal(FrozenStruct, frozen=True):
    """Why a part was not measured to its end."""

    message: str
    hint: str


class MeasuredPart(FrozenStruct, frozen=True):
    """What a worker hands back."""

    place: WorkerPlace
    refusal: Refusal | None = None
    run: Run | None = None
    bench: Bench | None = None
    checked: Checked | None = None
    files: dict[str, bytes] = {}
    """The files of the part's folder, beside ``run.json``: ``ncu/1.ncu-rep``, logs, ``source/…``."""

    def packed(self) -> bytes:
        return _compressed(msgspec.msgpack.encode(self))


_ORDERS = msgspec.msgpack.Decoder(Order)
"""Made as the module is loaded: two threads that made it at once, as in a worker of several, have crashed msgspec."""

_PARTS = msgspec.msgpack.Decoder(MeasuredPart)


def order_of(content: bytes) -> Order:
    """An order as it arrives on a worker."""
    return _ORDERS.decode(_uncompressed(content))


def part_of(content: bytes) -> MeasuredPart:
    """A part as it comes back."""
    return _PARTS.decode(_uncompressed(content))


def _compressed(content: bytes) -> bytes:
    return zstandard.compress(content)


def _uncompressed(content: bytes) -> bytes:
    return zstandard.decompress(content, max_output_size=_LARGEST_PART)
