"""``--json``: one object on standard output for every command and every error."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stallgate.cli.group import COMMANDS
from stallgate.errors import DamagedReport, StallgateError, UnknownName, UserFault
from tests.cli.test_failures import CRASHED, PLAN
from tests.conftest import ROOT, Stallgate, new_process
from tests.judge.test_accept import repeated

__all__ = ["repeated"]


def answer(done: subprocess.CompletedProcess[str], command: str) -> dict[str, Any]:
    """The one object that a command printed."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["schema"] == f"stallgate/{command}/1"
    assert found["exit_status"] == done.returncode
    assert found["ok"] is ("error" not in found)
    return found


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("profile", "-w", "square"), "cases"),
        (("gate",), "verdicts"),
        (("compare", "latest"), "pairs"),
        (("plan", "--chip", "GH100"), "command"),
        (("metrics",), "metrics"),
        (("metrics", "--chip", "GB202"), "metrics"),
    ],
)
def test_a_result_is_one_object(
    stallgate: Stallgate, replayed_square: Path, arguments: tuple[str, ...], key: str
) -> None:
    done = stallgate(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = answer(done, arguments[0])
    assert found["ok"]
    assert found[key]


def test_a_doctor_that_says_no_has_done_its_work(stallgate: Stallgate, without_torch: str) -> None:
    found = answer(stallgate("doctor", "--python", without_torch, "--json"), "doctor")
    assert (found["ok"], found["able"], found["exit_status"]) == (True, False, 3)


def test_a_gate_that_says_no_has_done_its_work(stallgate: Stallgate, replayed_square: Path, tree: Path) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text().replace("below = 20", "below = 2"))
    found = answer(stallgate("gate", "--json"), "gate")
    assert (found["ok"], found["exit_status"]) == (True, 1)


def test_report_and_import(stallgate: Stallgate, replayed_square: Path, recording: Path) -> None:
    drawn = answer(stallgate("report", "--json"), "report")
    assert drawn["files"][0].endswith("/report.html")
    found = answer(stallgate("import", str(next(recording.glob("ncu/*"))), "--json"), "import")
    assert found["kind"] == "imported"


def test_an_accepted_baseline_names_its_files(stallgate: Stallgate, repeated: list[str]) -> None:
    found = answer(stallgate("baseline", *repeated, "--json"), "baseline")
    assert found["files"] == ["metrics/baselines/h100_sxm/cumprod.json"]


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "command", "code", "status"),
    [
        (("gate", "nonesuch"), "gate", "unknown_name", 2),
        (("gate", "--nonsense"), "gate", "bad_argument", 2),
        (("report", "--port", "1"), "report", "bad_argument", 2),
        (("import", "nowhere.ncu-rep"), "import", "bad_argument", 2),
        (("import", "problem.toml"), "import", "broken_file", 2),
        (("profile", "--live"), "profile", "no_device", 3),
        (("profile", "-w", "flat"), "profile", "no_recording", 3),
        (("profile", f"cumprod/{'n' * 300}"), "profile", "broken_file", 2),
        (("bench", "--show"), "bench", "no_run", 3),
        (("metrics", "--chip", "GH10"), "metrics", "unknown_name", 2),
        (("nonsense",), "error", "bad_argument", 2),
        ((), "error", "bad_argument", 2),
    ],
)
def test_an_error_is_one_object_and_a_sentence(
    stallgate: Stallgate, arguments: tuple[str, ...], command: str, code: str, status: int
) -> None:
    done = stallgate(*arguments, "--json")
    assert done.returncode == status, done.stderr
    found = answer(done, command)
    assert found["ok"] is False
    assert found["error"]["code"] == code
    assert found["error"]["message"]
    assert found["error"]["hint"]
    words = " ".join(done.stderr.split())
    assert " ".join(found["error"]["message"].split())[:60] in words
    assert stallgate(*arguments).stdout == ""


