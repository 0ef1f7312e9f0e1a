"""Hostile names, files and environments: a sentence and a status, and nothing outside of the project is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stallgate.compare.history import stored_runs
from stallgate.runs.store import Store
from tests.cli.fuzz import BENCH, Fuzz, trials
from tests.cli.test_failures import said
from tests.cli.test_robust import edit
from tests.conftest import Stallgate, command_line
from tests.recordings import OTHER, committed, sheet_of

SHORT = ("cumprod/blocked_scan", "-w", "square")
FOLDER = sheet_of(OTHER).name
"""Where recordings of a GPU go that none is of yet."""


@pytest.fixture
def on_other(with_ncu: Stallgate) -> Stallgate:
    """The command line beside the fakes, whose GPU is one that no recording is of."""
    return lambda *arguments, **variables: with_ncu(*arguments, FAKE_GPU_NAME=OTHER, **variables)


# --- names that become paths ---


@pytest.fixture
def victim(tree: Path) -> Path:
    """A folder outside of the recordings, and one outside of the project, named as a recording's would be."""
    for root in (tree, tree.parent, tree / "reports"):
        (root / "victim" / "cumprod").mkdir(parents=True)
        (root / "victim" / "cumprod" / "kept").write_text("kept")
    return tree.parent / "victim"


def untouched(tree: Path) -> bool:
    folders = [root / "victim" / "cumprod" for root in (tree, tree.parent, tree / "reports")]
    return all([path.name for path in folder.iterdir()] == ["kept"] for folder in folders)


@pytest.mark.parametrize("gpu", ["../../../victim", "{tree}/victim"])
def test_a_gpu_told_by_the_child_names_no_folder_elsewhere(
    with_ncu: Stallgate, tree: Path, victim: Path, gpu: str
) -> None:
    done = with_ncu("profile", *SHORT, "--record", FAKE_NCU_GPU=gpu.format(tree=tree))
    assert untouched(tree), done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2, 3)
    for path in (tree / "reports/recorded").glob("*/*"):
        assert path.name == "cumprod"


@pytest.mark.parametrize("name", ["../../victim", "{tree}/victim"])
def test_a_problem_named_in_a_run_names_no_folder_elsewhere(
    with_ncu: Stallgate, tree: Path, victim: Path, name: str
) -> None:
    assert with_ncu("profile", *SHORT, FAKE_GPU_UUID="one").returncode == 0
    name = name.format(tree=tree)
    path = tree / "reports/latest/run.json"
    edit(path, lambda run: run.update(subjects={name: run["subjects"]["cumprod"]}, complete=False))
    done = with_ncu("profile", "--resume", "--record", FAKE_GPU_UUID="one")
    assert done.returncode == 2, done.stderr
    said(done, "is not a valid part of a case's name", "hint:")
    assert untouched(tree)


@pytest.mark.parametrize("place", ["", f"/{FOLDER}", f"/{FOLDER}/cumprod"])
def test_a_recording_is_not_put_through_a_link(on_other: Stallgate, tree: Path, victim: Path, place: str) -> None:
    recorded = tree / f"reports/recorded{place}"
    if not place:
        shutil.move(recorded, tree / "kept")
    recorded.parent.mkdir(parents=True, exist_ok=True)
    recorded.symlink_to(victim)
    played = next(tree.glob(f"**/{committed().card.name}/cumprod/run.json")).parent
    done = on_other("profile", *SHORT, "--record", FAKE_NCU_RECORDING=str(played))
    assert done.returncode == 2, done.stdout + done.stderr
    said(done, "leads out of" if not place.endswith("/cumprod") else "hint:")
    assert untouched(tree)
    assert [path.name for path in victim.iterdir()] == ["cumprod"]


