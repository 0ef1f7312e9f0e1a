"""Keeps a prompt under a number of tokens: what is least useful is shortened or left out first.

What may go, and in which order, is said by the parts: each shorter form has a rank. Forms are taken in the order of
their ranks until the prompt fits. Then what went without need is put back, the most useful first: a long part that had
to go may have made room for a short one that went before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stallgate.agent.prompt.part import Part, ShorterForm
from stallgate.agent.tokens import estimated_tokens
from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct


class Dropped(FrozenStruct, frozen=True):
    """What a prompt does not say for want of room."""

    part: str
    """The part's name."""
    loses: str
    """What of it is left out, in words."""
    is_whole: bool
    """Whether nothing of the part is left."""


class Fitted(FrozenStruct, frozen=True):
    """The parts that a budget has room for."""

    parts: list[Part]
    dropped: list[Dropped]


Render = Callable[[Sequence[Part], Sequence[Dropped]], str]
"""The text of a prompt."""


def fit(parts: Sequence[Part], budget: int | None, render: Render) -> Fitted:
    """Shortens parts until the prompt's estimate is within a budget.

    Args:
        parts: in the order of the prompt.
        budget: the most tokens; None: no limit.
        render: makes the prompt's text, whose tokens count.

    Raises:
        BadArgument: what cannot be left out does not fit.
    """
    levels = dict.fromkeys((part.name for part in parts), 0)
    if budget is None or _tokens(parts, levels, render) <= budget:
        return _fitted(parts, levels)
    taken = []
    for name, level in _steps(parts):
        levels[name] = level
        taken.append((name, level))
        if _tokens(parts, levels, render) <= budget:
            return _fitted(parts, _with_room_used(parts, levels, taken, budget, render))
    least = _tokens(parts, levels, render)
    raise BadArgument(
        f"--budget {budget} is too small: what cannot be left out of this prompt takes about {least} tokens",
        f"give --budget {least} or more",
    )


def _steps(parts: Sequence[Part]) -> list[tuple[str, int]]:
    """Every shorter form as its part's name and its place, the least useful first."""
    forms = [(form.usefulness, part.name, level) for part in parts for level, form in enumerate(part.shorter, start=1)]
    return [(name, level) for _, name, level in sorted(forms)]


def _with_room_used(
    parts: Sequence[Part], levels: dict[str, int], taken: list[tuple[str, int]], budget: int, render: Render
) -> dict[str, int]:
    """The levels without the steps that were not needed, the most useful undone first."""
    for name, level in reversed(taken[:-1]):
        if levels[name] != level:
            continue
        tried = {**levels, name: level - 1}
        if _tokens(parts, tried, render) <= budget:
            levels = tried
    return levels


def _tokens(parts: Sequence[Part], levels: dict[str, int], render: Render) -> int:
    fitted = _fitted(parts, levels)
    return estimated_tokens(render(fitted.parts, fitted.dropped))


def _fitted(parts: Sequence[Part], levels: dict[str, int]) -> Fitted:
    kept = [_at(part, levels[part.name]) for part in parts]
    dropped = [_dropped(part, form) for part in parts if (form := _form(part, levels[part.name])) is not None]
    return Fitted(parts=[part for part in kept if part.text], dropped=dropped)


def _form(part: Part, level: int) -> ShorterForm | None:
    return part.shorter[level - 1] if level else None


def _at(part: Part, level: int) -> Part:
    form = _form(part, level)
    text = part.text if form is None else form.text
    return Part(name=part.name, title=part.title, text=text)


def _dropped(part: Part, form: ShorterForm) -> Dropped:
    return Dropped(part=part.name, loses=form.loses, is_whole=not form.text)
