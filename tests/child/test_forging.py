"""Variants that attack the measurement instead of computing: none is ever profiled, none brings stallgate down.

All of them run in Triton's interpreter here; tests/child/test_gpu_cheats.py has some of them on a GPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.child.plans import entry_of
from tests.child.talk import Talk, talk
from tests.child.test_child import case_of, write_plan
from tests.shared import Shared

FINDS_THE_LINE = """
import json, os, socket, stat, sys, threading, time
def line():
    "The socket to the parent: whoever looks finds it among the open descriptors."
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                return int(name)
        except OSError:
            continue
def say(text):
    os.write(line(), text + b"\\n")
def tell(**facts):
    say(json.dumps(facts).encode())
"""

PROFILED = 'outcome="profiled", reason="", run_ms=0.1'

FORGERS = {
    "tells_its_outcome": f'tell(event="outcome", case=ME, {PROFILED}); return x.clone()',
    "tells_it_after_the_end": (
        f'threading.Timer(0.3, lambda: tell(event="outcome", case=ME, {PROFILED})).start(); return x.clone()'
    ),
    "tells_it_right_and_twice": f'tell(event="outcome", case=ME, {PROFILED}); return x.cumprod(1)',
    "tells_of_another": f'tell(event="outcome", case="p/right/candidate/w", {PROFILED}); return x.cumprod(1)',
    "tells_of_nobody": f'tell(event="outcome", case="p/nobody/default/w", {PROFILED}); return x.cumprod(1)',
    "begins_another": 'tell(event="case", case="p/right/candidate/w"); return x.cumprod(1)',
    "says_junk": 'say(b"\\xff\\xfe {"); return x.cumprod(1)',
    "nests": 'say(b"[" * 300_000); return x.cumprod(1)',
    "misspells_a_number": (
        'tell(event="outcome", case=ME, outcome="profiled", reason="", run_ms="abc"); return x.cumprod(1)'
    ),
    "leaves_fields_out": 'tell(event="outcome", case=ME); return x.cumprod(1)',
    "has_itself_compared_twice": 'tell(event="written", id=3, case=ME); return x.cumprod(1)',
}
"""Name -> what its forward does: the results of some are right, and still not to be believed."""

PATCHERS = {
    "rewrites_the_reference": (
        "import pathlib, json; plan = json.load(open(sys.argv[1]))\n"
        "        path = pathlib.Path(plan['references']['p']['entry']['path'])\n"
        "        path.write_text('def expected(inputs, **_): yield (slice(None),), inputs[0]\\n')\n"
        "        return x.clone()"
    ),
    "rewrites_the_plan": (
        "plan = json.load(open(sys.argv[1])); plan['cases'] = []; json.dump(plan, open(sys.argv[1], 'w'))\n"
        "        return x.clone()"
    ),
    "replaces_torch": (
        "torch.equal = lambda *_: True; torch.Tensor.aminmax = lambda self, **_: (torch.ones(()), torch.ones(()))\n"
        "        torch.Tensor.count_nonzero = lambda self, *_: torch.zeros(()); return x.clone()"
    ),
    "replaces_the_loader": (
        "from stallgate.child import load, reference; real = load.ProjectModules.load\n"
        "        def lie(self, entry):\n"
        "            module = real(self, entry); module.expected = lambda inputs, **_: iter([((), inputs[0])])\n"
        "            return module\n"
        "        load.ProjectModules.load = reference.ProjectModules.load = lie; return x.clone()"
    ),
    "replaces_the_comparison": (
        "from stallgate.child import correctness, referee_client\n"
        "        correctness.compare_output = lambda *_: correctness.ComparedOutput(None)\n"
        "        referee_client.RefereeClient.judge = lambda self, outputs: None; return x.clone()"
    ),
}
"""Name -> what its forward does beside a wrong result; each makes it for the whole process, the last for good."""


def measured(folder: Path, bodies: dict[str, str]) -> Talk:
    """One child that measures a right variant, the forgers, and the right one again."""
    right = "return x.cumprod(1)"
    cases = [case_of(folder, "first", right)]
    for name, body in bodies.items():
        case = case_of(folder, name, body)
        path = Path(case["entry"]["path"])
        path.write_text(f"{FINDS_THE_LINE}\nME = {case['name']!r}\n{path.read_text()}")
        cases.append({**case, "entry": entry_of(path)})
    write_plan(folder, [*cases, case_of(folder, "right", right)], run_limit_s=5.0)
    return talk(folder, folder / "plan.json", timeout_s=20)


def name_of(variant: str) -> str:
    return f"p/{variant}/candidate/w"


@pytest.fixture(scope="session")
def forged(shared: Shared) -> Talk:
    return shared.get("forged", lambda folder: measured(folder, FORGERS))


@pytest.fixture(scope="session")
def patched(shared: Shared) -> Talk:
    return shared.get("patched", lambda folder: measured(folder, PATCHERS))


@pytest.mark.parametrize("name", FORGERS)
def test_a_forged_word_is_never_a_measurement(forged: Talk, name: str) -> None:
    found = forged.finished[name_of(name)]
    assert found.outcome in ("not_profiled", "wrong_result"), found
    assert found.reason


def test_who_comes_before_and_after_a_forger_is_measured(forged: Talk) -> None:
    assert forged.finished[name_of("first")].outcome == "profiled"
    assert forged.finished[name_of("right")].outcome == "profiled"
    assert forged.ended.exit_status == 0


@pytest.mark.parametrize("name", PATCHERS)
def test_whoever_changes_what_compares_is_wrong_all_the_same(patched: Talk, name: str) -> None:
    found = patched.finished[name_of(name)]
    if name == "replaces_the_comparison":
        assert found.outcome == "not_profiled"
        assert "these outputs were never compared: check" in found.reason
    else:
        assert found.outcome == "wrong_result", found
        assert "elements are wrong" in found.reason


def test_what_an_exception_says_can_be_anything(tmp_path: Path) -> None:
    texts = ("'\\ud800 broken'", "'x' * 10**7", "'\\x00\\n\\n'")
    write_plan(
        tmp_path, [case_of(tmp_path, f"raising_{n}", f"raise ValueError({text})") for n, text in enumerate(texts)]
    )
    finished = talk(tmp_path, tmp_path / "plan.json").finished.values()
    assert len(finished) == len(texts)
    for found in finished:
        assert found.outcome == "crashed"
        assert found.reason.startswith("ValueError: ")
        assert len(found.reason) < 400


def test_who_kills_the_referee_has_crashed(tmp_path: Path) -> None:
    body = (
        "import os, pathlib, signal\n"
        "        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        "            words = path.read_bytes().decode('ascii', 'replace')\n"
        f"            if {str(tmp_path)!r} in words and 'referee/__main__' in words:\n"
        "                os.kill(int(path.parent.name), signal.SIGKILL)\n"
        "        return x.cumprod(1)"
    )
    write_plan(tmp_path, [case_of(tmp_path, "killing", body)])
    (found,) = talk(tmp_path, tmp_path / "plan.json").finished.values()
    assert found.outcome == "crashed"
    gone = ("the referee exited with signal 9; see ", "RuntimeError: unable to open file </proc/")
    assert found.reason.startswith(gone)


def test_who_never_stops_talking_is_ended(tmp_path: Path) -> None:
    body = "\n        while True: say(b'and another thing'); time.sleep(0.01)"
    begin: dict[str, Any] = case_of(tmp_path, "talking", body)
    path = Path(begin["entry"]["path"])
    path.write_text(f"{FINDS_THE_LINE}\n{path.read_text()}")
    write_plan(tmp_path, [{**begin, "entry": entry_of(path)}])
    found = talk(tmp_path, tmp_path / "plan.json", timeout_s=15)  # for a start on a busy machine as well
    assert [each.outcome for each in found.finished.values()] == ["timed_out"]
    assert json.dumps(found.said).count("unreadable") <= 100
