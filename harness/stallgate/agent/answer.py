"""Reads an answer: a Python file, or a text with exactly one fenced block. Nothing is run.

Whatever the text is, reading it ends soon and raises nothing: an answer that cannot be read has objections.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from typing import NamedTuple

from stallgate.agent.objection import Objection
from stallgate.formatting import scaled
from stallgate.model import FrozenStruct
from stallgate.project.source_tree import check_depth

LARGEST_ANSWER = 512 * 1024
"""Bytes of an answer, as UTF-8; five times the largest kernel file of this project."""

MOST_WORDS = 100_000
"""Words and signs of an answer: what reading and checking it takes grows with them. Four times the largest, too."""

_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<label>[^`]*)")
_ENCODING = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*(?P<name>[-\w.]+)")
"""How a Python file names its encoding, in one of its first two lines."""

_WORD = re.compile(r"\w+|[^\w\s]")
_PYTHON_LABELS = ("", "python", "python3", "py", "triton")
_LOOKS_LIKE_PYTHON = re.compile(r"(?:import|from|def|class|@)\b|@\w", re.ASCII)

_WRITE = "write a Python file, or a text with exactly one fenced block"


class Answer(FrozenStruct, frozen=True):
    """An answer as it was read."""

    source: str = ""
    """The Python code; its lines end with ``\\n``. Empty where it could not be found."""
    first_line: int = 1
    """The line of the answer's text on which the code begins, counted from 1."""
    digest: str = ""
    """SHA-256 of the code without comments, blank lines and layout: the same for answers that do the same."""
    objections: tuple[Objection, ...] = ()
    """Why it cannot be read. Empty: it is Python."""

    @property
    def tree(self) -> ast.Module:
        """The syntax tree of an answer that could be read."""
        return _parsed(self.source)


class _Block(NamedTuple):
    """The code of a text, and where it begins."""

    source: str
    first_line: int


def read_answer(text: str | bytes) -> Answer:
    """The code of an answer, or why it cannot be read. Raises nothing.

    Args:
        text: of a file, or what a program wrote; bytes are UTF-8.
    """
    shown = _as_text(text)
    if isinstance(shown, Objection):
        return Answer(objections=(shown,))
    found = _code_of(shown)
    if isinstance(found, Objection):
        return Answer(objections=(found,))
    objection = _encoding(found) or _unparsed(found)
    objections = (objection,) if objection is not None else ()
    return Answer(source=found.source, first_line=found.first_line, digest=_digest(found.source), objections=objections)


def _form(code: str, text: str, hint: str, line: int | None = None) -> Objection:
    return Objection(part="form", code=code, text=text, hint=hint, line=line)


# --- text -------------------------------------------------------------------------------------------------------------


def _as_text(text: str | bytes) -> str | Objection:
    """The text with Unix line ends, if it is one that can be an answer."""
    if len(text) > LARGEST_ANSWER:
        return _too_large(len(text))
    try:
        raw = text.encode() if isinstance(text, str) else bytes(text)
        shown = raw.decode("utf-8-sig")
    except UnicodeError as error:
        line = raw[: error.start].count(b"\n") + 1 if isinstance(error, UnicodeDecodeError) else None
        return _form("not_utf8", "the answer is not UTF-8", "save it as UTF-8", line)
    if len(raw) > LARGEST_ANSWER:
        return _too_large(len(raw))
    shown = shown.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in shown:
        line = shown[: shown.index("\0")].count("\n") + 1
        return _form("nul_byte", "the answer has a NUL byte", "remove it: Python refuses such files", line)
    if sum(1 for _ in _WORD.finditer(shown)) > MOST_WORDS:
        return _form("too_large", f"the answer has more than {MOST_WORDS:,} words and signs", _LEAVE_OUT)
    return shown if shown.strip() else _form("empty", "the answer is empty", _WRITE)


def _too_large(size: int) -> Objection:
    text = f"the answer has {scaled(size, 'byte')}; the limit is {scaled(LARGEST_ANSWER, 'byte')}"
    return _form("too_large", text, _LEAVE_OUT)


_LEAVE_OUT = "an answer is one file with kernels, their wrappers and ModelNew; leave out the rest"


# --- blocks -----------------------------------------------------------------------------------------------------------


