"""Launches and readings, with a fake of NVIDIA's reader where a state cannot be recorded."""

from __future__ import annotations

import io
import json
import math
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import ncu_report
import pytest

from stallgate.errors import BadArgument
from stallgate.extract import reader
from stallgate.extract.evidence import mislabelled, read_attempt
from stallgate.extract.foreign import foreign_cases
from stallgate.extract.launches import Report, checked, reading
from stallgate.extract.table import combine_launches
from stallgate.model import Attempt, CaseResult, Label, Launch, Metric, RawMetric
from stallgate.project.catalogue import collected
from stallgate.project.load import Project
from stallgate.project.paths import slug
from tests.judge.judging import run_of

NAME = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
METRIC = Metric(
    name="share", title="", unit="%", names=[NAME, "second.pct"], formula="100 * a.x / b.x", least=0, most=105
)


def launch(ranges: list[str] | None = None, kernel: str | None = "k", **values: Any) -> Launch:
    metrics = {name.replace("_DOT_", "."): raw(value) for name, value in values.items()}
    return Launch(index=0, kernel=kernel, ranges=ranges or [], metrics=metrics)


def raw(value: float | str | None) -> RawMetric:
    return RawMetric(has_value=value is not None, value=value, unit="")


def with_metrics(**values: float | str | None) -> Launch:
    return Launch(index=0, kernel="k", ranges=[], metrics={n: raw(v) for n, v in values.items()})


@pytest.mark.parametrize(
    ("metrics", "state", "value"),
    [
        ({NAME: 50.0}, "measured", 50.0),
        ({NAME: 0.0}, "measured", 0.0),
        ({NAME: 7}, "measured", 7.0),
        ({}, "absent", None),
        ({NAME: None}, "no_value", None),
        ({NAME: "text"}, "no_value", None),
        ({NAME: math.nan}, "not_finite", None),
        ({NAME: math.inf}, "not_finite", None),
        ({NAME: 106.0}, "out_of_range", None),
        ({NAME: -1.0}, "out_of_range", None),
        ({"second.pct": 20.0}, "measured", 20.0),
        ({NAME: None, "second.pct": 20.0}, "measured", 20.0),
        ({"a.x": 1.0, "b.x": 4.0}, "measured", 25.0),
        ({"a.x": 1.0, "b.x": 0.0}, "not_finite", None),
        ({"a.x": None, "b.x": 4.0}, "no_value", None),
        ({NAME: None, "a.x": 1.0}, "no_value", None),
    ],
)
def test_states(metrics: dict[str, Any], state: str, value: float | None) -> None:
    found = reading(with_metrics(**metrics), METRIC)
    assert (found.state, found.value) == (state, value)


def test_a_reading_says_where_it_comes_from() -> None:
    assert reading(with_metrics(**{"second.pct": 1.0}), METRIC).ncu_name == "second.pct"
    formula = reading(with_metrics(**{"a.x": 1.0, "b.x": 4.0}), METRIC)
    assert (formula.ncu_name, formula.source) == ("100 * a.x / b.x", "formula")


# --- the reader's process, on a stand-in for ncu_report ---


class FakeMetric:
    def __init__(self, value: object, has_value: bool = True) -> None:
        self._value, self._has_value = value, has_value

    def has_value(self) -> bool:
        return self._has_value

    def value(self) -> object:
        return self._value if self._has_value else 0.0

    def unit(self) -> str:
        return "%"

    def num_instances(self) -> int:
        return 0


class FakeAction:
    """One action, as ncu_report hands them out; without a name it is a phantom."""

    NameBase_DEMANGLED = 1

    def __init__(self, name: str | None, metrics: dict[str, FakeMetric]) -> None:
        self._name, self._metrics = name, metrics

    def name(self, _base: int = 0) -> str | None:
        return self._name

    def metric_names(self) -> list[str]:
        return list(self._metrics)

    def metric_by_name(self, name: str) -> FakeMetric:
        return self._metrics[name]

    def nvtx_state(self) -> None:
        return None

    def workload_type(self) -> int:
        return 0

    def rule_results_as_dicts(self) -> list[dict[str, Any]]:
        return []


