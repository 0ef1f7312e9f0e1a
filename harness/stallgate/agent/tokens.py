"""How many tokens a text has at most, estimated without a model's tokenizer.

Tokenizers differ, and none is at hand. The estimate is made to err upwards: it splits what they often merge.
"""

from __future__ import annotations

import re

_LETTERS_A_TOKEN = 7
"""Letters of a word that make one token at least: common words are one, whatever their length."""

_SIGNS, _TOKENS_OF_THEM = 3, 2
"""So many punctuation marks in a row make so many tokens: ``):`` is often one, ``[-`` often two."""

_PIECE = re.compile(
    r"(?P<word>[A-Z]?[a-z]+|[A-Z]+(?![a-z]))"
    r"|(?P<digits>[0-9]+)"
    r"|(?P<space>[ \t]+)"
    r"|(?P<line>\n[ \t]*)"
    r"|(?P<signs>[!-/:-@\[-`{-~]+)"
    r"|(?P<other>.)",
    re.DOTALL | re.ASCII,
)


def estimated_tokens(text: str) -> int:
    """An upper estimate of the tokens of a text.

    A word counts one for every seven letters begun, and a change of case begins a word; a digit counts one, because
    some tokenizers have one for each; of punctuation marks in a row three count two; a line break counts one with the
    indentation after it, and so do several spaces; one space is a part of the word after it. Any other character
    counts one for each byte of UTF-8.
    """
    return sum(_tokens_of(piece) for piece in _PIECE.finditer(text))


def _tokens_of(piece: re.Match[str]) -> int:
    length = len(piece[0])
    match piece.lastgroup:
        case "word":
            return _begun(length, _LETTERS_A_TOKEN)
        case "digits":
            return length
        case "space":
            return int(length > 1)
        case "line":
            return 1
        case "signs":
            return _begun(_TOKENS_OF_THEM * length, _SIGNS)
        case _:
            return len(piece[0].encode("utf-8", "surrogatepass"))


def _begun(length: int, size: int) -> int:
    """How often a size is begun."""
    return -(-length // size)
