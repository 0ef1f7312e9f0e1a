"""What a session measures together, and how a test comes out of its verdicts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from stallgate.plugin.command import CommandAnswer, CommandLine, Remembered
from stallgate.plugin.session import GatedRun, Measuring, Session, Wanted, wanted_from
from tests.conftest import ROOT, environment

SOFTMAX = Wanted("softmax")
MATMUL = Wanted("matmul", stages=("tensor_core",))


def verdict(status: str = "pass", **other: object) -> dict[str, Any]:
    usual = {"problem": "softmax", "variant": "fused", "workload": "main", "warning": False}
    return {**usual, "status": status, "sentence": f"it is {status}", **other}


def error(code: str, status: int, message: str = "it cannot be", hint: str = "do this") -> CommandAnswer:
    return CommandAnswer(status, {"error": {"code": code, "message": message, "hint": hint}})


class Line:
    """A command line that answers as it is told, and remembers what it was asked."""

    def __init__(self, *verdicts: dict[str, Any], **answers: CommandAnswer) -> None:
        self.asked: list[list[str]] = []
        self._verdicts = list(verdicts) or [verdict()]
        self._answers = answers

    def __call__(self, arguments: Sequence[str]) -> CommandAnswer:
        self.asked.append(list(arguments))
        command = arguments[0]
        usual: dict[str, dict[str, Any]] = {
            "profile": {"run": "/r/run", "kind": "live", "cases": self._cases(arguments), "metrics": self._metrics()},
            "gate": {"verdicts": self._verdicts},
            "report": {"files": ["/r/run/report.html"]},
            "plan": {"cases": []},
            "check": {},
        }
        return self._answers.get(command) or CommandAnswer(0, usual[command])

    def _cases(self, arguments: Sequence[str]) -> list[dict[str, str]]:
        return [{"case": f"{word.partition('/')[0]}/fused/default/main"} for word in arguments[1:]]

    def _metrics(self) -> dict[str, dict[str, float]]:
        names = ("softmax/fused/default/main", "softmax/fused/default/wide", "matmul/tiled/default/main")
        return {name: {"duration": 1.0} for name in names}

    def profiles(self) -> list[str]:
        return [" ".join(words[1:]) for words in self.asked if words[0] == "profile"]


def judged(line: Line, wanted: Wanted = SOFTMAX, **measuring: Any) -> GatedRun:
    return Session(Measuring(line, **measuring)).judged(wanted)


# --- the mark ---------------------------------------------------------------------------------------------------------


def test_a_mark_names_what_it_wants() -> None:
    assert wanted_from("softmax") == SOFTMAX
    assert wanted_from("softmax/fused").subjects == ["softmax/fused"]
    wanted = wanted_from("softmax", variants=["a", "b", "a"], stage=("s", "t"), workloads="w", drawn=3)
    assert wanted == Wanted("softmax", ("a", "b"), ("w",), ("s", "t"), 3)
    assert wanted.subjects == ["softmax/a", "softmax/b"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"problem": ""}, "problem takes names, not ''"),
        ({"problem": 3}, "problem takes names, not 3"),
        ({"problem": "softmax/"}, "variants takes names, not ''"),
        ({"problem": "--root=/"}, "problem takes names, not '--root=/'"),
        ({"problem": "softmax", "stage": [None]}, "stage takes names, not None"),
        ({"problem": "softmax/fused", "variants": "online"}, "names a variant already"),
        ({"problem": "softmax", "drawn": -1}, "drawn is a number of workloads, not -1"),
        ({"problem": "softmax", "drawn": True}, "drawn is a number of workloads, not True"),
        ({}, "missing 1 required positional argument: 'problem'"),
    ],
)
def test_a_mark_that_names_something_odd_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError) as refused:
        wanted_from(**arguments)
    assert says in str(refused.value)


# --- what is measured together ----------------------------------------------------------------------------------------


def test_a_session_takes_one_profile() -> None:
    line = Line()
    session = Session(Measuring(line))
    session.measure([SOFTMAX, MATMUL, Wanted("softmax", ("fused",), stages=("streaming",)), SOFTMAX])
    assert line.profiles() == ["softmax matmul softmax/fused --live"]
    session.judged(SOFTMAX)
    assert line.profiles() == ["softmax matmul softmax/fused --live"]


def test_named_workloads_share_a_second_one() -> None:
    line = Line()
    wide = [Wanted("softmax", workloads=("wide",)), Wanted("matmul", ("tiled",), ("square", "tall"))]
    Session(Measuring(line, python="/bin/python")).measure([SOFTMAX, *wide])
    assert line.profiles() == [
        "softmax --live --python /bin/python",
        "softmax matmul/tiled --workload wide --workload square --workload tall --live --python /bin/python",
    ]


def test_a_recording_is_asked_for_only_where_it_is_allowed() -> None:
    line = Line(profile=CommandAnswer(0, {"run": "/r/run", "kind": "recorded", "cases": [{"case": "softmax/a/b/c"}]}))
    assert judged(line, replay=True).state == "pass"
    assert judged(line, replay=True).replayed
    assert (judged(line).state, judged(line).message) == ("error", "not measured: the run is a recording")
    assert line.profiles() == ["softmax", "softmax", "softmax --live", "softmax --live"]


def test_what_is_refused_is_left_out_of_the_profile() -> None:
    class Refusing(Line):
        def __call__(self, arguments: Sequence[str]) -> CommandAnswer:
            answer = super().__call__(arguments)
            return error("unknown_name", 2) if "softmax/nonesuch" in arguments else answer

    line, nonesuch = Refusing(), Wanted("softmax", ("nonesuch",))
    session = Session(Measuring(line))
    session.measure([SOFTMAX, nonesuch])
    assert line.profiles() == ["softmax softmax/nonesuch --live", "softmax --live"]
    assert session.judged(SOFTMAX).state == "pass"
    refused = session.judged(nonesuch)
    assert (refused.state, refused.message) == ("error", "not measured: it cannot be\nhint: do this")


def test_a_problem_without_a_recording_is_told_so_beside_one_that_has_one() -> None:
    class Replaying(Line):
        def __call__(self, arguments: Sequence[str]) -> CommandAnswer:
            answer = super().__call__(arguments)
            if list(arguments) == ["profile", "matmul"]:
                return error("no_recording", 3)
            kept = [case for case in answer.facts.get("cases", []) if not case["case"].startswith("matmul/")]
            return CommandAnswer(0, {**answer.facts, "kind": "recorded", "cases": kept})

    session = Session(Measuring(Replaying(), replay=True))
    session.measure([SOFTMAX, MATMUL])
    assert (session.judged(SOFTMAX).state, session.judged(MATMUL).state) == ("pass", "unable")


def test_the_page_shows_the_stages_of_the_tests() -> None:
    line, streaming = Line(), Wanted("softmax", stages=("streaming",))
    session = Session(Measuring(line))
    session.measure([streaming, MATMUL])
    assert session.judged(streaming).page == Path("/r/run/report.html")
    assert ["report", "/r/run", "--stage", "streaming", "--stage", "tensor_core"] in line.asked
    line = Line()
    session = Session(Measuring(line))
    session.measure([SOFTMAX, MATMUL])
    session.judged(SOFTMAX)
    assert ["report", "/r/run"] in line.asked


# --- how a test comes out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([verdict()], "pass"),
        ([verdict("waived")], "pass"),
        ([verdict(), verdict("undecided", warning=True)], "pass"),
        ([verdict(), verdict("fail")], "fail"),
        ([verdict("not_measured"), verdict("fail")], "fail"),
        ([verdict("not_measured")], "error"),
        ([verdict("undecided")], "error"),
        ([verdict("a status of a later stallgate")], "error"),
        ([verdict("fail", problem="matmul")], "error"),
    ],
)
def test_only_a_pass_passes(verdicts: list[dict[str, Any]], state: str) -> None:
    assert judged(Line(*verdicts)).state == state


def test_the_message_is_the_sentences_of_the_verdicts() -> None:
    line = Line(verdict(), verdict("not_measured", workload=""), verdict("fail"))
    assert judged(line).message == "softmax/fused on main: it is fail\nnot measured: softmax/fused: it is not_measured"


def test_a_test_is_judged_by_what_it_names() -> None:
    line = Line(verdict(), verdict("fail", variant="online"), verdict("fail", workload="wide"))
    assert judged(line, Wanted("softmax", ("fused",), ("main",))).state == "pass"
    assert judged(line, Wanted("softmax", ("fused",))).state == "fail"
    assert judged(line, Wanted("softmax", ("online",))).state == "fail"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted("softmax", ("fused", "online")), "no target judges softmax/online; only candidates are judged"),
        (Wanted("softmax", workloads=("main", "wide")), "no target judges softmax on wide; only candidates are judged"),
        (MATMUL, "no target of tensor_core judges matmul; only candidates are judged"),
    ],
)
def test_what_no_verdict_is_about_does_not_pass(wanted: Wanted, says: str) -> None:
    run = judged(Line(), wanted)
    assert run.state == "error"
    assert run.message.startswith(f"not measured: {says}, on the workloads that")


@pytest.mark.parametrize("code", ["no_device", "no_profiler", "counters_blocked", "no_recording"])
def test_a_machine_may_be_unable(code: str) -> None:
    run = judged(Line(profile=error(code, 3)))
    assert (run.state, run.message) == ("unable", "not measured: it cannot be")


def test_any_other_error_is_none_that_could_be_allowed() -> None:
    assert judged(Line(profile=error("not_measured", 3))).state == "error"
    assert judged(Line(profile=error("bug", 70))).state == "error"
    assert judged(Line(gate=error("no_run", 3))).state == "error"
    assert judged(Line(profile=CommandAnswer(3, {}))).message == "not measured: `stallgate` ended with status 3"
    run = judged(Line(report=error("broken_file", 2)))
    assert (run.state, run.page, run.page_fault) == ("pass", None, "it cannot be")


def checked(answer: str, role: str = "candidate", variant: str = "fused") -> dict[str, Any]:
    cases = [{"workload": "main", "outcome": "right", "reason": ""}]
    if answer != "right":
        cases.append({"workload": "drawn-3", "outcome": f"{answer}_result", "reason": "7 of 9 are wrong"})
    return {"problem": "softmax", "variant": variant, "role": role, "answer": answer, "cases": cases}


@pytest.mark.parametrize(
    ("status", "variants", "state"),
    [
        (0, [checked("right")], "pass"),
        (1, [checked("right"), checked("wrong", "baseline", "library")], "pass"),
        (1, [checked("right"), checked("wrong", variant="online")], "fail"),
        (3, [checked("not_checked")], "error"),
        (0, [checked("an answer of a later stallgate")], "error"),
        (0, [checked("right", "roof", "copy")], "error"),
        (0, [], "error"),
    ],
)
def test_candidates_have_to_be_right_on_drawn_workloads(
    status: int, variants: list[dict[str, Any]], state: str
) -> None:
    line = Line(check=CommandAnswer(status, {"variants": variants, "seed": 5}))
    assert judged(line, Wanted("softmax", drawn=20)).state == state
    assert ["check", "softmax", "--drawn", "20"] in line.asked


def test_a_fault_on_a_drawn_workload_can_be_seen_again() -> None:
    drawn = Wanted("softmax", ("fused",), drawn=20)
    run = judged(Line(check=CommandAnswer(1, {"variants": [checked("wrong")], "seed": 5})), drawn)
    again = "again: stallgate check softmax/fused --drawn 20 --seed 5"
    assert run.message == f"softmax/fused on drawn-3: 7 of 9 are wrong\n{again}"


def test_what_cannot_be_drawn_is_an_error_and_what_fails_is_not_drawn() -> None:
    drawn = Wanted("softmax", drawn=20)
    assert judged(Line(check=error("bad_argument", 2)), drawn).state == "error"
    line = Line(verdict("fail"))
    assert judged(line, drawn).state == "fail"
    assert not [words for words in line.asked if words[0] == "check"]


def test_the_metrics_are_those_of_the_problem() -> None:
    assert list(judged(Line()).metrics) == ["softmax/fused/default/main", "softmax/fused/default/wide"]
    assert list(judged(Line(), Wanted("softmax", workloads=("main",))).metrics) == ["softmax/fused/default/main"]


# --- the command line -------------------------------------------------------------------------------------------------


def test_a_command_runs_once(tmp_path: Path) -> None:
    line = Line()
    assert Remembered(tmp_path, line)(["profile", "softmax"]) == Remembered(tmp_path, line)(["profile", "softmax"])
    Remembered(tmp_path, line)(["profile", "matmul"])
    assert line.profiles() == ["softmax", "matmul"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script in the place of stallgate; the folder that it runs in."""

    def put(script: str) -> Path:
        package = tmp_path / "stallgate"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(dedent(script))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return put


