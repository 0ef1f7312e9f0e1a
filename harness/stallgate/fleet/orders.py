"""What goes to a worker and what comes back: a part of a plan, and a part of a run's folder."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import msgspec
import zstandard

import stallgate
from stallgate.errors import NotMeasured
from stallgate.measure.bench import BenchOptions
from stallgate.measure.check import Checked
from stallgate.measure.sweep_compile import Compiled
from stallgate.model import Case, FrozenStruct, Problem, Run
from stallgate.project.digests import package_digest
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
    ahead: list[Case] = []
    """What is compiled ahead on the worker's host, in this order."""


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
    """``program_digest()`` of the command's stallgate: the worker's has to be the same. By this name older workers know
    it, and refuse.
    """
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


class MeasuredPart(FrozenStruct, frozen=True, omit_defaults=True):
    """What a worker hands back. Any stallgate can read a refusal: it says nothing that an older one does not know."""

    place: WorkerPlace
    refusal: Refusal | None = None
    run: Run | None = None
    bench: Bench | None = None
    checked: Checked | None = None
    compiled: list[tuple[Case, Compiled]] = []
    """What came of compiling cases ahead, in the order in which it was known."""
    files: dict[str, bytes] = {}
    """The files of the part's folder, beside ``run.json``: ``ncu/1.ncu-rep``, logs, ``source/…``."""

    def packed(self) -> bytes:
        return _compressed(msgspec.msgpack.encode(self))


_ORDERS = msgspec.msgpack.Decoder(Order)
"""Made as the module is loaded: two threads that made it at once, as in a worker of several, have crashed msgspec."""

_PARTS = msgspec.msgpack.Decoder(MeasuredPart)


def order_of(content: bytes) -> Order:
    """An order as it arrives on a worker.

    Raises:
        NotMeasured: it is of another stallgate.
    """
    try:
        return _ORDERS.decode(_uncompressed(content))
    except msgspec.ValidationError as error:
        raise NotMeasured(
            f"its stallgate is another one, and does not know this order: {error}", SAME_STALLGATE
        ) from None


def part_of(content: bytes) -> MeasuredPart:
    """A part as it comes back.

    Raises:
        NotMeasured: it is of another stallgate.
    """
    try:
        return _PARTS.decode(_uncompressed(content))
    except msgspec.ValidationError as error:
        raise NotMeasured(f"a worker's stallgate is another one: {error}", SAME_STALLGATE) from None


SAME_STALLGATE = "install the same stallgate on every worker, and start them again"

_ON_WORKERS = (
    "",
    "child",
    "child/bench",
    "child/referee",
    "child/sweep",
    "extract",
    "fleet",
    "measure",
    "project",
    "runs",
)
"""The packages that a part goes through, within stallgate's own."""


@cache
def program_digest() -> str:
    """SHA-256 of what plans parts, measures them, and reads what came back.

    Orders and parts have no versions of their own, and what measures has to be the same everywhere. A worker takes it
    as it starts: what it has loaded stays, even if its files are replaced.
    """
    root = Path(stallgate.__file__).parent
    return hashlib.sha256("".join(package_digest(root / name) for name in _ON_WORKERS).encode()).hexdigest()


def _compressed(content: bytes) -> bytes:
    return zstandard.compress(content)


def _uncompressed(content: bytes) -> bytes:
    return zstandard.decompress(content, max_output_size=_LARGEST_PART)
