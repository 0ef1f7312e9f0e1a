"""The messages of a child, as strict types: what does not decode as one of these is invalid.

The measuring child and the timing child share the messages about themselves; the others are separate.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from stallgate.formatting import shortened
from stallgate.model import LaunchedKernel
from stallgate.runs.bench import Method

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0, lt=1e12)]
"""Or a multiple of them; finite."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    """One line of a child."""


# --- both children ----------------------------------------------------------------------------------------------------


class Unable(Message, frozen=True, tag="unable"):
    """Its interpreter cannot measure at all."""

    reason: str


class Lost(Message, frozen=True, tag="lost"):
    """A fault left the device unusable to the process."""


class End(Message, frozen=True, tag="end"):
    """Every case of the plan was tried."""


# --- the measuring child ----------------------------------------------------------------------------------------------


class Described(Message, frozen=True, tag="environment"):
    """Where the measuring child runs."""

    gpu: str
    compute_capability: str
    python: str
    torch: str
    triton: str
    cuda: str


class CaseBegun(Message, frozen=True, tag="case"):
    """A case begins."""

    case: str


class StepBegun(Message, frozen=True, tag="step"):
    """A case begins a step."""

    case: str
    step: str


class Question(Message, frozen=True):
    """A message that the child waits for an answer to."""

    id: Count
    """Comes back with the answer."""
    case: str


class InputsWanted(Question, frozen=True, tag="inputs"):
    """The child waits for the inputs of a step."""

    step: Literal["check", "edge", "sample"]
    number: Count
    """Which edge case from 0, or which sample from 1."""


class MemoryRefused(Question, frozen=True, tag="cannot_share"):
    """The child cannot open the memory that it was lent."""


class TensorForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an output is to be laid into memory."""

    dtype: str
    shape: list[Count]
    stride: list[Count]
    device: str


class InputsReturned(Question, frozen=True, tag="returned"):
    """The inputs lie where they came from, to be compared with what they were."""


class OutputReady(Question, frozen=True, tag="output"):
    """The child has outputs and asks where to put them."""

    tensors: Annotated[list[TensorForm], Meta(min_length=1, max_length=64)]


class OutputWritten(Question, frozen=True, tag="written"):
    """The outputs lie where they were to be put, to be compared."""


class CaseEnded(Message, frozen=True, tag="outcome"):
    """The outcome of a case, as the child reports it."""

    case: str
    outcome: Literal["profiled", "wrong_result", "crashed", "skipped"]
    reason: str
    run_ms: Seconds | None = None
    edge_case_fault: str = ""
    modules: dict[str, str] = {}
    packages: dict[str, str] = {}
    kernels: list[LaunchedKernel] = []


ChildMessage = (
    Described | Unable | CaseBegun | StepBegun | InputsWanted | MemoryRefused | InputsReturned | OutputReady
    | OutputWritten | CaseEnded | Lost | End
)  # fmt: skip


# --- the timing child -------------------------------------------------------------------------------------------------


class TimerDescribed(Described, frozen=True, tag="environment"):
    """Where the timing child runs, and what it knows of its clock."""

    multiprocessors: Count
    l2_bytes: Count
    flush_us: Seconds
    event_us: Seconds


class RowBegun(Message, frozen=True, tag="row"):
    """A row begins."""

    name: str
    needed_bytes: Annotated[int, Meta(ge=1)] | None = None
    """Bytes of its inputs and outputs."""


class ContenderStep(Message, frozen=True, tag="step"):
    """A contender begins a step."""

    row: str
    contender: str
    step: str


class ContenderEnded(Message, frozen=True, tag="outcome"):
    """The outcome of a contender."""

    row: str
    contender: str
    outcome: Literal["timed", "stopped", "wrong_result", "crashed", "skipped", "absent"]
    reason: str
    method: Method | None = None
    calls: Annotated[int, Meta(ge=1)] = 1
    samples_us: list[Seconds] = []
    repeated_us: list[Seconds] = []
    host_us: list[Seconds] = []
    note: str = ""


TimerMessage = TimerDescribed | Unable | RowBegun | ContenderStep | ContenderEnded | Lost | End


# --- the drawing child ------------------------------------------------------------------------------------------------


class ArgumentsDrawn(Message, frozen=True, tag="drawn"):
    """The answer to a request for arguments."""

    name: str
    fault: str = ""
    """Why there are none, in a sentence; empty where there are."""
    arguments: dict[str, object] = {}
    inputs: list[object] = []
    bytes: Count = 0
    """That a call with them has to move."""
    flops: Count = 0
    avoided: bool = False
    """Whether they were drawn again, to do without the dtype that the request avoids."""
    kept: bool = False
    """Whether they have that dtype."""


DrawerMessage = ArgumentsDrawn | Unable | End


class Unreadable(ValueError):
    """An invalid message."""


_CHILD: msgspec.json.Decoder[ChildMessage] = msgspec.json.Decoder(ChildMessage)
_TIMER: msgspec.json.Decoder[TimerMessage] = msgspec.json.Decoder(TimerMessage)
_DRAWER: msgspec.json.Decoder[DrawerMessage] = msgspec.json.Decoder(DrawerMessage)

_AnyMessage = TypeVar("_AnyMessage")


def child_message(line: bytes) -> ChildMessage:
    """The message of a line of the measuring child.

    Raises:
        Unreadable: it is invalid.
    """
    return _decoded(_CHILD, line)


def timer_message(line: bytes) -> TimerMessage:
    """The message of a line of the timing child.

    Raises:
        Unreadable: it is invalid.
    """
    return _decoded(_TIMER, line)


def drawer_message(line: bytes) -> DrawerMessage:
    """The message of a line of the drawing child.

    Raises:
        Unreadable: it is invalid.
    """
    return _decoded(_DRAWER, line)


def _decoded(decoder: msgspec.json.Decoder[_AnyMessage], line: bytes) -> _AnyMessage:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(_why(line, error)) from None


def _why(line: bytes, error: Exception) -> str:
    """The line and what is wrong with it, in short."""
    shown = shortened(line.decode("ascii", "replace"), 60)
    return f"{shown!r} ({type(error).__name__ if isinstance(error, RecursionError) else error})"
