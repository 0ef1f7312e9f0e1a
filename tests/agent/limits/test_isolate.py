"""What a process within limits can do, and what it cannot; with namespaces, and where there are none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from stallgate.agent.limits.isolate import (
    KeptProcess,
    Limits,
    default_limits,
    hidden_places,
    interpreter_places,
    isolation,
)
from stallgate.measure.process import Ended, Spawned, watch

LIMITS = replace(default_limits(on_gpu=False), wall_s=20.0, memory=2**28, processes=12, file_bytes=2**20)
MARK = f"stallgate-test-{os.getpid()}"
"""In the command line of what the tests start, by which it is found if it is left."""


class Kept(NamedTuple):
    ended: Ended
    said: list[bytes]
    printed: str
    kept: KeptProcess
    notes: list[str]


def kept(folder: Path, code: str, *, namespaces: bool, limits: Limits = LIMITS, **variables: str) -> Kept:
    """A program that ran within limits; it says lines by ``say``."""
    begin = f"import os, sys, time, signal\nMARK = {MARK!r}\ndef say(text): os.write(int(sys.argv[1]), text + b'\\n')\n"
    said: list[bytes] = []

    def hear(line: bytes) -> bool:
        said.append(line)
        return True

    with isolation(limits, interpreter_places(sys.executable), namespaces=namespaces) as limited:
        command = [*limited.within, sys.executable, "-c", begin + code]
        child = Spawned(command, {**os.environ, **variables}, folder / "log", 1.0)
        ended = watch(child, 30.0, hear)
        (found,) = limited.processes
        return Kept(ended, said, (folder / "log").read_text(errors="replace"), found, limited.notes)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test no process of it runs, and no control group is there."""
    yield
    end = time.monotonic() + 30
    while left := running():
        assert time.monotonic() < end, left
        time.sleep(0.05)


def running() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if MARK in words and int(path.parent.name) != os.getpid():
            found.append(words[-80:])
    return found


def allows_namespaces() -> bool:
    with isolation(LIMITS, interpreter_places(sys.executable)) as limited:
        command = [*limited.within, sys.executable, "-c", "pass"]
        watch(Spawned(command, os.environ, Path(os.devnull), 1.0), 30.0, lambda _: True)
        return "files" in limited.processes[0].protected


needs_namespaces = pytest.mark.skipif(not allows_namespaces(), reason="this system allows no new namespaces")
both = pytest.mark.parametrize("namespaces", [pytest.param(True, marks=needs_namespaces), False])


# --- what it can do ---------------------------------------------------------------------------------------------------


@both
def test_it_talks_and_its_exit_status_is_its_own(tmp_path: Path, namespaces: bool) -> None:
    found = kept(tmp_path, "say(b'one'); say(b'two'); print('printed'); sys.exit(7)", namespaces=namespaces)
    assert found.said == [b"one", b"two"]
    assert found.printed == "printed\n"
    assert (found.ended.exit_status, found.kept.exceeded, found.kept.left) == (7, "", 0)


@both
def test_a_signal_that_ends_it_is_told(tmp_path: Path, namespaces: bool) -> None:
    assert kept(tmp_path, "os.abort()", namespaces=namespaces).ended.exit_status == -6


@both
def test_it_has_a_folder_of_its_own_to_write_to(tmp_path: Path, namespaces: bool) -> None:
    code = (
        "import pathlib\n"
        "for name in ('TMPDIR', 'HOME', 'TRITON_CACHE_DIR'): pathlib.Path(os.environ[name], name).write_text('x')\n"
        "say(b'written')"
    )
    assert kept(tmp_path, code, namespaces=namespaces).said == [b"written"]


