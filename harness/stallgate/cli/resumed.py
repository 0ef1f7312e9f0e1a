"""``--resume``: what becomes of each option of a run, a sweep or a loop that is gone on with.

A command has a table of all its parameters. What shapes the result is kept in the file of what was begun.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar

import click
import msgspec
from click.core import ParameterSource

from stallgate.cli.shared import is_given
from stallgate.errors import BadArgument
from stallgate.formatting import as_text, listed
from stallgate.runs.folder import LATEST

Fate = Literal["kept", "anew", "fixed", "again", "now"]
"""kept: as it was begun; another value is refused. anew: another value is taken, and is kept from then on. fixed: only
of something new; refused. again: not kept, to be given again. now: of one command line alone, such as ``--json``."""

Fates = Mapping[str, Fate]
"""Parameter -> what becomes of it."""

_IN_ANY_ORDER = ("subjects", "workloads")
"""Parameters of which each value counts once, in any order."""

_Arguments = TypeVar("_Arguments", bound=msgspec.Struct)


class ResumeOption(click.Option):
    """``--resume``; its help says what becomes of the other options."""

    def __init__(self, *words: Any, fates: Fates, **attributes: Any) -> None:
        super().__init__(*words, **{"is_flag": False, "flag_value": LATEST, **attributes})
        self.fates = fates

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The help with a sentence on the options that may change, and one on those that are not kept."""
        found = super().get_help_record(ctx)
        if found is None:
            return None
        anew, again = self._options(ctx, "anew"), self._options(ctx, "again")
        told = f"Options are those that it was begun with; {anew} may be given anew. Not kept: {again}."
        return found[0], f"{found[1]} {told}"

    def _options(self, ctx: click.Context, fate: Fate) -> str:
        return listed([_word(ctx, name) for name, found in self.fates.items() if found == fate])


def as_begun(
    arguments: _Arguments, fates: Fates, begun: Mapping[str, object], name: str, *, python: str | None
) -> _Arguments:
    """The arguments of something that is gone on with: as it was begun, except for what may be given anew.

    Args:
        arguments: of this command line.
        fates: of the command's parameters.
        begun: parameter -> the value that it was begun with. Of one that is missing nothing is known: what is given
            now is taken.
        name: what is gone on with.
        python: the interpreter that it was begun with; None or '' where that is not known.

    Raises:
        BadArgument: an option is given with another value.
    """
    known: dict[str, object] = {}
    if python:
        begun = {**begun, "python": python}
    for option, fate in fates.items():
        given = is_given(option)
        if fate == "fixed" and given:
            raise _refusal(f"{name} was begun before, and {_shown(option)} is only for something new")
        if fate not in ("kept", "anew") or option not in begun:
            continue
        now = getattr(arguments, option)
        if given and fate == "kept" and not _is_same(option, begun[option], now):
            raise _refusal(f"{name} was begun {_difference(option, begun[option], now)}")
        if not given or fate == "kept":
            known[option] = begun[option]
    return msgspec.structs.replace(arguments, **known)


def refuse_others(allowed: Collection[str], message: str) -> None:
    """Refuses options that would change nothing.

    Args:
        allowed: the parameters that may be given.
        message: what is said of any other.

    Raises:
        BadArgument: another is given.
    """
    context = click.get_current_context()
    others = [each.name for each in context.command.params if each.name not in allowed and is_given(each.name or "")]
    if others:
        raise BadArgument(message, f"remove {listed([_shown(name or '') for name in others])}")


def _refusal(message: str) -> BadArgument:
    return BadArgument(message, "leave it out: what it was begun with is known; or begin anew, without --resume")


def _is_same(option: str, begun: object, now: object) -> bool:
    if option in _IN_ANY_ORDER and isinstance(begun, tuple) and isinstance(now, tuple):
        return set(begun) == set(now)
    return begun == now


def _difference(option: str, begun: object, now: object) -> str:
    """What was given then, and what is given now: ``with --samples 5, not 3``; ``without --seconds``."""
    word = _shown(option)
    if begun is None or begun is False or begun in ("", ()):
        return f"without {word}"
    with_word = f"{word} " if word.startswith("-") else ""
    return f"with {with_word}{_in_words(begun)}, not {_in_words(now)}"


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(as_text, value))
    return f"{value:g}" if isinstance(value, float) else as_text(str(value))


def _shown(option: str) -> str:
    return _word(click.get_current_context(), option)


def _word(ctx: click.Context, name: str) -> str:
    """A parameter as a user writes it."""
    parameter = next(each for each in ctx.command.params if each.name == name)
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or name).removeprefix("[").removesuffix("...").removesuffix("]")


# --- what an older stallgate did not keep -----------------------------------------------------------------------------


def given_then(arguments: Iterable[str]) -> dict[str, Any]:
    """The options of the command that runs in a command line of then; empty where that was not this command.

    What the command does not know, and values that it would refuse, are left out.
    """
    command = click.get_current_context().command
    words = list(arguments)
    if command.name not in words:
        return {}
    rest = words[words.index(command.name) + 1 :]
    context = command.make_context(command.name, rest, resilient_parsing=True)
    return {
        name: value
        for name, value in context.params.items()
        if value is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
