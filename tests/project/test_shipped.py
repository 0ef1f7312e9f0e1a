"""Yardsticks: those that come with stallgate, and a project's own, which overlay them."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from stallgate.errors import BrokenFile
from stallgate.project import shipped
from stallgate.project.load import Project, load_project
from stallgate.project.shipped import shipped_yardsticks, yardstick_folders
from stallgate.project.yardsticks import read_catalogue
from tests.conftest import ROOT
from tests.installed import Installed, installed
from tests.recordings import committed

__all__ = ["installed"]

STAGES = {
    "advanced_memory",
    "block_tiling",
    "grid_and_parallel",
    "memory_access",
    "no_regression",
    "streaming",
    "tensor_core",
}

MINE = """
title = "Mine"
focus = "Its own."

[[targets]]
metric = "mine"
above = 1
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A project with a problem and no yardsticks of its own."""
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels")
    return tmp_path


def own(root: Path, name: str, text: str) -> None:
    path = root / "metrics" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_checkout_has_them_beside_the_code() -> None:
    assert shipped_yardsticks() == ROOT / "metrics"
    assert yardstick_folders(ROOT) == [ROOT / "metrics"]


def test_a_project_needs_none_of_its_own(bare: Path, repository: Project) -> None:
    project = load_project(bare)
    assert set(project.stages) == STAGES
    assert project.catalogue == repository.catalogue
    assert project.gpu_specs == repository.gpu_specs
    assert (project.broken_problems, project.broken_stages, project.baselines) == ({}, {}, {})


def test_a_catalogue_is_overlaid_by_key(bare: Path, repository: Project) -> None:
    own(
        bare,
        "catalogue.toml",
        """
[metrics.mine]
title = "Mine"
unit = ""
names = ["a__b.sum"]

[metrics.waves]
title = "Waves, called otherwise"
unit = ""
names = ["launch__waves_per_multiprocessor"]

[aliases]
old_mine = "mine"

[chips]
XX100 = {}

[missing]
"a__b.sum" = ["GH100"]
""",
    )
    own(bare, "stages/mine.toml", MINE)
    project = load_project(bare)
    known = repository.catalogue
    assert set(project.catalogue.metrics) == {*known.metrics, "mine"}
    assert project.catalogue.metrics["waves"].title == "Waves, called otherwise"
    assert project.catalogue.aliases == {**known.aliases, "old_mine": "mine"}
    assert set(project.catalogue.chips) == {*known.chips, "XX100"}
    assert project.catalogue.missing == {**known.missing, "a__b.sum": ["GH100"]}
    assert project.stage("mine").targets[0].metric.name == "mine"


def test_stages_and_data_sheets_are_overlaid_by_file(bare: Path, repository: Project) -> None:
    own(bare, "stages/streaming.toml", MINE.replace("mine", "waves"))
    sheet = (ROOT / "metrics/gpus/h100_sxm.toml").read_text()
    own(bare, "gpus/h100_sxm.toml", sheet.replace("multiprocessors = 132", "multiprocessors = 100"))
    project = load_project(bare)
    assert (project.stage("streaming").title, set(project.stages)) == ("Mine", STAGES)
    assert project.gpu_specs["h100_sxm"].multiprocessors == 100
    assert set(project.gpu_specs) == set(repository.gpu_specs)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[metrics.mine]\ntitel = 1\n", "metrics/catalogue.toml: metrics.mine: ", "title"),
        ("[aliases]\nold = 'durations'\n", "metrics/catalogue.toml: aliases.old: there is no metric", "duration"),
        ("[aliases]\nduration = 'waves'\n", "metrics/catalogue.toml: aliases.duration: a metric", "remove"),
        (
            "[metrics.duration]\ntitle = 'D'\nunit = 'ns'\n",
            "metrics/catalogue.toml: metrics.duration.names: it needs an ncu name",
            "ncu",
        ),
        (
            "[metrics.\"smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct\"]\ntitle = 'D'\nunit = ''\n",
            "metrics/catalogue.toml: metrics.smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct: the name",
            "alias of memory_dependency_stall",
        ),
    ],
)
def test_a_fault_in_ones_own_catalogue_is_told_of_it(bare: Path, text: str, message: str, hint: str) -> None:
    own(bare, "catalogue.toml", text)
    with pytest.raises(BrokenFile) as refused:
        load_project(bare)
    assert refused.value.message.startswith(message)
    assert hint in refused.value.hint


@pytest.fixture
def elsewhere(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is shipped, in a folder to be changed at will."""
    folder = bare / "installed" / "yardsticks"
    shutil.copytree(ROOT / "metrics", folder)
    monkeypatch.setattr(shipped, "shipped_yardsticks", lambda: folder)
    return folder


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_fault_in_a_shipped_file_is_told_of_that_file(bare: Path, elsewhere: Path) -> None:
    root = bare / "project"
    shutil.copytree(ROOT / "kernels", root / "kernels")
    own(root, "catalogue.toml", "")
    changed(elsewhere / "stages/streaming.toml", "title =", "titel =")
    with pytest.raises(BrokenFile) as refused:
        load_project(root).stage("streaming")
    assert refused.value.message.startswith(f"{elsewhere.as_posix()}/stages/streaming.toml: ")


@pytest.mark.parametrize("name", ["traffic", "roof_fraction", "effective_bandwidth", "dram_bytes_read", "registers"])
def test_a_metric_that_stallgate_needs_is_missed(bare: Path, elsewhere: Path, name: str) -> None:
    changed(elsewhere / "catalogue.toml", f"[metrics.{name}]", f"[metrics.{name}_]")
    with pytest.raises(BrokenFile, match=rf"catalogue\.toml: metrics\.{name}: it is missing"):
        read_catalogue(bare)


# --- the wheel --------------------------------------------------------------------------------------------------------


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    source = ROOT / "harness"
    found = {".".join(path.parent.relative_to(source).parts) for path in source.rglob("__init__.py")}
    assert set(listed) == {*found, "stallgate.documents", "stallgate.yardsticks"}


def test_the_wheel_has_the_yardsticks_and_no_baselines(installed: Installed) -> None:
    shipped = installed.packages / "stallgate" / "yardsticks"
    found = {path.relative_to(shipped) for path in shipped.rglob("*")}
    metrics = ROOT / "metrics"
    wanted = {path.relative_to(metrics) for path in metrics.rglob("*.toml")} | {
        Path("stages"),
        Path("gpus"),
        Path("advice"),
    }
    assert found == wanted


def test_from_the_wheel_a_project_without_yardsticks_is_planned_and_judged(installed: Installed, bare: Path) -> None:
    shutil.copytree(ROOT / "reports/recorded", bare / "reports/recorded")

    def stallgate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return installed.stallgate(bare, *arguments)

    assert stallgate("plan").returncode == 0
    assert stallgate("metrics").returncode == 0
    judged = stallgate("gate", committed().path, "--stage", "streaming")
    assert judged.returncode == 0, judged.stderr
    refused = stallgate("gate", committed().path, "--stage", "streming")
    assert "did you mean streaming?" in refused.stderr
