"""What a page says to who looks at it or hears it: its texts, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

SAID = ("title", "aria-label", "alt", "placeholder")
"""Attributes that a reader is shown or told."""

INLINE = {"a", "b", "code", "i", "small", "span", "strong", "tspan"}
"""Elements whose words are part of the sentence that they stand in."""

VOID = {"br", "input", "link", "meta", "wbr"}


@dataclass(frozen=True)
class Text:
    """A sentence, a cell, a row of hot lines, a file, a label of a figure, or an attribute."""

    words: str
    tag: str
    attributes: dict[str, str | None]
    """Those of its element."""
    attribute: str = ""
    """Its name, where the text is one of an attribute."""
    section: str = ""
    """The id of the heading of the section it stands in."""
    case: str = ""
    """The case that it is about, where the page says so."""
    metric: str = ""
    """The metric that it, or the panel it stands in, is of."""
    hover: str | None = None
    """Of a label in a figure: what the mark that it labels says when it is pointed at."""
    on_axis: bool = False


@dataclass
class _Open:
    """An element that has not come to its end."""

    tag: str
    attributes: dict[str, str | None]
    pieces: list[str] = field(default_factory=list)
    hover: str | None = None


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[Text] = []
        self.elements: list[tuple[dict[str, str | None], str]] = []
        self._open: list[_Open] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = _Open(tag, dict(attrs))
        self._open.append(element)
        self.elements.append((element.attributes, self._section()))
        for name in SAID:
            if element.attributes.get(name):
                self._say(element, str(element.attributes[name]), name)
        if tag in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            next(e for e in reversed(self._open) if not self._is_inline(e)).pieces.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        element = self._open[-1]
        assert element.tag == tag, f"</{tag}> closes <{element.tag}>"
        if tag == "title" and len(self._open) > 1:
            self._open[-2].hover = "".join(element.pieces)
        if tag not in ("script", "style"):
            self._say(element, ("" if tag == "pre" else " ").join(element.pieces))
        self._open.pop()

    def _is_inline(self, element: _Open) -> bool:
        """Also the cells in a table of hot lines: a row of it is a sentence about a line."""
        return element.tag in INLINE or (element.tag == "td" and self._is_in("table", "class", "lines"))

    def _say(self, element: _Open, words: str, attribute: str = "") -> None:
        words = " ".join(words.split())
        if words:
            labelled = next((e.hover for e in reversed(self._open) if e.tag == "g" and e.hover is not None), None)
            self.texts.append(
                Text(
                    words=words,
                    tag=element.tag,
                    attributes=element.attributes,
                    attribute=attribute,
                    section=self._section(),
                    case=self._nearest("data-case"),
                    metric=self._nearest("data-metric"),
                    hover=labelled if element.tag == "text" else None,
                    on_axis=self._is_in("g", "class", "axis"),
                )
            )

    def _section(self) -> str:
        section = next((e for e in reversed(self._open) if e.tag == "section"), None)
        return str(section.attributes.get("aria-labelledby", "")) if section is not None else ""

    def _nearest(self, attribute: str) -> str:
        return next((str(e.attributes[attribute]) for e in reversed(self._open) if attribute in e.attributes), "")

    def _is_in(self, tag: str, attribute: str, value: str) -> bool:
        return any(e.tag == tag and e.attributes.get(attribute) == value for e in self._open)


@dataclass(frozen=True)
class PageText:
    """A page, read."""

    texts: list[Text]
    elements: list[tuple[dict[str, str | None], str]]
    """The attributes of each element, and the section that it stands in."""


def read_page(page: str) -> PageText:
    """Reads a page; whatever it says is in one of the texts, once."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return PageText(reader.texts, reader.elements)
