"""A problem with its workloads and variants: a ``problem.toml``, or a table of a project's own file."""

from __future__ import annotations

import re
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.model import (
    LABEL_PART,
    AllowedKernel,
    EntryPoint,
    FrozenStruct,
    Problem,
    Role,
    Tolerance,
    Variant,
    Waiver,
    Workload,
)
from stallgate.project.checks import convert_named
from stallgate.project.decode import convert, read_toml
from stallgate.project.entries import file_entry, read_entry
from stallgate.project.inputs import BadInput, tensor_input
from stallgate.project.layout import relative
from stallgate.project.patterns import too_wide
from stallgate.project.space import read_space


class _CallableTable(FrozenStruct, frozen=True):
    entry: str
    keywords: dict[str, object] = {}


class _VariantTable(FrozenStruct, frozen=True):
    entry: str | None = None
    role: Role = "candidate"
    ceiling: str | None = None
    keywords: dict[str, object] = {}
    configurations: dict[str, dict[str, object]] = {}
    own_kernels: list[str] = []
    sweep: dict[str, object] | None = None


class _ProblemTable(FrozenStruct, frozen=True):
    stages: list[str]
    variants: dict[str, _VariantTable]
    workloads: dict[str, dict[str, object]]
    title: str | None = None
    reference: str | _CallableTable | None = None
    mutates: list[int] = []
    seed: int | None = None
    specials: Literal["library", "strict"] = "library"
    tolerance: Tolerance | list[Tolerance] = []
    draw: str | None = None
    waivers: list[Waiver] = []
    allowed_kernels: list[AllowedKernel] = []
    own_kernels: list[str] = []


class _Place(NamedTuple):
    """Where a problem is written: what its relative names and the messages about it refer to."""

    root: Path
    folder: Path
    """The folder of the file: ``<variant>.py`` and ``reference.py`` lie there."""
    shown: str
    """The file, and the table in it that the keys are in."""

    def key(self, key: str) -> str:
        return f"{self.shown}: {key}"


def read_problem(root: Path, path: Path) -> Problem:
    """The problem of a ``problem.toml``; the metrics of its waivers are as they were written.

    Raises:
        BrokenFile: the file, or one that it refers to, is not what it should be.
    """
    shown = relative(root, path)
    return problem_of(root, path, path.parent.name, read_toml(path, shown))


def problem_of(root: Path, file: Path, name: str, raw: object, table: str = "") -> Problem:
    """A problem from the tables of a file.

    Args:
        root: the project's.
        file: the file.
        name: the problem's.
        raw: its keys.
        table: the heading that they stand under, where it is not the whole file.

    Raises:
        BrokenFile: the file, or one that it refers to, is not what it should be.
    """
    shown = relative(root, file)
    read = convert(raw, _ProblemTable, shown, table)
    place = _Place(root, file.parent, f"{shown}: {table}" if table else shown)
    for kind, names in (("problem", [name]), ("variants", read.variants), ("workloads", read.workloads)):
        for each in names:
            _check_name(place.shown, kind, each)
    reference = _reference(place, read.reference)
    return Problem(
        name=name,
        title=read.title if read.title is not None else name,
        file=shown,
        reference=reference,
        stages=read.stages,
        workloads=_workloads(place, read, reference),
        variants={each: _variant(place, each, row) for each, row in read.variants.items()},
        mutates=sorted({_place_of_input(place, number) for number in read.mutates}),
        seed=read.seed,
        specials=read.specials,
        tolerance=_tolerances(read.tolerance),
        draw=read_entry(root, file.parent, read.draw, place.key("draw")) if read.draw is not None else None,
        waivers=read.waivers,
        allowed_kernels=[_allowed(place.shown, number, row) for number, row in enumerate(read.allowed_kernels)],
        own_kernels=_own_kernels(place.key("own_kernels"), read.own_kernels),
    )


def _reference(place: _Place, written: str | _CallableTable | None) -> EntryPoint:
    """The reference; without the key it is ``reference.py`` beside the file."""
    key = place.key("reference")
    if written is None:
        path = place.folder / "reference.py"
        if not path.is_file():
            raise BrokenFile(
                f"{key}: {relative(place.root, path)} does not exist",
                'write it, or name a function: reference = "torch.softmax"',
            )
        return file_entry(place.root, path)
    table = _CallableTable(entry=written) if isinstance(written, str) else written
    _check_argument(f"{key}.keywords", table.keywords)
    return replace(read_entry(place.root, place.folder, table.entry, key), keywords=table.keywords)


def _workloads(place: _Place, table: _ProblemTable, reference: EntryPoint) -> dict[str, Workload]:
    """The workloads; one that is alone is the default."""
    found = {name: _workload(place, name, row) for name, row in table.workloads.items()}
    for name, load in found.items():
        if reference.module and not load.inputs and not load.arguments:
            raise BrokenFile(
                f"{place.key(f'workloads.{name}')}: it has no `inputs`",
                'inputs = ["float32[8192,4096]"], one for each argument of the reference',
            )
    if len(found) == 1:
        found = {name: replace(load, default=True) for name, load in found.items()}
    return found


def _place_of_input(place: _Place, number: int) -> int:
    if number < 0:
        raise BrokenFile(place.key("mutates: an input is counted from 0"), "mutates = [0] for the first")
    return number


