"""``kernels/<problem>/problem.toml``: a problem with its workloads and variants."""

from __future__ import annotations

import re
from math import isfinite
from pathlib import Path

from stallgate.errors import BrokenFile
from stallgate.model import LABEL_PART, AllowedKernel, FrozenStruct, Problem, Role, Variant, Waiver, Workload
from stallgate.project.checks import convert_named
from stallgate.project.decode import convert, read_toml
from stallgate.project.digests import text_digest
from stallgate.project.layout import reference_file, relative, variant_file
from stallgate.project.patterns import too_wide


class _VariantTable(FrozenStruct, frozen=True):
    role: Role
    ceiling: str | None = None
    configurations: dict[str, dict[str, object]] = {}


class _ProblemFile(FrozenStruct, frozen=True):
    title: str
    stages: list[str]
    variants: dict[str, _VariantTable]
    workloads: dict[str, dict[str, object]]
    waivers: list[Waiver] = []
    allowed_kernels: list[AllowedKernel] = []


def read_problem(root: Path, path: Path) -> Problem:
    """The problem of a ``problem.toml``; the metrics of its waivers are as they were written.

    Raises:
        BrokenFile: the file, or one that it refers to, is not what it should be.
    """
    shown, name = relative(root, path), path.parent.name
    table = convert(read_toml(path, shown), _ProblemFile, shown)
    for kind, names in (("problem", [name]), ("variants", table.variants), ("workloads", table.workloads)):
        for each in names:
            _check_name(shown, kind, each)
    reference = reference_file(root, name)
    return Problem(
        name=name,
        title=table.title,
        reference=relative(root, reference),
        reference_digest=_digest_of(root, reference, shown, "reference"),
        stages=table.stages,
        workloads={each: _workload(shown, each, row) for each, row in table.workloads.items()},
        variants={each: _variant(root, name, each, row, shown) for each, row in table.variants.items()},
        waivers=table.waivers,
        allowed_kernels=[_allowed(shown, number, row) for number, row in enumerate(table.allowed_kernels)],
    )


def _allowed(shown: str, number: int, row: AllowedKernel) -> AllowedKernel:
    """Refuses a pattern that is too wide, and an allowance without a reason."""
    key = f"{shown}: allowed_kernels[{number}]"
    wide = too_wide(row.pattern)
    if wide:
        raise BrokenFile(f"{key}.pattern: {wide}", "name only the kernel that the wrapper needs")
    if not row.reason.strip():
        raise BrokenFile(f"{key}.reason: it is empty", "say what a wrapper needs the kernel for")
    return row


def _workload(shown: str, name: str, row: dict[str, object]) -> Workload:
    key = f"workloads.{name}"
    workload = convert_named(name, row, Workload, shown, key)
    _check_argument(f"{shown}: {key}.arguments", workload.arguments)
    return workload


def _variant(root: Path, problem: str, name: str, row: _VariantTable, shown: str) -> Variant:
    key = f"variants.{name}"
    _check_role(f"{shown}: {key}", row)
    _check_configurations(shown, key, row)
    path = variant_file(root, problem, name)
    table = {
        "name": name,
        "role": row.role,
        "path": relative(root, path),
        "digest": _digest_of(root, path, shown, key),
        "configurations": {"default": {}, **row.configurations},
        "ceiling": row.ceiling,
    }
    return convert(table, Variant, shown, key)


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


def _digest_of(root: Path, path: Path, shown: str, key: str) -> str:
    if not path.is_file():
        raise BrokenFile(
            f"{shown}: {key}: {relative(root, path)} does not exist", "write the file, or remove the entry"
        )
    return text_digest(path)


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