class FakeContext:
    def __init__(self, actions: list[FakeAction]) -> None:
        self._actions = actions

    def num_ranges(self) -> int:
        return 1

    def range_by_idx(self, _: int) -> FakeContext:
        return self

    def num_actions(self) -> int:
        return len(self._actions)

    def action_by_idx(self, index: int) -> FakeAction:
        return self._actions[index]

    def get_version(self) -> str:
        return "0.0"


def read(monkeypatch: pytest.MonkeyPatch, actions: list[FakeAction], wanted: list[str]) -> dict[str, Any]:
    monkeypatch.setattr(ncu_report, "load_report", lambda _: FakeContext(actions))
    out = io.StringIO()
    with redirect_stdout(out):
        reader.main("any", wanted)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_a_metric_without_a_value_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    actions = [FakeAction("k", {NAME: FakeMetric(0.0, has_value=False), "other": FakeMetric(1.0)})]
    found = read(monkeypatch, actions, [NAME])["launches"][0]["metrics"]
    assert found == {NAME: {"value": None, "unit": "%"}}


def test_what_is_not_finite_travels_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, [FakeAction("k", {NAME: FakeMetric(math.nan)})], [])["launches"][0]["metrics"]
    assert found[NAME]["value"] == {"not_finite": "nan"}


@pytest.mark.parametrize(
    ("metrics", "counted"),
    [
        ({"gpu__time_duration.sum": FakeMetric(5.0)}, True),
        ({"sm__cycles_active.avg": FakeMetric(0.0)}, True),
        ({"gpu__time_duration.sum": FakeMetric(math.nan), "sm__cycles_active.avg": FakeMetric(math.nan)}, False),
        ({"gpu__time_duration.sum": FakeMetric(0.0, has_value=False)}, False),
        ({"launch__grid_size": FakeMetric(8.0), "device__attribute_clock_rate": FakeMetric(1)}, False),
        ({"profiler__replayer_passes": FakeMetric(1.0), "breakdown:gpu__time": FakeMetric("a,b")}, False),
        ({"smsp__maximum_warps_avg_per_active_cycle": FakeMetric(1.0)}, False),
        ({"c2clink__present": FakeMetric(1.0), "c2clink__enabled_mask": FakeMetric(3.0)}, False),
        ({"lts__t_sectors.avg.peak_sustained": FakeMetric(3.0)}, False),
        ({"lts__t_sectors.sum.peak_sustained_elapsed.per_second": FakeMetric(3.0)}, False),
        ({"smsp__sass_average_data_bytes_per_sector_mem_global_op_ld.max_rate": FakeMetric(32.0)}, False),
        ({"lts__t_sectors.avg.pct_of_peak_sustained_elapsed": FakeMetric(3.0)}, True),
        ({"gpu__time_duration.sum": FakeMetric(math.nan), "nvlrx__bytes.sum.per_second": FakeMetric(0.0)}, False),
        ({"gpu__time_duration.sum": FakeMetric(math.nan), "sm__inst_executed.sum": FakeMetric(7.0)}, True),
        ({}, False),
    ],
)
def test_counters_are_what_the_hardware_counted(
    monkeypatch: pytest.MonkeyPatch, metrics: dict[str, FakeMetric], counted: bool
) -> None:
    (found,) = read(monkeypatch, [FakeAction("k", metrics)], [])["launches"]
    assert found["has_counters"] is counted