def test_what_is_no_recording_is_not_replaced_by_one(on_other: Stallgate, tree: Path) -> None:
    place = tree / "reports/recorded" / FOLDER / "cumprod"
    place.mkdir(parents=True)
    (place / "notes").write_text("mine")
    done = on_other("profile", *SHORT, "--record")
    assert done.returncode == 2
    said(done, "is not a recording", "move them away")
    assert (place / "notes").read_text() == "mine"


def test_a_recording_replaces_the_former_one_as_a_whole(on_other: Stallgate, tree: Path) -> None:
    place = tree / "reports/recorded" / FOLDER / "cumprod"
    (place / "ncu").mkdir(parents=True)
    for name in ("run.json", "ncu/7.ncu-repz"):
        (place / name).write_text("")
    assert on_other("profile", *SHORT, "--record").returncode == 0
    assert sorted(path.name for path in place.iterdir()) == ["ncu", "run.json"]
    assert [path.name for path in place.parent.iterdir()] == ["cumprod"]


def test_a_recording_with_a_users_own_file_is_not_replaced(on_other: Stallgate, tree: Path) -> None:
    place = tree / "reports/recorded" / FOLDER / "cumprod"
    (place / "ncu").mkdir(parents=True)
    for name in ("run.json", "NOTES.md"):
        (place / name).write_text("mine")
    done = on_other("profile", *SHORT, "--record")
    assert done.returncode == 2, done.stdout
    said(done, "holds other files too")
    assert (place / "NOTES.md").read_text() == "mine"


@pytest.mark.parametrize("target", ["../../victim", "..", "../victim/cumprod"])
def test_a_latest_that_points_elsewhere_is_refused(
    stallgate: Stallgate, tree: Path, victim: Path, recording: Path, target: str
) -> None:
    shutil.copytree(recording, victim / "run")
    (tree / "reports/latest").symlink_to(target)
    before = sorted(victim.rglob("*"))
    for command in ("gate", "report"):
        done = stallgate(command)
        assert done.returncode in (2, 3), done.stderr
        said(done, "hint:")
    assert sorted(victim.rglob("*")) == before
    assert untouched(tree) or target == "../../victim"


def test_results_are_not_written_through_a_link(stallgate: Stallgate, replayed_square: Path, victim: Path) -> None:
    shutil.rmtree(replayed_square / "ncu_metrics")
    (replayed_square / "ncu_metrics").symlink_to(victim)
    done = stallgate("report")
    assert done.returncode == 2
    said(done, "leads out of")
    assert [path.name for path in victim.iterdir()] == ["cumprod"]


def test_a_run_is_compared_under_a_name_of_its_folder(stallgate: Stallgate, replayed_square: Path, tree: Path) -> None:
    edit(replayed_square / "run.json", lambda run: run.update(name="../../victim"))
    assert stallgate("compare", replayed_square.name, "latest", "--report").returncode == 0
    assert [path.name for path in replayed_square.glob("compare-*")] == [f"compare-{replayed_square.name}.html"]
    assert not list(tree.glob("**/victim*"))


# --- what is not ours stays ---


def test_a_resumed_run_keeps_a_users_own_dotfiles(with_ncu: Stallgate, tree: Path) -> None:
    assert with_ncu("profile", *SHORT, FAKE_GPU_UUID="one").returncode == 0
    folder = (tree / "reports/latest").resolve()
    (folder / ".notes").write_text("mine")
    (folder / ".git").mkdir()
    (folder / ".run.json.77.part").write_text("half")
    edit(folder / "run.json", lambda run: run.update(complete=False))
    done = with_ncu("profile", "--resume", FAKE_GPU_UUID="one")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.glob(".*")) == [".git", ".notes"]
    assert (folder / ".notes").read_text() == "mine"


