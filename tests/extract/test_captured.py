"""The kernels of a captured program: their shares, which are chosen, and which one ncu process can profile together."""

from __future__ import annotations

import math

import pytest

from stallgate.extract.captured import LONGEST_NAMES, MOST_GROUPS, MOST_HEAVY, TIME, Ranking, grouped, heaviest, ranked
from stallgate.extract.foreign import foreign_cases
from stallgate.extract.launches import BLOCK_DIMENSIONS, GRID_DIMENSIONS
from stallgate.model import Launch, ProgramKernel, RawMetric


def launch(
    kernel: str | None, time_ns: float | None, grid: int = 1, signature: str = "", ranges: tuple[str, ...] = ()
) -> Launch:
    values = {
        **dict.fromkeys((*GRID_DIMENSIONS, *BLOCK_DIMENSIONS), 1.0),
        GRID_DIMENSIONS[0]: float(grid),
        TIME: time_ns,
    }
    metrics = {name: RawMetric(has_value=value is not None, value=value, unit="") for name, value in values.items()}
    return Launch(index=0, kernel=kernel, ranges=list(ranges), metrics=metrics, signature=signature or (kernel or ""))


def kernel(name: str, share: float) -> ProgramKernel:
    return ProgramKernel(kernel=name, signature=name, launches=1, time_ns=share, share=share)


def test_shares_are_of_all_launches_the_largest_first() -> None:
    found = ranked([launch("a", 100), launch("b", 300), launch("a", 100), launch("b", 500)])
    assert [(each.kernel, each.launches, each.time_ns, each.share) for each in found.kernels] == [
        ("b", 2, 800, 0.8),
        ("a", 2, 200, 0.2),
    ]
    assert found.untimed == 0


def test_functions_that_differ_in_their_template_arguments_are_different_kernels() -> None:
    found = ranked([launch("f", 1, signature="f<1>"), launch("f", 3, signature="f<2>")])
    assert [(each.signature, each.share) for each in found.kernels] == [("f<2>", 0.75), ("f<1>", 0.25)]


@pytest.mark.parametrize("time_ns", [None, math.nan, math.inf])
def test_a_launch_without_a_time_has_no_share_and_is_counted(time_ns: float | None) -> None:
    found = ranked([launch("a", 100), launch("b", time_ns), launch(None, 5)])
    assert [(each.kernel, each.share) for each in found.kernels] == [("a", 1.0)]
    assert found.untimed == 2


def test_a_program_without_a_timed_kernel_has_no_shares() -> None:
    assert ranked([]).kernels == []
    assert [each.share for each in ranked([launch("a", 0)]).kernels] == [0.0]


def test_the_heaviest_make_up_nine_tenths_of_the_time() -> None:
    names = [each.kernel for each in heaviest([kernel("a", 0.6), kernel("b", 0.35), kernel("c", 0.05)])]
    assert names == ["a", "b"]
    assert len(heaviest([kernel(str(number), 0.01) for number in range(100)])) == MOST_HEAVY


def ranking(**geometries: list[int]) -> Ranking:
    """Functions that are launched with these grids."""
    return ranked([launch(name, 1, grid) for name, grids in geometries.items() for grid in grids])


def test_functions_of_one_group_have_no_geometry_in_common() -> None:
    found = grouped(["a", "b", "c"], ranking(a=[1, 2], b=[2, 3], c=[4]))
    assert [group.kernels for group in found] == [["a", "c"], ["b"]]
    assert [group.most_alike for group in found] == [1, 1]


def test_template_arguments_share_the_count_of_their_function() -> None:
    launches = [launch("f", 1, signature=f"f<{number}>") for number in range(3)] + [launch("f", 1, 7, signature="f<1>")]
    (found,) = grouped(["f"], ranked(launches))
    assert found.most_alike == 3


def test_there_are_only_so_many_groups_and_names() -> None:
    names = [f"k{number}" for number in range(MOST_GROUPS + 5)]
    assert sum(len(group.kernels) for group in grouped(names, ranking(**{name: [1] for name in names}))) == MOST_GROUPS
    long = {"a" * (LONGEST_NAMES - 1): [1], "b" * 10: [2], "c" * (LONGEST_NAMES + 1): [3]}
    assert [[name[0] for name in group.kernels] for group in grouped(list(long), ranking(**long))] == [["a"], ["b"]]


# --- the warm-up ---


def test_the_first_launch_of_each_case_is_left_out_where_there_are_more() -> None:
    launches = [launch("a", time_ns) for time_ns in (9, 1, 1)] + [launch("b", 5)]
    cases = foreign_cases(launches, "counters", warm_up=1)
    times = [[each.metrics[TIME].value for sample in case.samples.values() for each in sample] for case in cases]
    assert times == [[1, 1], [5]]
    assert [case.identity.launches for case in cases if case.identity] == [2, 1]


def test_a_range_of_which_some_launches_were_measured_is_no_case() -> None:
    launches = [launch("a", 1, ranges=("step",))] * 2
    assert len(foreign_cases(launches, "counters")) == 2
    (case,) = foreign_cases(launches, "counters", warm_up=1)
    assert case.identity is not None
    assert case.identity.ranges == ["step"]
