"""Refusals that several of a project's files share."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from stallgate.errors import BrokenFile, UnknownName
from stallgate.project.decode import convert

_Struct = TypeVar("_Struct")


def check_known(where: str, kind: str, names: Collection[str], known: Collection[str]) -> None:
    """Refuses a file that refers to an unknown name.

    Args:
        where: file and key, for the message.
        kind: what the names are of.
        names: what the file refers to.
        known: what there is.

    Raises:
        BrokenFile: one of the names is unknown.
    """
    for name in names:
        if name not in known:
            unknown = UnknownName(kind, name, known)
            raise BrokenFile(f"{where}: {unknown.message}", unknown.hint)


def convert_named(name: str, row: dict[str, object], kind: type[_Struct], shown: str, key: str = "") -> _Struct:
    """A struct that is named by its place: a table by its heading, a file by its name.

    Raises:
        BrokenFile: the row has a `name` of its own, or is not what the struct says.
    """
    if "name" in row:
        where = f"{key}.name" if key else "name"
        raise BrokenFile(
            f"{shown}: {where}: the name is already given by the file or table name (`{name}`)", "remove this key"
        )
    return convert({"name": name, **row}, kind, shown, key)
