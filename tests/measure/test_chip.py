"""What a chip cannot be judged by, said before anything is run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.errors import UnknownName
from stallgate.measure.chip import judged_by, named_chip, unmeasurable, verify
from stallgate.measure.device import Device
from stallgate.measure.profile import chip_of
from stallgate.model import Target
from stallgate.project.catalogue import exists_on, names_in
from stallgate.project.load import Project
from tests.conftest import FAKES, Stallgate, without_waivers
from tests.judge.judging import with_stage

GMMA = '\n[[targets]]\nmetric = "stall_gmma"\nbelow = 50\n'


@pytest.fixture
def with_gmma(tree: Path) -> Path:
    """The tree, its stage with a target that one chip alone has."""
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text() + GMMA)
    return tree


def test_a_plan_says_which_target_its_chip_lacks(stallgate: Stallgate, with_gmma: Path) -> None:
    done = stallgate("plan", "--chip", "AD102")
    assert done.returncode == 3
    assert "memory_access cannot be judged on AD102: it does not have stall_gmma" in done.stdout


def test_the_catalogue_says_what_judges(stallgate: Stallgate, with_gmma: Path) -> None:
    done = stallgate("metrics", "--chip", "GB202")
    assert done.returncode == 0
    assert "memory_access cannot be judged on GB202: it does not have stall_gmma" in done.stdout
    rows = {
        row["metric"]: row for row in json.loads(stallgate("metrics", "--chip", "GB202", "--json").stdout)["metrics"]
    }
    assert (rows["stall_gmma"]["ncu_name"], rows["stall_gmma"]["judged_by"]) == (None, ["memory_access"])
    assert rows["l2_hit_rate"]["judged_by"] == []


@pytest.mark.parametrize(
    ("metric", "chip", "gaps"),
    [
        ("stall_gmma", "GH100", []),
        ("stall_gmma", "AD102", ["memory_access cannot be judged on AD102: it does not have stall_gmma"]),
        ("roof_fraction", "AD102", []),
        ("traffic", "GB202", []),
        (
            "flop_rate",
            "GH100",
            [
                "memory_access cannot be judged on GH100: flop_rate exists only in --detail reports, "
                "which are never judged"
            ],
        ),
    ],
)
def test_unmeasurable(repository: Project, metric: str, chip: str, gaps: list[str]) -> None:
    project = with_stage(repository, Target(metric=repository.catalogue.metrics[metric], above=0))
    assert unmeasurable(project, chip, ["cumprod"]) == gaps


def test_a_stage_judges_by_what_it_includes(repository: Project) -> None:
    problem = replace(repository.problem("cumprod"), stages=["advanced_memory"])
    judging = judged_by(replace(repository, problems={"cumprod": problem}), ["cumprod"])
    assert judging["memory_dependency_stall"] == ["memory_access", "advanced_memory"]


def listed(project: Project, chip: str, *, without: str = "", besides: str = "") -> str:
    names = {
        name.partition(".")[0]
        for metric in project.catalogue.metrics.values()
        for name in [*metric.names, *(part for counters in metric.counters for part in names_in(counters))]
        if exists_on(project.catalogue, name, chip) and not name.startswith("launch__")
    }
    return " ".join([*sorted(names - {without}), besides])


@pytest.fixture
def ncu(tmp_path: Path) -> Path:
    """The fake ncu as a program."""
    path = tmp_path / "ncu"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKES / "ncu"}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("chip", "changes", "said"),
    [
        ("GH100", {}, "agrees with the catalogue"),
        (
            "GH100",
            {"without": "lts__t_sectors"},
            "contradicts the catalogue: on GH100 lts__t_sectors.sum does not exist",
        ),
        ("GB202", {"besides": "dram__bytes_read"}, "on GB202 dram__bytes_read.sum exists"),
    ],
)
def test_the_catalogue_is_held_against_the_ncu_that_is_here(
    repository: Project, monkeypatch: pytest.MonkeyPatch, ncu: Path, chip: str, changes: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("FAKE_NCU_METRICS", listed(repository, chip, **changes))
    answer = verify(repository.catalogue, chip, ncu)
    assert said in answer.text
    assert answer.differs is bool(changes)


@pytest.mark.parametrize("tool", [None, Path("/nowhere/ncu"), Path("/bin/false")])
def test_an_ncu_that_lists_nothing_verifies_nothing(
    repository: Project, monkeypatch: pytest.MonkeyPatch, ncu: Path, tool: Path | None
) -> None:
    monkeypatch.setenv("FAKE_NCU_METRICS", "")
    answer = verify(repository.catalogue, "GH100", tool or ncu)
    assert answer.text == f"{tool or ncu} lists no metrics of GH100: the catalogue is not verified"
    assert not answer.differs


def test_a_plan_is_for_the_gpu_that_is_here_and_a_profile_says_what_it_lacks(
    with_ncu: Stallgate, repository: Project, tree: Path, tmp_path: Path
) -> None:
    without_waivers(tree)  # of a target that is another then
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(
        path.read_text().replace('"smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct"', '"flop_rate"')
    )
    planned = with_ncu("plan", "--json", FAKE_NCU_METRICS=listed(repository, "GH100"))
    facts = json.loads(planned.stdout)
    assert (planned.returncode, facts["chip"]) == (3, "GH100")
    assert facts["unmeasurable"][0].startswith("memory_access cannot be judged on GH100: flop_rate exists only in")
    assert "agrees with the catalogue" in facts["ncu"]
    (tmp_path / "bin/ncu").unlink()
    assert facts["unmeasurable"][0] in with_ncu("profile").stderr


# --- which chip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        *(("GA104", "GA104"), ("ga104", "GA104"), ("Ga104", "GA104"), ("ga104 ", "GA104")),
        *(("h200", "GH100"), ("h200_sxm", "GH100"), ("NVIDIA H200", "GH100"), ("nvidia h200", "GH100")),
        *(
            ("h100", "GH100"),
            ("a100", "GA100"),
            ("rtx 4090", "AD102"),
            ("RTX4090", "AD102"),
            ("GeForce RTX 4090", "AD102"),
        ),
        *(("l4", "AD104"), ("L40S", "AD102"), ("b200", "GB100"), ("gb10", "GB20B"), ("GB10B", "GB10B")),
        *(("rtx 3090", "GA102"), ("rtx 3070", "GA104"), ("NVIDIA GeForce RTX 3060", "GA106"), ("rtx 5090", "GB202")),
    ],
)
def test_a_chip_is_known_by_its_own_name_and_by_those_of_its_gpus(repository: Project, name: str, chip: str) -> None:
    assert named_chip(repository, name) == chip


@pytest.mark.parametrize("name", ["", " ", "GA10", "sm_86", "nvidia", "rtx"])
def test_what_no_chip_is_called_or_several_are_is_refused(repository: Project, name: str) -> None:
    with pytest.raises(UnknownName, match="no chip is named"):
        named_chip(repository, name)


@pytest.mark.parametrize(("name", "near"), [("rtx_4091", "rtx_4090"), ("gh101", "gh100"), ("GA10", "GA106")])
def test_an_unknown_chip_gets_the_nearest_as_a_hint(repository: Project, name: str, near: str) -> None:
    with pytest.raises(UnknownName) as refused:
        named_chip(repository, name)
    assert near in refused.value.hint


def test_the_catalogue_is_shown_for_a_card(stallgate: Stallgate) -> None:
    done = stallgate("metrics", "--chip", "rtx 4090")
    assert done.returncode == 0
    assert done.stdout == stallgate("metrics", "--chip", "AD102").stdout


@pytest.mark.parametrize(
    ("name", "capability", "chip"),
    [
        ("NVIDIA GeForce RTX 3070", "8.6", "GA104"),
        ("NVIDIA GeForce RTX 3050 Laptop GPU", "8.6", "GA107"),
        ("NVIDIA GeForce RTX 3999", "8.6", "GA102"),
        ("NVIDIA L4", "8.9", "AD104"),
        ("NVIDIA GB10", "12.1", "GB20B"),
        ("GeForce RTX 2070", "7.5", "TU106"),
        ("NVIDIA GeForce RTX 5060 Ti", "12.0", "GB206"),
        ("NVIDIA H100", "9.0", "GH100"),
        ("NVIDIA Something", "99.0", None),
    ],
)
def test_the_chip_of_a_gpu_is_by_its_name_before_its_compute_capability(
    repository: Project, name: str, capability: str, chip: str | None
) -> None:
    device = Device(
        index=0, uuid="", name=name, driver="1", compute_capability=capability, memory_mib=1.0, free_mib=1.0
    )
    assert chip_of(repository, device) == chip