@pytest.mark.parametrize(
    ("metrics", "alone"),
    [
        ({"launch__grid_size": FakeMetric(8.0), "smsp__maximum_warps_avg_per_active_cycle": FakeMetric(1.0)}, True),
        ({"launch__grid_size": FakeMetric(8.0), "gpu__time_duration.sum": FakeMetric(math.nan)}, False),
        ({"launch__grid_size": FakeMetric(8.0), "gpu__time_duration.sum": FakeMetric(5.0)}, False),
        ({"launch__kernel_name": FakeMetric("k")}, False),
        ({"device__attribute_clock_rate": FakeMetric(1.0)}, False),
    ],
)
def test_a_launch_without_any_counter_asked_for_was_profiled(
    monkeypatch: pytest.MonkeyPatch, metrics: dict[str, FakeMetric], alone: bool
) -> None:
    (found,) = read(monkeypatch, [FakeAction("k", metrics)], [])["launches"]
    assert found["has_statistics_alone"] is alone


def test_the_reason_is_no_rule_that_found_no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        "Rule Occupancy returned an error: Metric x not found",
        "<built-in function f>",
        "Required metric launch__waves_per_multiprocessor could not be found.",
        "float division by zero\n/home/me/Sections/SpeedOfLight_Roofline.py:60\n/opt/sections/NvRules.py:2017",
        "out of memory\n here",
    ]
    rules = [{"rule_message": {"title": "", "message": message, "type": 4}} for message in messages]
    monkeypatch.setattr(FakeAction, "rule_results_as_dicts", lambda _: rules)
    (found,) = read(monkeypatch, [FakeAction("k", {})], [])["launches"]
    assert found["reason"] == "out of memory here"


def test_a_report_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MOST_AT_ONCE", 2)
    actions = [FakeAction(f"k{number}", {}) for number in range(5)]
    found = read(monkeypatch, actions, ["--from=3"])
    assert (found["total"], [entry["kernel"] for entry in found["launches"]]) == (5, ["k3", "k4"])


def test_a_phantom_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [FakeAction(None, {})], [])["launches"][0]["kernel"] is None


def test_the_reader_is_not_imported_by_anybody_else() -> None:
    import subprocess

    names = "stallgate.judge.evaluate, stallgate.extract.imported, stallgate.measure.profile"
    code = f"import sys, {names}; sys.exit('ncu_report' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- several launches of one call ---


def test_a_call_adds_times_weighs_shares_and_takes_the_largest(repository: Project) -> None:
    catalogue = repository.catalogue
    parts = [(100.0, 80.0, 10.0, 16), (300.0, 40.0, 30.0, 64)]
    launches = []
    for duration, dram, stall, registers in parts:
        one = with_metrics(
            **{
                "gpu__time_duration.sum": duration,
                NAME: dram,
                "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct": stall,
                "smsp__warps_active.sum": duration / 100,
                "launch__registers_per_thread": registers,
            }
        )
        launches.append({name: reading(one, m) for name, m in catalogue.metrics.items() if m.names})
    call = combine_launches(catalogue, launches)
    assert call["duration"].value == 400.0
    assert call["dram_throughput"].value == (80 * 100 + 40 * 300) / 400
    assert call["memory_dependency_stall"].value == (10 * 1 + 30 * 3) / 4
    assert call["registers"].value == 64
    assert call["l2_hit_rate"].state == "absent"


def test_a_share_without_its_weight_is_not_measured(repository: Project) -> None:
    stall = "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct"
    one = {
        name: reading(with_metrics(**{stall: 10.0}), m) for name, m in repository.catalogue.metrics.items() if m.names
    }
    assert combine_launches(repository.catalogue, [one])["memory_dependency_stall"].value == 10.0
    both = combine_launches(repository.catalogue, [one, one])["memory_dependency_stall"]
    assert both.state == "absent"
    assert both.ncu_name == "smsp__warps_active.sum"


def test_a_number_is_checked_against_its_range() -> None:
    assert checked(METRIC, 105.0, "n", "ncu").state == "measured"
    assert checked(METRIC, 105.1, "n", "ncu").state == "out_of_range"


# --- labels ---


def test_a_label_is_read_back() -> None:
    text = "stallgate/cumprod/blocked_scan/default/square/3"
    label = Label.parse(text)
    assert label is not None
    assert label.case.label(label.sample) == text


