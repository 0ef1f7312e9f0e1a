"""What all scatters have: a panel with two axes, and words below it."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.render.scales import Scale, spread_over
from stallgate.render.sheet import MUTED, SMALL, Box, Sheet, Style


def scatter_panel(sheet: Sheet, axes: tuple[str, str]) -> Box:
    """The panel of a scatter, below the name of its upward axis."""
    sheet.height += sheet.paragraph((6, sheet.height, sheet.width - 12), axes[1], Style(size=SMALL)) + 8
    bottom = sheet.height + (300 if sheet.is_narrow else 330)
    return Box(62, sheet.height, sheet.width - 12, bottom)


def scatter_scales(panel: Box, across: Sequence[float], up: Sequence[float]) -> tuple[Scale, Scale]:
    """The axes of a panel that hold some values."""
    left, right = spread_over(across, margin=0.15)
    low, high = spread_over(up, margin=0.15)
    return (
        Scale(low=left, high=right, start=panel.left, end=panel.right),
        Scale(low=low, high=high, start=panel.bottom, end=panel.top),
    )


def below_scatter(sheet: Sheet, panel: Box, axis: str, unnamed: Sequence[str]) -> None:
    """The name of the axis across, and the labels that there was no room for."""
    sheet.height = panel.bottom + SMALL + 10
    room = panel.right - panel.left
    sheet.height += sheet.paragraph((panel.left, sheet.height, room), axis, Style(size=SMALL)) + 2
    if unnamed:
        words = f"no room for the names of: {'; '.join(unnamed)}"
        sheet.height += sheet.paragraph((panel.left, sheet.height, room), words, Style(size=SMALL, colour=MUTED)) + 2
    sheet.height += 6
