"""Answerers as processes: each that misbehaves costs its answer, within its limits, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stallgate.agent.loop.answerer import Answered, AnswererQuestion, ProgramAnswerer
from stallgate.agent.loop.code import code_digest, code_in
from stallgate.errors import BadArgument
from tests.conftest import ROOT

ANSWERERS = ROOT / "examples" / "answerers"


def asked(tmp_path: Path, program: str, *, timeout_s: float = 60, most: int = 10_000, width: int = 1) -> list[Answered]:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("the prompt\n" * 10_000)
    questions = [AnswererQuestion(prompt, {"STALLGATE_ANSWER": str(number)}) for number in range(1, width + 1)]
    return list(ProgramAnswerer([sys.executable, "-c", program], timeout_s, most).ask(questions))


def test_an_answer_is_what_it_prints(tmp_path: Path) -> None:
    program = (
        "import os, sys; print(sys.stdin.read()[:10], os.environ['STALLGATE_ANSWER']); print('why', file=sys.stderr)"
    )
    first, second = asked(tmp_path, program, width=2)
    assert (first.outcome, first.text, first.complaint, first.status) == ("answered", b"the prompt 1\n", "why\n", 0)
    assert second.text == b"the prompt 2\n"


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("", "empty"),
        ("print('  ')", "empty"),
        ("import sys; sys.exit('no')", "failed"),
        ("import os; os.kill(os.getpid(), 9)", "failed"),
        ("print('half'); raise ValueError('x' * 10**6)", "failed"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "too_long"),
        ("import sys\nfor _ in range(1600): sys.stdout.write('x' * 65536)", "too_long"),
        ("import os; os.close(0); print('without reading')", "answered"),
    ],
)
def test_what_misbehaves_is_named(tmp_path: Path, program: str, outcome: str) -> None:
    (found,) = asked(tmp_path, program)
    assert found.outcome == outcome
    assert len(found.text) <= 10_000
    assert len(found.complaint) <= 2_000


def test_what_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(note)!r}, 'w').write(str(p.pid)); print('half', flush=True); time.sleep(600)"
    )
    begun = time.monotonic()
    (found,) = asked(tmp_path, program, timeout_s=5)
    assert (found.outcome, found.text, found.status) == ("timed_out", b"half\n", None)
    assert time.monotonic() - begun < 60
    assert is_gone(int(note.read_text()))


def test_what_leaves_its_output_open_does_not_hold_the_loop_up(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('done')"
    begun = time.monotonic()
    (found,) = asked(tmp_path, program)
    assert (found.outcome, found.text) == ("answered", b"done\n")
    assert time.monotonic() - begun < 50


def is_gone(pid: int) -> bool:
    """Whether a process has ended, within a while; one that nobody waits for counts as ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_ends_the_answerers(tmp_path: Path, signals: None) -> None:
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def interrupt() -> None:
        while not note.is_file() or not note.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        asked(tmp_path, program)
    assert is_gone(int(note.read_text()))


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(BadArgument, match="no program there-is-none"):
        ProgramAnswerer(["there-is-none"], 1, 1000)
    with pytest.raises(BadArgument, match="empty"):
        ProgramAnswerer([], 1, 1000)


# --- the code of an answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a = 1\n", "a = 1\n"),
        ("Here:\n```python\na = 1\n```\nDone.\n", "a = 1\n"),
        ("~~~\na = 1\n~~~\n", "a = 1\n"),
        ("````python\na = '```'\n````\n", "a = '```'\n"),
        ("```\na\n```\n```\nb\n```\n", None),
    ],
)
def test_the_code_of_an_answer_is_its_only_block(text: str, code: str | None) -> None:
    assert code_in(text) == code


def test_the_digest_is_of_what_the_code_says() -> None:
    one = 'def f(x):\n    """Words."""\n    return x + 1  # more\n'
    same = "def f(x):\n\n        return (x+1)\n"
    assert code_digest(one) == code_digest(same)
    assert code_digest(one) != code_digest(same.replace("1", "2"))
    assert code_digest("not python (") == code_digest("not   python\n(")
    assert code_digest("(" * 100_000) != code_digest("(" * 100_001)


# --- the examples -----------------------------------------------------------------------------------------------------

PROMPT = """## Stage

Autotune space of the stage: `num_stages` [1, 2, 3].

## Current code

```python
import triton

BLOCK_K = 32


def run(x, *, BLOCK=256, num_warps=2):
    kernel[(1,)](x, BLOCK, num_warps=num_warps, num_stages=2)
    return {"GROUP_M": 8, "other": 7}


class ModelNew: ...
```

## What has been tried

- 1.1: num_warps raised: 2 -> 4 => 12 % less time
"""


def tuned(prompt: str, seed: int) -> str:
    done = subprocess.run(
        [sys.executable, str(ANSWERERS / "tuner.py")],
        input=prompt,
        env={**os.environ, "STALLGATE_SEED": str(seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_tuner_changes_tunables_and_nothing_else() -> None:
    shown = PROMPT.split("```python\n")[1].split("```")[0]
    changed = set()
    for seed in range(6):
        answer = code_in(tuned(PROMPT, seed)) or ""
        numbers = [re.findall(r"\d+", text) for text in (shown, answer)]
        assert re.sub(r"\d+", "N", answer) == re.sub(r"\d+", "N", shown)
        changed |= {place for place, (one, other) in enumerate(zip(*numbers, strict=True)) if one != other}
        assert code_digest(answer) != code_digest(shown)
    assert len(changed) >= 2
    assert changed <= {0, 1, 2, 4, 5}, "neither the grid nor a number without the name of a tunable"


def test_the_tuner_gives_the_same_answer_for_the_same_seed() -> None:
    assert tuned(PROMPT, 5) == tuned(PROMPT, 5)


def test_the_tuner_takes_a_prompt_without_code() -> None:
    assert code_in(tuned("nothing", 1)) == "\n"


def test_the_adapter_passes_on_what_a_program_says(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import sys; print(len(sys.stdin.read()) > 10)"]
    command = [sys.executable, str(ANSWERERS / "adapter.py"), *program]
    done = subprocess.run(command, input="prompt", capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_recorded_answers_are_played_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "2.1-repair.md").write_text("mended")
    command = [sys.executable, str(ANSWERERS / "recorded.py"), str(tmp_path)]
    place = {"STALLGATE_ROUND": "2", "STALLGATE_ANSWER": "1", "STALLGATE_ATTEMPT": "2"}
    done = subprocess.run(command, input="", env={**os.environ, **place}, capture_output=True, text=True, check=True)
    assert done.stdout == "mended"
    missing = {**os.environ, **place, "STALLGATE_ATTEMPT": "1"}
    assert subprocess.run(command, input="", env=missing, capture_output=True, text=True, check=False).returncode == 1
