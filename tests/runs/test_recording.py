"""A machine without a GPU: the committed recording through the real reader and the real command line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.conftest import ROOT, DrawnRun, Stallgate


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_profile_replays_the_recording_and_says_so(drawn: DrawnRun) -> None:
    done = drawn.done
    assert done.returncode == 0, done.stderr
    assert "nothing was measured here" in done.stdout
    run = json.loads((drawn.folder / "run.json").read_text())
    assert run["kind"] == "recorded"
    assert run["origins"]["cumprod"]["path"].startswith("reports/recorded/")
    gpu = run["attempts"][0]["environment"]["gpu"]
    assert gpu in done.stdout
    assert run["origins"]["cumprod"]["created"] in done.stdout
    assert run["origins"]["cumprod"]["commit"][:12] in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_page_says_that_it_is_a_recording(drawn: DrawnRun) -> None:
    page = (drawn.folder / "report.html").read_text()
    assert "nothing was measured here" in page
    assert not re.search(r'<(link|script|img|iframe|object)\b[^>]*(src|href)="(?!data:)', page), "the page is one file"
    pictures = {path.name for path in drawn.folder.glob("*.png")}
    figures = ("targets", "distance", "warp-states", "occupancy")
    assert pictures >= {f"cumprod-{w}-{f}.png" for w in ("square", "page") for f in figures}


def test_the_gate_passes_on_the_recording(stallgate: Stallgate, replayed: Path, latest: Callable[[str], Any]) -> None:
    done = stallgate("gate")
    assert done.returncode == 0, done.stdout
    assert "PASS" in done.stdout
    assert "is read as" not in done.stdout, "old names are told by `stallgate metrics`"
    assert "is read as memory_dependency_stall" in stallgate("metrics").stdout
    verdicts = latest("verdicts.json")
    assert verdicts["exit_status"] == 0
    assert {verdict["metric"] for verdict in verdicts["verdicts"]} == {
        "roof_fraction",
        "dram_throughput",
        "memory_dependency_stall",
    }


def test_the_table_is_tidy_and_whole(replayed: Path) -> None:
    found = rows(replayed)
    assert list(found[0]) == [
        "problem",
        "variant",
        "role",
        "configuration",
        "workload",
        "sample",
        "kernel",
        "launch",
        "metric",
        "value",
        "state",
        "unit",
        "ncu_name",
        "source",
        "device",
        "name",
    ]
    assert all(row["device"] for row in found)
    assert {row["state"] for row in found} <= {"measured", "absent", "no_value", "not_finite", "out_of_range"}
    for row in found:
        assert bool(row["value"]) is (row["state"] == "measured")


@pytest.mark.whole_recording
def test_warp_states_sum_to_a_hundred(replayed: Path) -> None:
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows(replayed):
        if row["metric"].startswith("stall_") and row["launch"] == "":
            samples = sums.setdefault((row["variant"], row["workload"]), {})
            samples[row["sample"]] = samples.get(row["sample"], 0.0) + float(row["value"])
    assert len(sums) >= 10
    for (_, workload), samples in sums.items():  # ncu counts them in different passes; those of short calls differ more
        assert median(samples.values()) == pytest.approx(100, abs=1 if workload == "square" else 3)


@pytest.mark.whole_recording
def test_two_pass_scan_is_several_kernels_and_one_call(replayed: Path) -> None:
    mine = [
        row
        for row in rows(replayed)
        if (row["variant"], row["workload"], row["sample"], row["metric"])
        == ("two_pass_scan", "square", "0", "duration")
    ]
    parts = [float(row["value"]) for row in mine if row["launch"]]
    whole = [float(row["value"]) for row in mine if not row["launch"]]
    assert len(parts) == 3
    assert whole == [pytest.approx(sum(parts))]


@pytest.mark.whole_recording
def test_prompts_get_metrics_by_kernel(replayed: Path) -> None:
    path = replayed / "ncu_metrics/cumprod.naive_serial.default.square.json"
    (kernel,) = json.loads(path.read_text()).values()
    assert kernel["gpu__time_duration.sum"] > 1e6


@pytest.mark.whole_recording
def test_a_part_of_the_recording(stallgate: Stallgate, latest: Callable[[str], Any]) -> None:
    assert stallgate("profile", "cumprod/naive_serial", "-w", "page").returncode == 0
    assert [result["case"]["variant"] for result in latest("run.json")["cases"]] == ["copy_roof", "naive_serial"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("kernels/cumprod/blocked_scan.py", "variant blocked_scan"),
        ("kernels/cumprod/reference.py", "the reference"),
        ("kernels/cumprod/problem.toml", "workload square"),
    ],
)
def test_a_recording_of_other_code_is_stale(stallgate: Stallgate, tree: Path, path: str, named: str) -> None:
    file = tree / path
    text = file.read_text()
    file.write_text(
        text.replace("flops = 1_073_741_824", "flops = 1", 1) if path.endswith("toml") else text + "\n# x\n"
    )
    assert stallgate("profile").returncode == 3
    done = stallgate("gate")
    assert done.returncode == 3
    assert f"square: {named} changed since it was measured" in " ".join(done.stdout.split())


def test_a_changed_bound_needs_no_gpu(stallgate: Stallgate, tree: Path) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text().replace("at_least = 0.97", "at_least = 0.998", 1))
    stallgate("profile")
    done = stallgate("gate")
    assert done.returncode == 1
    assert "wanted at least 0.998" in " ".join(done.stdout.split())


def test_json_on_every_command_that_prints_a_result(own_process: Stallgate) -> None:
    for command in (["profile", "-w", "square"], ["gate"], ["report"], ["plan"], ["metrics"], ["doctor"]):
        done = own_process(*command, "--json")
        assert json.loads(done.stdout), command


@pytest.mark.whole_recording
def test_plan_shows_the_ncu_command_line(stallgate: Stallgate) -> None:
    done = stallgate("plan", "cumprod/naive_serial", "--chip", "AD102")
    assert done.returncode == 0
    assert "cumprod/naive_serial/default/square" in done.stdout
    assert "--clock-control none" in done.stdout
    assert "gmma" not in done.stdout


def test_the_recording_is_of_the_code_that_is_here(stallgate: Stallgate) -> None:
    done = stallgate("doctor")
    assert done.returncode == 3
    assert "is of the code that is here" in " ".join(done.stdout.split())


def test_the_recording_is_small_and_says_nothing_of_its_machine() -> None:
    files = [path for path in (ROOT / "reports/recorded").rglob("*") if path.is_file()]
    sizes = {path.name: path.stat().st_size for path in files}
    assert sizes["run.json"] + sizes["1.ncu-repz"] < 1.5e6  # what is judged
    assert sum(sizes.values()) < 3e6  # with a launch with every section a case
    for path in files:
        if path.suffix == ".json":
            assert not re.search(r'"/(home|root|tmp|work)', path.read_text())


@pytest.mark.whole_recording
def test_importing_the_recorded_report(stallgate: Stallgate, recording: Path, latest: Callable[[str], Any]) -> None:
    done = stallgate("import", str(next(recording.glob("ncu/*.ncu-repz"))))
    assert done.returncode == 0, done.stdout + done.stderr
    run = latest("run.json")
    assert run["kind"] == "imported"
    assert {result["role"] for result in run["cases"]} == {"unknown"}
    gate = stallgate("gate", "--stage", "memory_access")
    assert gate.returncode == 1
    assert "naive_serial on square" in gate.stdout
    assert "Waits for global memory (memory_dependency_stall) is" in " ".join(gate.stdout.split())


def test_no_colour_away_from_a_terminal(stallgate: Stallgate) -> None:
    assert "\x1b" not in stallgate("profile").stdout


def test_a_sweep_without_counters_is_no_run_and_says_how_it_is_shown(stallgate: Stallgate, tree: Path) -> None:
    (tree / "reports/mine-sweep").mkdir(parents=True)
    (tree / "reports/mine-sweep/sweep.json").write_text("{}")
    done = stallgate("gate", "mine-sweep")
    assert done.returncode == 3
    assert "is a sweep without counters" in done.stderr
    assert f"stallgate sweep --show {tree / 'reports/mine-sweep'}" in " ".join(done.stderr.split())