def test_a_command_that_prints_no_object_has_failed(stand_in: Callable[[str], Path]) -> None:
    answer = CommandLine(stand_in("raise SystemExit('out of luck')"))(["gate"])
    assert (answer.status, answer.code) == (1, "bug")
    assert answer.message == "`stallgate` printed no result: out of luck"


def test_a_command_is_asked_for_json_in_the_project(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stand_in("""
        import json, os, sys
        print(json.dumps({"said": sys.argv[1:], "in": os.getcwd(), "job": os.environ.get("GITHUB_ACTIONS")}))
    """)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    found = CommandLine(folder, root=Path("/p"))(["gate", "run"]).facts
    assert found == {"said": ["gate", "run", "--json", "--root", "/p"], "in": str(folder), "job": None}


@pytest.mark.usefixtures("signals")
def test_ctrl_c_lets_a_command_write_down_what_it_has(stand_in: Callable[[str], Path]) -> None:
    """The terminal interrupts both processes; the command ends by itself, and nothing kills it before."""
    folder = stand_in("""
        import time
        from pathlib import Path
        try:
            Path("begun").touch()
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(0.5)
            Path("written").touch()
    """)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT / "harness")!r})
from pathlib import Path
from stallgate.plugin.command import CommandLine
CommandLine(Path("."))(["profile"])
"""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in err
    assert (folder / "written").exists()


def test_the_answers_of_the_fake_are_those_of_the_command_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys that the plugin reads, of the real commands."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    line = CommandLine(tree)
    found = line(["profile", "-w", "square"]).facts
    assert {"run", "kind", "cases", "metrics"} <= set(found)
    assert found["cases"][0]["case"].startswith("cumprod/")
    assert {"problem", "variant", "workload", "status", "sentence", "warning"} <= set(
        line(["gate"]).facts["verdicts"][0]
    )
