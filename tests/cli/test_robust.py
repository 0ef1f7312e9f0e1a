"""What goes wrong around a run: streams, folders, damaged recordings and runs. Never a bug's status, never green."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.test_failures import CRASHED, PLAN, outcomes, said
from tests.conftest import ROOT, Stallgate, environment, without_waivers
from tests.measure.test_process import gone


def into(tree: Path, output: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ``stallgate`` with its standard output going elsewhere."""
    return subprocess.run(
        [sys.executable, "-m", "stallgate", *arguments],
        cwd=tree,
        env=environment(),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Changes a JSON file in place."""
    content = msgspec.json.decode(path.read_bytes())
    change(content)
    path.write_bytes(msgspec.json.encode(content))


# --- streams ---


@pytest.mark.parametrize("arguments", [("gate",), ("gate", "--json"), ("metrics",)])
def test_a_reader_that_went_away_does_not_change_the_answer(
    replayed: Path, tree: Path, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = into(tree, writing, *arguments)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("gate",), ("--json", "gate")])
def test_a_full_disk_behind_standard_output_is_said(replayed: Path, tree: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = into(tree, full, *arguments)
    assert done.returncode == 2
    said_of_stderr = " ".join(done.stderr.split())
    assert said_of_stderr == "stallgate: its output cannot be written: No space left on device"


@pytest.mark.parametrize("command", ["gate", "profile", "doctor"])
def test_a_narrow_encoding_costs_a_sign_and_no_verdict(
    stallgate: Stallgate, own_process: Stallgate, replayed: Path, without_torch: str, command: str
) -> None:
    arguments = [command, *(["--python", without_torch] if command == "doctor" else [])]
    usual = stallgate(*arguments)
    done = own_process(*arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == usual.returncode
    assert "?" in done.stdout
    said(done)


@pytest.mark.whole_recording
def test_brackets_in_a_reason_are_no_markup(with_ncu: Stallgate, latest: Callable[[str], Any]) -> None:
    reason = "RuntimeError: no kernel in [/opt/lib/x.so] of [bold]:warning:"
    done = with_ncu("profile", FAKE_NCU="lost", FAKE_NCU_CASE=CRASHED, FAKE_NCU_REASON=reason)
    assert done.returncode == 3, done.stderr
    assert done.stderr == "", "a failure is told once, with the results"
    assert " ".join(done.stdout.split()).count(reason) == 1
    assert outcomes(latest)["blocked_scan/page"] == "profiled"


def test_what_does_not_fit_goes_on_under_its_beginning(stallgate: Stallgate, replayed: Path, tree: Path) -> None:
    without_waivers(tree)
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text().replace("below = 20", "below = 0.000123456789"))
    lines = stallgate("gate").stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("✗ fail"))
    last = next(number for number, line in enumerate(lines) if line.startswith("✓ "))
    assert last > first + 1, "a verdict that is longer than a line"
    assert all(line.startswith(" " * 8) for line in lines[first + 1 : last])
    assert max(map(len, lines)) <= 80


def test_an_address_is_not_broken(stallgate: Stallgate, tree: Path) -> None:
    name = "a-folder-with-a-name/" * 6 + "python"
    done = stallgate("profile", "--python", name)
    assert done.returncode == 2
    assert name in done.stderr


# --- folders that cannot be written ---


def test_the_reports_folder_is_a_file(stallgate: Stallgate, tree: Path) -> None:
    shutil.rmtree(tree / "reports")
    (tree / "reports").write_text("")
    (tree / "some.ncu-rep").write_text("")
    done = stallgate("profile")
    assert done.returncode == 3
    said(done, "no recording of cumprod")


def test_a_run_cannot_be_put_under_a_file(with_ncu: Stallgate, tree: Path, recording: Path) -> None:
    kept = shutil.copytree(recording, tree / "kept")
    shutil.rmtree(tree / "reports")
    (tree / "reports").write_text("")
    done = with_ncu("profile", FAKE_NCU_RECORDING=str(kept))
    assert done.returncode == 2, done.stderr
    said(done, "reports", "hint:")


def test_latest_is_a_real_folder(stallgate: Stallgate, tree: Path) -> None:
    (tree / "reports/latest").mkdir()
    done = stallgate("profile")
    assert done.returncode == 2
    said(done, "reports/latest is not a link to a run", "move it away")
    assert sorted(path.name for path in (tree / "reports").iterdir()) == ["latest", "recorded"]


def test_the_gate_answers_where_its_results_cannot_be_written(stallgate: Stallgate, replayed: Path) -> None:
    for name in ("metrics.csv", "verdicts.json"):
        (replayed / name).unlink()
        (replayed / name).mkdir()
    done = stallgate("gate")
    assert done.returncode == 0
    assert "PASS" in done.stdout
    assert "the results could not be written" in " ".join(done.stderr.split())
    drawn = stallgate("report")
    assert drawn.returncode == 2
    said(drawn, "metrics.csv", "hint:")


@pytest.mark.parametrize("name", ["kernels/cumprod/blocked_scan.py", "metrics/catalogue.toml"])
def test_a_folder_in_the_place_of_a_file(stallgate: Stallgate, tree: Path, name: str) -> None:
    (tree / name).unlink()
    (tree / name).mkdir()
    done = stallgate("plan", "--root", str(tree))
    assert done.returncode == 2
    said(done, name, "hint:")


def test_a_folder_in_the_place_of_run_json(stallgate: Stallgate, replayed: Path) -> None:
    (replayed / "run.json").unlink()
    (replayed / "run.json").mkdir()
    assert stallgate("gate").returncode == 3


# --- recordings ---


def lose_report(recording: Path) -> None:
    next(recording.glob("ncu/*")).unlink()


def folder_for_report(recording: Path) -> None:
    report = next(recording.glob("ncu/*"))
    report.unlink()
    report.mkdir()


def null_report(recording: Path) -> None:
    edit(recording / "run.json", lambda run: run["attempts"][0].update(report=None))


def cut(recording: Path) -> None:
    path = recording / "run.json"
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize("damage", [lose_report, folder_for_report, null_report, cut])
def test_a_damaged_recording_is_not_replayed(
    stallgate: Stallgate, tree: Path, recording: Path, without_torch: str, damage: Callable[[Path], None]
) -> None:
    damage(recording)
    done = stallgate("profile")
    assert done.returncode == 3, done.stderr
    said(done, "damaged", "hint:")
    assert not (tree / "reports/latest").exists()
    seen = stallgate("doctor", "--python", without_torch)
    assert seen.returncode == 3
    said(seen, "restore it with git", "torch", "this machine cannot measure")


@pytest.mark.parametrize("damage", [lose_report, cut])
def test_a_damaged_recording_of_another_gpu_costs_nothing(
    stallgate: Stallgate, recording: Path, damage: Callable[[Path], None]
) -> None:
    other = recording.parents[1] / "another_gpu/cumprod"
    shutil.copytree(recording, other)
    damage(other)
    assert stallgate("profile").returncode == 0


def test_a_recording_is_judged_and_not_written_to(stallgate: Stallgate, recording: Path) -> None:
    before = sorted(path.name for path in recording.iterdir())
    assert stallgate("gate", str(recording)).returncode == 0
    for refused in (
        stallgate("report", str(recording)),
        stallgate("compare", str(recording), str(recording), "--report"),
    ):
        assert refused.returncode == 2
        said(refused, "is a recording", "stallgate profile")
    assert sorted(path.name for path in recording.iterdir()) == before


def test_a_replay_says_which_options_it_has_no_use_for(stallgate: Stallgate) -> None:
    done = stallgate("profile", "--samples", "5", "--detail")
    assert done.returncode == 0
    assert done.stderr == "--samples and --detail are ignored: the recording is replayed as it was made\n"
    assert stallgate("profile").stderr == ""


@pytest.mark.whole_recording
def test_a_run_with_gaps_is_no_recording_and_is_read_all_the_same(with_ncu: Stallgate, tree: Path) -> None:
    done = with_ncu("profile", *PLAN, "--record", "--report", FAKE_NCU="killed", FAKE_NCU_CASE=CRASHED)
    assert done.returncode == 3
    said(done, "an incomplete run cannot be recorded", CRASHED)
    for name in ("metrics.csv", "verdicts.json", "report.html"):
        assert (tree / "reports/latest" / name).is_file()


# --- a run that was damaged since ---


def attempt_is(name: str | None) -> Callable[[Any], None]:
    return lambda run: [case.update(attempt=name) for case in run["cases"]] and None


def report_is(name: str) -> Callable[[Any], None]:
    return lambda run: run["attempts"][0].update(report=name)


def case_is(**parts: str) -> Callable[[Any], None]:
    return lambda run: run["cases"][0]["case"].update(parts)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda run: run.update(attempts=[]), 3, "run.json is damaged"),
        (attempt_is(None), 3, "run.json is damaged"),
        (attempt_is("7"), 3, "run.json is damaged"),
        (report_is("ncu/" + "n" * 300), 2, "is not an ncu report of the run's folder"),
        (report_is("../../../secret.ncu-rep"), 2, "is not an ncu report of the run's folder"),
        (case_is(workload="a/b"), 2, "is not a valid part of a case's name"),
        (case_is(problem="../../x"), 2, "is not a valid part of a case's name"),
    ],
)
def test_a_damaged_run_json(
    stallgate: Stallgate, replayed_square: Path, change: Callable[[Any], None], status: int, words: str
) -> None:
    edit(replayed_square / "run.json", change)
    done = stallgate("gate")
    assert done.returncode == status, done.stdout + done.stderr
    said(done, words)
    assert stallgate("report").returncode == (2 if status == 2 else 0)


def test_a_problem_that_is_gone(stallgate: Stallgate, replayed: Path, tree: Path, without_torch: str) -> None:
    shutil.rmtree(tree / "kernels/cumprod")
    done = stallgate("gate")
    assert done.returncode == 3
    said(done, "problem cumprod no longer exists in the project")
    seen = stallgate("doctor", "--python", without_torch)
    said(seen, "is of cumprod, which no longer exists in the project")


def test_a_target_on_what_only_other_reports_have(stallgate: Stallgate, replayed: Path, tree: Path) -> None:
    stage = tree / "metrics/stages/memory_access.toml"
    stage.write_text(stage.read_text() + '\n[[targets]]\nmetric = "dram_rate"\nof = "roof"\nabove = 0.5\n')
    done = stallgate("gate")
    assert done.returncode == 3
    said(done, "(dram_rate) is not measured", "is absent")


@pytest.mark.parametrize("formula", [")(", "abs(x)"])
def test_a_formula_that_cannot_be_computed(stallgate: Stallgate, tree: Path, formula: str) -> None:
    path = tree / "metrics/catalogue.toml"
    path.write_text(path.read_text().replace("[metrics.duration]", f"[metrics.duration]\nformula = '{formula}'"))
    done = stallgate("plan")
    assert done.returncode == 2
    said(done, "metrics/catalogue.toml: metrics.duration.formula", "hint:")


# --- other programs ---


@pytest.mark.parametrize("answer", ["true", "echo hello", "echo 5", "echo [1,2]"])
def test_doctor_takes_no_other_program_for_python(stallgate: Stallgate, tmp_path: Path, answer: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    done = stallgate("doctor", "--python", str(program))
    assert done.returncode == 3
    said(done, "does not answer as Python does")


@pytest.mark.parametrize(
    ("cuda", "words"),
    [
        ("'13.0'", "ImportError: there is no libcudart"),
        ("None", "has torch 2.99, triton 3.99, CUDA None, and finds no CUDA device"),
    ],
)
def test_doctor_imports_a_torch_that_was_built_for_cuda(
    stallgate: Stallgate, tmp_path: Path, cuda: str, words: str
) -> None:
    """Of one that was not, its file says enough."""
    for name in ("torch", "triton"):
        (tmp_path / "packages" / name).mkdir(parents=True)
    (tmp_path / "packages/torch/__init__.py").write_text("raise ImportError('there is no libcudart')")
    (tmp_path / "packages/torch/version.py").write_text(f"__version__ = '2.99'\ncuda = {cuda}\nhip = None\n")
    (tmp_path / "packages/triton/__init__.py").write_text("__version__ = '3.99'")
    done = stallgate("doctor", PYTHONPATH=f"{tmp_path / 'packages'}:{ROOT / 'harness'}")
    assert done.returncode == 3
    said(done, words)


def test_a_hang_before_the_first_case_names_the_limit(with_ncu: Stallgate, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    done = with_ncu("profile", "-w", "square", "--timeout", "1", FAKE_NCU="hang_at_once", FAKE_NCU_PIDS=str(pids))
    assert done.returncode == 3
    said(done, "no case could start: no response within 1 s (--timeout)")
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_json_stays_json_where_a_run_is_refused(with_ncu: Stallgate) -> None:
    done = with_ncu("profile", "-w", "square", "--json", FAKE_NCU="blocked")
    assert done.returncode == 3
    assert json.loads(done.stdout)["status"] == 3


@pytest.mark.parametrize("option", [("--device", "0"), ("--record",), ("--live",)])
def test_without_a_gpu_the_hint_takes_no_option_for_given(stallgate: Stallgate, option: tuple[str, ...]) -> None:
    done = stallgate("profile", *option)
    assert done.returncode == 3
    said(done, "no CUDA device", "plain `stallgate profile` replays the recording")
    assert "without --live" not in done.stderr
