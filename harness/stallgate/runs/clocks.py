"""The clocks of a GPU beside what was timed at them."""

from __future__ import annotations

from stallgate.model import FrozenStruct


class ClockState(FrozenStruct, frozen=True):
    """The clocks of a GPU at a moment, as its driver reports them; recorded, never set."""

    device: int
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttle: list[str] = []
    """Reasons why the clocks are below their maximum; `idle` among them."""
    at: str = ""
    """UTC, ISO 8601."""
