"""``--json``: one object on standard output for every command and every error, as its JSON Schema has it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Union

import msgspec
import pytest

from stallgate.cli.gate import VerdictFacts
from stallgate.cli.group import COMMANDS
from stallgate.cli.output import JSON_VERSION
from stallgate.cli.schema import answer_types, json_schema
from stallgate.errors import DamagedReport, StallgateError, UnknownName, UserFault
from stallgate.model import Verdict
from stallgate.project.load import load_project
from stallgate.runs.folder import find, load
from stallgate.runs.sweep import (
    SWEEP_FORMAT,
    CounterReading,
    Final,
    Sweep,
    SweepSpace,
    Trial,
    Yardstick,
    save_sweep,
)
from tests.agent.loop.scripted import begin, code, listed_answers, looped
from tests.cli.fuzz import BENCH
from tests.cli.test_failures import CRASHED, PLAN
from tests.conftest import ROOT, Stallgate, new_process, without_waivers
from tests.json_schema import violations
from tests.judge.test_accept import repeated
from tests.recordings import committed

__all__ = ["repeated"]

ENVELOPE = ["schema", "command", "ok", "status"]
VALUE = {"state", "median", "low", "high", "unit"}


@cache
def schema_of(command: str) -> dict[str, Any]:
    return json_schema(command)


def answer(done: subprocess.CompletedProcess[str], command: str | None) -> dict[str, Any]:
    """The one object that a command printed, which is held against the command's schema."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert list(found)[:4] == ENVELOPE
    assert found["schema"] == JSON_VERSION
    assert found["command"] == command
    assert found["status"] == done.returncode
    assert found["ok"] is (done.returncode == 0)
    assert done.returncode in (0, 1, 3) or "error" in found
    if command is not None:
        assert not violations(found, schema_of(command), schema_of(command))
        *answers, error = answer_types(command)
        kinds: tuple[Any, ...] = (error,) if "error" in found else tuple(answers)
        msgspec.json.decode(done.stdout, type=Union[kinds])  # noqa: UP007  (of as many as there are)
    for name, value in values_in(found) if command != "schema" else ():
        assert set(value) >= VALUE, name
        numbers = [value[key] for key in ("median", "low", "high")]
        assert all((number is None) is (value["state"] != "measured") for number in numbers), name
    return found