def test_a_run_whose_problem_is_gone_is_not_resumed(with_ncu: Stallgate, tree: Path) -> None:
    assert with_ncu("profile", *SHORT, FAKE_GPU_UUID="one").returncode == 0
    shutil.copytree(tree / "kernels/cumprod", tree / "kernels/other")
    shutil.rmtree(tree / "kernels/cumprod")
    done = with_ncu("profile", "--resume", FAKE_GPU_UUID="one")
    assert done.returncode == 2, done.stderr
    said(done, "cumprod no longer exists in the project", "start a new run")
    edit(tree / "reports/latest/run.json", lambda run: run.update(cases=[]))
    done = with_ncu("profile", "--resume", FAKE_GPU_UUID="one")
    assert done.returncode == 2, done.stderr
    said(done, "no longer exists in the project", "hint:")


def test_a_run_with_words_in_its_arguments_that_are_no_options_is_not_resumed(with_ncu: Stallgate, tree: Path) -> None:
    assert with_ncu("profile", *SHORT, FAKE_GPU_UUID="one").returncode == 0
    for words in (["profile", "--nonsense"], ["profile", "--python", "a\0b"], [], ["profile", "--samples", "9" * 5000]):
        edit(tree / "reports/latest/run.json", lambda run, words=words: run.update(arguments=words))
        done = with_ncu("profile", "--resume", FAKE_GPU_UUID="one")
        assert done.returncode in (0, 2), done.stderr
        assert "Traceback" not in done.stderr


# --- paths and arguments that are not UTF-8 ---


def test_a_project_whose_path_is_no_text(stallgate: Stallgate, tree: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tree.parent) + b"/caf\xe9"))
    shutil.copytree(tree, odd)
    for command in (["plan"], ["profile"], ["metrics", "--json"], ["doctor"]):
        done = command_line(odd)(*command)
        assert done.returncode == 2, done.stderr
        said(done, "the project's path is not UTF-8", "caf\\xe9", "rename the folder")
    assert stallgate("plan", "--root", str(odd)).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("gate", "\udcff"),
        ("plan", "\udcff"),
        ("plan", "-w", "\udcff"),
        ("profile", "--metrics", "\udcff"),
        ("profile", "--python", "\udcff"),
        ("import", "\udcff"),
        ("import", "\udcff.ncu-rep"),
        ("bench", "--show", "\udcff"),
        ("\udcff",),
        ("gate", "--root", "\udcff"),
    ],
)
def test_an_argument_that_is_no_text(stallgate: Stallgate, replayed_square: Path, arguments: tuple[str, ...]) -> None:
    done = stallgate(*arguments, "--json")
    assert done.returncode == 2, done.stderr
    answer = json.loads(done.stdout)
    assert answer["error"]["message"]
    assert "\udcff" not in str(answer)


def test_a_run_that_was_begun_with_odd_arguments_keeps_them_in_text(
    stallgate: Stallgate, tree: Path, latest: Callable[[str], Any]
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tree.parent) + b"/link\xe9"))
    odd.symlink_to(tree)
    done = stallgate("profile", *SHORT, "--root", str(odd))
    assert done.returncode == 0, done.stderr
    assert latest("run.json")["arguments"][-1].endswith("/link\\xe9")


def test_runs_whose_names_are_no_text_cost_nothing(stallgate: Stallgate, replayed_square: Path, tree: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tree) + b"/reports/caf\xe9"))
    shutil.copytree(replayed_square, odd)
    assert stallgate("report").returncode == 0
    assert stallgate("gate", "nonesuch", "--json").returncode == 2
    done = stallgate("gate", str(odd))
    assert done.returncode == 2
    said(done, "caf\\xe9 is not UTF-8", "rename the folder")


# --- the environment ---


@pytest.mark.parametrize("value", ["0", "-1", "1", "²", "9" * 5000], ids=["none", "less", "one", "digit", "many"])
def test_a_terminal_of_a_size_that_none_has(stallgate: Stallgate, replayed_square: Path, value: str) -> None:
    for command, status in ((("gate",), 0), (("metrics",), 0), (("--help",), 0), (("gate", "nonesuch"), 2)):
        done = stallgate(*command, COLUMNS=value, LINES=value, FORCE_COLOR="1")
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert max(map(len, done.stdout.splitlines()), default=0) < 2000