def _tolerances(written: Tolerance | list[Tolerance]) -> list[Tolerance]:
    return [written] if isinstance(written, Tolerance) else written


def _own_kernels(key: str, patterns: list[str]) -> list[str]:
    """Refuses patterns that are too wide."""
    for number, pattern in enumerate(patterns):
        wide = too_wide(pattern)
        if wide:
            raise BrokenFile(f"{key}[{number}]: {wide}", "name a kernel, or the module that defines it: my_module.*")
    return patterns


def _allowed(shown: str, number: int, row: AllowedKernel) -> AllowedKernel:
    """Refuses a pattern that is too wide, and an allowance without a reason."""
    key = f"{shown}: allowed_kernels[{number}]"
    wide = too_wide(row.pattern)
    if wide:
        raise BrokenFile(f"{key}.pattern: {wide}", "name only the kernel that the wrapper needs")
    if not row.reason.strip():
        raise BrokenFile(f"{key}.reason: it is empty", "say what a wrapper needs the kernel for")
    return row


def _workload(place: _Place, name: str, row: dict[str, object]) -> Workload:
    key = f"workloads.{name}"
    if isinstance(row.get("tolerance"), dict):
        row = {**row, "tolerance": [row["tolerance"]]}
    workload = convert_named(name, row, Workload, place.shown, key)
    _check_argument(place.key(f"{key}.arguments"), workload.arguments)
    for number, given in enumerate(workload.inputs):
        _check_input(place.key(f"{key}.inputs[{number}]"), given)
    return workload


def _check_input(key: str, given: object) -> None:
    if not isinstance(given, str):
        _check_argument(key, given)
        return
    try:
        tensor_input(given)
    except BadInput as error:
        raise BrokenFile(f"{key}: {error}", error.hint) from None


def _variant(place: _Place, name: str, row: _VariantTable) -> Variant:
    key = f"variants.{name}"
    _check_role(place.key(key), row)
    _check_configurations(place.shown, key, row)
    _check_argument(place.key(f"{key}.keywords"), row.keywords)
    table = {
        "name": name,
        "role": row.role,
        "entry": replace(_entry(place, name, row), keywords=row.keywords),
        "configurations": {"default": {}, **row.configurations},
        "ceiling": row.ceiling,
        "own_kernels": _own_kernels(place.key(f"{key}.own_kernels"), row.own_kernels),
    }
    sweep = read_space(place.key(f"{key}.sweep"), row.sweep) if row.sweep is not None else None
    return replace(convert(table, Variant, place.shown, key), sweep=sweep)


def _entry(place: _Place, name: str, row: _VariantTable) -> EntryPoint:
    """The entry of a variant; without the key it is the file, or the folder, of its name."""
    key = place.key(f"variants.{name}")
    if row.entry is not None:
        return read_entry(place.root, place.folder, row.entry, f"{key}.entry")
    found = [path for path in (place.folder / f"{name}.py", place.folder / name / "__init__.py") if path.is_file()]
    if not found:
        raise BrokenFile(
            f"{key}: {relative(place.root, place.folder / f'{name}.py')} does not exist",
            'write the file, name the code with entry = "package.module:function", or remove the table',
        )
    return file_entry(place.root, found[0])


def _check_role(key: str, row: _VariantTable) -> None:
    if row.role == "unknown":
        raise BrokenFile(f"{key}.role: a variant is a candidate, a baseline or a roof", "choose one")
    if (row.role == "roof") != (row.ceiling is not None):
        raise BrokenFile(
            f"{key}.ceiling: required for a roof, not allowed for other roles",
            'ceiling = "bytes", "flops" or "library" for a roof; leave it out otherwise',
        )


def _check_configurations(shown: str, key: str, row: _VariantTable) -> None:
    if "default" in row.configurations:
        raise BrokenFile(
            f"{shown}: {key}.configurations.default: the default configuration passes no tunables",
            "give these tunables another name, or make them the wrapper's own defaults",
        )
    for configuration, tunables in row.configurations.items():
        _check_name(shown, f"{key}.configurations", configuration)
        _check_argument(f"{shown}: {key}.configurations.{configuration}", tunables)


def _check_name(shown: str, key: str, name: str) -> None:
    if not re.fullmatch(LABEL_PART, name) or not name.strip("."):
        raise BrokenFile(f"{shown}: {key}: '{name}' is not a valid name", "use lower-case letters, digits, _ . and -")


_DEEPEST = 8
"""Most levels of nested tables and arrays in an argument."""


def _check_argument(key: str, value: object, depth: int = 0) -> None:
    """Refuses an argument or tunable that JSON, in which it is sent to the child, would change."""
    if depth > _DEEPEST:
        raise BrokenFile(f"{key}: it is nested more than {_DEEPEST} levels deep", "use fewer levels")
    match value:
        case dict():
            for name, part in value.items():
                _check_argument(f"{key}.{name}", part, depth + 1)
        case list():
            for number, part in enumerate(value):
                _check_argument(f"{key}[{number}]", part, depth + 1)
        case str() | bool():
            pass
        case int() if -(2**63) <= value < 2**63:
            pass
        case float() if isfinite(value):
            pass
        case _:
            raise BrokenFile(
                f"{key}: {value} is not a valid argument",
                "use texts, finite numbers, true, false, and arrays and tables of them",
            )
