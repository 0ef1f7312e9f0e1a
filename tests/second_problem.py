"""A second problem with a recording of its own, derived from the committed one, so that it cannot go stale.

Its name has as many letters as the first one's: the labels in an ncu report can then be renamed in place.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from stallgate.project.digests import file_digest
from tests.small_recording import unpacked

FIRST, SECOND = "cumprod", "cumfold"


def add_problem(tree: Path, *, recorded: bool = True, name: str = SECOND) -> str:
    """Adds another problem to a tree, with or without a recording; returns its name, as long as the first one's."""
    folder = shutil.copytree(tree / "kernels" / FIRST, tree / "kernels" / name)
    problem = folder / "problem.toml"
    problem.write_text(problem.read_text().replace("Cumulative product", "Cumulative fold"))
    for place in tree.glob(f"reports/recorded/*/{FIRST}") if recorded else ():
        _rename(shutil.copytree(place, place.with_name(name)), name)
    return name


def _rename(recording: Path, name: str) -> None:
    """Makes a recording of the first problem one of another."""
    change_run(recording, lambda run: _named_anew(run, name))
    for report in recording.glob("ncu/*"):
        content = unpacked(report).replace(f"stallgate/{FIRST}/".encode(), f"stallgate/{name}/".encode())
        report.write_bytes(zstandard.compress(content))
    change_run(recording, lambda run: _sealed(recording, run))


def change_run(folder: Path, change: Any) -> None:
    """Changes the ``run.json`` of a folder in place."""
    path = folder / "run.json"
    run = msgspec.json.decode(path.read_bytes())
    change(run)
    path.write_bytes(msgspec.json.encode(run))


def _named_anew(run: Any, name: str) -> None:
    run["subjects"] = {name: {**run["subjects"][FIRST], "title": "Cumulative fold"}}
    details = [detail for attempt in run["attempts"] for detail in attempt["details"]]
    for found in [*run["cases"], *details]:
        found["case"]["problem"] = name
    for kernel in [kernel for found in run["cases"] for kernel in found["kernels"]]:
        kernel["file"] = kernel["file"].replace(f"kernels/{FIRST}/", f"kernels/{name}/")


def _sealed(folder: Path, run: Any) -> None:
    for attempt in run["attempts"]:
        attempt["sha256"] = file_digest(folder / attempt["report"])


def on_gpu(name: str) -> Any:
    """A change of a recording: that it was made on another GPU."""

    def change(run: Any) -> None:
        for attempt in run["attempts"]:
            attempt["environment"]["gpu"] = name

    return change
