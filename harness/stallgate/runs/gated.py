"""By which stages the gate last judged an imported run: nothing else says so, as it is of no problem."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import msgspec

from stallgate.project.decode import LARGEST_JSON, decode_json, read_bounded


class _Gated(msgspec.Struct, frozen=True):
    """The part of ``verdicts.json`` that is needed here; other keys are ignored."""

    kind: str
    stages: list[str]


def stages_last_named(folder: Path, known: Container[str]) -> tuple[str, ...]:
    """The stages of an imported run's latest verdicts that the project still has; none for a run of problems."""
    try:
        found = decode_json(read_bounded(folder / "verdicts.json", LARGEST_JSON), _Gated)
    except (OSError, ValueError):
        return ()  # it was never judged, or what it says cannot be read: it is written anew
    return tuple(stage for stage in found.stages if stage in known) if found.kind == "imported" else ()
