"""Writes tunables where a variant declares its configuration: only these literals change, to the byte.

The default configuration is what a problem's file passes always (``[variants.<name>.keywords]``), and for the rest the
keyword defaults of the code: of the function or class that is the variant's entry, or of a function that it passes
its ``**keywords`` on to.
"""

from __future__ import annotations

import ast
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import copymode
from typing import Any

from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.model import FrozenStruct, Problem, Variant
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.defaults import Default, declared_defaults
from stallgate.project.digests import DEFAULT, entry_digest, text_digest, variant_key
from stallgate.project.own_files import own_digests, own_files
from stallgate.project.tomltext import toml_key, toml_value

TunableLiteral = int | float | str | bool


class AppliedChange(FrozenStruct, frozen=True):
    """A literal that was replaced."""

    file: str
    """Relative to the project's root."""
    line: int
    tunable: str
    old: str
    """As it was written."""
    new: str

    @property
    def text(self) -> str:
        """``kernels/p/v.py:41: BLOCK = 1024 → 2048``."""
        return f"{self.file}:{self.line}: {self.tunable} = {self.old} → {self.new}"


class _Edit(FrozenStruct, frozen=True):
    """A literal to be replaced: bytes from `start` to `end` of a file."""

    start: int
    end: int
    tunable: str
    new: str
    value: TunableLiteral


def apply_tunables(
    root: Path,
    problem: Problem,
    variant: str,
    tunables: Mapping[str, TunableLiteral],
    measured: Mapping[str, str],
    *,
    configuration: str = DEFAULT,
) -> list[AppliedChange]:
    """Writes the values of tunables into the files that declare a configuration; nothing else in them changes.

    Args:
        root: the project's.
        problem: the problem, as the project's files have it.
        variant: its variant.
        tunables: the values to write.
        measured: the digests of what the values were measured on, by name.
        configuration: the default one, or one that the problem's file names.

    Returns:
        what was changed; nothing where the files have these values already.

    Raises:
        BrokenFile: the variant changed since it was measured, or a value is not a literal in one of these files. Then
            no file was written.
    """
    found = problem.variants[variant]
    _check_unchanged(root, found, measured)
    texts = _edited(root, problem, found, tunables, configuration)
    for path, (_, after) in texts.items():
        _write(path, after)
    return [change for changes, _ in texts.values() for change in changes]


def _check_unchanged(root: Path, variant: Variant, measured: Mapping[str, str]) -> None:
    if not variant.path:
        raise BrokenFile(
            f"{variant.name} is {variant.entry.written or 'an installed package'}: its file is not the project's",
            f"pass the tunables in [variants.{toml_key(variant.name)}.keywords] instead",
        )
    now = replace(variant.entry, digest=text_digest(root / variant.path))
    beside = own_digests(root, variant.entry)
    changed = [name for name, digest in beside.items() if measured.get(name) != digest]
    if measured.get(variant_key(variant.name)) != entry_digest(now):
        changed = [f"{variant.path}: it, or how its problem calls it,"]
    if changed:
        raise BrokenFile(f"{changed[0]} changed since the sweep", "sweep again, or undo the change")


def _edited(
    root: Path, problem: Problem, variant: Variant, tunables: Mapping[str, TunableLiteral], configuration: str
) -> dict[Path, tuple[list[AppliedChange], bytes]]:
    """File -> what changes in it, and its text afterwards; of files in which something does."""
    in_table = variant.entry.keywords if configuration == DEFAULT else variant.configurations[configuration]
    of_table = {name: value for name, value in tunables.items() if name in in_table or configuration != DEFAULT}
    of_code = {name: value for name, value in tunables.items() if name not in of_table}
    found: dict[Path, tuple[list[AppliedChange], bytes]] = {}
    if of_table:
        where = ("keywords",) if configuration == DEFAULT else ("configurations", configuration)
        _gather(found, root, problem.file, _toml_edits(root, problem, variant.name, where, of_table))
    if of_code:
        path = _declaring_file(root, variant)
        _gather(found, root, path, _code_edits(root, path, problem, variant, of_code))
    return found


