"""Grids that are written in other words: launches say whether they are other grids, by drawn expressions and shapes."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from stallgate.compare.grids import LaunchedGrid, LaunchedGrids, launched_grids
from stallgate.compare.rules import NO_READINGS, RuleFinding, VersionReadings, decided_by, hold_to_rules
from stallgate.extract.evidence import ProfiledCall
from stallgate.extract.launches import GRID_DIMENSIONS, GRID_SIZE
from stallgate.model import Case, HeldRule, Launch, RawMetric
from stallgate.project.code_changes import CodeDifference, code_difference
from stallgate.project.load import Project

STAGE = "block_tiling"
LOADS = ("square", "page")
"""The workloads that the stage judges."""

RULE = HeldRule(text="leave the grid as it is", changes=["grid changed"], unless="waves < 1")

SOURCE = """
import triton
import triton.language as tl


@triton.jit
def KERNEL(x_ptr, n, BLOCK: tl.constexpr):
    columns = tl.arange(0, BLOCK)
    tl.store(x_ptr + tl.program_id(0) * n + columns, 0.0, mask=columns < n)


def scale(x, *, BLOCK: int = 128):
    LINES
    KERNEL[grid](x, x.shape[1], BLOCK=BLOCK)
"""

ROWS = ["x.shape[0]", "x.size(0)", "x.numel() // max(x.shape[1], 1)", "len(x)", "max(x.shape[0], 1)", "min(len(x), 64)"]
TILES = ["triton.cdiv(x.shape[1], BLOCK)", "(x.shape[1] + BLOCK - 1) // BLOCK", "-(-x.shape[1] // BLOCK)"]
TILES += ["x.shape[1] // BLOCK", "max(1, x.shape[1] // BLOCK)"]
GRIDS = ["({rows},)", "({rows} * {tiles},)", "({tiles} * {rows}, 1)", "({rows}, {tiles})", "({tiles}, {rows})"]


def drawn_grid(rng: random.Random) -> list[str]:
    """The lines that bind ``grid``."""
    rows, tiles, grid = rng.choice(ROWS), rng.choice(TILES), rng.choice(GRIDS)
    if rng.random() < 0.5:
        return [f"grid = {grid.format(rows=rows, tiles=tiles)}"]
    return [f"rows, tiles = {rows}, {tiles}", f"grid = {grid.format(rows='rows', tiles='tiles')}"]


def launched(lines: list[str], shape: tuple[int, int]) -> tuple[int, int, int]:
    """The grid that some lines make of a tensor's shape, as Python has it."""

    class Tensor:
        def __init__(self) -> None:
            self.shape = shape

        def __len__(self) -> int:
            return shape[0]

        def size(self, dim: int) -> int:
            return shape[dim]

        def numel(self) -> int:
            return shape[0] * shape[1]

    names: dict[str, Any] = {
        "x": Tensor(),
        "BLOCK": 128,
        "triton": SimpleNamespace(cdiv=lambda a, b: (a + b - 1) // b),
    }
    exec("\n".join(lines), names)
    x, y, z, *_ = *names["grid"], 1, 1
    return x, y, z


def version(lines: list[str], kernel: str) -> str:
    return SOURCE.replace("LINES", "\n    ".join(lines)).replace("KERNEL", kernel)


def held(
    project: Project, difference: CodeDifference, before: LaunchedGrids, after: LaunchedGrids, rule: HeldRule = RULE
) -> list[RuleFinding]:
    """The findings of one rule, where the version before filled the GPU."""
    stage = replace(project.stages[STAGE], held=[rule], includes=[])
    changed = replace(project, stages={**project.stages, STAGE: stage})
    waves = {(load, "waves"): 7.76 for load in LOADS}
    was, now = VersionReadings(values=waves, grids=before), VersionReadings(values={}, grids=after)
    return hold_to_rules(changed, "cumprod", difference, was, now, [STAGE])[1]


def test_the_stage_judges_both_workloads(repository: Project) -> None:
    assert set(repository.judged_workloads("cumprod", STAGE)) == set(LOADS)


def test_drawn_grids_are_other_grids_where_launches_differ(repository: Project) -> None:
    """As Python evaluates them: equal on every workload, other on one, or not known."""
    rng, seen = random.Random(11), dict.fromkeys(("same text", "same grid", "other grid", "not known"), 0)
    for _ in range(400):
        first = drawn_grid(rng)
        lines = [first, first if rng.random() < 0.1 else drawn_grid(rng)]
        kernels = ["_scale", rng.choice(["_scale", "_other"])]
        shapes = {load: (rng.choice([1, 32, 1000]), rng.choice([100, 128, 1000, 4096])) for load in LOADS}
        texts = [version(*pair) for pair in zip(lines, kernels, strict=True)]
        difference = code_difference({"v.py": texts[0]}, {"v.py": texts[1]})
        grids = [{load: launched(each, shapes[load]) for load in LOADS} for each in lines]
        known = {load for load in LOADS if rng.random() < 0.85}
        before: LaunchedGrids = {
            (load, kernels[0]): (LaunchedGrid(x * y * z, (x, y, z)),) for load, (x, y, z) in grids[0].items()
        }
        after: LaunchedGrids = {
            (load, kernels[1]): (LaunchedGrid(x * y * z, (x, y, z)),)
            for load, (x, y, z) in grids[1].items()
            if load in known
        }
        found = held(repository, difference, before, after)
        if not any(change.kind == "grid" for change in difference.changes):
            case, states = "same text", []
        elif any(grids[0][load] != grids[1][load] for load in known):
            case, states = "other grid", ["broken"]
        elif len(known) == len(LOADS):
            case, states = "same grid", []
        else:
            case, states = "not known", ["cannot_be_told"]
        seen[case] += 1
        assert [each.state for each in found] == states, (lines, shapes, known)
        if case == "not known":
            assert found[0].missing == ["after.grid_size"]
            assert {each.workload for each in found[0].readings if each.value is None} == set(LOADS) - known
    assert min(seen.values()) > 20, seen


# --- what is said -----------------------------------------------------------------------------------------------------

WRITTEN_OTHERWISE = code_difference(
    {"v.py": version(["grid = (len(x),)"], "_scale")}, {"v.py": version(["n = len(x)", "grid = (n * 1,)"], "_other")}
)


def sized(kernel: str, *sizes: int) -> LaunchedGrids:
    return {(load, kernel): tuple(map(LaunchedGrid, sizes)) for load in LOADS}


def test_without_any_launch_it_cannot_be_told(repository: Project) -> None:
    (found,) = held(repository, WRITTEN_OTHERWISE, {}, {})
    assert (found.state, found.missing) == ("cannot_be_told", ["grid_size", "after.grid_size"])
    assert "read: waves 7.76 on " in decided_by(found)
    assert "after.grid_size not measured on square" in decided_by(found)


def test_another_grid_is_named_with_both_sizes(repository: Project) -> None:
    (found,) = held(repository, WRITTEN_OTHERWISE, sized("_scale", 32768), sized("_other", 512))
    assert found.state == "broken"
    assert "(32768 -> 512 programs on square, page)" in found.changes[0].sentence.replace(
        "page, square", "square, page"
    )


def test_a_reading_that_allows_a_change_needs_no_launches(repository: Project) -> None:
    rule = replace(RULE, unless="waves < 10")
    assert held(repository, WRITTEN_OTHERWISE, {}, {}, rule) == []


def test_a_rule_without_a_condition_waits_for_the_launches_as_well(repository: Project) -> None:
    rule = replace(RULE, unless="")
    assert [each.state for each in held(repository, WRITTEN_OTHERWISE, {}, {}, rule)] == ["cannot_be_told"]
    assert held(repository, WRITTEN_OTHERWISE, sized("_scale", 8), sized("_other", 8), rule) == []
    (found,) = held(repository, WRITTEN_OTHERWISE, sized("_scale", 8), sized("_other", 9), rule)
    assert (found.state, decided_by(found)) == ("broken", "nothing allows it in this stage")


def test_what_is_clear_without_launches_is_broken_before_them(repository: Project) -> None:
    """A grid that may be the same does not hide another change of the same rule."""
    rule = replace(RULE, changes=["grid changed", "num_stages raised"])
    difference = code_difference(
        {"v.py": version(["grid = (len(x),)"], "_scale").replace("BLOCK=BLOCK", "BLOCK=BLOCK, num_stages=2")},
        {"v.py": version(["grid = (x.size(0),)"], "_scale").replace("BLOCK=BLOCK", "BLOCK=BLOCK, num_stages=4")},
    )
    (found,) = held(repository, difference, {}, {}, rule)
    assert (found.state, [each.subject for each in found.changes]) == ("broken", ["num_stages"])


def test_a_grid_in_other_words_is_no_second_change(repository: Project) -> None:
    rule = HeldRule(text="one at a time", changes=["several changed"])
    difference = code_difference(
        {"v.py": version(["grid = (len(x),)"], "_scale")},
        {"v.py": version(["grid = (x.size(0),)"], "_scale").replace("BLOCK: int = 128", "BLOCK: int = 256")},
    )
    assert [each.state for each in held(repository, difference, {}, {}, rule)] == ["cannot_be_told"]
    assert held(repository, difference, sized("_scale", 8), sized("_scale", 8), rule) == []
    found = held(repository, difference, sized("_scale", 8), sized("_scale", 4), rule)
    assert [each.state for each in found] == ["broken"]


def test_a_grid_in_other_words_is_a_change_of_the_code(repository: Project) -> None:
    rule = HeldRule(text="nothing may change", changes=["anything changed"])
    difference = code_difference(
        {"v.py": version(["grid = (len(x),)"], "_scale")}, {"v.py": version(["grid = (x.size(0),)"], "_scale")}
    )
    (found,) = held(repository, difference, sized("_scale", 8), sized("_scale", 8), rule)
    assert [each.kind for each in found.changes] == ["code"]


def test_extents_tell_more_than_a_size_where_both_versions_have_them(repository: Project) -> None:
    flat = {(load, "_scale"): (LaunchedGrid(64, (64, 1, 1)),) for load in LOADS}
    square = {(load, "_other"): (LaunchedGrid(64, (8, 8, 1)),) for load in LOADS}
    (found,) = held(repository, WRITTEN_OTHERWISE, flat, square)
    assert "(64 -> 8 x 8 programs on " in found.changes[0].sentence
    assert held(repository, WRITTEN_OTHERWISE, flat, sized("_other", 64)) == []


def test_a_second_launch_is_another_grid(repository: Project) -> None:
    (found,) = held(repository, WRITTEN_OTHERWISE, sized("_scale", 64), sized("_other", 32, 64))
    assert "(64 -> 32 + 64 programs on " in found.changes[0].sentence


# --- from launches ----------------------------------------------------------------------------------------------------


def launch(kernel: str, *extents: int, size: int | None = None) -> Launch:
    values = dict(zip(GRID_DIMENSIONS, extents, strict=False)) | ({GRID_SIZE: size} if size is not None else {})
    metrics = {name: RawMetric(has_value=True, value=value, unit="") for name, value in values.items()}
    return Launch(index=0, kernel=kernel, ranges=[], metrics=metrics)


def call(sample: str, *launches: Launch) -> ProfiledCall:
    return ProfiledCall(Case("cumprod", "scan", "default", "square"), sample, list(launches))


def grids(*calls: ProfiledCall) -> LaunchedGrids:
    return launched_grids(calls, {each.case: "square" for each in calls})


def test_grids_are_of_each_kernel_by_itself() -> None:
    found = grids(call("0", launch("_a", 4, 2, 1), launch("_b", size=9), launch("_a", 1, 1, 1)))
    assert found == {
        ("square", "_a"): (LaunchedGrid(1, (1, 1, 1)), LaunchedGrid(8, (4, 2, 1))),
        ("square", "_b"): (LaunchedGrid(9),),
    }


def test_a_grid_that_differs_from_call_to_call_or_is_missing_is_not_known() -> None:
    assert grids(call("0", launch("_a", 4, 1, 1)), call("1", launch("_a", 5, 1, 1))) == {}
    assert grids(call("0", launch("_a")), call("1", launch("_a"))) == {}
    assert grids(call("0", launch("_a", 4, 1, 1)), call("detail", launch("_a", 9, 1, 1))) != {}
    assert NO_READINGS.grids == {}
