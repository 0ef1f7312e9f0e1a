"""A fleet on one machine: four stand-in GPUs, the fake ncu, and Dask's own scheduler and workers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Stallgate, command_line, copy_tree, with_fakes
from tests.second_problem import add_problem
from tests.shared import Shared
from tests.small_recording import narrow

pytest.importorskip("distributed")

VARIANTS = ("copy_roof", "blocked_scan", "adaptive_scan", "two_pass_scan", "torch_cumprod")
WORKLOADS = ("square", "page")
PROBLEMS = ("cumprod", "cumfold", "cumscan", "cumtake")
"""Forty cases: of each problem, each variant on each workload."""


_TIMEOUT_S = 400
"""Of a command that starts workers; a machine may be busy."""


class FleetTree(NamedTuple):
    """A project to measure on a fleet, and the command in it."""

    root: Path
    tmp: Path
    """Where the command, its workers and their tasks keep temporary files."""
    run: Stallgate

    @property
    def latest(self) -> Path:
        return (self.root / "reports" / "latest").resolve()


@pytest.fixture
def fleet(tmp_path: Path, shared: Shared) -> FleetTree:
    """Forty cases, and a machine with four GPUs."""
    template = shared.get("fleet-tree", _forty_cases)
    root = shutil.copytree(template, tmp_path / "project")
    return fleet_tree(root, tmp_path)


@pytest.fixture
def small_fleet(tree: Path, tmp_path: Path) -> FleetTree:
    """Two cases, and a machine with four GPUs."""
    return fleet_tree(tree, tmp_path)


def fleet_tree(root: Path, folder: Path) -> FleetTree:
    """The command in a project on a machine with four GPUs."""
    (folder / "tmp").mkdir()
    recording = next((root / "reports" / "recorded").glob("*/cumprod"))
    fakes = with_fakes(command_line(root, _TIMEOUT_S), recording, folder / "bin")
    usual = {"FAKE_GPUS": "4", "FAKE_GPU_UUID": "one", "TMPDIR": str(folder / "tmp")}
    return FleetTree(root, folder / "tmp", lambda *words, **variables: fakes(*words, **{**usual, **variables}))


def _forty_cases(folder: Path) -> Path:
    root = narrow(copy_tree(folder / "project"), VARIANTS, WORKLOADS)
    for name in PROBLEMS[1:]:
        add_problem(root, name=name)
    return root