@pytest.mark.parametrize(
    "text",
    ["", "stallgate/a/b/c/d", "stallgate/a/b/c/d/e/f", "other/a/b/c/d/e", "stallgate/A/b/c/d/e", "stallgate//b/c/d/e"],
)
def test_other_ranges_are_no_labels(text: str) -> None:
    assert Label.parse(text) is None


A, B = (f"stallgate/p/{variant}/default/w/0" for variant in "ab")


@pytest.mark.parametrize(
    ("ranges", "faulty"),
    [
        ([[A], [A], [B]], set()),
        ([[A], ["torch's own", B]], set()),
        ([[A], [A, B]], {"p/a/default/w", "p/b/default/w"}),
        ([[A], [B, B]], {"p/b/default/w"}),
        ([[A], [], [B]], {"p/a/default/w", "p/b/default/w"}),
        ([[A], [B], ["torch's own"]], {"p/b/default/w"}),
        ([[], [A], [B]], {"p/a/default/w"}),
    ],
)
def test_a_launch_has_one_label(ranges: list[list[str]], faulty: set[str]) -> None:
    """With two it would count for two cases; without one it would make its case look faster."""
    assert set(mislabelled([launch(each) for each in ranges])) == faulty


def test_a_mislabelled_launch_counts_against_what_its_attempt_measured(
    repository: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A case that another attempt measured again is not held to an older report."""
    results = [
        CaseResult(case=label.case, role="candidate", outcome="profiled", attempt=name)
        for name, text in (("1", A), ("2", B))
        if (label := Label.parse(text)) is not None
    ]
    run = run_of(repository, results)
    report = Report(launches=[launch([A, B]), launch([B])], reader="")
    monkeypatch.setattr("stallgate.extract.evidence._intact_report", lambda *_: report)
    attempt = Attempt(name="1", kind="samples", command=[], started="")
    assert list(read_attempt(tmp_path, run, attempt, repository.catalogue).faults) == ["p/a/default/w"]


def test_foreign_launches_are_named_by_what_they_say() -> None:
    geometry = {"launch__grid_size": 8.0, "launch__block_size": 32.0}
    launches = [
        Launch(index=0, kernel="Kern<int>", ranges=[], metrics={n: raw(v) for n, v in geometry.items()}),
        Launch(index=1, kernel="Kern<int>", ranges=[], metrics={n: raw(v) for n, v in geometry.items()}),
        launch(["mine/large/0"]),
        launch(["stallgate/p/v/default/w/1"]),
        launch(["stallgate/p/v/wide/w/detail"]),
        launch(["free text"]),
        launch(kernel=None),
    ]
    named = {found.case.name: list(found.samples) for found in foreign_cases(launches, "file")}
    assert named == {
        "p/v/file/w": ["1"],
        "p/v/file.wide/w": ["0"],
        "imported/kern-int-grid-8-block-32/file/an-unknown-gpu": ["0", "1"],
        "imported/k/file/an-unknown-gpu": ["0"],
        "imported/k-2/file/an-unknown-gpu": ["0"],
        "imported/mine-large-0/file/nvtx-ranges-on-an-unknown-gpu": ["0"],
        "imported/free-text/file/nvtx-ranges-on-an-unknown-gpu": ["0"],
    }


def test_a_metric_of_a_whole_call_is_asked_for_with_its_parts(repository: Project) -> None:
    assert "dram__bytes_read.sum" in collected(repository.catalogue, None, ["traffic"])
    with pytest.raises(BadArgument, match="--detail reports"):
        collected(repository.catalogue, None, ["flop_rate"])


@pytest.mark.parametrize("text", ["", "äöü", "../../etc", "a" * 500, "<script>"])
def test_a_slug_fits_a_label(text: str) -> None:
    assert Label.parse(f"stallgate/p/{slug(text)}/c/w/0") is not None
