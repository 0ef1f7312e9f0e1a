"""Every way in which measuring fails, through the real command line: status, one sentence, a hint, nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stallgate.model import RUN_FORMAT
from tests.conftest import Stallgate, with_fakes
from tests.measure.test_process import gone
from tests.recordings import committed

CRASHED = "cumprod/blocked_scan/default/square"
PLAN = ("cumprod/blocked_scan", "cumprod/adaptive_scan", "cumprod/two_pass_scan", "-w", "square")
"""Both candidates on the workload that is judged, and a baseline; fewer rows to draw than the whole plan has."""


def said(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One clear sentence and a hint, and no traceback."""
    text = " ".join((done.stderr + done.stdout).split())
    assert "Traceback" not in text
    for word in words:
        assert word in text, text


def outcomes(latest: Callable[[str], Any]) -> dict[str, str]:
    return {f"{r['case']['variant']}/{r['case']['workload']}": r["outcome"] for r in latest("run.json")["cases"]}


# --- nothing can be measured ---


def test_no_device_under_live(stallgate: Stallgate) -> None:
    done = stallgate("profile", "--live")
    assert done.returncode == 3
    said(done, "no CUDA device", "hint:")


def test_no_device_and_no_recording(stallgate: Stallgate, tree: Path) -> None:
    for path in (tree / "reports/recorded").glob("*/*/run.json"):
        path.unlink()
    done = stallgate("profile")
    assert done.returncode == 3
    said(done, "no recording of cumprod", "stallgate profile cumprod --record")


def test_a_workload_that_is_not_recorded(stallgate: Stallgate) -> None:
    done = stallgate("profile", "-w", "flat")
    assert done.returncode == 3
    said(done, "no recording has cumprod/copy_roof/default/flat", "recorded:", "square")


def test_no_ncu(with_ncu: Stallgate, tmp_path: Path) -> None:
    (tmp_path / "bin/ncu").unlink()
    done = with_ncu("profile")
    assert done.returncode == 3
    said(done, "Nsight Compute (ncu) is not on PATH", "hint:")


def test_counters_blocked(with_ncu: Stallgate, latest: Callable[[str], Any]) -> None:
    done = with_ncu("profile", "-w", "square", FAKE_NCU="blocked")
    assert done.returncode == 3
    said(done, "ERR_NVGPUCTRPERM", "https://developer.nvidia.com/ERR_NVGPUCTRPERM")
    assert set(outcomes(latest).values()) == {"not_profiled"}


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("no_driver", ("no case could start", "Cuda driver is not compatible", "ncu/1.log")),
        ("no_torch", ("cannot import torch", "--python")),
    ],
)
def test_nothing_begins(with_ncu: Stallgate, mode: str, words: tuple[str, ...]) -> None:
    done = with_ncu("profile", "-w", "square", FAKE_NCU=mode)
    assert done.returncode == 3
    said(done, *words)


def test_no_such_interpreter(with_ncu: Stallgate) -> None:
    done = with_ncu("profile", "--python", "/nowhere/python")
    assert done.returncode == 2
    said(done, "there is no interpreter /nowhere/python", "hint:")


def test_no_such_device(with_ncu: Stallgate) -> None:
    done = with_ncu("profile", "--device", "7")
    assert done.returncode == 2
    said(done, "there is no device 7", "NVIDIA H200")


# --- one case fails, the others go on ---


