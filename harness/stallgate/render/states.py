"""Warp states in words."""

from __future__ import annotations

_WORDS = {
    "long_scoreboard": "global and local memory",
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
