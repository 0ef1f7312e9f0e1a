"""Processes: heard line by line, limited in time, ended whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stallgate.measure.channel import LONGEST_LINE
from stallgate.measure.process import Ended, Spawned, in_words, watch
from tests.conftest import ROOT

SAY = """
import os, socket, sys
line = socket.socket(fileno=int(sys.argv[1]))
def say(text): line.sendall(text + b'\\n')
"""


def run(tmp_path: Path, script: str, timeout_s: float = 60, grace_s: float = 10) -> tuple[Ended, list[bytes]]:
    """Runs a script; a line that begins with ``junk`` is no progress."""
    heard: list[bytes] = []

    def hear(line: bytes) -> bool:
        heard.append(line)
        return not line.startswith(b"junk")

    spawned = Spawned([sys.executable, "-c", SAY + script], os.environ, tmp_path / "log", grace_s)
    return watch(spawned, timeout_s, hear), heard


def test_lines_come_in_order_and_the_log_has_the_output(tmp_path: Path) -> None:
    ended, heard = run(tmp_path, "say(b'a'); say(b'b'); print('hello')")
    assert heard == [b"a", b"b"]
    assert ended.exit_status == 0
    assert not ended.timed_out
    assert "hello" in (tmp_path / "log").read_text()


def test_an_exit_status_is_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "sys.exit(9)")[0].exit_status == 9


def test_a_signal_is_called_a_signal(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "os.kill(os.getpid(), 9)")
    assert in_words(ended.exit_status) == f"signal {signal.SIGKILL}"
    assert in_words(3) == "status 3"


def test_silence_ends_the_whole_group(tmp_path: Path) -> None:
    script = (
        "import subprocess,time\n"
        "child=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)'])\n"
        "say(str(child.pid).encode())\ntime.sleep(60)"
    )
    begin = time.monotonic()
    ended, heard = run(tmp_path, script, timeout_s=3.0)
    assert time.monotonic() - begin < 50
    assert ended.timed_out
    assert ended.exit_status is None
    assert gone(int(heard[0]))


def test_who_does_not_end_is_ended_after_the_grace(tmp_path: Path) -> None:
    script = "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(b'deaf')\ntime.sleep(60)"
    begin = time.monotonic()
    ended, heard = run(tmp_path, script, timeout_s=2.0, grace_s=0.5)
    assert time.monotonic() - begin < 50
    assert heard == [b"deaf"]
    assert ended.timed_out


def test_progress_pushes_the_limit_on_and_junk_does_not(tmp_path: Path) -> None:
    script = "import time\nfor i in range({count}):\n    say(b'{word}'); time.sleep(0.3)"
    ended, heard = run(tmp_path, script.format(count=8, word="step"), timeout_s=2.0)
    assert not ended.timed_out
    assert len(heard) == 8
    ended, heard = run(tmp_path, script.format(count=60, word="junk"), timeout_s=2.0)
    assert ended.timed_out
    assert len(heard) < 10


def test_a_line_is_whole_or_not_there_and_one_without_an_end_is_cut(tmp_path: Path) -> None:
    script = "import time\nline.sendall(b'first ha'); time.sleep(0.2); say(b'lf'); line.sendall(b'second ha')"
    assert run(tmp_path, script)[1] == [b"first half"]
    _, heard = run(tmp_path, f"line.sendall(b'x' * {3 * LONGEST_LINE}); say(b''); say(b'after')")
    assert heard[-1] == b"after"
    assert sum(map(len, heard[:-1])) == 3 * LONGEST_LINE
    assert len(heard) > 3


def test_a_process_that_closes_its_end_is_limited_all_the_same(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "import time\nline.close(); time.sleep(60)", timeout_s=0.5)
    assert ended.timed_out


def test_nothing_else_inherits_the_line(tmp_path: Path) -> None:
    """Another process of ours that lives on does not keep a child alive, nor hold its line open."""
    first = Spawned([sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path / "1.log", 0)
    with first:
        _, heard = run(tmp_path, "say(' '.join(os.listdir('/proc/self/fd')).encode())")
        assert len(heard[0].split()) <= 6  # its streams, its two descriptors, and the folder that it lists


@pytest.mark.parametrize("count", [1, 40])
def test_a_flood_of_lines_is_heard_whole(tmp_path: Path, count: int) -> None:
    _, heard = run(tmp_path, f"for i in range({count * 1000}): say(b'%d' % i)")
    assert heard == [b"%d" % number for number in range(count * 1000)]


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaped has)."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


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