@pytest.mark.parametrize(
    ("mode", "outcome", "status", "words"),
    [
        ("killed", "crashed", 3, ("ended with status 9", "by the driver: Profiling failed because a driver resource")),
        ("lost", "crashed", 3, ("CUDA error",)),
        ("wrong_result", "wrong_result", 1, ("1 of 4 elements are wrong",)),
        ("skipped", "skipped", 0, ("1 of 4 elements are wrong",)),
    ],
)
@pytest.mark.whole_recording
def test_a_failing_case_costs_itself(
    with_ncu: Stallgate,
    latest: Callable[[str], Any],
    tree: Path,
    mode: str,
    outcome: str,
    status: int,
    words: tuple[str, ...],
) -> None:
    done = with_ncu("profile", *PLAN, "--report", FAKE_NCU=mode, FAKE_NCU_CASE=CRASHED)
    assert done.returncode == status, done.stderr
    said(done, *words)
    found = outcomes(latest)
    assert found.pop("blocked_scan/square") == outcome
    assert set(found.values()) == {"profiled"}
    page = (tree / "reports/latest/report.html").read_text()
    assert "two_pass_scan" in page
    assert outcome.replace("_", " ") in page
    gate = with_ncu("gate")
    assert gate.returncode == (1 if outcome == "wrong_result" else 3)
    said(gate, "blocked_scan on square", *words)


@pytest.mark.whole_recording
def test_a_hang_is_ended_within_the_limit_with_everything_it_started(
    with_ncu: Stallgate, latest: Callable[[str], Any], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    begin = time.monotonic()
    done = with_ncu(
        "profile",
        "--timeout",
        "5",
        "--grace",
        "1",
        FAKE_NCU="hang_deaf",
        FAKE_NCU_CASE=CRASHED,
        FAKE_NCU_PIDS=str(pids),
    )
    assert time.monotonic() - begin < 60
    assert done.returncode == 3
    said(done, "timed out", "within 5 s")
    assert outcomes(latest)["blocked_scan/square"] == "timed_out"
    assert outcomes(latest)["naive_serial/page"] == "profiled"
    assert all(gone(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_was_measured(
    own_process: Stallgate,
    signals: None,
    tree: Path,
    recording: Path,
    tmp_path: Path,
    how: signal.Signals,
    latest: Callable[[str], Any],
) -> None:
    import threading

    pids = tmp_path / "pids"
    with_ncu = with_fakes(own_process, recording, tmp_path / "bin")

    def interrupt() -> None:
        for _ in range(1000):
            if pids.is_file() and pids.read_text():
                break
            time.sleep(0.1)
        parent = Path(f"/proc/{pids.read_text().split()[0]}/stat").read_text().rsplit(")", 1)[1].split()[1]
        os.kill(int(parent), how)

    thread = threading.Thread(target=interrupt)
    thread.start()
    plan = ("cumprod/blocked_scan", "-w", "square")
    hang = {"FAKE_NCU": "hang", "FAKE_NCU_CASE": CRASHED, "FAKE_NCU_PIDS": str(pids)}
    done = with_ncu("profile", *plan, **hang, FAKE_NCU_PAUSE="3")  # a pause: the first case's end has been read by then
    thread.join()
    assert done.returncode == 3
    said(done, "interrupted", "what was measured so far")
    assert outcomes(latest)["copy_roof/square"] in ("profiled", "not_profiled")
    assert outcomes(latest)["blocked_scan/square"] == "planned"
    assert latest("run.json")["complete"] is False
    assert all(gone(int(pid)) for pid in pids.read_text().split())


# --- ncu's report is not what it should be ---


@pytest.mark.parametrize("mode", ["truncated", "empty", "garbage", "directory", "no_report"])
def test_a_damaged_ncu_report_while_profiling(with_ncu: Stallgate, latest: Callable[[str], Any], mode: str) -> None:
    done = with_ncu("profile", FAKE_NCU=mode)
    assert done.returncode == 3
    said(done, "ncu report")
    assert "not_profiled" in outcomes(latest).values()
    gate = with_ncu("gate")
    assert gate.returncode == 3
    said(gate, "not profiled")


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "directory", "gone"])
def test_a_report_that_was_damaged_since(stallgate: Stallgate, replayed_square: Path, damage: str) -> None:
    report = next((replayed_square / "ncu").glob("*.ncu-repz"))
    content = report.read_bytes()
    report.unlink()
    match damage:
        case "truncated":
            report.write_bytes(content[:-1000])
        case "empty":
            report.write_bytes(b"")
        case "garbage":
            report.write_bytes(os.urandom(len(content)))
        case "directory":
            report.mkdir()
    gate = stallgate("gate")
    assert gate.returncode == 3
    said(gate, "the ncu report", "NOT DECIDED")
    drawn = stallgate("report")
    assert drawn.returncode == 0
    assert "ncu report" in (replayed_square / "report.html").read_text()


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 50], ids=["empty", "garbage"])
def test_importing_what_no_ncu_wrote(stallgate: Stallgate, tree: Path, content: bytes) -> None:
    (tree / "some.ncu-rep").write_bytes(content)
    done = stallgate("import", "some.ncu-rep")
    assert done.returncode == 2
    said(done, "some.ncu-rep", "hint:")
    assert not (tree / "reports/latest").exists()


