"""Reports of what stallgate itself never makes, recorded by ``elsewhere.py`` on H100s and H200s with
ncu 2025.3.1.

What is said of each is held against what ``elsewhere.py`` launched.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections import Counter, defaultdict
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import ncu_report
import pytest

from tests.conftest import command_line, small_tree
from tests.extract.patching import launches_of, patched, unpacked_report
from tests.shared import Shared

REPORTS = Path(__file__).parent / "reports"
GPU = "NVIDIA H100 80GB HBM3"
ALL = sorted(path.name.partition(".")[0] for path in REPORTS.iterdir())


class Imported(NamedTuple):
    """A report that went through the command line."""

    folder: Path
    answer: dict[str, Any]
    said: str
    """On a terminal of 80 columns."""

    @property
    def cases(self) -> list[dict[str, Any]]:
        return [{**case, **case["identity"]} for case in self.answer["cases"]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [case for case in self.cases if case.get("kind", "launches") == kind]

    def counts(self) -> dict[str, int]:
        """Name -> launches, of all cases."""
        return {case["name"]: case["launches"] for case in self.cases}

    def time(self, case: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.answer["metrics"][case["case"]]["duration"]
        return found

    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))


class Import:
    """Imports a report: by its name once for all tests, which only read; or its bytes, into the test's own tree."""

    def __init__(self, shared: Shared, tree: Path) -> None:
        self._shared, self._tree = shared, tree

    def __call__(self, name: str, content: bytes | None = None) -> Imported:
        if content is not None:
            return imported(self._tree, name, content)
        return self._shared.get(
            f"elsewhere-{name}",
            lambda folder: imported(small_tree(folder / "project"), name, (REPORTS / f"{name}.ncu-repz").read_bytes()),
        )

    def page(self, name: str) -> str:
        """The words of the page of a report."""
        tree = self(name).folder.parents[1]
        return self._shared.get(f"page-elsewhere-{name}", lambda _: words_of_page(tree))


def imported(tree: Path, name: str, content: bytes) -> Imported:
    """A report that ``stallgate import`` takes into a tree, twice: as it is shown, and as an object."""
    path, stallgate = tree / f"{name}.ncu-repz", command_line(tree)
    path.write_bytes(content)
    shown = stallgate("import", str(path), COLUMNS="80")
    done = stallgate("import", "--json", str(path))
    assert (shown.returncode, done.returncode) == (0, 0), done.stderr + shown.stderr
    answer = json.loads(done.stdout)
    return Imported(folder=Path(answer["run"]), answer=answer, said=" ".join(shown.stdout.split()))


def words_of_page(tree: Path) -> str:
    """The words of the page of a tree's newest run."""
    assert command_line(tree)("report").returncode == 0
    page = (tree / "reports/latest/report.html").read_text()
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture
def importing(shared: Shared, tree: Path) -> Import:
    return Import(shared, tree)


def actions(name: str) -> list[Any]:
    """What NVIDIA's own library has of a report."""
    span = ncu_report.load_report(str(REPORTS / f"{name}.ncu-repz")).range_by_idx(0)
    return [span.action_by_idx(number) for number in range(span.num_actions())]


# --- every one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_value_is_ncus_own(importing: Import, name: str) -> None:
    """Of every launch and metric that has one name of ncu's, and nothing is left out."""
    found, known = importing(name), actions(name)
    seen: dict[int, set[str]] = defaultdict(set)
    for row in found.rows():
        if not row["launch"] or row["source"] != "ncu" or row["state"] != "measured":
            continue
        value = known[int(row["launch"])].metric_by_name(row["ncu_name"]).value()
        assert float(row["value"]) == value, row
        seen[int(row["launch"])].add(row["ncu_name"])
    measured = [number for number, action in enumerate(known) if action.name() != "stray"]
    assert sorted(seen) == measured
    assert all("gpu__time_duration.sum" in names for names in seen.values())


@pytest.mark.parametrize("name", ALL)
def test_every_launch_is_in_one_case(importing: Import, name: str) -> None:
    found = importing(name)
    assert sum(case["launches"] for case in found.cases if case.get("kind") != "call") == len(actions(name))
    assert (
        len({case["name"] for case in found.cases}) == len({case["case"] for case in found.cases}) == len(found.cases)
    )
    gpus = {action.metric_by_name("device__attribute_display_name").value() for action in actions(name)}
    assert {case["device"] for case in found.cases} == gpus
    assert {case["report"] for case in found.cases} == {f"{name}.ncu-repz"}


# --- results of several kernels ---------------------------------------------------------------------------------------