ODD = {
    "STALLGATE_COMMIT": "\udcff+",
    "MPLBACKEND": "nonsense",
    "MATPLOTLIBRC": "/dev/null/nowhere",
    "HOME": "/dev/null/nowhere",
    "TMPDIR": "/dev/null/nowhere",
    "LC_ALL": "nonsense",
    "PYTHONUTF8": "0",
    "PATH": "",
    "CUDA_VISIBLE_DEVICES": "\udcff",
    "TERM": "\udcff",
    "FORCE_COLOR": "1",
    "GITHUB_ACTIONS": "true",
    "GITHUB_WORKSPACE": "\udcff",
}


def test_an_environment_that_nobody_has(own_process: Stallgate) -> None:
    for command in (("profile", *SHORT, "--report"), ("gate",)):
        done = own_process(*command, **ODD)
        assert done.returncode in (0, 3), done.stderr
        assert "Traceback" not in done.stderr


def test_words_of_another_program_do_not_steer_the_terminal(with_ncu: Stallgate) -> None:
    reason = "RuntimeError: \x1b]0;evil\x07\x1b[2J\x9b1m gone"
    done = with_ncu(
        "profile", *SHORT, FAKE_NCU="lost", FAKE_NCU_CASE="cumprod/blocked_scan/default/square", FAKE_NCU_REASON=reason
    )
    assert done.returncode == 3, done.stderr
    assert "evil" in done.stdout
    for text in (done.stdout, done.stderr):
        assert not {"\x1b", "\x07", "\x9b"} & set(text)


# --- files ---


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("kernels/cumprod/problem.toml", "x = " + "[" * 20_000, "nested too deeply"),
        ("kernels/cumprod/problem.toml", "a." * 100_000 + "a = 1", "more than 64 parts"),
        ("metrics/stages/memory_access.toml", "#" * (2 << 20), "larger than 1 MiB"),
        ("metrics/gpus/h100_sxm.toml", "title = 0x" + "f" * 5000, "title: it has more than 64 bits"),
    ],
)
def test_toml_that_is_too_much(stallgate: Stallgate, tree: Path, file: str, change: str, words: str) -> None:
    (tree / file).write_text(change)
    done = stallgate("plan")
    assert done.returncode == 2, done.stderr
    said(done, f"{file}: ", words, "hint:")


@pytest.mark.parametrize("formula", ["(" * 5000, "9" * 400, " + ".join(["a__b.ratio"] * 3000), "1e999", "-" * 500])
def test_a_formula_that_is_too_much(stallgate: Stallgate, tree: Path, formula: str) -> None:
    path = tree / "metrics/catalogue.toml"
    path.write_text(path.read_text().replace("[metrics.duration]", f"[metrics.duration]\nformula = '{formula}'"))
    done = stallgate("plan")
    assert done.returncode == 2, done.stderr
    said(done, "metrics/catalogue.toml: metrics.duration.formula: ", "hint:")
    assert len(done.stderr) < 1000


MINE = """
[metrics.mine]
title = "Mine"
unit = ""
names = ["a__b.sum"]
combine = "weighted"
weight = "mine"
"""


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[aliases]", f"{MINE}\n[aliases]", "metrics.mine.weight"),
        ("[aliases]", "[aliases]\nduration = 'duration'", "aliases.duration"),
        ("[aliases]", "[aliases]\nduration = 'l2_hit_rate'", "aliases.duration"),
        ("[aliases]", "[aliases]\nmine = 'mine'", "aliases.mine"),
    ],
)
def test_a_catalogue_that_refers_to_itself(stallgate: Stallgate, tree: Path, old: str, new: str, key: str) -> None:
    path = tree / "metrics/catalogue.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    done = stallgate("plan")
    assert done.returncode == 2, done.stdout
    said(done, f"metrics/catalogue.toml: {key}: ", "hint:")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "2026-01-01", "12:00:00", "[1, nan]", "{ a = inf }", "1e999"])
