"""``reports/index.html``: every run in a list, and lines that join only what may be compared."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.compare import steps
from stallgate.compare.history import Measurement, Series, SeriesKey, series_of, stored_runs
from stallgate.compare.steps import steps_of
from stallgate.extract.table import Summary
from stallgate.judge.evaluate import evaluate, write_results
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Case
from stallgate.project.commit import commit_address
from stallgate.project.load import load_project
from stallgate.render.index import write_index
from stallgate.runs.conditions import Conditions
from stallgate.runs.folder import create_folder
from stallgate.runs.outlines import Circumstances, MeasurementTime
from stallgate.runs.recording import find_recordings
from stallgate.runs.recording import replay as replay_recording
from stallgate.runs.store import Store
from tests.conftest import Stallgate, small_tree
from tests.recordings import OTHER, committed, median_of, milliseconds
from tests.shared import Shared

METRICS = ["duration", "roof_fraction"]
LATER = 2036
"""A year after any recording."""


def replay(tree: Path) -> Path:
    """The folder of a new replay of two cases in a tree, its table and verdicts written."""
    project = load_project(tree)
    cases = plan_cases(project, Request(subjects=["cumprod/blocked_scan"], workloads=["square"], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay_recording(project, find_recordings(project, cases), cases, folder, [])
    write_results(evaluate(project, folder, []))
    return folder


@pytest.fixture
def replayed(tree: Path, shared: Shared) -> Path:
    """The folder of such a replay in the tree; all have the same."""
    original = shared.get("index", lambda folder: replay(small_tree(folder / "project")))
    folder = shutil.copytree(original, tree / "reports" / original.name)
    (tree / "reports" / "latest").symlink_to(original.name)
    return folder


def live(folder: Path, day: int, commit: str, change: Callable[[Any], None] = lambda run: None) -> Path:
    """A copy of a run as a live one, made on a day of December, years after the recording, at a commit."""
    copy = folder.parent / f"{LATER}12{day:02}-120000-cumprod"
    shutil.copytree(folder, copy)
    run = json.loads((copy / "run.json").read_text())
    run |= {"name": copy.name, "kind": "live", "created": f"{LATER}-12-{day:02}T12:00:00Z", "origins": {}}
    run |= {"commit": commit * 10, "dirty": False}
    change(run)
    (copy / "run.json").write_text(json.dumps(run))
    return copy


def on_gpu(name: str) -> Callable[[Any], None]:
    def change(run: Any) -> None:
        for attempt in run["attempts"]:
            attempt["environment"]["gpu"] = name

    return change


def page(tree: Path) -> str:
    return write_index(load_project(tree)).read_text()


def row(text: str, name: str) -> str:
    """The words of a run's row in the list."""
    found = next(part for part in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if name in part)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", found).split()))


def line(tree: Path, variant: str = "blocked_scan", workload: str = "square") -> list[Series]:
    found = series_of(stored_runs(Store(tree / "reports"), METRICS), METRICS)
    wanted = (variant, workload, "duration")
    return [n for n in found if (n.key.case.variant, n.key.case.workload, n.key.metric) == wanted]


@pytest.mark.whole_recording
def test_every_run_is_listed_newest_first_whatever_state_it_is_in(
    stallgate: Stallgate, tree: Path, recording: Path
) -> None:
    first = replay(tree)
    second = replay(tree)
    (second / "metrics.csv").unlink()
    assert stallgate("import", str(next(recording.glob("ncu/*.ncu-repz")))).returncode == 0
    imported = (tree / "reports/latest").resolve()
    garbage = tree / "reports/20200101-000000-garbage"
    garbage.mkdir()
    (garbage / "run.json").write_text("{no")

    done = stallgate("report", first.name)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "reports/index.html"
    text = (tree / "reports/index.html").read_text()
    names = re.findall(r'<th scope="row">(?:<a href="[^"]*">)?(2[\w-]*-[a-z]+[\w-]*)', text)
    assert names == [imported.name, second.name, first.name, garbage.name]
    assert f'<a href="{first.name}/report.html">' in text
    assert f'<a href="{second.name}/report.html">' not in text
    listed = row(text, first.name)
    said = "○ not measured cannot be decided: 2 pass, 1 not measured, 1 waived recorded cumprod"
    assert f"{said} {committed().gpu}" in listed
    assert "2 of 2" in listed
    assert "there is no metrics.csv" in row(text, second.name)
    assert row(text, imported.name).startswith(f"{imported.name} not judged imported 1.ncu-repz {committed().gpu}")
    assert "run.json: JSON is malformed" in row(text, garbage.name)
    assert str(tree) not in text


