"""``stallgate loop`` through the real command line: refusals, a rehearsal in Triton's interpreter, replays, --apply."""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.agent.loop.apply import apply_best
from stallgate.formatting import rounded
from stallgate.project.load import load_project
from stallgate.render.loop_page import draw_loop
from stallgate.render.loop_screen import loop_screen
from stallgate.render.loop_words import loop_gain, loop_headline
from stallgate.render.sweep_words import microseconds
from stallgate.runs.journal import Journal, KeptObjection, load_journal, save_journal
from tests.agent.loop.scripted import begin, code, drawn_answers, listed_answers, looped
from tests.conftest import ROOT, Stallgate, command_line, in_this_process

RECORDED = f"{sys.executable} {ROOT / 'examples/answerers/recorded.py'}"

REFERENCE = """import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return x * 2


def get_inputs(*, n, device, **_):
    return [torch.rand(n, device=device)]


def get_init_inputs(**_):
    return []
"""

DOUBLE = """import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _double_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(y_ptr + offsets, 2 * tl.load(x_ptr + offsets, mask=mask), mask=mask)


def double(x, *, BLOCK=64):
    y = torch.empty_like(x)
    _double_kernel[(triton.cdiv(x.numel(), BLOCK),)](x, y, x.numel(), BLOCK=BLOCK)
    return y


class ModelNew(nn.Module):
    def forward(self, x):
        return double(x)
"""