def _gather(
    found: dict[Path, tuple[list[AppliedChange], bytes]], root: Path, file: str, edits: tuple[bytes, list[_Edit]]
) -> None:
    before, wanted = edits
    changes = [
        AppliedChange(
            file=file,
            line=before.count(b"\n", 0, edit.start) + 1,
            tunable=edit.tunable,
            old=before[edit.start : edit.end].decode(),
            new=edit.new,
        )
        for edit in sorted(wanted, key=lambda edit: edit.start)
    ]
    if changes:
        found[root / file] = changes, _replaced(before, wanted)


def _replaced(text: bytes, edits: list[_Edit]) -> bytes:
    for edit in sorted(edits, key=lambda edit: -edit.start):
        text = text[: edit.start] + edit.new.encode() + text[edit.end :]
    return text


def _write(path: Path, content: bytes) -> None:
    """Replaces a file as a whole; a link stays one."""
    path = path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _same(one: object, other: object) -> bool:
    """Whether two values are the same; True is not 1."""
    return type(one) is type(other) and one == other


# --- in the code ------------------------------------------------------------------------------------------------------


def _declaring_file(root: Path, variant: Variant) -> str:
    """The file of a variant in which its entry declares defaults; of those of a folder the first that does."""
    for path in own_files(root, variant.entry):
        tree = _parsed(read_bounded(root / path, LARGEST_SOURCE), path)
        if declared_defaults(tree, variant.entry.attribute):
            return path
    return variant.path


def _code_edits(
    root: Path, path: str, problem: Problem, variant: Variant, tunables: Mapping[str, TunableLiteral]
) -> tuple[bytes, list[_Edit]]:
    source = read_bounded(root / path, LARGEST_SOURCE)
    tree = _parsed(source, path)
    known = declared_defaults(tree, variant.entry.attribute)
    edits = []
    for name, value in tunables.items():
        default = _only(path, known.get(name, []), name, _by_hand(variant, problem, tunables))
        if not _same(default.value, value):
            start, end = _extent(source, default.node)
            edits.append(_Edit(start, end, name, _python_literal(value, source[start:end].decode()), value))
    _check_code(source, edits, path, known)
    return source, edits


def _parsed(source: bytes, shown: str) -> ast.Module:
    try:
        source.decode()
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise BrokenFile(f"{shown}: it is not Python: {error}", "mend it, and sweep again") from None


def _only(path: str, found: list[Default], name: str, hint: str) -> Default:
    """The one literal that declares a tunable in a file."""
    if not found:
        raise BrokenFile(f"{path}: no keyword default declares {name}", hint)
    if len(found) > 1:
        lines = " and ".join(str(each.node.lineno) for each in found)
        raise BrokenFile(f"{path}: {name} is declared in several places: lines {lines}", hint)
    (only,) = found
    if not only.is_literal:
        written = ast.unparse(only.node)
        raise BrokenFile(f"{path}:{only.node.lineno}: the default of {name} is computed: {written}", hint)
    return only


def _by_hand(variant: Variant, problem: Problem, tunables: Mapping[str, TunableLiteral]) -> str:
    """What to do where the code has no place for the values; the lines after the first can be pasted as they are."""
    table = f"[variants.{toml_key(variant.name)}.keywords]"
    lines = [f"{toml_key(key)} = {toml_value(value)}" for key, value in tunables.items()]
    if variant.entry.keywords:
        return "\n".join([f"write it by hand; or add to {table} in {problem.file}:", *lines])
    told = f"write it by hand; or paste this into {problem.file}, which sets it for all workloads:"
    return "\n".join([told, table, *lines])


def _extent(source: bytes, node: ast.expr) -> tuple[int, int]:
    """Where a node begins and ends in a file, in bytes; Python counts columns in bytes of UTF-8, behind a mark."""
    mark = 3 if source.startswith(b"\xef\xbb\xbf") else 0
    lines = source[mark:].splitlines(keepends=True)
    starts = [mark]
    for line in lines:
        starts.append(starts[-1] + len(line))
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _python_literal(value: TunableLiteral, old: str) -> str:
    """A value in the manner of the literal that it replaces: its quotes, its separators of thousands."""
    if isinstance(value, str):
        text = repr(value)
        return json.dumps(value, ensure_ascii=False) if old.endswith('"') and value.isprintable() else text
    if isinstance(value, int) and not isinstance(value, bool) and "_" in old:
        return f"{value:_}"
    return repr(value)


