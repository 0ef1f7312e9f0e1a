"""A project whose candidates are the files under tests/child/cheats, and what a reviewer would say of each."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT

HONEST = ("workspace", "contiguous")

WRONG = {
    "first_columns": "elements are wrong; the first: [0, 64] is 0.0, expected",
    "cached_output": "of fresh data: it returned the result of its previous call",
    "same_output": "of fresh data: its output shares memory with that of its previous call",
    "aliases_input": "its output shares memory with its input",
    "last_tile": "on 3x1021 of fresh data: 759 of 3063 elements are wrong; the first: [0, 768] is nan, expected",
    "below_overflow": "of large factors after a zero: ",
    "odd_sizes": "on 3x1021 of fresh data: ",
    "changes_input": "it changed its input",
    "uninitialised_tail": "is nan, expected",
}
"""Cheat -> words of the reason for which the child refuses it, on a GPU and in Triton's interpreter."""


def cheating(root: Path) -> Path:
    """The project: the cheats beside the roof and the reference of the cumulative product, and one stage."""
    problem = shutil.copytree(
        ROOT / "tests" / "child" / "cheats", root / "kernels" / "cheats", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("reference", "copy_roof"):
        shutil.copyfile(ROOT / "kernels" / "cumprod" / f"{name}.py", problem / f"{name}.py")
    for name in ("catalogue.toml", "gpus"):
        (shutil.copytree if name == "gpus" else shutil.copyfile)(
            ROOT / "metrics" / name, _parent(root / "metrics" / name)
        )
    (problem / "sound.toml").rename(_parent(root / "metrics" / "stages" / "sound.toml"))
    return root


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
