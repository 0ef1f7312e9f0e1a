"""Ten good answers and thirty-six bad ones under ``stallgate check FILE``, as a user has it: one after the other."""

from __future__ import annotations

import ctypes
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agent.check.cheating import CATALOGUE, CHEATS, cheated_project
from tests.agent.check.test_check import TEXTS
from tests.agent.form.answering import ANSWERS, GOOD
from tests.conftest import environment

HONEST = (ANSWERS / "good" / "one_kernel.py").read_text()
"""An honest answer, of which some of those below are made."""

SLOWEST_S = 300.0
"""Of one answer, on a machine with other work: an honest one takes ten seconds on a quiet one."""

BY_VALUES = [
    *("replay_pointer", "replay_previous", "first_call", "known_shapes", "half_carry", "changes_input"),
    *("no_work", "first_columns"),
]
BY_SOURCE = [
    *("finds_expected", "reads_frames", "spoils_expected", "leftover_memory", "patches_comparison", "patches_timer"),
    *("overwrites_results", "exit_hook", "lazy_output", "works_in_thread", "other_stream", "calls_torch"),
    *("compile_cache", "work_in_init", "known_seeds", "being_profiled", "constant_answer", "fork_bomb", "reads_files"),
]

ENDLESS = """
    while n > 0:
        n += 0
"""
HUGE = "torch.full((2**33,), 1, dtype=torch.int8, device=x.device)"


class Sample(NamedTuple):
    """An answer, and what has to be said of it."""

    name: str
    text: bytes
    expected: set[str]
    """Codes or words of objections, one of which is enough; none: it is accepted."""


def samples() -> Iterator[Sample]:
    for path in [path for path in GOOD if path.stem != "helper_objects"][:10]:
        yield Sample(f"good {path.stem}", path.read_bytes(), set())
    for name in BY_SOURCE:
        yield Sample(name, (CHEATS / f"{name}.py").read_bytes(), set(CATALOGUE[name].source))
    for name in BY_VALUES:
        yield Sample(name, (CHEATS / f"{name}.py").read_bytes(), {CATALOGUE[name].values})
    for name in ("empty", "two blocks", "a syntax error", "5 MB", "no UTF-8"):
        text, code = TEXTS[name]
        assert text is not None
        yield Sample(name, text if isinstance(text, bytes) else text.encode(), {code})
    yield Sample("prints at import", f'{HONEST}\nprint("hello")\n'.encode(), {"module_level_action"})
    head, _, model = HONEST.partition("class ModelNew")
    yield Sample("the wrong order", f"{head}\n{ordered_last(head)}class ModelNew{model}".encode(), {"order"})
    # what runs away, in an honest form
    kernel = "tl.program_id(0)"
    line = next(line for line in HONEST.splitlines() if kernel in line)
    yield Sample("endless", HONEST.replace(line, line + ENDLESS.rstrip(), 1).encode(), {"timed_out"})
    made = next(line for line in HONEST.splitlines() if "y = torch.empty(" in line)
    taken = f"{made}\n{made[: len(made) - len(made.lstrip())]}held = {HUGE}"
    yield Sample("huge", HONEST.replace(made, taken, 1).encode(), {"over_memory"})


def ordered_last(head: str) -> str:
    """A kernel that stands behind the wrappers."""
    kernel = head[head.index("@triton.jit") :].partition("\n\n\n")[0]
    return kernel.replace("def ", "def late_", 1) + "\n\n\n"


# --- what is left ---


@contextmanager
def orphans_come_here() -> Iterator[None]:
    """Processes whose parents have ended become this process's, where they can be counted."""
    set_subreaper = 36
    ctypes.CDLL(None).prctl(set_subreaper, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(set_subreaper, 0)


def descendants() -> set[int]:
    """The processes that this one, or one of them, has started and that live."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found, pending = set(), [ctypes.CDLL(None).getpid()]
    while pending:
        new = children.get(pending.pop(), [])
        found |= set(new)
        pending += new
    return found


def files(*folders: Path) -> dict[str, str]:
    """Every file below some folders, with what is in it."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Judged(NamedTuple):
    """What the command said of an answer."""

    status: int
    found: dict[str, Any]
    seconds: float


def judged(project: Path, sample: Sample, temporary: Path) -> Judged:
    step = "60" if sample.name == "endless" else "200"
    words = ["check", "-", "-w", "hand", "--drawn", "1", "--seed", "7", "--right-only", "--json", "--timeout", step]
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-B", "-m", "stallgate", *words],
        input=sample.text,
        cwd=project,
        env=environment(TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        timeout=2 * SLOWEST_S,
        check=False,
    )
    return Judged(done.returncode, json.loads(done.stdout), time.monotonic() - begin)


def mistake(sample: Sample, said: Judged) -> str:
    """What is wrong about a judgement; empty: nothing."""
    texts = [f"{each['code']} {each['text']}" for each in said.found.get("objections", [])]
    if said.seconds > SLOWEST_S:
        return f"it took {said.seconds:.0f} s"
    if not sample.expected:
        return "" if (said.status, said.found.get("accepted")) == (0, True) else f"refused: {said.found}"
    if said.status != 1:
        return f"status {said.status}: {said.found}"
    return "" if any(word in text for word in sample.expected for text in texts) else f"refused for {texts}"


@pytest.mark.long
def test_forty_answers_are_judged_rightly_and_leave_nothing(tmp_path: Path) -> None:
    project, temporary = cheated_project(tmp_path / "project"), tmp_path / "temporary"
    temporary.mkdir()
    every = list(samples())
    assert sum(not each.expected for each in every) == 10
    assert len(every) >= 40
    before, mistakes = files(project, temporary), {}
    with orphans_come_here():
        mine = descendants()
        for sample in every:
            said = judged(project, sample, temporary)
            print(f"{sample.name}: {said.status}, {said.seconds:.1f} s", flush=True)
            if wrong := mistake(sample, said):
                mistakes[sample.name] = wrong
            if left := descendants() - mine:
                mistakes[f"{sample.name} left"] = f"processes {sorted(left)}"
            if files(project, temporary) != before:
                mistakes[f"{sample.name} wrote"] = "files of the project or temporary files"
    assert not mistakes
