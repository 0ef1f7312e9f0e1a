"""A project's files: what is read, and what a broken one is told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.errors import BrokenFile, UserFault
from harness.measure.plan import Request, plan_cases
from harness.project.digests import subject_digests, text_digest
from harness.project.tree import Project, find_root, load_project


def names(project: Project, **request: list[str]) -> list[str]:
    return [case.name for case in plan_cases(project, Request(**request))]


def test_the_default_plan_is_every_variant_on_square_and_page_the_roof_first(repository: Project) -> None:
    planned = names(repository)
    assert planned[0] == "cumprod/copy_roof/default/square"
    assert planned[5] == "cumprod/copy_roof/default/page"
    assert len(planned) == 10


def test_a_variant_brings_the_roof_along(repository: Project) -> None:
    planned = names(repository, subjects=["cumprod/naive_serial"], workloads=["flat"])
    assert planned == ["cumprod/copy_roof/default/flat", "cumprod/naive_serial/default/flat"]


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        ({"subjects": ["cumprd"]}, "cumprod"),
        ({"subjects": ["cumprod/blocked_scann"]}, "blocked_scan"),
        ({"workloads": ["sqare"]}, "square"),
        ({"configurations": ["nonesuch"]}, "default"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    repository: Project, request_: dict[str, list[str]], hint: str
) -> None:
    with pytest.raises(UserFault) as refused:
        names(repository, **request_)
    assert hint in refused.value.hint


def test_a_file_without_a_role_is_pointed_at(tree: Path) -> None:
    (tree / "kernels/cumprod/mine.py").write_text("")
    with pytest.raises(UserFault) as refused:
        names(load_project(tree), subjects=["cumprod/mine"])
    assert "give it a role in kernels/cumprod/problem.toml" in refused.value.hint


def test_bytes_and_flops_are_what_the_shapes_say(repository: Project) -> None:
    sizes = {"float32": 4}
    for workload in repository.problem("cumprod").workloads.values():
        shape = workload.arguments["shape"]
        assert isinstance(shape, list)
        count = math.prod(shape)
        assert workload.bytes == 2 * count * sizes[str(workload.arguments["dtype"])]
        assert workload.flops == count


BREAKS = [
    (
        "kernels/cumprod/problem.toml",
        "[variants.two_pass_scan]",
        "[variants.blocked_scan.configurations.default]\nBLOCK = 64\n\n[variants.two_pass_scan]",
        "variants.blocked_scan.configurations.default",
        "another name",
    ),
    ("metrics/stages/memory_access.toml", "title =", "titel =", "unknown field `titel`", "title"),
    ("metrics/stages/memory_access.toml", "below = 20", 'below = "20"', "targets[2].below", "docs/files.md"),
    ("metrics/stages/memory_access.toml", "below = 20", "below = 20\nabove = 3", "exactly one of", "docs/files.md"),
    ("metrics/stages/memory_access.toml", "below = 20", "below = nan", "finite", "docs/files.md"),
    ("metrics/stages/memory_access.toml", "below = 20", "", "exactly one of", "docs/files.md"),
    ("metrics/stages/memory_access.toml", '"l2_hit_rate"]', '"l2_hit_rat"]', "shown[3]", "l2_hit_rate"),
    ("metrics/stages/memory_access.toml", "[autotune]", "[autotune", "not valid TOML", "toml.io"),
    ("metrics/catalogue.toml", 'weight = "duration"', 'weight = "durations"', "weight", "duration"),
    ("metrics/gpus/rtx_4090.toml", "multiprocessors = 128", "multiprocessors = '128'", "multiprocessors", ""),
    ("kernels/cumprod/problem.toml", 'role = "roof"', 'role = "rof"', "variants[...].role", ""),
    ("kernels/cumprod/problem.toml", 'ceiling = "bytes"', "", "variants.copy_roof.ceiling", "bytes"),
    (
        "kernels/cumprod/problem.toml",
        'stages = ["memory_access"]',
        'stages = ["memory_acces"]',
        "stages",
        "memory_access",
    ),
    ("kernels/cumprod/problem.toml", "bytes = 134_217_728", "", "bytes", ""),
    ("kernels/cumprod/problem.toml", "[variants.naive_serial]", "[variants.Naive]", "Naive", "lower-case"),
    ("kernels/cumprod/problem.toml", "[variants.naive_serial]", "[variants.missing]", "missing.py does not exist", ""),
]


@pytest.mark.parametrize(("file", "old", "new", "message", "hint"), BREAKS)
def test_a_broken_file_is_named_with_its_key(
    tree: Path, file: str, old: str, new: str, message: str, hint: str
) -> None:
    path = tree / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BrokenFile) as refused:
        load_project(tree)
    assert refused.value.message.startswith(f"{file}: ")
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_the_root_is_found_from_below(tree: Path) -> None:
    assert find_root(tree / "kernels" / "cumprod") == tree


def test_outside_of_a_project_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserFault) as refused:
        find_root(tmp_path)
    assert "--root" in refused.value.hint


def test_line_endings_do_not_change_a_digest(tmp_path: Path) -> None:
    (tmp_path / "unix").write_bytes(b"a\nb\n")
    (tmp_path / "windows").write_bytes(b"a\r\nb\r\n")
    assert text_digest(tmp_path / "unix") == text_digest(tmp_path / "windows")


def test_digests_name_everything_that_is_measured(repository: Project) -> None:
    keys = set(subject_digests(repository.problem("cumprod")))
    assert {"the measuring child", "the reference", "variant blocked_scan", "workload square"} <= keys


def test_cards_know_their_devices(repository: Project) -> None:
    card = repository.card_of("NVIDIA GeForce RTX 4090")
    assert card is not None
    assert (card.name, card.chip, card.dram_bandwidth_gb_s) == ("rtx_4090", "AD102", 1008)
    assert repository.card_of("Some other GPU") is None
