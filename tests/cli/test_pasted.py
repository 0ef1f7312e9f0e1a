"""Commands that are printed can be pasted, whatever the folder of a run is called and wherever it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.runs.sweep import save_sweep
from tests.conftest import Stallgate
from tests.render.made_up_sweep import made_up_sweep


def next_line(text: str) -> str:
    (line,) = re.findall(r"^next \(.*\): (.*)$", text, re.MULTILINE)
    return str(line)


def pasted(stallgate: Stallgate, text: str) -> None:
    word, *words = shlex.split(next_line(text))
    assert word == "stallgate"
    done = stallgate(*(each for each in words if each != "--open"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", ["reports/Mein Lauf ü's", "elsewhere/$run", "reports/-run"])
@pytest.mark.parametrize("command", [("show", "run"), ("gate",)])
def test_a_run_that_was_moved_is_named_as_it_is_called_now(
    stallgate: Stallgate, replayed_square: Path, tree: Path, place: str, command: tuple[str, ...]
) -> None:
    (tree / "elsewhere").mkdir()
    replayed_square.rename(tree / place)
    said = stallgate(*command, str(tree / place))
    pasted(stallgate, said.stdout)
    assert (tree / place / "report.html").is_file()
    page = (tree / place / "report.html").read_text()
    assert replayed_square.name not in re.findall(r"stallgate (?:report|gate|compare) (\S+)", page)


@pytest.mark.parametrize("command", [("show", "run"), ("gate",)])
def test_a_recording_has_a_page_by_a_replay_because_nothing_is_drawn_into_it(
    stallgate: Stallgate, recording: Path, tree: Path, command: tuple[str, ...]
) -> None:
    name = recording.relative_to(tree / "reports").as_posix()
    pasted(stallgate, stallgate(*command, name).stdout)
    assert (tree / "reports/latest/report.html").is_file()


def test_a_sweep_that_was_renamed_is_named_as_it_is_called_now(stallgate: Stallgate, tree: Path) -> None:
    folder = tree / "reports/my sweep"
    folder.mkdir(parents=True)
    save_sweep(folder, replace(made_up_sweep(6), problem="cumprod", variant="blocked_scan", complete=False))
    said = stallgate("sweep", "--show", "my sweep")
    assert shlex.split(next_line(said.stdout)) == ["stallgate", "sweep", "--resume", "my sweep"]
