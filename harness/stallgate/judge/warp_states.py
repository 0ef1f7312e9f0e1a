"""Warp states in words."""

from __future__ import annotations

from collections.abc import Mapping

from stallgate.formatting import share

_WORDS = {
    "long_scoreboard": "global memory",
    "lg_throttle": "queue of global memory",
    "tex_throttle": "queue of textures",
    "drain": "last stores",
    "membar": "memory fence",
    "short_scoreboard": "shared memory and shuffles",
    "mio_throttle": "queue of shared memory",
    "barrier": "other warps at a barrier",
    "wait": "fixed latency",
    "math_pipe_throttle": "busy arithmetic unit",
    "gmma": "warpgroup matrix unit",
    "dispatch_stall": "dispatcher",
    "branch_resolving": "branch target",
    "no_instruction": "instruction fetch",
    "no_instructions": "instruction fetch",
    "imc_miss": "constant cache",
    "sleeping": "sleep",
    "misc": "other reasons",
    "not_selected": "ready, another was issued",
    "selected": "issuing",
}
"""ncu's name of a state -> what a warp in it waits for, or does."""


def state_words(state: str) -> str:
    """A state for a reader, with the name that he looks for: ``shared memory and shuffles (short_scoreboard)``."""
    words = _WORDS.get(state)
    return f"{words} ({state})" if words else state


_READY = ("selected", "not_selected")
"""States of warps that issue, or could."""

_LEAST_SHARE = 1.0
"""Per cent of the warps' time, below which a state is not named."""

_WHOLE = 90.0
"""Per cent of the warps' time that all states are together at least; less where some of them were not measured."""


def waits_in_words(shares: Mapping[str, float], most: int = 3) -> str:
    """What warps wait for most: ``Warps wait 13.5 % of the time for fixed latency (wait)``, without full stop.

    Args:
        shares: state -> per cent of the warps' time.
        most: how many states are named.

    Returns:
        '' where no state has been measured.
    """
    waits = sorted(((part, state) for state, part in shares.items() if state not in _READY), reverse=True)
    named = [(part, state_words(state)) for part, state in waits[:most] if part >= _LEAST_SHARE]
    told = [f"{share(part)} %{' of the time' * (not n)} for {words}" for n, (part, words) in enumerate(named)]
    if not waits:
        return ""
    known = sum(shares.values())
    rest = f"; what they do {share(100 - known)} % of the time was not measured" if known < _WHOLE else ""
    return f"Warps wait {', '.join(told)}{rest}" if told else f"Warps hardly wait{rest}"