def test_importing_what_is_not_there_or_no_report(stallgate: Stallgate, tree: Path) -> None:
    done = stallgate("import", "nowhere.ncu-rep")
    assert done.returncode == 2
    said(done, "does not exist", "give the path of an ncu report")
    (tree / "folder.ncu-rep").mkdir()
    done = stallgate("import", "folder.ncu-rep")
    assert done.returncode == 2
    said(done, "is no ncu report", "it is a folder", "folder.ncu-rep/*.ncu-rep")
    (tree / "text.txt").write_text("notes")
    done = stallgate("import", "text.txt")
    assert done.returncode == 2
    said(done, "is no ncu report", "it seems to be text", ".ncu-rep")


# --- the user's files and arguments ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("profile", "cumprod/blocked_skan"), ("no variant is named 'blocked_skan'", "blocked_scan")),
        (("profile", "-w", "sqare"), ("no workload is named 'sqare'", "square")),
        (("profile", "--samples", "0"), ("--samples",)),
        (("profile", "--timeout", "inf"), ("--timeout", "inf is not a finite number of seconds")),
        (("profile", "--timeout", "nan"), ("--timeout", "nan is not a finite number of seconds")),
        (("profile", "--metrics", "duration,l2_hit_rat"), ("no metric is named 'l2_hit_rat'", "l2_hit_rate")),
        (("profile", "--metrics", ""), ("no metric is named ''",)),
        (("plan", "nothing"), ("no problem is named 'nothing'", "cumprod")),
        (("metrics", "--chip", "GH10"), ("no chip is named 'GH10'", "GH100")),
        (("profile", f"cumprod/{'n' * 300}"), ("File name too long", "hint:")),
        (("import", f"{'n' * 300}.ncu-rep"), ("File name too long", "hint:")),
        (("profil",), ("No such command",)),
    ],
)
def test_wrong_arguments(stallgate: Stallgate, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = stallgate(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    said(done, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stage", "memory_acess"), ("no stage is named 'memory_acess'", "memory_access")),
        (("n" * 300,), ("File name too long", "hint:")),
        (("nonesuch",), ("no run is named 'nonesuch'",)),
    ],
)
def test_wrong_arguments_where_there_is_a_run(
    stallgate: Stallgate, replayed: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = stallgate("gate", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    said(done, *words)


def test_gate_without_a_run(stallgate: Stallgate) -> None:
    done = stallgate("gate")
    assert done.returncode == 3
    said(done, "there is no run yet", "stallgate profile")


def test_broken_toml(stallgate: Stallgate, tree: Path) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text().replace("below = 20", "belov = 20"))
    shutil.copytree(tree / committed().path, tree / "reports/run")
    for command in (["profile"], ["plan"], ["gate", "run"], ["gate", "run", "--stage", "memory_access"]):
        done = stallgate(*command)
        assert done.returncode == 2, done.stdout
        said(done, "metrics/stages/memory_access.toml: targets[2]", "belov", "below")
    for command in (["metrics"], ["doctor"]):
        done = stallgate(*command)
        assert done.returncode in (0, 3), done.stderr
        said(done, "metrics/stages/memory_access.toml: targets[2]", "belov", "below")


def test_a_broken_stage_stops_only_those_who_use_it(stallgate: Stallgate, tree: Path, replayed: Path) -> None:
    for name in ("streaming", "mine"):
        (tree / f"metrics/stages/{name}.toml").write_text("title = 3\n")
    for command in (["plan"], ["profile"], ["gate"], ["report"], ["gate", "--stage", "block_tiling"]):
        done = stallgate(*command)
        assert done.returncode in (0, 3), done.stderr
        assert "metrics/stages/" not in done.stderr
    done = stallgate("gate", "--stage", "mine")
    assert done.returncode == 2
    said(done, "metrics/stages/mine.toml: ")
    broken = json.loads(stallgate("metrics", "--json").stdout)["broken"]
    assert [fault["message"].partition(":")[0] for fault in broken] == [
        "metrics/stages/mine.toml",
        "metrics/stages/streaming.toml",
    ]


def test_a_broken_problem_stops_only_commands_on_it(stallgate: Stallgate, tree: Path, replayed: Path) -> None:
    other = tree / "kernels/other/problem.toml"
    other.parent.mkdir()
    other.write_text("title = 3\n")
    for command in (["plan", "cumprod"], ["profile", "cumprod"], ["gate"], ["report"], ["compare", replayed.name]):
        done = stallgate(*command)
        assert done.returncode == 0, done.stderr
        said(done, "left out, because it is broken: kernels/other/problem.toml: ")
        assert done.stderr.count("left out") == 1
    for command in (["plan"], ["plan", "other"], ["profile", "other/x"]):
        done = stallgate(*command)
        assert done.returncode == 2
        said(done, "kernels/other/problem.toml: ")
        assert "left out" not in done.stderr
    for command in (["metrics"], ["doctor"]):
        said(stallgate(*command), "kernels/other/problem.toml: ")


def test_metrics_of_the_stages_are_measured_beside_those_that_are_asked_for(
    with_ncu: Stallgate, tree: Path, latest: Callable[[str], Any]
) -> None:
    with_ncu("profile", "cumprod/blocked_scan", "--metrics", "registers")
    names = latest("run.json")["settings"]["metrics"]
    assert {"launch__registers_per_thread", "dram__throughput.avg.pct_of_peak_sustained_elapsed"} <= set(names)
    assert "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct" in names
    assert "launch__grid_size" not in names


def test_a_run_of_a_problem_that_is_broken_now_is_not_judged(stallgate: Stallgate, tree: Path, replayed: Path) -> None:
    (tree / "kernels/cumprod/problem.toml").write_text("title = 3\n")
    for command in (["gate"], ["report"], ["compare", "latest", "latest"]):
        done = stallgate(*command)
        assert done.returncode == 2, done.stdout
        said(done, "kernels/cumprod/problem.toml: ")
    said(stallgate("doctor"), "recording", "is of cumprod, whose file is broken")


def test_a_run_json_of_another_format(stallgate: Stallgate, replayed: Path) -> None:
    path = replayed / "run.json"
    path.write_text(path.read_text().replace(f'"format": {RUN_FORMAT}', '"format": 99'))
    done = stallgate("gate")
    assert done.returncode == 2
    said(done, "was written by a newer stallgate (format 99;", "hint: profile again")


def test_a_recording_of_an_older_stallgate_is_not_called_damaged(stallgate: Stallgate, tree: Path) -> None:
    path = tree / committed().path / "run.json"
    path.write_text(re.sub(r'"format":\d', '"format":1', path.read_text()))
    done = stallgate("profile")
    assert done.returncode == 3
    said(
        done,
        "was written by an older stallgate (format 1;",
        "hint: record again on a GPU with `stallgate profile",
    )
    assert "damaged" not in done.stderr
