"""Digests of what is measured: a number is stale when one of these has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from msgspec import to_builtins

import stallgate.child
from stallgate.model import EntryPoint, Problem, Workload
from stallgate.project.decode import LARGEST_SOURCE, read_bounded


def text_digest(path: Path) -> str:
    """SHA-256 of a text with its line endings normalised, so that a checkout on any system gives the same."""
    return hashlib.sha256(read_bounded(path, LARGEST_SOURCE).replace(b"\r\n", b"\n")).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def workload_digest(workload: Workload) -> str:
    """SHA-256 of a workload's arguments, bytes and flops, without its name and whether the default plan has it."""
    measured: dict[str, object] = {
        "arguments": workload.arguments,
        "bytes": workload.bytes,
        "flops": workload.flops,
    }
    more = {"inputs": workload.inputs, "tolerance": to_builtins(workload.tolerance)}
    measured |= {name: value for name, value in more.items() if value}
    if workload.direction != "forward":
        measured["direction"] = workload.direction
    return _digest_of(measured)


def entry_digest(entry: EntryPoint) -> str:
    """SHA-256 of an entry: of its file's text, and of what else decides on what is called, where there is more."""
    more = {"module": entry.module, "attribute": entry.attribute, "keywords": entry.keywords}
    if not any(more.values()):
        return entry.digest
    return _digest_of({"digest": entry.digest, **more})


def reference_digest(problem: Problem) -> str:
    """SHA-256 of what decides on what is right: the reference, and how outputs are compared with its own."""
    rules = {
        "mutates": problem.mutates,
        "seed": problem.seed,
        "specials": "" if problem.specials == "library" else problem.specials,
        "tolerance": to_builtins(problem.tolerance),
    }
    given = {name: value for name, value in rules.items() if value not in (None, [], "")}
    own = entry_digest(problem.reference)
    return _digest_of({"reference": own, **given}) if given else own


def _digest_of(facts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def child_digest() -> str:
    """SHA-256 of the measuring child's and the referee's source. The timing child's is not included."""
    child = Path(stallgate.child.__file__).parent
    digests = package_digest(child) + package_digest(child / "referee")
    return hashlib.sha256(digests.encode()).hexdigest()


def package_digest(folder: Path) -> str:
    """SHA-256 of the modules of a package, without the packages within it."""
    parts = [f"{path.name} {text_digest(path)}\n" for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def tunables_digest(tunables: dict[str, object]) -> str:
    """SHA-256 of the named tunables of a configuration."""
    return _digest_of(tunables)


def subject_digests(problem: Problem) -> dict[str, str]:
    """Digests of everything that a problem's numbers depend on, by a name that a reader understands."""
    digests = {CHILD_KEY: child_digest(), REFERENCE_KEY: reference_digest(problem)}
    digests |= {
        configuration_key(variant.name, name): tunables_digest(tunables)
        for variant in problem.variants.values()
        for name, tunables in variant.configurations.items()
        if name != DEFAULT
    }
    digests |= {variant_key(variant.name): entry_digest(variant.entry) for variant in problem.variants.values()}
    digests |= {workload_key(load.name): workload_digest(load) for load in problem.workloads.values()}
    return digests


CHILD_KEY = "the measuring child"
REFERENCE_KEY = "the reference"
DEFAULT = "default"
"""The configuration that passes no tunables: nothing about it can change but the variant's file."""


def variant_key(name: str) -> str:
    """The key of a variant's file among a subject's digests."""
    return f"variant {name}"


def workload_key(name: str) -> str:
    """The key of a workload among a subject's digests."""
    return f"workload {name}"


def module_key(path: str) -> str:
    """What a reader calls a file that a case loaded beside its variant's own."""
    return f"module {path}"


def configuration_key(variant: str, name: str) -> str:
    """The key of a configuration's tunables among a subject's digests."""
    return f"configuration {name} of {variant}"