def test_ranges_of_other_launches_are_cases_of_their_own(importing: Import) -> None:
    """The first has three launches, the second one: nothing that ncu calls the range differs but its kernels."""
    found = importing("ranges")
    assert found.counts() == {"range of scale, add and scale": 1, "range of add": 1}
    assert [case["kernels"] for case in found.of("range")] == [["scale", "add", "scale"], ["add"]]
    assert [found.time(case)["median"] for case in found.cases] == [289728.0, 250208.0]
    assert "range ranges" in found.said
    assert "kernel" not in found.said


@pytest.mark.parametrize("name", ["ranges", "ranges_of_triton", "graph"])
def test_a_result_of_several_kernels_is_no_kernels(importing: Import, name: str) -> None:
    found = importing(name)
    assert all("kernel" not in case["identity"] and "registers" not in case["identity"] for case in found.cases)
    assert {row["kernel"] for row in found.rows()} == {""}
    assert found.of("launches") == found.of("call") == []


@pytest.mark.parametrize("name", ["ranges", "ranges_of_triton", "graph"])
def test_a_fact_in_which_the_launches_differ_is_none_of_the_whole(importing: Import, name: str) -> None:
    """Of 18, 26 and 18 registers ncu shows 26; of the blocks that fit, the mean of three limits."""
    found = importing(name)
    metrics = found.answer["metrics"][found.cases[0]["case"]]
    states = {metric: metrics[metric]["state"] for metric in ("registers", "occupancy_limit_registers")}
    assert states == {"registers": "no_value", "occupancy_limit_registers": "absent" if name == "graph" else "no_value"}
    assert metrics["grid_size"]["median"] == 1024  # in which they are the same
    if name == "ranges":
        assert found.answer["metrics"][found.cases[1]["case"]]["registers"]["median"] == 26  # of one launch


def test_a_range_of_triton_launches(importing: Import) -> None:
    found = importing("ranges_of_triton")
    assert found.counts() == {"range of scale, add and scale": 1}
    page = importing.page("ranges_of_triton")
    assert "1 range of " in page
    assert "1 range of 3 kernel launches, measured as a whole" in page


def test_two_launches_of_a_graph_are_one_case(importing: Import) -> None:
    found = importing("graph")
    assert found.counts() == {"CUDA graph of scale, add and scale": 2}
    (case,) = found.of("graph")
    assert case["kernels"] == ["scale", "add", "scale"]
    assert (found.time(case)["low"], found.time(case)["high"]) == (264032.0, 306912.0)
    page = importing.page("graph")
    assert "1 CUDA graph, 2 launches of " in page
    assert "2 launches of a CUDA graph of 3 kernel launches, measured as a whole" in page


# --- launches ---------------------------------------------------------------------------------------------------------


def test_application_replay_is_launches_as_always(importing: Import) -> None:
    found = importing("application")
    assert found.counts() == {"scale": 2, "add": 1}
    assert [found.time(case)["median"] for case in found.cases][1] == 6112.0
    stall = "memory_dependency_stall"
    assert all(found.answer["metrics"][case["case"]][stall]["state"] == "measured" for case in found.cases)


def test_two_processes_are_two_launches(importing: Import) -> None:
    found = importing("processes")
    assert found.counts() == {"scale": 1, "add": 1}
    assert "2 kernels, 2 launches of " in importing.page("processes")