PROBLEM = """title = "Double"
stages = ["streaming"]
[variants.copy]
entry = "stallgate:copy"
role = "roof"
ceiling = "bytes"
[variants.small]
role = "baseline"
[workloads.row]
arguments = { n = 256 }
bytes = 2048
default = true
"""


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A project whose problem the interpreter is done with at once."""
    folder = tmp_path / "doubling" / "kernels" / "double"
    folder.mkdir(parents=True)
    (folder / "problem.toml").write_text(PROBLEM)
    (folder / "reference.py").write_text(REFERENCE)
    (folder / "small.py").write_text(DOUBLE)
    return tmp_path / "doubling"


def newest(tree: Path) -> Path:
    return max(tree.glob("reports/*/journal.json"), key=lambda path: path.stat().st_mtime).parent


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("double/small", "--command", "true"), 3, "no CUDA device"),
        (("--rehearse",), 2, "name what to loop on"),
        (("double/small", "--rehearse"), 2, "name the program that answers"),
        (("double/none", "--rehearse", "--command", "true"), 2, "no variant is named 'double/none'"),
        (("double", "--rehearse", "--command", "true"), 2, "no variant is named 'double'"),
        (("double/copy", "--rehearse", "--command", "true"), 2, "copy is a roof"),
        (("double/small", "--rehearse", "--command", "there-is-none"), 2, "no program there-is-none"),
        (("double/small", "--rehearse", "--command", "'"), 2, "cannot be split"),
        (("double/small", "--rehearse", "--command", ""), 2, "--command is empty"),
        (("double/small", "--rehearse", "--command", "true", "--stage", "none"), 2, "no stage is named"),
        (("double/small", "--rehearse", "--command", "true", "--evidence", "none"), 2, "no loop is named"),
        (("--replay",), 3, "there is no loop yet"),
        (("--resume",), 3, "there is no loop yet"),
        (("--replay", "--command", "true"), 2, "--replay always shows a whole loop"),
    ],
)
def test_what_cannot_be_is_refused_with_nothing_left_behind(
    doubling: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = in_this_process(doubling)("loop", *arguments)
    assert done.returncode == status, done.stderr
    assert message in " ".join(done.stderr.split())
    assert not list(doubling.glob("reports/*"))


# --- a rehearsal: the real prompt, the real check ---------------------------------------------------------------------


def test_a_rehearsal_checks_answers_in_the_interpreter(doubling: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "1.1.md").write_text(f"```python\n{DOUBLE.replace('2 * tl.load', '3 * tl.load')}```\n")
    (answers / "1.1-repair.md").write_text(f"```python\n{DOUBLE.replace('BLOCK=64', 'BLOCK=128')}```\n")
    run = command_line(doubling)
    done = run("loop", "double/small", "--rehearse", "--rounds", "1", "--command", f"{RECORDED} {answers}", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert [(each["name"], each["outcome"]) for each in told["tries"]] == [
        ("1.1", "refused"),
        ("1.1 repair", "accepted"),
    ]
    assert told["tries"][0]["objections"][0]["part"] == "right"
    assert told["stop"]["code"] == "rehearsed"
    folder = newest(doubling)
    prompt = (folder / "rounds/001/prompt.md").read_text()
    assert "def _double_kernel" in prompt
    repair = (folder / "rounds/001/1-repair/prompt.md").read_text()
    assert "3 * tl.load" in repair
    assert told["tries"][0]["objections"][0]["text"][:30] in repair
    assert (doubling / "kernels/double/small.py").read_text() == DOUBLE
    assert run("loop", "--replay").returncode == 3
    again = run("loop", "--resume", "--json")
    assert json.loads(again.stdout)["tries"] == told["tries"], "a loop that is over is only shown"


def test_a_variant_may_be_a_folder(doubling: Path, tmp_path: Path) -> None:
    """The start is all of its files: a change in any ends the loop; and the best is written beside the folder."""
    problem = doubling / "kernels" / "double"
    (problem / "whole").mkdir()
    (problem / "whole" / "__init__.py").write_text("from .kernels import ModelNew\n")
    (problem / "whole" / "kernels.py").write_text(DOUBLE)
    (problem / "problem.toml").write_text(PROBLEM.replace("[variants.small]", '[variants.mine]\nentry = "whole"'))
    run = command_line(doubling)
    done = run("loop", "double/mine", "--rehearse", "--rounds", "1", "--command", f"cat {problem / 'small.py'}")
    assert done.returncode == 3, done.stderr
    folder = newest(doubling)
    start = (folder / "start.py").read_text()
    assert "# --- kernels/double/whole/__init__.py" in start
    assert DOUBLE in start
    save_journal(folder, replace(load_journal(folder), stop=None))
    (problem / "whole" / "kernels.py").write_text(f"{DOUBLE}\n# changed\n")
    done = run("loop", "--resume")
    assert done.returncode == 2
    assert "module kernels/double/whole/kernels.py has changed" in " ".join(done.stderr.split())
    project, journal = load_project(doubling), listed_best(tmp_path / "other", "double", "mine")
    applied = apply_best(project, tmp_path / "other", journal)
    assert applied is not None
    assert applied.file == "kernels/double/mine_loop.py"
    assert "entry" not in applied.hint


def listed_best(folder: Path, problem: str, variant: str) -> Journal:
    """A loop of a variant with one answer, which is the best."""
    journal = replace(begin(folder, rounds=1), problem=problem, variant=variant)
    save_journal(folder, journal)
    return looped(folder, journal, listed_answers({(1, 1, 1): code(80)}))


def test_a_loop_is_gone_on_with_by_the_interpreter_that_it_was_begun_with(doubling: Path, tmp_path: Path) -> None:
    run, begun = in_this_process(doubling), ("loop", "double/small", "--rehearse", "--rounds", "1", "--command", "true")
    run(*begun)
    folder = newest(doubling)
    journal = load_journal(folder)
    assert journal.python == sys.executable
    gone = tmp_path / "gone"
    save_journal(folder, replace(journal, stop=None, rounds=[], python=str(gone)))
    done = run("loop", "--resume")
    assert done.returncode == 2
    assert f"there is no interpreter {gone}" in " ".join(done.stderr.split())
    done = run("loop", "--resume", "--python", sys.executable)
    assert done.returncode == 2
    assert f"{folder.name} was begun with --python {gone}, not {sys.executable}" in " ".join(done.stderr.split())


# --- replayed, and applied --------------------------------------------------------------------------------------------


def scripted(tree: Path, answers: dict[tuple[int, int, int], str], **limits: int) -> Path:
    """A loop on cumprod/blocked_scan in a tree, judged by a script."""
    folder = tree / "reports" / "20260101-000000-loop"
    journal = replace(begin(folder, stages=["memory_access"], **limits), problem="cumprod", variant="blocked_scan")
    save_journal(folder, journal)
    looped(folder, journal, listed_answers(answers))
    return folder


def test_a_replay_draws_without_a_gpu(stallgate: Stallgate, tree: Path) -> None:
    folder = scripted(tree, {(1, 1, 1): code(80), (2, 1, 1): code(90, "WRONG")}, rounds=2)
    done = stallgate("loop", "--replay", COLUMNS="80")
    assert done.returncode == 1, done.stderr
    assert "20.0 % less time after 2 rounds" in " ".join(done.stdout.split())
    wide = [line for line in done.stdout.splitlines()[:-1] if len(line) > 80]
    assert [line for line in wide if not line.startswith("next (")] == [], "a command is one line, to be copied"
    assert (folder / "loop.html").is_file()
    journal = load_journal(folder)
    save_journal(folder, replace(journal, rounds=[replace(journal.rounds[0], best=None), journal.rounds[1]]))
    done = stallgate("loop", "--replay", str(folder))
    assert done.returncode == 2
    assert "round 1 does not follow" in " ".join(done.stderr.split())


def test_loops_are_listed_among_the_runs(stallgate: Stallgate, tree: Path) -> None:
    folder = scripted(tree, {(1, 1, 1): code(80), (2, 1, 1): code(90, "WRONG")}, rounds=2)
    stallgate("loop", "--replay")
    assert f'href="{folder.name}/loop.html"' in (tree / "reports" / "index.html").read_text()
    (listed,) = json.loads(stallgate("show", "runs", "--json").stdout)["runs"]
    assert (listed["name"], listed["loop"], listed["sweep"]) == (folder.name, "rounds_used", None)
    assert "loop cumprod Scripted GPU 1/3 used its rounds up" in " ".join(stallgate("show", "runs").stdout.split())
    save_journal(folder, replace(load_journal(folder), stop=None))
    (listed,) = json.loads(stallgate("show", "runs", "--json").stdout)["runs"]
    assert listed["loop"] == "not_over"
    (folder / "journal.json").write_text("{")
    assert json.loads(stallgate("show", "runs", "--json").stdout)["runs"] == []


@pytest.mark.parametrize("seed", range(6))
def test_the_first_screen_agrees_with_the_journal(tmp_path: Path, seed: int) -> None:
    found = looped(tmp_path, begin(tmp_path, stages=["one", "two"], seed=seed, rounds=3, width=2), drawn_answers(seed))
    screen = loop_screen(load_project(ROOT), found)
    reading = found.best.reading
    assert reading is not None
    (row,) = screen.rows
    assert (row.name, row.time) == (f"answer {found.best.name}", microseconds(reading.times["w"].median))
    met = [stage for stage in found.stages if stage in reading.met]
    assert all(f"meets {stage}" in screen.gate or f"and {stage}" in screen.gate for stage in met)
    wrong = [each for each in found.tries() if any(o.part == "right" for o in each.objections)]
    assert ("wrong ones are refused" in screen.results.words) == bool(wrong)
    gain = loop_gain(found)
    assert gain is not None
    assert (f"{rounded(gain, zeros=True)} % less time" in screen.changed) == (found.best.name != "start")
    assert ("--apply" in screen.step.command) == (found.best.name != "start")
    assert "--resume" in loop_screen(load_project(ROOT), replace(found, stop=None)).step.command


def test_the_best_is_written_beside_the_original_and_over_nothing(stallgate: Stallgate, tree: Path) -> None:
    folder = scripted(tree, {(1, 1, 1): code(80)}, rounds=1)
    kernels = tree / "kernels" / "cumprod"
    before = {path.name: path.read_bytes() for path in kernels.glob("*.py")}
    done = stallgate("loop", "--replay", "--apply")
    assert "written: kernels/cumprod/blocked_scan_loop.py" in done.stdout
    assert stallgate("loop", "--replay", "--apply").returncode == 1
    now = {path.name: path.read_bytes() for path in kernels.glob("*.py")}
    assert {name: text for name, text in now.items() if name in before} == before
    assert now.keys() - before.keys() == {"blocked_scan_loop.py", "blocked_scan_loop2.py"}
    assert now["blocked_scan_loop.py"].decode() == code(80)
    assert load_journal(folder).applied == "kernels/cumprod/blocked_scan_loop2.py"
    table = done.stdout[done.stdout.index("[variants") :].strip()
    with (kernels / "problem.toml").open("a") as file:
        file.write(f"\n{table}\n")
    assert load_project(tree).problem("cumprod").variants["blocked_scan_loop"].role == "candidate"


def test_there_is_nothing_to_apply_where_the_start_is_the_best(stallgate: Stallgate, tree: Path) -> None:
    scripted(tree, {}, rounds=1)
    assert "nothing to apply" in stallgate("loop", "--replay", "--apply").stdout
    assert not list((tree / "kernels/cumprod").glob("*_loop*"))


# --- the page ---------------------------------------------------------------------------------------------------------


def page_text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", ""))).split())


@pytest.mark.parametrize("seed", range(4))
def test_the_page_has_every_try_with_its_reasons_and_loads_nothing(tmp_path: Path, seed: int) -> None:
    journal = begin(tmp_path, stages=["one", "two"], seed=seed, rounds=3, width=2)
    found = looped(tmp_path, journal, drawn_answers(seed))
    page = draw_loop(load_project(ROOT), tmp_path).read_text()
    assert set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page)) == {"../index.html"}
    assert 'http-equiv="Content-Security-Policy"' in page
    text = page_text(page)
    assert loop_headline(found) in text
    for each in found.tries():
        assert each.name in text
        for objection in each.objections:
            assert objection.text in text
    for round_ in found.rounds:
        assert f'id="round-{round_.number}"' in page
        assert f'href="#round-{round_.number}"' in page
    assert "+TIME = " in text


def hostile(folder: Path) -> Journal:
    """A loop whose texts would steer a page or a terminal."""
    nasty = "<script>alert(1)</script>\x1b[31m </pre> {{ 7 * 7 }}"
    found = looped(folder, begin(folder, rounds=1), listed_answers({(1, 1, 1): f"{code(80)}X = '''{nasty}'''\n"}))
    objection = KeptObjection("right", "wrong_result", nasty, nasty, 3)
    tries = [replace(each, objections=[objection]) for each in found.rounds[0].tries]
    return replace(found, rounds=[replace(found.rounds[0], tries=tries)], command=[nasty], arguments=[nasty])


def test_what_an_answer_says_stays_text(tmp_path: Path) -> None:
    save_journal(tmp_path, hostile(tmp_path))
    page = draw_loop(load_project(ROOT), tmp_path).read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert page_text(page).count("{{ 7 * 7 }}") >= 3
    assert page.count("&lt;script&gt;alert") >= 3


def test_a_large_diff_is_cut(tmp_path: Path) -> None:
    large = code(80) + "".join(f"A{k} = {k}\n" for k in range(5_000))
    looped(tmp_path, begin(tmp_path, rounds=1), listed_answers({(1, 1, 1): large}))
    page = draw_loop(load_project(ROOT), tmp_path).read_text()
    assert "more lines are not shown" in page
    assert len(page) < 200_000
