"""Processes: watched, limited in time, ended whole."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stallgate.measure.ncu import Complaints
from stallgate.measure.outcomes import Story
from stallgate.measure.process import Ended, Event, Tail, watch
from stallgate.model import Case
from tests.conftest import ROOT

TELL = "import json,sys\ndef tell(**e):\n    open(sys.argv[1],'a').write(json.dumps(e)+chr(10))\n"


def run(tmp_path: Path, script: str, timeout_s: float = 20) -> tuple[Ended, list[Event]]:
    heard: list[Event] = []
    events = tmp_path / "events"
    command = [sys.executable, "-c", TELL + script, str(events)]
    ended = watch(command, os.environ, tmp_path / "log", events, timeout_s, heard.append)
    return ended, heard


def test_events_come_in_order_and_the_log_has_the_output(tmp_path: Path) -> None:
    ended, heard = run(tmp_path, "tell(event='a'); tell(event='b'); print('hello')")
    assert [event["event"] for event in heard] == ["a", "b"]
    assert ended.exit_status == 0
    assert not ended.timed_out
    assert "hello" in (tmp_path / "log").read_text()


def test_an_exit_status_is_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "sys.exit(9)")[0].exit_status == 9


def test_silence_ends_the_whole_group(tmp_path: Path) -> None:
    script = (
        "import subprocess,time,signal\n"
        "child=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)'])\n"
        "tell(event='child',pid=child.pid)\ntime.sleep(60)"
    )
    begin = time.monotonic()
    ended, heard = run(tmp_path, script, timeout_s=1.0)
    assert time.monotonic() - begin < 8
    assert ended.timed_out
    assert ended.exit_status is None
    assert gone(heard[0]["pid"])


@pytest.mark.parametrize("broken", ['{"event": "ca', "5", "{}", "\xff"])
def test_a_line_that_is_no_event_is_passed_over(tmp_path: Path, broken: str) -> None:
    script = f"tell(event='a')\nopen(sys.argv[1],'ab').write({broken.encode('latin-1')!r} + b'\\n')\ntell(event='b')"
    assert [event["event"] for event in run(tmp_path, script)[1]] == ["a", "b"]


def test_events_push_the_limit_on(tmp_path: Path) -> None:
    script = "import time\nfor i in range(6):\n    tell(event='step'); time.sleep(0.4)"
    ended, heard = run(tmp_path, script, timeout_s=1.5)
    assert not ended.timed_out
    assert len(heard) == 6


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaped has)."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_half_written_event_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events"
    tail = Tail(path)
    assert tail.new() == []
    path.write_text('{"event": "a"}\n{"event":')
    assert tail.new() == [{"event": "a"}]
    with path.open("a") as file:
        file.write(' "b"}\n')
    assert tail.new() == [{"event": "b"}]


# --- what the events say ---

CASE = Case(problem="p", variant="v", configuration="default", workload="w")
ENDED = Ended(exit_status=9, timed_out=False, interrupted=False, seconds=1.0)
QUIET = Complaints(errors=[], counters_blocked=False)


def story(*events: Event) -> Story:
    told = Story([CASE], lambda *_: None)
    for event in events:
        told.hear(event)
    return told


def at_work() -> Story:
    return story({"event": "case", "name": CASE.name}, {"event": "step", "name": CASE.name, "step": "check"})


def test_a_case_at_work_when_its_process_died_has_crashed() -> None:
    told = at_work()
    told.conclude(ENDED, Complaints(errors=["LaunchFailed"], counters_blocked=False), 120)
    assert told.outcomes[CASE].outcome == "crashed"
    assert told.outcomes[CASE].reason == "its process ended with status 9 in step 'check': LaunchFailed"


def test_a_case_at_work_when_time_was_up_has_timed_out() -> None:
    told = at_work()
    told.conclude(Ended(exit_status=None, timed_out=True, interrupted=False, seconds=1.0), QUIET, 120)
    assert told.outcomes[CASE].outcome == "timed_out"
    assert "within 120 s" in told.outcomes[CASE].reason


def test_an_interrupted_case_has_no_outcome() -> None:
    told = at_work()
    told.conclude(Ended(exit_status=None, timed_out=False, interrupted=True, seconds=1.0), QUIET, 120)
    assert told.outcomes == {}


def test_an_outcome_is_final() -> None:
    told = story(
        {"event": "case", "name": CASE.name},
        {"event": "outcome", "name": CASE.name, "outcome": "skipped", "reason": "too slow"},
        {"event": "something new"},
    )
    told.conclude(ENDED, QUIET, 120)
    assert told.outcomes[CASE].outcome == "skipped"


def test_neither_a_progress_bar_nor_a_verdict_waits_for_what_draws() -> None:
    """It is imported while the GPU works, or not at all: seconds that nobody waits for. A page needs no pandas."""
    script = """
import sys, stallgate.cli.profile, stallgate.cli.bench, stallgate.render.terminal, stallgate.measure.profile
import stallgate.judge.evaluate, stallgate.compare.two_runs, stallgate.judge.accept
import stallgate.render.github, stallgate.render.head, stallgate.render.junit
early = {'pandas', 'matplotlib', 'numpy'} & sys.modules.keys()
import stallgate.render.page
sys.exit(' '.join(early | {'pandas'} & sys.modules.keys()) or None)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