def values_in(part: Any, name: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value of a metric in an object."""
    if isinstance(part, dict):
        if "median" in part:
            yield name, part
        for key, below in part.items():
            yield from values_in(below, f"{name}.{key}")
    if isinstance(part, list):
        for number, below in enumerate(part):
            yield from values_in(below, f"{name}[{number}]")


# --- answers ---

ANSWERS: dict[str, list[tuple[str, ...]]] = {
    "profile": [("-w", "square")],
    "import": [("FILE",)],
    "capture": [("--", "true"), ("--kernel", "copy", "--", "true")],
    "bench": [("--show",)],
    "sweep": [("--show",)],
    "loop": [("--replay",)],
    "gate": [(), ("--stage", "advanced_memory"), ("--stage", "block_tiling"), ("--targets", "absolute")],
    "report": [()],
    "advise": [(), ("--variant", "blocked_scan", "--limit", "1")],
    "compare": [("latest",), ("latest", "--all")],
    "baseline": [("RUNS",)],
    "plan": [(), ("--chip", "GH100")],
    "metrics": [(), ("--chip", "gb203")],
    "show": [
        ("runs",),
        ("problems",),
        ("problems", "cumprod"),
        ("stages",),
        ("stages", "block_tiling"),
        ("run",),
        ("run", "--all"),
    ],
    "doctor": [("--python", "WITHOUT_TORCH")],
    "schema": [(), ("gate",)],
    "docs": [(), ("json",)],
    "check": [("cumprod/blocked_scan", "-w", "tiny", "--device", "cpu")],
    "init": [
        (
            "--kernel",
            "kernels/cumprod/naive_serial.py",
            "--reference",
            "torch.cumprod",
            "--input",
            "float32[8]",
            "--name",
            "other",
        )
    ],
    "prompt": [("cumprod/blocked_scan",), ("cumprod/blocked_scan", "--gpu", "b200", "--budget", "100000")],
    "comment": [("--dry-run",)],
    "push": [("PLACE",)],
    "pull": [("PLACE",)],
    "bundle": [("cumprod/scan",), ("cumprod/scan", "-o", "bundled.py")],
    "mcp": [(), ("--show", "--read-only")],
}
"""Command -> the arguments of trials, each of which ends with an answer."""

SWEEP = Sweep(
    format=SWEEP_FORMAT,
    name="sweep",
    created="2026-01-01T00:00:00Z",
    stallgate="0",
    commit=None,
    dirty=False,
    arguments=[],
    problem="cumprod",
    variant="blocked_scan",
    stage="memory_access",
    effort="quick",
    seed=0,
    seconds=None,
    digests={},
    space=SweepSpace({"num_warps": [4, 8]}, ["num_warps <= 8"], size=2),
    trials=[
        Trial("default", {}, "square", "profiled", samples_us=[2.0], counters={"duration": CounterReading(1, 1, 1, 3)}),
        Trial("num_warps4", {"num_warps": 4}, "square", "stopped", "stopped after 3 rounds", [4.0]),
    ],
    finals=[Final("default", "square", [2.0])],
    yardsticks=[Yardstick("copy", "copy", "square")],
    complete=True,
)
"""The result of a sweep, made up."""

ANSWERED = [(command, *arguments) for command, trials in ANSWERS.items() for arguments in trials]


def test_every_command_has_a_trial() -> None:
    assert set(ANSWERS) == set(COMMANDS)


@pytest.fixture
def prepared(
    stallgate: Stallgate, tree: Path, recording: Path, without_torch: str, request: pytest.FixtureRequest
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command with ``--json`` in a tree that has what the trials need."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        needed = {
            "baseline": "repeated",
            **dict.fromkeys(
                ("gate", "report", "advise", "compare", "show", "comment", "push", "pull"), "replayed_square"
            ),
        }
        made = request.getfixturevalue(needed.get(arguments[0], "tree"))
        if arguments[0] == "comment":
            stallgate("gate")
        if arguments[0] == "pull":
            stallgate("push", str(tree / "place"))
        (tree / "reports/bench").mkdir()
        (tree / "reports/bench/bench.json").write_text(json.dumps(BENCH))
        (tree / "reports/sweep").mkdir()
        save_sweep(tree / "reports/sweep", SWEEP)
        looped(tree / "reports/loop", begin(tree / "reports/loop", rounds=1), listed_answers({(1, 1, 1): code(10)}))
        placed = {"FILE": [str(next(recording.glob("ncu/*")))], "WITHOUT_TORCH": [without_torch], "RUNS": made}
        placed["PLACE"] = [str(tree / "place")]
        machine = request.getfixturevalue("with_ncu") if arguments[0] == "capture" else stallgate
        return machine("--json", *(word for given in arguments for word in placed.get(given, [given])))

    return run


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
def test_an_answer_is_one_object_of_its_schema(prepared: Stallgate, arguments: tuple[str, ...]) -> None:
    found = answer(prepared(*arguments), arguments[0])
    assert "error" not in found, found["error"]
    assert len(found) > len(ENVELOPE)


# --- the run ---

OF_A_RUN: dict[str, tuple[str, ...]] = {
    "gate": ("RUN",),
    "advise": ("RUN",),
    "report": ("RUN",),
    "show": ("run", "RUN"),
    "prompt": ("cumprod/blocked_scan", "--run", "RUN"),
}
MAKING_ONE: dict[str, tuple[str, ...]] = {"profile": ("-w", "square"), "import": ("FILE",), "capture": ("--", "true")}
ON_A_GPU = {"check"}
"""Commands whose object has ``run``: of a run that they are given, of one that they make, of one that takes a GPU."""


def names_a_run(command: str) -> bool:
    """Whether an answer of a command has ``run`` as a text; that of a comparison is an object."""
    fields = [field for kind in answer_types(command)[:-1] for field in msgspec.structs.fields(kind)]
    return any(field.name == "run" and field.type in (str, str | None) for field in fields)


def test_every_command_that_names_a_run_has_a_trial_of_that() -> None:
    assert {command for command in COMMANDS if names_a_run(command)} == {*OF_A_RUN, *MAKING_ONE, *ON_A_GPU}


@pytest.mark.parametrize("command", OF_A_RUN)
@pytest.mark.parametrize("place", ["of its own name", "renamed", "elsewhere", "a recording"])
def test_a_run_is_told_as_commands_take_it(
    stallgate: Stallgate, replayed_square: Path, tree: Path, tmp_path: Path, command: str, place: str
) -> None:
    """Not by the name that ``run.json`` has from when it was measured: no folder may be called that."""
    if place == "a recording" and command == "report":
        pytest.skip("nothing is drawn into a recording")
    (recorded,) = tree.glob("reports/recorded/*/cumprod")
    folder = {
        "renamed": tree / "reports" / "renamed",
        "elsewhere": tmp_path / "elsewhere",
        "a recording": recorded,
    }.get(place, replayed_square)
    if not folder.exists():
        shutil.move(replayed_square, folder)
    written = (folder if place == "elsewhere" else folder.relative_to(tree / "reports")).as_posix()
    found = answer(
        stallgate("--json", command, *(written if word == "RUN" else word for word in OF_A_RUN[command])), command
    )
    assert find(tree / "reports", found["run"]) == folder.resolve()
    if command == "report" and place == "renamed":
        assert load(folder).name not in (folder / "report.html").read_text(), "its commands name the folder"
    if command == "gate" and place != "a recording":
        assert json.loads((folder / "verdicts.json").read_bytes())["run"] == found["run"]


@pytest.mark.parametrize("command", MAKING_ONE)
def test_a_run_that_was_made_is_told_as_commands_take_it(prepared: Stallgate, tree: Path, command: str) -> None:
    before = set(tree.glob("reports/*"))
    found = answer(prepared(command, *MAKING_ONE[command]), command)
    folder = find(tree / "reports", found["run"])
    assert folder.parent == (tree / "reports").resolve()
    assert folder not in before


@pytest.mark.parametrize("command", COMMANDS)
def test_no_fact_hides_what_every_object_has(command: str) -> None:
    for kind in answer_types(command)[:-1]:
        facts = kind.__mro__[1]
        assert not {field.name for field in msgspec.structs.fields(facts)} & {*ENVELOPE, "error"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_place_of_json_does_not_matter(stallgate: Stallgate, command: str) -> None:
    before, after = stallgate("--json", command, "--nonsense"), stallgate(command, "--nonsense", "--json")
    assert before.stdout == after.stdout
    assert answer(before, command)["error"]["code"] == "bad_argument"
    assert not stallgate(command, "--nonsense").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_stays_text(stallgate: Stallgate, command: str) -> None:
    usual = stallgate(command, "--help")
    assert usual.stdout.startswith("Usage: ")
    assert stallgate("--json", command, "--help").stdout == usual.stdout
    assert stallgate("--json", "--version").stdout == stallgate("--version").stdout != ""


def test_a_doctor_that_says_no(stallgate: Stallgate, without_torch: str) -> None:
    found = answer(stallgate("doctor", "--python", without_torch, "--json"), "doctor")
    assert (found["ok"], found["able"], found["status"]) == (False, False, 3)
    assert found["findings"]


def test_a_gate_that_says_no_has_its_facts_and_no_error(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    without_waivers(tree)
    found = answer(stallgate("gate", "--json"), "gate")
    assert (found["ok"], found["status"]) == (False, 1)
    (failed,) = [verdict for verdict in found["verdicts"] if verdict["status"] == "fail"]
    assert failed["metric"] == "memory_dependency_stall"
    assert failed["value"]["state"] == "measured"
    assert failed["value"]["unit"] == "%"


def test_a_gate_whose_misses_are_waived_says_until_when(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    [waiver] = load_project(tree).problem("cumprod").waivers
    found = answer(stallgate("gate", "--json"), "gate")
    assert (found["ok"], found["status"]) == (True, 0)
    (waived,) = [verdict for verdict in found["verdicts"] if verdict["status"] == "waived"]
    assert waived["metric"] == waiver.metric == "memory_dependency_stall"
    assert waived["waiver"]["until"] == waiver.until.isoformat()


@pytest.mark.parametrize("written", ["2027-3-31", "2027-02-30", "20270331", "2027-W13-3", "soon", ""])
def test_a_last_day_is_written_as_a_date(written: str) -> None:
    schema = {"type": "string", "format": "date"}
    assert not violations("2027-03-31", schema, schema)
    assert violations(written, schema, schema)


def test_a_gate_without_numbers_has_its_facts_and_no_error(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    path = tree / "kernels/cumprod/blocked_scan.py"
    path.write_text(path.read_text() + "\n# changed\n")
    found = answer(stallgate("gate", "--json"), "gate")
    assert (found["ok"], found["status"]) == (False, 3)
    (verdict,) = found["verdicts"]
    assert verdict["value"] == {"state": "not_measured", "median": None, "low": None, "high": None, "unit": ""}


def test_a_value_that_is_absent_says_so(stallgate: Stallgate, replayed_square: Path, tree: Path) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(path.read_text() + '\n[[targets]]\nmetric = "flop_rate"\nat_least = 1\n')
    found = answer(stallgate("gate", "--json"), "gate")
    states = {verdict["metric"]: verdict["value"]["state"] for verdict in found["verdicts"]}
    assert found["status"] == 3
    assert states["flop_rate"] == "absent"


def test_nothing_of_a_verdict_is_lost() -> None:
    assert set(Verdict.__struct_fields__) - {"unit", "low", "high"} == set(VerdictFacts.__struct_fields__)


@pytest.mark.whole_recording
def test_a_comparison_is_short_unless_all_is_asked_for(stallgate: Stallgate) -> None:
    recorded = committed().path
    done = stallgate("compare", recorded, recorded, "--json")
    short = answer(done, "compare")
    assert len(done.stdout) < 20_000
    whole = answer(stallgate("compare", recorded, recorded, "--all", "--json"), "compare")
    rows = sum(len(pair["changes"]) for pair in whole["pairs"])
    assert whole["left_out"] == 0
    assert short["left_out"] == rows - sum(len(pair["changes"]) for pair in short["pairs"])
    assert short["tally"] == whole["tally"]
    assert sum(short["tally"].values()) == rows
    for pair in short["pairs"]:
        expected = ["duration"] if pair["role"] in ("baseline", "roof") else short["main"]
        assert {change["metric"] for change in pair["changes"]} == set(expected)


def test_everything_else_that_is_printed_goes_to_standard_error(tree: Path) -> None:
    done = _with_import_hook(tree, "import os; print('noise'); os.system('echo more noise')")("plan", "--json")
    assert answer(done, "plan")["cases"]
    assert "more noise" in done.stderr


def test_a_command_without_an_answer_still_prints_an_object(stallgate: Stallgate, tree: Path) -> None:
    """A command of the future that forgets to."""
    hook = "import stallgate.cli.output as output; output.print_result = lambda command, facts, status=0: status"
    done = _with_import_hook(tree, hook)("plan", "--json")
    assert list(json.loads(done.stdout)) == ENVELOPE


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "command", "code", "status"),
    [
        (("gate", "nonesuch"), "gate", "unknown_name", 2),
        (("gate", "--nonsense"), "gate", "bad_argument", 2),
        (("gate", "--json=1"), "gate", "bad_argument", 2),
        (("report", "--port", "1"), "report", "bad_argument", 2),
        (("show", "runs", "x"), "show", "bad_argument", 2),
        (("show", "everything"), "show", "bad_argument", 2),
        (("show", "problems", "cumprood"), "show", "unknown_name", 2),
        (("show", "run"), "show", "no_run", 3),
        (("schema", "gaet"), "schema", "unknown_name", 2),
        (("import", "nowhere.ncu-rep"), "import", "bad_argument", 2),
        (("import", "kernels/cumprod/problem.toml"), "import", "broken_file", 2),
        (("profile", "--live"), "profile", "no_device", 3),
        (("capture", "true"), "capture", "no_device", 3),
        (("capture", "no-such-program"), "capture", "bad_argument", 2),
        (("profile", "-w", "flat"), "profile", "no_recording", 3),
        (("profile", f"cumprod/{'n' * 300}"), "profile", "broken_file", 2),
        (("plan", "--root", "nowhere"), "plan", "bad_argument", 2),
        (("bench", "--show"), "bench", "no_run", 3),
        (("bench",), "bench", "no_device", 3),
        (("metrics", "--chip", "GH10"), "metrics", "unknown_name", 2),
        (("bundle", "scan"), "bundle", "bad_argument", 2),
        (("bundle", "cumprod/blocked_scan"), "bundle", "bad_argument", 2),
        (("bundle", "cumprod/scann"), "bundle", "unknown_name", 2),
        (("bundle", "cumprod/scan", "-o", "kernels/cumprod/problem.toml"), "bundle", "bad_argument", 2),
        (("bundle", "cumprod/scan", "-o", "kernels/cumprod/scan/all.py"), "bundle", "bad_argument", 2),
        (("nonsense",), None, "bad_argument", 2),
        (("nonsense", "gate"), None, "bad_argument", 2),
        ((), None, "bad_argument", 2),
    ],
)
def test_an_error_is_one_object_and_a_sentence(
    stallgate: Stallgate, arguments: tuple[str, ...], command: str | None, code: str, status: int
) -> None:
    done = stallgate("--json", *arguments)
    assert done.returncode == status, done.stderr
    found = answer(done, command)
    assert found["ok"] is False
    assert found["error"]["code"] == code
    assert found["error"]["message"]
    assert found["error"]["hint"]
    words = " ".join(done.stderr.split())
    assert " ".join(found["error"]["message"].split())[:60] in words
    assert stallgate(*arguments, "--json").stdout == done.stdout
    assert "--json=1" in arguments or stallgate(*arguments).stdout == ""


def test_what_is_no_option_asks_for_no_json(stallgate: Stallgate) -> None:
    assert stallgate("gate", "--", "--json").stdout == ""


def test_a_json_that_an_option_swallows_still_asks_for_json(stallgate: Stallgate, replayed_square: Path) -> None:
    found = answer(stallgate("gate", "--stage", "--json"), "gate")
    assert found["error"]["code"] == "unknown_name"


WITHOUT_PROJECT = {"mcp", "schema", "docs"}
"""Commands that read nothing of a project."""


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - WITHOUT_PROJECT))
def test_a_broken_project_is_told_as_json(stallgate: Stallgate, tree: Path, command: str) -> None:
    (tree / "metrics/catalogue.toml").write_text("metrics = 1\n")
    wanted = ["--kernel", "kernels/cumprod/naive_serial.py", "--reference", "torch.cumprod", "--input", "float32[8]"]
    named = {
        "import": ["x.ncu-rep"],
        "capture": ["true"],
        "compare": ["run"],
        "push": ["elsewhere"],
        "pull": ["elsewhere"],
        "prompt": ["cumprod/blocked_scan"],
        "bundle": ["cumprod/scan"],
        "baseline": ["run"],
        "show": ["runs"],
        "init": wanted,
    }
    found = answer(stallgate(command, *named.get(command, []), "--json"), command)
    assert found["error"]["code"] == "broken_file"
    assert found["error"]["message"].startswith("metrics/catalogue.toml: ")


def test_no_project_is_told_as_json(tmp_path: Path) -> None:
    found = answer(new_process(tmp_path)("gate", "--json"), "gate")
    assert (found["status"], found["error"]["code"]) == (2, "user_fault")
    assert found["error"]["hint"]


def _with_import_hook(tree: Path, statement: str) -> Stallgate:
    """Runs ``stallgate`` with a statement that is executed when the command ``plan`` is imported."""
    (tree / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hook:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'stallgate.cli.plan':\n"
        f"            {statement}\n"
        "sys.meta_path.insert(0, Hook())\n"
    )
    process = new_process(tree)
    return lambda *arguments, **variables: process(
        *arguments, **{"PYTHONPATH": f"{tree}:{ROOT / 'harness'}", **variables}
    )


@pytest.mark.parametrize(
    ("statement", "code", "status", "message"),
    [
        ("raise ZeroDivisionError('caf\\udce9')", "bug", 70, "ZeroDivisionError: caf\\xe9"),
        ("raise EOFError('of a file')", "bug", 70, "EOFError('of a file')"),
        ("raise BrokenPipeError(32, 'a child went away')", "bug", 70, "a child went away"),
        ("raise RecursionError('too deep')", "bug", 70, "too deep"),
        ("raise KeyboardInterrupt", "interrupted", 3, "interrupted"),
        ("import os; os.kill(os.getpid(), 15)", "interrupted", 3, "interrupted"),
        ("raise MemoryError", "user_fault", 2, "not enough memory"),
        ("raise PermissionError(13, 'Permission denied', 'x/y')", "broken_file", 2, "x/y: Permission denied"),
    ],
)
def test_whatever_happens_is_told_as_json(tree: Path, statement: str, code: str, status: int, message: str) -> None:
    done = _with_import_hook(tree, statement)("--json", "plan")
    found = answer(done, "plan")
    assert (done.returncode, found["error"]["code"]) == (status, code)
    assert message in found["error"]["message"]
    assert found["error"]["hint"]


def test_a_bug_with_its_traceback_is_told_as_json_too(tree: Path) -> None:
    done = _with_import_hook(tree, "raise ZeroDivisionError")("plan", "--json", STALLGATE_TRACEBACK="1")
    assert answer(done, "plan")["error"]["code"] == "bug"
    assert "Traceback" in done.stderr


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


def test_a_run_whose_page_cannot_be_written_is_in_the_object_of_its_error(stallgate: Stallgate, tree: Path) -> None:
    (tree / "reports/index.html").mkdir()
    found = answer(stallgate("profile", "-w", "square", "--json", "--report"), "profile")
    assert (found["status"], found["error"]["code"]) == (2, "broken_file")
    assert {case["outcome"] for case in found["cases"]} == {"profiled"}


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
