"""Whether the texts of a figure can be read: by their extents as the PNG's renderer has them, and as the page does."""

from __future__ import annotations

import warnings

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from stallgate.render.sheet import Box, Sheet, Written, covered

_LEAST_TEXT = 9.0
"""Pixels that a text is high, at least, where the figure is as wide as it is laid out."""

_renderer = RendererAgg(10, 10, 720)


def unreadable(sheet: Sheet) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other, texts that leave the figure, and texts that are too small."""
    frame = Box(0, 0, sheet.width, sheet.height)
    found = covered([(text.words, text.box) for text in sheet.texts], frame)
    found += covered([(text.words, _drawn(text)) for text in sheet.texts], frame)
    return found + [(text.words, "too small") for text in sheet.texts if text.style.size < _LEAST_TEXT]


def _drawn(text: Written) -> Box:
    """What a text covers in a PNG: it begins where its box does, and is as wide as the renderer says."""
    style = text.style
    font = FontProperties(
        family="DejaVu Sans",
        size=style.size,
        weight="bold" if style.bold else "normal",
        style="italic" if style.italic else "normal",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        width, height, descent = _renderer.get_text_width_height_descent(text.words, font, ismath=False)
    top = text.y - (height - descent) / 10
    return Box(text.box.left, top, text.box.left + width / 10, text.y + descent / 10)