def _code_of(text: str) -> _Block | Objection:
    """The code of a text: all of it where it is Python, else its one block."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if _FENCE.fullmatch(line)]
    if not fences or _is_python(text):
        return _Block(text, 1) if fences or _may_be_python(text, lines) else _form("no_block", _NO_BLOCK, _WRITE)
    blocks, unclosed = _blocks(lines)
    if unclosed is not None:
        text = "the fenced block is not closed: the answer was cut off"
        return _form("unclosed_block", text, "write the whole file, and close the block", unclosed)
    if len(blocks) > 1:
        text = f"there are {len(blocks)} fenced blocks; the second begins here"
        return _form("several_blocks", text, "put the whole file into exactly one block", blocks[1].first_line - 1)
    if not blocks[0].source.strip():
        return _form("empty", "the fenced block is empty", _WRITE, blocks[0].first_line - 1)
    label = _label(lines[blocks[0].first_line - 2])
    if label not in _PYTHON_LABELS:
        return _form(
            "block_language", f"the block is labelled '{label[:30]}'", "label it python", blocks[0].first_line - 1
        )
    return blocks[0]


_NO_BLOCK = "the answer is neither Python nor a text with a fenced block"


def _may_be_python(text: str, lines: list[str]) -> bool:
    """Whether a text without fences is code, right or not, and no prose."""
    return _is_code(text) or any(_LOOKS_LIKE_PYTHON.match(line) for line in lines)


def _is_code(text: str) -> bool:
    """Whether a text is Python that says anything: a word alone is Python too."""
    return _is_python(text) and any(not isinstance(node, ast.Expr) for node in _parsed(text).body)


def _is_python(text: str) -> bool:
    try:
        _parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _blocks(lines: list[str]) -> tuple[list[_Block], int | None]:
    """The fenced blocks of a text, and the line of one that is not closed."""
    blocks: list[_Block] = []
    opened: tuple[int, str, int] | None = None
    for number, line in enumerate(lines):
        found = _FENCE.fullmatch(line)
        if found is None:
            continue
        indent = len(line) - len(line.lstrip(" "))
        if opened is None:
            opened = number, found["mark"], indent
        elif found["mark"].startswith(opened[1]) and not found["label"].strip():
            inside = [_without_indent(each, opened[2]) for each in lines[opened[0] + 1 : number]]
            blocks.append(_Block("\n".join([*inside, ""]), opened[0] + 2))
            opened = None
    return blocks, opened[0] + 1 if opened is not None else None


def _without_indent(line: str, width: int) -> str:
    """A line without the spaces that its fence is indented by."""
    return line[min(width, len(line) - len(line.lstrip(" "))) :]


def _label(fence: str) -> str:
    """The language that an opening fence names."""
    words = fence.strip().lstrip("`~").replace("{", " ").replace("}", " ").replace(".", " ").split()
    return words[0].lower() if words else ""


# --- syntax -----------------------------------------------------------------------------------------------------------


def _parsed(source: str) -> ast.Module:
    """The tree of a source; warnings about its strings are nobody's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _encoding(block: _Block) -> Objection | None:
    """Objects to a file that Python would read in another encoding: in that, its comments could be code."""
    for number, line in enumerate(block.source.split("\n")[:2]):
        found = _ENCODING.match(line)
        if found is not None and found["name"].lower().replace("_", "-") not in ("utf-8", "utf8"):
            text = f"the file says that its encoding is {found['name'][:30]}"
            return _form("not_utf8", text, "remove the line: answers are UTF-8", block.first_line + number)
    return None


def _unparsed(block: _Block) -> Objection | None:
    """Why a source is not Python that can be looked at."""
    try:
        tree = _parsed(block.source)
        check_depth(tree)
    except SyntaxError as error:
        line = block.first_line + max(error.lineno or 1, 1) - 1
        return _form("syntax_error", f"this is not Python: {error.msg}", "correct the syntax", line)
    except (ValueError, RecursionError, MemoryError):
        return _form("too_deep", "its expressions are nested too deeply to be read", "use names for parts of them")
    return None


def _digest(source: str) -> str:
    try:
        normal = ast.unparse(_parsed(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        normal = "\n".join(line.rstrip() for line in source.split("\n") if line.strip())
    return hashlib.sha256(normal.encode()).hexdigest()