def test_a_tunable_that_the_child_would_not_get_as_it_is(stallgate: Stallgate, tree: Path, value: str) -> None:
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(f"{path.read_text()}\n[variants.blocked_scan.configurations.wide]\nBLOCK = {value}\n")
    done = stallgate("plan")
    assert done.returncode == 2, done.stdout
    said(done, "kernels/cumprod/problem.toml: variants.blocked_scan.configurations.wide.BLOCK", "hint:")


KINDS = ("large", "pipe", "deep", "zero", "text")


def something_else(path: Path, kind: str) -> None:
    """Puts what cannot be read in the place of a file."""
    path.unlink(missing_ok=True)
    match kind:
        case "large":
            with path.open("wb") as file:
                file.truncate(4 << 30)
        case "pipe":
            os.mkfifo(path)
        case "deep":
            path.write_bytes(b'{"format": 1, "x": ' + b"[" * 100_000)
        case "zero":
            path.symlink_to("/dev/zero")
        case "text":
            path.write_bytes(b"\xff\xfe caf\xe9")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_something_else(stallgate: Stallgate, replayed_square: Path, kind: str) -> None:
    something_else(replayed_square / "run.json", kind)
    done = stallgate("gate")
    assert done.returncode == (3 if kind in ("pipe", "zero") else 2), done.stderr
    said(done, "run.json", "hint:")


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_an_earlier_run_that_are_something_else_are_gaps(replayed_square: Path, kind: str) -> None:
    for name in ("verdicts.json", "metrics.csv"):
        something_else(replayed_square / name, kind)
    found = next(
        past for past in stored_runs(Store(replayed_square.parent), ["duration"]) if past.folder == replayed_square
    )
    assert [gap.partition(":")[0] for gap in found.gaps] == ["verdicts.json", "metrics.csv"]
    assert all(len(gap) < 300 for gap in found.gaps)


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_are_written_over_what_is_something_else(
    stallgate: Stallgate, replayed_square: Path, kind: str
) -> None:
    for name in ("verdicts.json", "junit.xml", *(["summary.md"] if kind in ("text", "pipe") else [])):
        something_else(replayed_square / name, kind)
    done = stallgate("gate")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((replayed_square / "verdicts.json").read_text())["exit_status"] == 0


@pytest.mark.parametrize("samples", [[0.0, 0.0], [1e308, 1e308], [-1.0, 2.0], [float("nan")], ["x"]])
def test_a_bench_of_times_that_cannot_be(stallgate: Stallgate, tree: Path, samples: list[Any]) -> None:
    folder = tree / "reports/bench"
    folder.mkdir()
    bench = json.loads(json.dumps(BENCH))
    for entry in bench["rows"][0]["entries"]:
        entry["samples_us"] = samples
    (folder / "bench.json").write_text(json.dumps(bench))
    done = stallgate("bench", "--show", "--json")
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr


def test_a_variant_that_is_nested_too_deeply_for_python(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    for text in ("x = " + "-" * 100_000 + "1", "x = " + "(" * 10_000, "@" + "a." * 5000 + "b\ndef f(): pass"):
        (tree / "kernels/cumprod/blocked_scan.py").write_text(text)
        done = stallgate("gate")
        assert done.returncode == 3, done.stderr
        said(done, "variant blocked_scan changed since it was measured")


# --- everything at once ---

EXAMPLES, FIRST = 30, 1


def test_no_example_ends_with_the_status_of_a_bug(tmp_path: Path) -> None:
    """``python -m tests.cli.fuzz`` tries more."""
    fuzz = Fuzz(tmp_path)
    trials(fuzz, EXAMPLES, FIRST, fuzz.trial)