def test_a_replay_counts_once_and_one_measurement_is_no_trend(tree: Path) -> None:
    replay(tree)
    replay(tree)
    (found,) = line(tree)
    assert len(found.points) == 1
    text = page(tree)
    assert "<svg" not in text
    assert "trends need two measurements" in text


def test_the_live_run_and_the_replay_of_its_recording_are_one_measurement(replayed: Path, tree: Path) -> None:
    origin = json.loads((replayed / "run.json").read_text())["origins"]["cumprod"]

    def recorded(run: Any) -> None:
        run |= {name: origin[name] for name in ("created", "commit", "dirty")}

    live(replayed, 1, "aaaa", recorded)
    assert [len(found.points) for found in line(tree)] == [1]


def test_two_commits_make_a_line_with_the_finding_as_its_title(replayed: Path, tree: Path) -> None:
    folder = live(replayed, 1, "abc1234")
    table = folder / "metrics.csv"
    table.write_text(re.sub(r",duration,([\d.]+),", lambda m: f",duration,{float(m[1]) / 2},", table.read_text()))
    (found,) = line(tree)
    assert [point.time.label for point in found.points][-1] == "abc1234"
    text = page(tree)
    assert text.count("<svg") == 2, "one layout for wide windows, one for phones"
    half = milliseconds(median_of("cumprod/blocked_scan/square") / 2, 3)
    assert re.search(rf"blocked_scan takes {half} on square at abc1234, 50\.0 % faster than at \w{{7}}", text)
    assert "clock control none, cache control all" in text
    assert "Not plotted" not in text


@pytest.mark.parametrize(
    "change",
    [
        on_gpu(OTHER),
        lambda run: run["settings"].update(clock_control="base"),
        lambda run: run["settings"].update(cache_control="none"),
        lambda run: run["subjects"]["cumprod"]["digests"].update({"workload square": "f" * 64}),
    ],
    ids=["gpu", "clocks", "caches", "workload"],
)
def test_no_line_joins_what_may_not_be_compared(replayed: Path, tree: Path, change: Callable[[Any], None]) -> None:
    live(replayed, 1, "aaaa")
    live(replayed, 2, "bbbb", change)
    assert sorted(len(found.points) for found in line(tree)) == [1, 2]
    live(replayed, 3, "cccc", change)
    assert [len(found.points) for found in line(tree)] == [2, 2]
    assert "cccc" in page(tree)


def test_a_case_without_a_number_is_a_gap_on_its_line(replayed: Path, tree: Path) -> None:
    def crash(run: Any) -> None:
        case = next(c for c in run["cases"] if c["case"]["variant"] == "blocked_scan")
        case |= {"outcome": "crashed", "reason": "it fell"}

    live(replayed, 1, "aaaa", crash)
    live(replayed, 2, "bbbb")
    (found,) = line(tree)
    assert [point.gap for point in found.points] == ["measured", "crashed", "measured"]
    assert found.points[1].median is None
    text = page(tree)
    assert "1 crashed" in row(text, f"{LATER}1201")
    assert re.search(r'<td class="number gap"[^>]*>crashed</td>', text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.csv", b"\xff\xfe\x00"),
        ("metrics.csv", b""),
        ("metrics.csv", b"problem,variant\na,b\n"),
        ("verdicts.json", b"[]"),
        ("verdicts.json", b'{"exit_status": 7, "verdicts": []}'),
        ("verdicts.json", b"\xff"),
        ("run.json", b"\xff"),
        ("run.json", b'{"format": 99}'),
        ("run.json", b"{}"),
    ],
)
def test_a_damaged_file_is_a_gap_and_spoils_nothing_else(replayed: Path, tree: Path, name: str, content: bytes) -> None:
    broken = live(replayed, 3, "cccc")
    (broken / name).write_bytes(content)
    live(replayed, 1, "aaaa")
    text = page(tree)
    assert f"{name}: " in row(text, broken.name)
    assert "<svg" in text
    assert str(tree) not in text


@pytest.mark.parametrize("value", ["inf", "1e300", "", "many"])
def test_a_table_that_contradicts_itself_is_not_believed(replayed: Path, tree: Path, value: str) -> None:
    table = replayed / "metrics.csv"
    changed = re.sub(r",,duration,[\d.]+,measured", f",,duration,{value},measured", table.read_text(), count=1)
    assert changed != table.read_text()
    table.write_text(changed)
    assert "metrics.csv: " in row(page(tree), replayed.name)


def test_what_a_file_says_is_no_markup_and_no_formula(replayed: Path, tree: Path) -> None:
    for day, commit in ((1, "<b>$x"), (2, "$\\frac")):
        live(replayed, day, commit, on_gpu("GPU <script>$_{$"))
    text = page(tree)
    assert "<script>$" not in text
    assert "<b>$x" not in text


