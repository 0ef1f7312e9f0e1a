"""Cases of two imported runs: which one is which, and what is not told apart."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.compare.pairing import differences, pair_up, with_cases_of
from stallgate.compare.two_runs import RunComparison, compare
from stallgate.extract.read_run import MeasuredRun
from stallgate.model import Attempt, Case, CaseResult, Identity, Settings
from stallgate.project.load import Project
from tests.compare.test_two_runs import metric_of, result
from tests.judge.judging import environment
from tests.judge.judging import summary as launches

KERNEL = Identity(
    kernel="gemm",
    signature="void gemm<float, (int)64>(float *, int)",
    grid=(32, 16, 1),
    block=(256, 1, 1),
    registers=40,
    static_shared_bytes=0,
    dynamic_shared_bytes=1024,
    device="NVIDIA A100",
    device_index=0,
    report="before.ncu-rep",
    launches=3,
)
RANGE = Identity(kind="call", ranges=["step", "loss"], kernels=["gemm"], device="NVIDIA A100", launches=4)


def kernel(**changes: Any) -> Identity:
    return replace(KERNEL, **changes)


def results(*identities: Identity | None, report: str = "before") -> list[CaseResult]:
    return [
        CaseResult(
            case=Case(problem="imported", variant=f"slug-{number}", configuration=report, workload="gpu"),
            role="unknown",
            outcome="profiled",
            attempt=report,
            identity=identity if identity is None else replace(identity, report=f"{report}.ncu-rep"),
        )
        for number, identity in enumerate(identities)
    ]


def paired(base: list[Identity], run: list[Identity]) -> list[tuple[int, int]]:
    """The places of the cases that are paired."""
    before, after = results(*base), results(*run, report="after")
    places = {found.case: place for side in (before, after) for place, found in enumerate(side)}
    return sorted((places[case], places[other]) for case, other in pair_up(before, after).items())


AGAIN = kernel()
OTHER_GEOMETRY = kernel(grid=(16, 32, 1))
OTHER_TEMPLATE = kernel(signature="void gemm<float, (int)128>(float *, int)")


@pytest.mark.parametrize(
    ("base", "run", "wanted"),
    [
        ([KERNEL], [AGAIN], [(0, 0)]),
        ([KERNEL, OTHER_GEOMETRY], [OTHER_GEOMETRY, KERNEL], [(0, 1), (1, 0)]),
        ([KERNEL, OTHER_TEMPLATE], [OTHER_TEMPLATE, KERNEL], [(0, 1), (1, 0)]),
        ([KERNEL], [kernel(registers=48, dynamic_shared_bytes=0)], [(0, 0)]),
        ([KERNEL, kernel(registers=48)], [kernel(registers=64), KERNEL], [(0, 1), (1, 0)]),
        ([KERNEL], [kernel(device="NVIDIA H100")], [(0, 0)]),
        ([KERNEL, kernel(device="NVIDIA H100")], [kernel(device="NVIDIA H100"), KERNEL], [(0, 1), (1, 0)]),
        ([KERNEL], [kernel(ranges=["step"])], [(0, 0)]),
        ([kernel(ranges=["a"]), kernel(ranges=["b"])], [kernel(ranges=["b"]), kernel(ranges=["a"])], [(0, 1), (1, 0)]),
        ([KERNEL], [OTHER_GEOMETRY], [(0, 0)]),
        ([RANGE], [replace(RANGE, launches=8, kernels=["gemm", "sum"])], [(0, 0)]),
        ([RANGE], [replace(RANGE, ranges=["step"])], []),
        ([KERNEL], [OTHER_TEMPLATE], []),
        ([RANGE], [kernel(ranges=["step", "loss"])], []),
    ],
)
def test_cases_are_paired_by_what_the_kernel_is(
    base: list[Identity], run: list[Identity], wanted: list[tuple[int, int]]
) -> None:
    assert paired(base, run) == wanted


@pytest.mark.parametrize(
    ("base", "run"),
    [
        ([KERNEL, OTHER_GEOMETRY], [kernel(grid=(8, 8, 8)), kernel(grid=(4, 4, 4))]),
        ([KERNEL], [kernel(grid=(8, 8, 8)), kernel(grid=(4, 4, 4))]),
        ([kernel(registers=40), kernel(registers=41)], [kernel(registers=50), kernel(registers=51)]),
        ([kernel(ranges=["a"]), kernel(ranges=["b"])], [kernel(ranges=["c"]), kernel(ranges=["d"])]),
    ],
)
def test_what_cannot_be_told_apart_is_not_paired(base: list[Identity], run: list[Identity]) -> None:
    assert paired(base, run) == []


def test_a_changed_geometry_is_not_paired_with_what_is_left_over() -> None:
    """One of two geometries is in both runs. Whether the other one changed, or went and came, nobody knows."""
    assert paired([KERNEL, OTHER_GEOMETRY], [AGAIN, kernel(grid=(8, 8, 8))]) == [(0, 0)]


def test_two_files_of_the_same_names_are_paired_file_by_file() -> None:
    before, after = [*results(KERNEL, report="x"), *results(KERNEL, report="y")], results(KERNEL, report="y")
    assert pair_up(before, after) == {before[1].case: after[0].case}


def test_stallgates_own_cases_are_paired_without_the_name_of_the_report() -> None:
    (before,), (after,) = results(None, report="a"), results(None, report="b")
    assert pair_up([before], [after]) == {before.case: after.case}
    tuned = replace(before, case=replace(before.case, configuration="a.wide"))
    assert pair_up([tuned], [after]) == {}


def test_what_differs_is_told() -> None:
    after = kernel(grid=(16, 32, 1), registers=48, dynamic_shared_bytes=49152, ranges=["step"], device="NVIDIA H100")
    assert differences(KERNEL, after) == [
        "grid 32x16x1 → 16x32x1",
        "registers 40 → 48",
        "dynamic shared memory 1,024 → 49,152",
        "GPU NVIDIA A100 → NVIDIA H100",
        "NVTX no range → step",
    ]
    assert differences(KERNEL, AGAIN) == []


# --- compared ---------------------------------------------------------------------------------------------------------


def run_of_imports(
    project: Project, name: str, *identities: Identity, times: tuple[float, ...] = (100, 110, 120), **changes: Any
) -> MeasuredRun:
    attempt = Attempt(name=name, kind="import", command=[], started="", environment=environment(chip=None))
    plain: dict[str, Any] = {"kind": "imported", "subjects": {}, "settings": None, "attempts": [attempt]}
    numbers = {"duration": launches(*times)}
    return result(project, name, results(*identities, report=name), numbers, **{**plain, **changes})


def compared(project: Project, base: MeasuredRun, run: MeasuredRun, *, same_conditions: bool = False) -> RunComparison:
    return compare(project, base, run, same_conditions=same_conditions)


def test_an_unpaired_case_of_the_base_never_takes_the_name_of_another(repository: Project) -> None:
    base = run_of_imports(repository, "x", OTHER_TEMPLATE)
    run = run_of_imports(repository, "x", KERNEL)
    assert base.run.cases[0].case == run.run.cases[0].case
    renamed = with_cases_of(base, run)
    assert renamed.run.cases[0].case != run.run.cases[0].case
    found = compared(repository, base, run)
    assert {pair.obstacle.code for pair in found.pairs if pair.obstacle} == {"only_in_base", "only_in_run"}
    assert len(found.pairs) == 2


def test_unknown_conditions_show_both_values_and_no_word(repository: Project) -> None:
    found = compared(
        repository,
        run_of_imports(repository, "a", KERNEL),
        run_of_imports(repository, "b", OTHER_GEOMETRY, times=(50, 55, 60)),
    )
    (pair,) = found.pairs
    change = metric_of(pair, "duration")
    assert (change.word, change.change) == ("shown", -0.5)
    assert change.obstacle is not None
    assert change.obstacle.code == "conditions_unknown"
    assert pair.differs == ["grid 32x16x1 → 16x32x1"]
    assert found.finding == "1 of 1 cases in both runs; gemm took 110 ns and takes 55.0 ns (-50.0 %)"
    assert found.comparable


def test_the_users_word_stands_for_what_is_not_known_and_for_nothing_else(repository: Project) -> None:
    base, faster = run_of_imports(repository, "a", KERNEL), {"times": (50.0, 55.0, 60.0)}
    words = {
        name: metric_of(compared(repository, base, run, same_conditions=True).pairs[0], "duration").word
        for name, run in {
            "alike": run_of_imports(repository, "b", KERNEL, **faster),  # type: ignore[arg-type]
            "another GPU": run_of_imports(repository, "b", kernel(device="NVIDIA H100"), **faster),  # type: ignore[arg-type]
        }.items()
    }
    assert words == {"alike": "faster", "another GPU": "shown"}


def test_captures_say_their_conditions_themselves(repository: Project) -> None:
    def captured(name: str, clock_control: str) -> MeasuredRun:
        settings = Settings(samples=3, timeout_s=1, clock_control=clock_control, cache_control="all", metrics=[])
        return run_of_imports(repository, name, KERNEL, settings=settings)

    alike = compared(repository, captured("a", "none"), captured("b", "none"))
    assert alike.reservations == []
    assert metric_of(alike.pairs[0], "duration").word == "same"
    other = compared(repository, captured("a", "none"), captured("b", "base"), same_conditions=True)
    assert [reason.code for reason in other.reservations] == ["other_clock_control"]
    assert metric_of(other.pairs[0], "duration").word == "shown"


def test_the_sum_of_other_launches_has_no_word(repository: Project) -> None:
    base = run_of_imports(repository, "a", RANGE)
    run = run_of_imports(repository, "b", replace(RANGE, launches=8), times=(200, 220, 240))
    found = compared(repository, base, run, same_conditions=True)
    change = metric_of(found.pairs[0], "duration")
    assert change.word == "shown"
    assert change.obstacle is not None
    assert change.obstacle.sentence == "the sum of 4 launches before and of 8 after"
    assert found.finding == "1 of 1 cases in both runs", "it is no headline"


def test_unknown_gpus_are_not_the_same_gpu(repository: Project) -> None:
    sides = [run_of_imports(repository, name, kernel(device="unknown")) for name in ("a", "b")]
    found = compared(repository, *sides)
    assert [reason.sentence for reason in found.reservations] == [
        "GPU, clock control and cache control are not in an ncu report"
    ]
