"""Who draws says what is done; who shows progress listens. Nobody listens unless a command asks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_Part = TypeVar("_Part")

Listener = Callable[[int, int], None]
"""Is told how many parts are done, and of how many."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tells the listener of all parts that are done meanwhile."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted_parts(parts: Sequence[_Part]) -> Iterator[_Part]:
    """The parts; each is done when the next is asked for."""
    listener = _listener.get()
    for number, part in enumerate(parts):
        if listener is not None:
            listener(number, len(parts))
        yield part
    if listener is not None:
        listener(len(parts), len(parts))