@both
def test_it_gets_lines_and_memory_that_is_lent_to_it(tmp_path: Path, namespaces: bool) -> None:
    """The path of a descriptor of this process becomes one that it can open, whatever it can see."""
    lent = os.memfd_create("lent")
    os.write(lent, b"lent to you")
    code = (
        f"import json, os, socket, sys; MARK = {MARK!r}\n"
        "line = socket.socket(fileno=int(sys.argv[1]))\n"
        "line.sendall(b'ready\\n')\n"
        "told = json.loads(line.makefile().readline())\n"
        "line.sendall(open(told['memory']['host'], 'rb').read() + b'\\n')"
    )
    said: list[bytes] = []

    def hear(line: bytes) -> bool:
        said.append(line)
        if line == b"ready":
            child.channel.send({"memory": {"host": f"/proc/{os.getpid()}/fd/{lent}", "size": 11}})
        return True

    with isolation(LIMITS, interpreter_places(sys.executable), namespaces=namespaces) as limited:
        child = Spawned([*limited.within, sys.executable, "-c", code], os.environ, tmp_path / "log", 1.0)
        watch(child, 60.0, hear)
    os.close(lent)
    assert said == [b"ready", b"lent to you"], (tmp_path / "log").read_text()


# --- what it cannot ---------------------------------------------------------------------------------------------------


@both
def test_it_inherits_no_secret(tmp_path: Path, namespaces: bool) -> None:
    variables = {"GITHUB_TOKEN": "secret", "MY_OWN": "secret", "TRITON_API_KEY": "secret", "CUDA_VISIBLE_DEVICES": ""}
    found = kept(tmp_path, "print(sorted(os.environ))", namespaces=namespaces, **variables)
    assert "secret" not in found.printed
    assert not {"GITHUB_TOKEN", "MY_OWN", "TRITON_API_KEY"} & set(found.printed.split("'"))
    assert "CUDA_VISIBLE_DEVICES" in found.printed


@both
def test_too_many_processes_are_ended_together(tmp_path: Path, namespaces: bool) -> None:
    """Each leaves its session; at most 60 are started if nobody stops it."""
    code = (
        "for _ in range(60):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); time.sleep(30); os._exit(0)\n"
        "    time.sleep(0.01)\n"
        "time.sleep(30)"
    )
    found = kept(tmp_path, code, namespaces=namespaces)
    assert found.kept.exceeded == "processes"
    assert found.ended.seconds < LIMITS.wall_s


@both
def test_too_much_memory_ends_it(tmp_path: Path, namespaces: bool) -> None:
    code = "held = []\nfor _ in range(100): held.append(b'1' * 2**23); time.sleep(0.01)\ntime.sleep(30)"
    found = kept(tmp_path, code, namespaces=namespaces)
    assert found.kept.exceeded == "memory"
    assert found.kept.memory < 2**30


@both
def test_where_memory_runs_out_it_is_ended_first(tmp_path: Path, namespaces: bool) -> None:
    code = "say(open('/proc/self/oom_score_adj', 'rb').read().strip())"
    assert kept(tmp_path, code, namespaces=namespaces).said == [b"1000"]


@both
def test_memory_that_processes_share_is_counted_once(tmp_path: Path, namespaces: bool) -> None:
    code = (
        "held = b'1' * (2**27)\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0: time.sleep(1.5); os._exit(0)\n"
        "for _ in range(5): os.wait()\n"
        "say(b'done')"
    )
    found = kept(tmp_path, code, namespaces=namespaces)
    assert (found.said, found.kept.exceeded, found.kept.processes) == ([b"done"], "", 6)


@both
def test_an_allocation_that_no_machine_has_is_refused_to_it(tmp_path: Path, namespaces: bool) -> None:
    code = "try:\n    bytearray(2**40)\nexcept MemoryError:\n    say(b'refused')"
    assert kept(tmp_path, code, namespaces=namespaces).said == [b"refused"]


@both
def test_too_much_time_ends_it(tmp_path: Path, namespaces: bool) -> None:
    found = kept(tmp_path, "time.sleep(60)", namespaces=namespaces, limits=replace(LIMITS, wall_s=1.0))
    assert found.kept.exceeded == "time"
    assert found.ended.seconds < LIMITS.wall_s


