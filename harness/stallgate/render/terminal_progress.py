"""Progress on a terminal: how much is done, and how long the rest will take. Elsewhere it is quiet."""

from __future__ import annotations

from contextlib import AbstractContextManager
from threading import Timer
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from stallgate.formatting import duration_in_words
from stallgate.render.progress import listening
from stallgate.render.terminal_text import err

_DELAY_S = 1.0
"""Work that is done by then shows no progress."""


def time_left(done: float, total: float | None, taken: float, since: float) -> float | None:
    """Seconds that the rest will take if it takes as long as what is done; None before there is a measure.

    Args:
        done: the parts that are done.
        total: all parts; None where their number is not known.
        taken: seconds until the last of them was done.
        since: seconds since then.
    """
    if done <= 0 or total is None or done >= total:
        return None
    return max(taken / done * (total - done) - since, 0.0)


class TimeLeft(ProgressColumn):
    """The time since the start, and an estimate of the time left."""

    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0, 0.0
        """How many parts were done, and when the last of them was."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        if self._last[0] != task.completed:
            self._last = task.completed, elapsed
        left = time_left(task.completed, task.total, self._last[1], elapsed - self._last[1])
        return Text(duration_in_words(elapsed) + (f", about {duration_in_words(left)} left" if left else ""))


class DoneOfAll(MofNCompleteColumn):
    """How many parts are done; nothing where it is not known of how many."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text("")


class Working:
    """The progress of work on this machine, from its second second on."""

    def __init__(self, first: str) -> None:
        """Takes the name of the first step."""
        columns = (SpinnerColumn(), BarColumn(bar_width=20), DoneOfAll(), TimeLeft())
        words = TextColumn("{task.description}", markup=False)
        self._progress = Progress(*columns, words, console=err, transient=True, disable=not err.is_terminal)
        self._task = self._progress.add_task(first, total=None)
        self._timer = Timer(_DELAY_S, self._progress.start)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if err.is_terminal:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        self._progress.stop()

    def step(self, words: str) -> None:
        """Begins another step."""
        self._progress.reset(self._task, description=words, total=None)

    def counting(self) -> AbstractContextManager[None]:
        """Counts the parts that are done meanwhile."""
        return listening(self._count)

    def _count(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)