def test_what_is_no_option_asks_for_no_json(stallgate: Stallgate) -> None:
    assert stallgate("gate", "--", "--json").stdout == ""


def test_a_broken_project_is_told_as_json(stallgate: Stallgate, tree: Path) -> None:
    (tree / "metrics/catalogue.toml").write_text("metrics = 1\n")
    wanted = ["--kernel", "kernels/cumprod/naive_serial.py", "--reference", "torch.cumprod", "--input", "float32[8]"]
    for command in COMMANDS.keys() - {"docs"}:
        needed = {"import": ["x.ncu-rep"], "compare": ["run"], "baseline": ["run"], "init": wanted}.get(command, [])
        found = answer(stallgate(command, *needed, "--json"), command)
        assert found["error"]["code"] == "broken_file"
        assert found["error"]["message"].startswith("metrics/catalogue.toml: ")


def test_a_bug_is_told_as_json(tree: Path) -> None:
    (tree / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'stallgate.cli.plan':\n"
        "            raise ZeroDivisionError('caf\\udce9')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    done = new_process(tree)("plan", "--json", PYTHONPATH=f"{tree}:{ROOT / 'harness'}")
    found = answer(done, "plan")
    assert (done.returncode, found["error"]["code"]) == (70, "bug")
    assert "ZeroDivisionError: caf\\xe9" in found["error"]["message"]


def test_every_error_has_a_code_of_its_own() -> None:
    def every(kind: type[StallgateError]) -> list[type[StallgateError]]:
        return [kind, *(found for below in kind.__subclasses__() for found in every(below))]

    errors = [kind("", "", []) if kind is UnknownName else kind("") for kind in every(StallgateError)]
    codes = [error.code for error in errors]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)
    assert UserFault("").code == "user_fault"
    assert DamagedReport("").code == "damaged_report"


# --- what was found before an error ---


def test_a_run_that_is_cut_short_is_in_the_object_of_its_error(with_ncu: Stallgate, tree: Path) -> None:
    done = with_ncu("profile", "-w", "square", "--json", "--report", FAKE_NCU="blocked")
    found = answer(done, "profile")
    assert found["error"]["code"] == "counters_blocked"
    assert {case["outcome"] for case in found["cases"]} == {"not_profiled"}
    latest = tree / "reports/latest"
    assert (latest / "metrics.csv").is_file()
    assert (latest / "verdicts.json").is_file()
    assert not (latest / "report.html").exists()
    assert not list(latest.glob("*.png"))


@pytest.mark.whole_recording
def test_a_run_that_is_no_recording_is_in_the_object_of_its_error(with_ncu: Stallgate) -> None:
    done = with_ncu("profile", *PLAN, "--record", "--json", FAKE_NCU="killed", FAKE_NCU_CASE=CRASHED)
    found = answer(done, "profile")
    assert (found["error"]["code"], found["kind"]) == ("not_measured", "live")


@pytest.mark.whole_recording
def test_two_runs_without_a_common_case_are_in_the_object_of_their_error(
    stallgate: Stallgate, replayed_square: Path, latest: Callable[[str], Any]
) -> None:
    assert stallgate("profile", "-w", "page").returncode == 0
    done = stallgate("compare", replayed_square.name, "latest", "--json")
    found = answer(done, "compare")
    assert done.returncode == 3
    assert found["error"]["code"] == "not_measured"
    assert found["pairs"]


# --- as text ---


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_object_is_the_same_in_every_encoding(own_process: Stallgate, tree: Path, encoding: str) -> None:
    path = tree / "metrics/catalogue.toml"
    path.write_text(path.read_text().replace('[metrics.duration]\ntitle = "', '[metrics.duration]\ntitle = "µ ≥ 🔥 '))
    done = own_process("metrics", "--json", PYTHONIOENCODING=encoding)
    titles = {row["metric"]: row["title"] for row in answer(done, "metrics")["metrics"]}
    assert titles["duration"].startswith("µ ≥ 🔥 ")
