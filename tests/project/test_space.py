"""Which configurations a sweep tries: values, ranges, constraints, stages' spaces and what decorators list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import convert
from msgspec.structs import replace

from stallgate.errors import BadArgument, BrokenFile
from stallgate.model import Stage, TunableSpace, Variant
from stallgate.project.load import Project, load_project
from stallgate.project.space import (
    all_configurations,
    broken_constraint,
    configuration_names,
    default_tunables,
    read_space,
    space_of,
    space_size,
    unknown_numbers,
)
from stallgate.project.tunables import CannotRead, autotuned_configurations, is_taken, keyword_defaults
from tests.conftest import ROOT
from tests.recordings import committed


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([4, 8, 4], [4, 8]),
        ([True, 1, False], [True, 1, False]),
        (["a", "b"], ["a", "b"]),
        ({"from": 64, "to": 512, "times": 2}, [64, 128, 256, 512]),
        ({"from": 64, "to": 500, "times": 2}, [64, 128, 256]),
        ({"from": 1, "to": 7, "step": 3}, [1, 4, 7]),
    ],
)
def test_values_and_ranges(written: object, values: list[object]) -> None:
    found = read_space("p", {"X": written}).tunables["X"]
    assert [(type(each), each) for each in found] == [(type(each), each) for each in values]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "names no tunable"),
        ({"X": []}, "no values"),
        ({"X": 4}, "Expected `array`"),
        ({"X": [float("nan")]}, "no finite number"),
        ({"X": {"from": 1, "to": 4}}, "one of `step` and `times`"),
        ({"X": {"from": 1, "to": 4, "step": 0}}, "`step` has to be above 0"),
        ({"X": {"from": 0, "to": 4, "times": 2}}, "`from` above 0"),
        ({"X": {"from": 1, "to": 1e9, "step": 1}}, "more than 1000 values"),
        ({"X": {"from": 1, "to": 4, "stride": 1}}, "unknown field `stride`"),
        ({"X": [1], "constraints": ["X * 2"]}, "compares nothing"),
        ({"X": [1], "constraints": ["Y <= 2"]}, "'Y' is neither a tunable nor a number of a GPU"),
        ({"X": [1], "constraints": ["X <= __import__('os')"]}, "unexpected"),
        ({"X": ["a"], "constraints": ["X <= 2"]}, "are texts"),
    ],
)
def test_what_is_no_space_is_refused_with_its_place(table: dict[str, Any], why: str) -> None:
    with pytest.raises(BrokenFile, match=r"^problem\.toml: variants\.v\.sweep") as raised:
        read_space("problem.toml: variants.v.sweep", table)
    assert why in raised.value.message
    assert raised.value.hint


def test_combinations_less_those_that_a_constraint_excludes(repository: Project) -> None:
    card = next(spec for spec in repository.gpu_specs.values() if spec.shared_memory_per_block_kb == 227)
    shared = "A * 1024 <= shared_memory_per_block_kb * 1024"
    space = read_space("p", {"A": [1, 2, 300], "B": [1, 2], "constraints": ["1 <= B <= A", shared]})
    assert space_size(space) == 6
    kept = [each for each in all_configurations(space) if broken_constraint(space, each, card) is None]
    assert kept == [{"A": 1, "B": 1}, {"A": 2, "B": 1}, {"A": 2, "B": 2}]
    assert broken_constraint(space, {"A": 1, "B": 2}, card) == "1 <= B <= A: not with 1 and 2 and 1"
    assert broken_constraint(space, {"A": 300, "B": 2}, None) is None, "nothing is known of the GPU"
    assert broken_constraint(read_space("p", {"A": [0], "constraints": ["1 / A < 2"]}), {"A": 0}, None)


def test_numbers_that_a_data_sheet_leaves_out_are_told(repository: Project) -> None:
    space = read_space("p", {"A": [1], "constraints": ["A <= fp32_tflops", "A <= l2_cache_mb"]})
    assert unknown_numbers(space, repository.gpu_specs["gb10"]) == ["fp32_tflops"]
    assert unknown_numbers(space, repository.gpu_specs["h100_sxm"]) == []
    own = read_space("p", {"fp32_tflops": [1], "constraints": ["fp32_tflops <= 2"]})
    assert unknown_numbers(own, repository.gpu_specs["gb10"]) == []


def test_names_are_those_of_cases_and_each_is_another() -> None:
    names = configuration_names([{"BLOCK_M": 64, "use_tma": True}, {"BLOCK_M": 64, "use_tma": False}])
    assert names == ["block_m64-use_tma_true", "block_m64-use_tma_false"]
    assert configuration_names([{"A": 1}, {"a": 1}]) == ["a1", "a1_"]
    (long,) = configuration_names([{f"TUNABLE_NUMBER_{number}": number for number in range(20)}])
    assert len(long) <= 80
    assert configuration_names([{"A": "x/y z"}]) == ["a_x_y_z"]


# --- where a space comes from -----------------------------------------------------------------------------------------

DECORATED = """
import itertools
import triton

WARPS = (4, 8)

def configs():
    "All of them."
    return [triton.Config({"BLOCK": b}, num_stages=2) for b in [64, 128]]

@triton.autotune(configs=CONFIGS, key=["n"])
@triton.jit
def kernel(x, n, BLOCK: tl.constexpr): ...