def _check_code(source: bytes, edits: list[_Edit], shown: str, known: Mapping[str, list[Default]]) -> None:
    """Refuses edits after which the file is not the same program but for these values."""
    wanted = ast.parse(source)
    places = {(node.lineno, node.col_offset): edit.value for edit in edits for node in [known[edit.tunable][0].node]}
    after = ast.dump(_Replacing(places).visit(wanted))
    try:
        is_same = ast.dump(ast.parse(_replaced(source, edits))) == after
    except SyntaxError:
        is_same = False
    if not is_same:
        raise BrokenFile(f"{shown}: its literals cannot be replaced one by one", "write the values by hand")


class _Replacing(ast.NodeTransformer):
    """Puts values in the place of expressions that begin at some places."""

    def __init__(self, places: Mapping[tuple[int, int], TunableLiteral]) -> None:
        self._places = places

    def visit(self, node: ast.AST) -> Any:
        place = getattr(node, "lineno", -1), getattr(node, "col_offset", -1)
        if place in self._places and isinstance(node, ast.Constant | ast.UnaryOp):
            return ast.parse(repr(self._places[place]), mode="eval").body
        return self.generic_visit(node)


# --- in the problem's file --------------------------------------------------------------------------------------------

_TOML_LITERAL = r"""("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,\]}#"']+)"""


def _toml_edits(
    root: Path, problem: Problem, variant: str, where: tuple[str, ...], tunables: Mapping[str, TunableLiteral]
) -> tuple[bytes, list[_Edit]]:
    source = read_bounded(root / problem.file, LARGEST_SOURCE)
    edits = []
    for name, value in tunables.items():
        before = _tables(source)
        declared = _table(before, problem, variant, where)
        if name not in declared:
            raise BrokenFile(
                f"{problem.file}: variants.{variant}.{'.'.join(where)} has no {name}",
                f"add the line {toml_key(name)} = {toml_value(value)}",
            )
        if not _same(declared[name], value):
            declared[name] = value
            edits.append(_toml_edit(source, problem.file, name, value, before))
    return source, edits


def _toml_edit(source: bytes, shown: str, name: str, value: TunableLiteral, wanted: dict[str, Any]) -> _Edit:
    """The one literal whose replacement makes the file what is wanted."""
    for start, end in _places(source, name):
        edit = _Edit(start, end, name, toml_value(value), value)
        try:
            after = _tables(_replaced(source, [edit]))
        except tomllib.TOMLDecodeError:
            continue
        if json.dumps(after, default=str) == json.dumps(wanted, default=str):
            return edit
    raise BrokenFile(f"{shown}: the literal of {name} cannot be found", f"write {name} = {toml_value(value)} by hand")


def _places(source: bytes, name: str) -> Iterator[tuple[int, int]]:
    pattern = rf"""(?<![\w-])["']?{re.escape(name)}["']?[ \t]*=[ \t]*{_TOML_LITERAL}"""
    for match in re.finditer(pattern.encode(), source):
        yield match.span(1)


def _tables(source: bytes) -> dict[str, Any]:
    return tomllib.loads(source.decode("utf-8-sig").replace("\r\n", "\n"))


def _table(tables: dict[str, Any], problem: Problem, variant: str, where: tuple[str, ...]) -> dict[str, Any]:
    """The table of a variant in its problem's file, which may be the project's own."""
    heads: list[tuple[str, ...]] = [
        ("problems", problem.name),
        ("tool", "stallgate", "problems", problem.name),
        (),
    ]
    for head in heads:
        found: Any = tables
        for key in (*head, "variants", variant, *where):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    raise BrokenFile(f"{problem.file}: there is no variants.{variant}.{'.'.join(where)}", "add the table")
