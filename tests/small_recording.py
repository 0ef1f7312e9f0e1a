"""A small recording, derived from the committed one whenever it is needed, so that it cannot go stale.

A tree is narrowed to a few variants and workloads: its problem plans nothing else, and its recording has nothing else.
Of an ncu report the launches of other cases are left out, as if they had never been measured; what is left is as ncu
wrote it. Reading, judging and drawing two cases takes a third of what the twelve that are recorded take.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from stallgate.project.digests import file_digest
from stallgate.runs.report_blocks import taken_apart

SMALL = ("copy_roof", "blocked_scan")
"""The roof and a candidate."""

JUDGED = ("square",)
"""The workload that the documents' examples show."""


def narrow(root: Path, variants: tuple[str, ...], workloads: tuple[str, ...]) -> Path:
    """Leaves only some variants and default workloads in the problems and recordings of a tree.

    A problem that has none of the variants is removed with its recordings.
    """
    for path in root.glob("kernels/*/problem.toml"):
        narrowed = _narrowed(path.read_text(), variants, workloads)
        path.write_text(narrowed)
        if "[variants." not in narrowed:
            for folder in (path.parent, *root.glob(f"reports/recorded/*/{path.parent.name}")):
                shutil.rmtree(folder)
    for path in root.glob("reports/recorded/*/*/run.json"):
        _narrow_recording(path, variants, workloads)
    return root


def _narrowed(problem: str, variants: tuple[str, ...], workloads: tuple[str, ...]) -> str:
    """The text of a problem.toml in which a table is a heading and the lines up to an empty one."""
    tables = problem.split("\n\n")
    kept = [table for table in tables if {_name(table, "variants"), _waived(table)} <= {None, *variants}]
    return "\n\n".join(
        re.sub(r"\n(default|judged) = .*", "", table) if _name(table, "workloads") not in (None, *workloads) else table
        for table in kept
    )


def _name(table: str, kind: str) -> str | None:
    """What a table of a kind is of; None where it is of another kind."""
    found = re.search(rf"^\[{kind}\.(\w+)", table, re.MULTILINE)
    return found[1] if found else None


def _waived(table: str) -> str | None:
    """The variant of which a table waives a target."""
    found = re.search(r'^\[\[waivers\]\]\nvariant = "(\w+)"', table, re.MULTILINE)
    return found[1] if found else None


def _narrow_recording(path: Path, variants: tuple[str, ...], workloads: tuple[str, ...]) -> None:
    run = msgspec.json.decode(path.read_bytes())
    run["cases"] = [found for found in run["cases"] if _is_of(found, variants, workloads)]
    labels = [f"{'/'.join(found['case'].values())}/".encode() for found in run["cases"]]
    for attempt in run["attempts"]:
        report = path.parent / attempt["report"]
        report.write_bytes(zstandard.compress(only(unpacked(report), labels)))
        attempt["sha256"] = file_digest(report)
        attempt["details"] = [found for found in attempt["details"] if _is_of(found, variants, workloads)]
    path.write_bytes(msgspec.json.encode(run))


def _is_of(found: dict[str, Any], variants: tuple[str, ...], workloads: tuple[str, ...]) -> bool:
    return found["case"]["variant"] in variants and found["case"]["workload"] in workloads


# --- ncu reports ------------------------------------------------------------------------------------------------------


def unpacked(report: Path) -> bytes:
    """An ncu report that is kept packed by zstd."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(report.read_bytes())


def only(report: bytes, labels: list[bytes]) -> bytes:
    """An ncu report without the launches that none of some labels is in.

    The first launch stays in any case: the names of all metrics are beside it.
    """
    head, blocks = taken_apart(report)
    first = next(block for block, launches in blocks if launches)
    wanted = [first, *labels]
    return head + b"".join(block for block, launches in blocks if not launches or _any_in(wanted, block))


def _any_in(wanted: list[bytes], block: bytes) -> bool:
    return any(each in block for each in wanted)