def test_137_configurations_are_137_cases(importing: Import) -> None:
    """No two have the same grid and block."""
    found = importing("configurations")
    size = 1 << 20
    wanted = product(
        (128, 256, 512, 1024, 2048, 4096, 8192, 16384), (1, 2, 4, 8, 16), [size // part for part in (1, 3, 5, 7)]
    )
    launched = [((-(-size // block), 1, 1), (32 * warps, 1, 1)) for block, warps, size in islice(wanted, 137)]
    assert [(tuple(case["grid"]), tuple(case["block"])) for case in found.cases] == launched
    assert {case["launches"] for case in found.cases} == {1}
    assert "the 40 of 137 that took longest" in found.said
    page = importing.page("configurations")
    assert "1 kernel, 137 launches of " in page
    assert "undecided" not in page


def test_105_launches_are_15_kernels_of_seven_launches(importing: Import) -> None:
    found = importing("few_kernels")
    grids = [1024 // part for part in (1, 2, 4, 8, 16)]
    names = [f"{kernel} (grid {grid}x1x1)" for kernel in ("scale", "Scale", "add") for grid in grids]
    assert found.counts() == dict.fromkeys(names, 7)
    assert "3 kernels, 105 launches of " in importing.page("few_kernels")


def test_the_launches_of_few_kernels_are_shown_with_their_spread(importing: Import) -> None:
    found = importing("few_kernels")
    times = defaultdict(list)
    for action in actions("few_kernels"):
        grid = action.metric_by_name("launch__grid_size").value()
        times[f"{action.name()} (grid {grid}x1x1)"].append(action.metric_by_name("gpu__time_duration.sum").value())
    for case in found.cases:
        mine = sorted(times[case["name"]])
        time = found.time(case)
        assert (time["low"], time["median"], time["high"]) == (mine[0], mine[3], mine[-1])


def test_kernels_of_one_geometry(importing: Import) -> None:
    """ncu was asked for two launches of each configuration, and counted by kernel too."""
    assert importing("same_geometry").counts() == {"scale": 2, "Scale": 2, "add": 2}


# --- NVTX ranges ------------------------------------------------------------------------------------------------------


def test_ranges_are_calls_of_all_their_launches(importing: Import) -> None:
    found = importing("nvtx_ranges")
    calls = {
        "step": (6, ["scale", "add", "Scale"]),
        "step > forward": (4, ["scale", "add"]),
        "step > forward > слой": (2, ["add"]),
        "step > backward/second": (2, ["Scale"]),
        "forward": (2, ["add"]),
        "epoch 0": (1, ["scale"]),
        "epoch 1": (1, ["scale"]),
    }
    assert {case["name"]: (case["launches"], case["kernels"]) for case in found.of("call")} == calls
    kernels = {case["name"]: case["launches"] for case in found.of("launches")}
    assert kernels == {
        "scale (in step > forward)": 2,
        "add (in step > forward > слой)": 2,
        "Scale": 2,
        "add (in forward)": 2,
        "scale (in epoch 0)": 1,
        "scale (in epoch 1)": 1,
        "scale": 1,
    }
    page = importing.page("nvtx_ranges")
    assert "3 kernels, 11 launches of " in page
    assert "step 6 launches of scale, add and Scale, together 32.4 µs" in page
    top = page.partition("Names and terms")[0]
    assert "work first on add (in forward)" in top
    assert "32.4 µs" not in top, "the time of a range is that of no kernel"


def test_the_time_of_a_range_is_that_of_all_its_launches(importing: Import) -> None:
    found = importing("nvtx_ranges")
    whole: Counter[str] = Counter()
    for action in actions("nvtx_ranges"):
        state = action.nvtx_state()
        ranges = (
            [name for key in state.domains() for name in state.domain_by_id(key).push_pop_ranges()] if state else []
        )
        for depth in range(1, len(ranges) + 1):
            whole[" > ".join(ranges[:depth])] += action.metric_by_name("gpu__time_duration.sum").value()
    assert {case["name"]: found.time(case)["median"] for case in found.of("call")} == dict(whole)


# --- what went wrong --------------------------------------------------------------------------------------------------


def test_a_launch_that_faulted_has_no_counters(importing: Import) -> None:
    """ncu has facts of the GPU for it, which are numbers too."""
    found = importing("fault")
    outcomes = {case["name"]: (case["outcome"], case.get("without_counters", 0)) for case in found.cases}
    assert outcomes == {"scale": ("profiled", 0), "add": ("profiled", 0), "stray": ("not_profiled", 1)}
    assert "stray: not profiled: ncu has no counters of this launch" in found.said
    assert not any(row["variant"] == "stray" and row["value"] for row in found.rows())
    assert "ncu has no counters of this launch" in importing.page("fault")


# --- several GPUs -----------------------------------------------------------------------------------------------------


def test_the_same_kernels_on_two_gpus_of_one_model_are_cases_of_their_own(importing: Import) -> None:
    found = importing("devices")
    told = [(case["kernel"], case["device"], case["device_index"], case["launches"]) for case in found.cases]
    assert told == [(kernel, "NVIDIA H200", index, 1) for index in (0, 1) for kernel in ("scale", "add")]
    assert len({case["name"] for case in found.cases}) == 4
    assert [found.time(case)["low"] for case in found.cases] == [
        action.metric_by_name("gpu__time_duration.sum").value() for action in actions("devices")
    ]
    for index in (0, 1):
        assert f"NVIDIA H200, device {index}" in found.said
        assert f"NVIDIA H200, device {index}" in importing.page("devices")


def test_a_kernel_on_two_models_is_two_cases(importing: Import) -> None:
    """Two launches of one kernel, the second of which is said to be of another model."""
    other = GPU.replace("H100", "H200")
    made = launches_of(
        unpacked_report(REPORTS / "same_geometry.ncu-repz"),
        [0, 1],
        lambda place, content: patched(content, {GPU: other}) if place else content,
    )
    found = importing("models", made)
    assert [(case["device"], case["launches"]) for case in found.cases] == [(GPU, 1), (other, 1)]
    assert len({case["name"] for case in found.cases}) == 2
    assert f"{GPU}, device 0" in found.said
    assert f"{other}, device 0" in found.said
    assert [found.time(case)["low"] for case in found.cases] == [
        action.metric_by_name("gpu__time_duration.sum").value() for action in actions("same_geometry")[:2]
    ]