def wrapper(x, *, BLOCK=64, num_warps: int = 4, **options): ...
"""


@pytest.mark.parametrize(
    ("configs", "found"),
    [
        ('[triton.Config({"BLOCK": 64}, num_warps=4)]', [{"BLOCK": 64, "num_warps": 4}]),
        (
            '[triton.Config({"BLOCK": b}, num_warps=w) for b in (64, 128) for w in WARPS if b * w < 1024]',
            [{"BLOCK": 64, "num_warps": 4}, {"BLOCK": 64, "num_warps": 8}, {"BLOCK": 128, "num_warps": 4}],
        ),
        ("configs()", [{"BLOCK": 64, "num_stages": 2}, {"BLOCK": 128, "num_stages": 2}]),
        (
            '[triton.Config(kwargs={"BLOCK": 2**b}) for b, _ in itertools.product(range(6, 8), [0])] + [*configs()]',
            [{"BLOCK": 64}, {"BLOCK": 128}, {"BLOCK": 64, "num_stages": 2}, {"BLOCK": 128, "num_stages": 2}],
        ),
    ],
)
def test_what_a_decorator_lists_is_read_from_the_text(configs: str, found: list[dict[str, int]]) -> None:
    assert autotuned_configurations(DECORATED.replace("CONFIGS", configs)) == found


@pytest.mark.parametrize("configs", ["get_configs(n)", "[make(64)]", '[triton.Config({"BLOCK": size()})]', "NOWHERE"])
def test_what_is_computed_is_not_guessed(configs: str) -> None:
    with pytest.raises(CannotRead):
        autotuned_configurations(DECORATED.replace("CONFIGS", configs))


def test_what_a_variant_takes() -> None:
    assert is_taken(DECORATED, "BLOCK")
    assert is_taken(DECORATED, "num_stages"), "it is passed on"
    assert not is_taken(DECORATED, "GROUP")
    assert not is_taken("def f(x): ...", "num_warps")
    assert keyword_defaults(DECORATED, ["BLOCK", "num_warps", "n"]) == {"BLOCK": 64, "num_warps": 4}


def variant(root: Path, source: str, sweep: TunableSpace | None = None) -> Variant:
    """A variant of a file with a text."""
    (root / "v.py").write_text(source)
    entry = {"path": "v.py", "digest": ""}
    table = {"name": "v", "role": "candidate", "entry": entry, "configurations": {"default": {}}}
    return replace(convert(table, Variant), sweep=sweep)


def test_the_file_comes_before_the_stage_and_the_stage_before_the_decorator(tmp_path: Path) -> None:
    stage = Stage("s", "", "", [], autotune={"num_warps": [2, 4]})
    source = DECORATED.replace("CONFIGS", "configs()")
    declared = read_space("p", {"BLOCK": [16]})
    assert space_of(tmp_path, variant(tmp_path, source, declared), stage) == declared
    assert space_of(tmp_path, variant(tmp_path, source), stage).source == "stage"
    listed = space_of(tmp_path, variant(tmp_path, source), None)
    assert (listed.source, space_size(listed)) == ("decorator", 2)
    assert [*all_configurations(listed)] == [{"BLOCK": 64, "num_stages": 2}, {"BLOCK": 128, "num_stages": 2}]
    assert default_tunables(tmp_path, variant(tmp_path, source), listed) == {"BLOCK": 64}


def test_without_a_space_or_with_one_that_the_variant_does_not_take_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="nothing says which") as raised:
        space_of(tmp_path, variant(tmp_path, "def f(x): ..."), None)
    assert "[variants.v.sweep]" in (raised.value.hint or "")
    with pytest.raises(BadArgument, match=r"takes no tunable 'GROUP', which problem\.toml lists") as raised:
        space_of(tmp_path, variant(tmp_path, "def f(x, BLOCK=4): ...", read_space("p", {"GROUP": [1]})), None)
    assert "keyword GROUP" in (raised.value.hint or "")
    with pytest.raises(BadArgument, match=r"cannot read what @triton\.autotune of v\.py lists"):
        space_of(tmp_path, variant(tmp_path, DECORATED), None)


def test_of_a_folder_all_files_are_read(tmp_path: Path) -> None:
    """As those of one file are: what functions take, their defaults, and what a decorator lists."""
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .kernels import wrapper\nfrom .broken import nothing\n")
    (folder / "broken.py").write_text("def f(:")
    (folder / "kernels.py").write_text(DECORATED.replace("CONFIGS", "configs()"))
    one = variant(tmp_path, "")
    found = replace(one, entry=replace(one.entry, path="v/__init__.py"))
    listed = space_of(tmp_path, found, None)
    assert [*all_configurations(listed)] == [{"BLOCK": 64, "num_stages": 2}, {"BLOCK": 128, "num_stages": 2}]
    declared = read_space("p", {"BLOCK": [16], "num_warps": [8]})
    assert space_of(tmp_path, replace(found, sweep=declared), None) == declared
    assert default_tunables(tmp_path, found, declared) == {"BLOCK": 64, "num_warps": 4}
    with pytest.raises(BadArgument, match="takes no tunable 'GROUP'"):
        space_of(tmp_path, replace(found, sweep=read_space("p", {"GROUP": [1]})), None)


def test_the_spaces_of_this_repository_are_large_enough_and_taken() -> None:
    project = load_project(ROOT)
    card = committed().card
    for problem, name, least in (("cumprod", "blocked_scan", 96), ("matmul", "tiled", 200)):
        space = space_of(project.root, project.problems[problem].variants[name], None)
        kept = [each for each in all_configurations(space) if broken_constraint(space, each, card) is None]
        assert least <= len(kept) < 400