def test_an_index_of_nothing(tree: Path) -> None:
    assert "There is none yet" in page(tree)


# --- change points ----------------------------------------------------------------------------------------------------


def series(*values: float, noise: float = 0.001) -> Series:
    """Measurements on ascending days, each with samples around its median."""
    key = SeriesKey(
        case=Case("cumprod", "blocked_scan", "default", "square"),
        metric="duration",
        circumstances=Circumstances(conditions=Conditions(None, None, None, None), workload_digest=""),
    )
    points = [
        Measurement(
            time=MeasurementTime(created=f"2026-12-{day:02}", commit="", dirty=False),
            role="candidate",
            summary=Summary(
                state="measured",
                median=value,
                low=value * (1 - noise),
                high=value * (1 + noise),
                samples=5,
                ncu_name="",
            ),
            gap="",
        )
        for day, value in enumerate(values, 1)
    ]
    return Series(key=key, points=points)


@pytest.mark.parametrize(
    ("found", "days"),
    [
        (series(100, 100, 110, 110), ["2026-12-03"]),
        (series(100, 101, 100, 90, 90, 91, 120, 121), ["2026-12-04", "2026-12-07"]),
        (series(100, 100, 110, 100, 100), []),  # one odd run
        (series(100, 100, 110), []),  # not yet confirmed
        (series(100, 100, 101, 101, noise=0.02), []),  # within the noise
        (series(100, 100, 100.3, 100.3, noise=0.0), []),  # too small to matter
        (series(), []),
    ],
)
def test_a_change_point_is_a_step_beyond_the_noise(found: Series, days: list[str]) -> None:
    assert [step.at.time.created for step in steps_of(found)] == days


@given(st.lists(st.floats(90, 110), max_size=12))
def test_steps_are_at_measurements_and_never_more_than_fit(values: list[float]) -> None:
    found = series(*values)
    told = steps_of(found)
    assert all(step.at in found.points[2:-1] for step in told)
    assert all(abs(step.after / step.before - 1) >= 0.005 for step in told)


def test_a_long_series_is_searched_where_neighbours_differ_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place that is looked at costs ten times one that is not."""
    looked_at: list[int] = []
    original = steps._step
    monkeypatch.setattr(steps, "_step", lambda *given: looked_at.append(given[2]) or original(*given))
    assert [step.at.time.created for step in steps_of(series(*[100.0] * 14, *[90.0] * 14))] == ["2026-12-15"]
    assert looked_at == [14]


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("git@github.com:a/b.git", "https://github.com/a/b/commit/"),
        ("ssh://git@gitlab.com:22/group/sub/b", "https://gitlab.com/group/sub/b/-/commit/"),
        ("https://user:secret@codeberg.org/a/b", "https://codeberg.org/a/b/commit/"),
        ("https://git.example.com/a/b.git", ""),
        ("/srv/git/b.git", ""),
        ("javascript:alert(1)", ""),
        ("https://github.com/a/b\nX", ""),
    ],
)
def test_a_commit_has_a_page_at_a_known_forge(remote: str, address: str) -> None:
    assert commit_address(remote) == address
    assert "secret" not in commit_address(remote)


def test_a_commit_has_its_subject_and_a_link(replayed: Path, tree: Path) -> None:
    def git(*words: str) -> str:
        options = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *options, *words], cwd=tree, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    git("remote", "add", "origin", "git@github.com:someone/kernels.git")
    git("commit", "-q", "--allow-empty", "-m", "Tile by <rows>")
    commit = git("rev-parse", "HEAD").strip()
    live(replayed, 1, "abcd", lambda run: run.update(commit=commit))
    text = page(tree)
    assert f'<a href="https://github.com/someone/kernels/commit/{commit}">{commit[:7]}</a>' in text
    assert "Tile by &lt;rows&gt;" in text


def test_runs_can_be_filtered_by_problem_gpu_and_verdict(replayed: Path, tree: Path) -> None:
    live(replayed, 1, "aaaa", on_gpu(OTHER))
    text = page(tree)
    facet = text[text.index('data-facet="gpu"') :].partition("</select>")[0]
    assert re.findall("<option>([^<]*)", facet) == sorted([committed().gpu, OTHER])
    assert 'data-facet="problem"' not in text, "all runs are of one problem"
    assert f'data-problem="cumprod" data-gpu="{OTHER}" data-verdict="' in text
    assert '<p id="facets" hidden>' in text, "without scripts there is the plain list"
    assert '<form id="compare" hidden>' in text, "a file has no server to compare"