@both
def test_a_file_that_is_too_large_ends_it(tmp_path: Path, namespaces: bool) -> None:
    code = "file = open(os.environ['TMPDIR'] + '/large', 'wb')\nwhile True: file.write(b'x' * 2**16)"
    found = kept(tmp_path, code, namespaces=namespaces)
    assert found.ended.exit_status != 0
    assert found.ended.seconds < LIMITS.wall_s


@both
def test_a_flood_of_words_keeps_nobody_from_ending_it(tmp_path: Path, namespaces: bool) -> None:
    found = kept(tmp_path, "while True: say(b'x' * 1000)", namespaces=namespaces, limits=replace(LIMITS, wall_s=2.0))
    assert found.kept.exceeded == "time"


@both
def test_what_it_leaves_behind_is_ended_and_told(tmp_path: Path, namespaces: bool) -> None:
    code = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\n"
    found = kept(tmp_path, code, namespaces=namespaces)
    assert found.kept.left == 1


@both
def test_it_has_no_rights_of_root(tmp_path: Path, namespaces: bool) -> None:
    found = kept(tmp_path, "print(open('/proc/self/status').read())", namespaces=namespaces)
    assert "CapEff:\t0000000000000000" in found.printed
    assert "NoNewPrivs:\t1" in found.printed


@needs_namespaces
def test_it_writes_no_file_of_anybody(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    code = (
        f"for mode in 'wa':\n    try: open({str(mine)!r}, mode).write('!')\n    except OSError as error: print(error)"
    )
    found = kept(tmp_path, code, namespaces=True)
    assert mine.read_text() == "mine"
    assert found.printed.count("Read-only file system") == 2


@needs_namespaces
def test_it_reaches_nobody(tmp_path: Path) -> None:
    """Neither a server, nor a process: it sees its own alone."""
    code = (
        "import socket\n"
        "try: socket.create_connection(('192.0.2.1', 80), timeout=3)\n"
        "except OSError as error: print(error)\n"
        "print([name for name in os.listdir('/proc') if name.isdecimal()])\n"
        f"try: os.kill({os.getpid()}, 0)\n"
        "except OSError as error: print(error)"
    )
    network, processes, killed = kept(tmp_path, code, namespaces=True).printed.splitlines()
    assert "unreachable" in network
    assert len(processes.split(",")) == 2
    assert "No such process" in killed


@needs_namespaces
def test_it_does_not_see_the_home_of_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    code = f"print([os.listdir(place) for place in {[str(home)]!r}])"
    assert kept(tmp_path, code, namespaces=True).printed.strip() == "[[]]"


def test_of_a_home_with_the_interpreter_the_rest_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".ssh", "venv", "notes"):
        (tmp_path / name).mkdir()
    hidden = hidden_places([tmp_path / "venv"])
    assert {path.name for path in hidden} - {"run"} == {".ssh", "notes"}


def test_what_the_system_does_not_allow_is_said(tmp_path: Path) -> None:
    notes = kept(tmp_path, "pass", namespaces=False).notes
    assert [note.partition(" namespace")[0] for note in notes] == ["no network", "no mount", "no PID"]


def test_it_ends_with_stallgate(tmp_path: Path) -> None:
    """However stallgate ends: the keeper hears of it."""
    with isolation(LIMITS, interpreter_places(sys.executable), namespaces=False) as limited:
        code = f"import time; MARK = {MARK!r}; print('at work', flush=True); time.sleep(60)"
        child = Spawned([*limited.within, sys.executable, "-c", code], os.environ, tmp_path / "log", 1.0)
        end = time.monotonic() + 60
        while "at work" not in (tmp_path / "log").read_text() and time.monotonic() < end:
            time.sleep(0.05)
        child.channel.close()
        child.process.wait(60)
        assert msgspec.json.decode((limited._folder / "kept.jsonl").read_bytes())["asked_to_end"]
