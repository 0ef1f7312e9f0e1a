"""``stallgate capture`` around programs that run, crash, hang, fork, or launch no kernel; ncu is the fake one.

A program says in a file how many of the recorded kernels it launched.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stallgate, environment

KERNELS = ["_blocked_scan_kernel", "_copy_kernel"]


class Capture:
    """Captures shell scripts; ``$LAUNCHED`` in one is the file in which it says how many kernels it launched."""

    def __init__(self, run: Stallgate, tree: Path, folder: Path) -> None:
        self._run = run
        self._tree = tree
        self.launched = folder / "launched"

    def __call__(self, script: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = ["capture", *options, "--", "sh", "-c", script.replace("$LAUNCHED", str(self.launched))]
        return self._run(*words, FAKE_NCU_LAUNCHED=str(self.launched), **variables)

    def facts(self, script: str, *options: str, **variables: str) -> Any:
        """The object that ``--json`` prints: nothing else is on standard output."""
        done = self(script, "--json", *options, **variables)
        found = json.loads(done.stdout)
        assert found["status"] == done.returncode
        assert "Traceback" not in done.stderr
        return found

    @property
    def run(self) -> Any:
        return json.loads((self._tree / "reports/latest/run.json").read_text())


@pytest.fixture
def capture(with_ncu: Stallgate, tree: Path, tmp_path: Path) -> Capture:
    return Capture(with_ncu, tree, tmp_path)


def counters(found: Any) -> dict[str, str]:
    return {kernel["kernel"]: kernel["counters"] for kernel in found["program"]["kernels"]}


# --- programs that end well ---


def test_kernels_have_shares_and_the_heaviest_have_counters(capture: Capture, tree: Path) -> None:
    found = capture.facts("echo hello")
    assert found["status"] == 0, found
    assert [kernel["kernel"] for kernel in found["program"]["kernels"]] == KERNELS
    assert sum(kernel["share"] for kernel in found["program"]["kernels"]) == pytest.approx(1)
    assert [kernel["launches"] for kernel in found["program"]["kernels"]] == [5, 5]
    assert counters(found) == dict.fromkeys(KERNELS, "measured")
    assert len(found["cases"]) == len(found["metrics"]) == 2
    run = capture.run
    assert (run["kind"], run["complete"], run["stages"]) == ("imported", True, [])
    assert [attempt["kind"] for attempt in run["attempts"]] == ["times", "import"]
    assert all((tree / "reports/latest" / attempt["report"]).is_file() for attempt in run["attempts"])
    assert run["program"]["command"] == ["sh", "-c", "echo hello"]


def test_both_passes_have_options_of_their_own(capture: Capture) -> None:
    capture("true", "--launches", "2")
    times, measured = (" ".join(attempt["command"]) for attempt in capture.run["attempts"])
    for option in (
        "--clock-control none",
        "--target-processes all",
        "--replay-mode kernel",
        "--nvtx",
        "--config-file off",
    ):
        assert option in times
        assert option in measured
    assert "--cache-control none" in times
    assert "--metrics gpu__time_duration.sum --force" in times
    assert "--launch-count" not in times
    assert "--cache-control all" in measured
    assert "--kernel-name regex:^(_blocked_scan_kernel|_copy_kernel)$ --filter-mode per-launch-config" in measured
    assert "--launch-count 3" in measured  # one more: the warm-up


def test_the_first_launch_is_left_out(capture: Capture) -> None:
    capture("true", "--launches", "2")
    assert [case["identity"]["launches"] for case in capture.run["cases"]] == [2, 2]


def whole_time(capture: Capture) -> str:
    return f"{sum(kernel['time_ns'] for kernel in capture.run['program']['kernels']) / 1e6:.3g} ms"


def first_share(capture: Capture) -> str:
    kernels = capture.run["program"]["kernels"]
    return f"{100 * kernels[0]['time_ns'] / sum(kernel['time_ns'] for kernel in kernels):.1f}"


def test_the_terminal_shows_shares_as_bars(capture: Capture) -> None:
    done = capture("true")
    assert done.returncode == 0, done.stderr
    assert f"{whole_time(capture)} of GPU time in 10 launches" in done.stdout
    assert f"{first_share(capture)} % ████████" in done.stdout
    assert "captured from `sh -c true` on" in done.stdout.lower()


def test_the_page_shows_them_first(capture: Capture, tree: Path) -> None:
    done = capture("true", "--report")
    assert done.returncode == 0, done.stderr
    page = (tree / "reports/latest/report.html").read_text()
    assert page.index("Where the program's GPU time goes") < page.index("Verdicts</h2>")
    said = f"_blocked_scan_kernel takes {first_share(capture)} % of {whole_time(capture)} of GPU time in 10 launches"
    assert said in page
    assert (tree / "reports/latest/gpu-time.png").is_file()


def test_the_programs_output_is_its_own(capture: Capture) -> None:
    done = capture("echo said; echo complained >&2")
    assert done.stdout.count("said\n") == 2
    assert done.stderr.count("complained\n") == 2
    done = capture("echo said; echo complained >&2", "--json")
    json.loads(done.stdout)
    assert done.stderr.count("said\n") == done.stderr.count("complained\n") == 2
    assert "==" not in done.stderr


def test_there_is_nothing_to_read_on_standard_input(capture: Capture) -> None:
    done = capture("cat; echo read everything")
    assert done.returncode == 0
    assert "read everything" in done.stdout


def test_only_kernels_that_match_have_counters(capture: Capture) -> None:
    assert counters(capture.facts("true", "--kernel", "copy")) == {KERNELS[0]: "not_wanted", KERNELS[1]: "measured"}


def test_a_report_under_another_suffix_is_found(capture: Capture) -> None:
    found = capture.facts("true", FAKE_NCU="repz")
    assert found["status"] == 0
    assert [attempt["report"] for attempt in capture.run["attempts"]] == ["ncu/times.ncu-repz", "ncu/counters.ncu-repz"]


def test_a_stage_names_what_is_collected_and_judged(capture: Capture) -> None:
    done = capture("true", "--stage", "memory_access")
    assert done.returncode == 0, done.stderr
    assert capture.run["stages"] == ["memory_access"]
    assert "smsp__warp_issue_stalled_long_scoreboard" in " ".join(capture.run["attempts"][1]["command"])


def test_commands_that_read_a_run_read_a_capture(capture: Capture, with_ncu: Stallgate) -> None:
    capture("true")
    for command in (("show", "run"), ("show", "runs"), ("report",)):
        done = with_ncu(*command)
        assert done.returncode == 0, done.stderr
    assert "of GPU time in" in with_ncu("show", "run").stdout


# --- programs that do not end well ---


@pytest.mark.parametrize(("ending", "status"), [("exit 3", 3), ("kill -9 $$", 9), ("kill -11 $$", 11)])
def test_a_crash_keeps_what_was_measured(capture: Capture, ending: str, status: int) -> None:
    found = capture.facts(f"printf 7 > $LAUNCHED; {ending}")
    assert found["status"] == 0, found
    assert found["program"]["exit_status"] == status
    assert found["program"]["failures"] == [
        f"while the times were taken: the program ended with status {status}",
        f"while the counters were taken: the program ended with status {status}",
    ]
    assert sum(kernel["launches"] for kernel in found["program"]["kernels"]) == 7
    assert "measured" in counters(found).values()


SECOND = "if [ -f $LAUNCHED.first ]; then {then}; else touch $LAUNCHED.first; fi"
"""A script that does something else when it runs again."""


def test_if_the_second_pass_fails_the_ranking_is_kept(capture: Capture) -> None:
    found = capture.facts(SECOND.format(then="printf 0 > $LAUNCHED; exit 5"))
    assert found["status"] == 3
    assert found["error"]["message"] == (
        "no kernel has counters: while the counters were taken: the program ended with status 5"
    )
    assert [kernel["launches"] for kernel in found["program"]["kernels"]] == [5, 5]
    assert counters(found) == dict.fromkeys(KERNELS, "missed")
    assert capture.run["program"]["kernels"][0]["share"] > 0.5


def test_a_kernel_that_is_not_met_again_is_said_to_be_so(capture: Capture) -> None:
    done = capture(SECOND.format(then="printf 1 > $LAUNCHED"))
    assert done.returncode == 3
    assert "not met again" in done.stdout
    assert [kernel["counters"] for kernel in capture.run["program"]["kernels"]] == ["missed", "measured"]


def test_a_program_without_a_kernel(capture: Capture) -> None:
    found = capture.facts("printf 0 > $LAUNCHED")
    assert found["status"] == 3
    assert found["error"]["message"] == "ncu timed no kernel of sh"
    assert "launch CUDA kernels" in found["error"]["hint"]
    found = capture.facts("printf 0 > $LAUNCHED; exit 4")
    assert found["error"]["message"] == "ncu timed no kernel of sh: the program ended with status 4"


def alive(path: Path) -> list[int]:
    """Those of the processes whose numbers a file has that still run, a while after they were ended."""
    end = time.monotonic() + 20
    while (found := _running(path)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _running(path: Path) -> list[int]:
    found = []
    for word in path.read_text().split():
        with suppress(OSError):
            if "\nState:\tZ" not in Path(f"/proc/{word}/status").read_text():
                found.append(int(word))
    return found


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(capture: Capture, tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"printf 6 > $LAUNCHED; setsid sleep 300 & echo $! >> {started}; echo $$ >> {started}; sleep 300"
    begun = time.monotonic()
    found = capture.facts(script, "--timeout", "4", "--grace", "5")
    assert time.monotonic() - begun < 100
    assert found["status"] == 0
    assert found["program"]["exit_status"] is None
    assert found["program"]["failures"][0] == "while the times were taken: it did not end within 4 s (--timeout)"
    assert sum(kernel["launches"] for kernel in found["program"]["kernels"]) == 6
    assert len(started.read_text().split()) == 4
    assert alive(started) == []


def test_a_program_and_an_ncu_that_ignore_signals_are_ended(capture: Capture, tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"trap '' INT TERM; echo $$ >> {started}; while true; do sleep 1; done"
    begun = time.monotonic()
    found = capture.facts(script, "--timeout", "4", "--grace", "0.3", FAKE_NCU="deaf")
    assert time.monotonic() - begun < 100
    assert found["status"] == 3
    assert found["error"]["message"] == "ncu timed no kernel of sh: it did not end within 4 s (--timeout)"
    assert alive(started) == []


def test_what_a_program_leaves_behind_is_ended_and_not_waited_for(capture: Capture, tmp_path: Path) -> None:
    started = tmp_path / "started"
    begun = time.monotonic()
    done = capture(f"setsid sleep 300 & echo $! >> {started}")
    assert time.monotonic() - begun < 100
    assert done.returncode == 0
    assert alive(started) == []


@pytest.mark.parametrize("run", [1, 2])
def test_an_interrupt_keeps_what_was_measured(
    tree: Path, recording: Path, with_ncu: Stallgate, tmp_path: Path, signals: None, run: int
) -> None:
    started = tmp_path / "started"
    script = f"echo $$ >> {started}; [ $(wc -l < {started}) = {run} ] && sleep 300; true"
    paths = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    process = subprocess.Popen(
        [sys.executable, "-m", "stallgate", "capture", "--json", "--", "sh", "-c", script],
        cwd=tree,
        env=environment(PATH=paths, FAKE_NCU_RECORDING=str(recording)),
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: started.is_file() and len(started.read_text().splitlines()) == run)
    process.send_signal(signal.SIGINT)
    found = json.loads(process.communicate(timeout=60)[0])
    assert found["status"] == process.returncode == 3
    assert found["error"]["message"] == "interrupted"
    assert [kernel["kernel"] for kernel in found["program"]["kernels"]] == KERNELS
    assert set(counters(found).values()) == {"measured" if run == 2 else "not_wanted"}
    assert alive(started) == []


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- what cannot be done ---


def test_counters_that_the_driver_denies(capture: Capture) -> None:
    assert capture.facts("true", FAKE_NCU="blocked")["error"]["code"] == "counters_blocked"
    found = capture.facts("true", FAKE_NCU_SECOND="blocked")
    assert found["error"]["code"] == "counters_blocked"
    assert found["program"]["kernels"]


def test_a_driver_that_ncu_cannot_use(capture: Capture) -> None:
    found = capture.facts("true", FAKE_NCU="no_driver")
    assert found["status"] == 3
    assert "Cuda driver is not compatible" in found["error"]["message"]


def test_a_damaged_report(capture: Capture) -> None:
    found = capture.facts("true", FAKE_NCU="garbage")
    assert found["status"] == 3
    assert "times.ncu-rep has no launches" in found["error"]["message"]
    found = capture.facts("true", FAKE_NCU_SECOND="garbage")
    assert "counters.ncu-rep has no launches" in found["error"]["message"]
    assert found["program"]["kernels"]


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        (("--kernel", "("), 2, "bad_argument"),
        (("--stage", "nope"), 2, "unknown_name"),
        (("--launches", "0"), 2, "bad_argument"),
        (("--timeout", "nan"), 2, "bad_argument"),
    ],
)
def test_what_is_refused_before_the_program_runs(
    capture: Capture, tree: Path, options: tuple[str, ...], status: int, code: str
) -> None:
    found = capture.facts("printf 0 > $LAUNCHED", *options)
    assert (found["status"], found["error"]["code"]) == (status, code)
    assert not capture.launched.exists()
    assert not (tree / "reports/latest").exists()


def test_an_expression_that_no_kernel_matches_names_those_that_are_there(capture: Capture) -> None:
    found = capture.facts("true", "--kernel", "gemm")
    assert (found["status"], found["error"]["code"]) == (2, "bad_argument")
    assert found["error"]["hint"] == "it has _blocked_scan_kernel and _copy_kernel"
    assert len(found["program"]["kernels"]) == 2


def test_a_program_that_is_not_there(with_ncu: Stallgate) -> None:
    done = with_ncu("capture", "--", "no-such-program")
    assert done.returncode == 2
    assert "there is no program no-such-program" in done.stderr


def test_a_machine_without_a_gpu(stallgate: Stallgate) -> None:
    done = stallgate("capture", "--", "true")
    assert done.returncode == 3
    assert "no CUDA device" in done.stderr


def test_a_part_of_a_gpu_is_one(capture: Capture) -> None:
    assert capture.facts("true", CUDA_VISIBLE_DEVICES="MIG-7c1b")["status"] == 0
    assert capture.facts("true", CUDA_VISIBLE_DEVICES="")["error"]["code"] == "no_device"


def test_a_machine_without_ncu(with_ncu: Stallgate, tmp_path: Path) -> None:
    (tmp_path / "bin/ncu").unlink()
    done = with_ncu("capture", "--", "true")
    assert done.returncode == 3
    assert "ncu) is not on PATH" in done.stderr


def test_no_project_is_needed(capture: Capture, with_ncu: Stallgate, tmp_path: Path) -> None:
    done = with_ncu("capture", "--root", str(tmp_path), "--", "true")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports/latest/run.json").is_file()


def test_a_mark_of_the_environment_is_nobody_elses(capture: Capture) -> None:
    done = capture('echo "$TMPDIR"')
    first = done.stdout.splitlines()[0]
    assert "stallgate-" in first
    assert not Path(first).exists()
    assert os.environ.get("TMPDIR") != first
