"""Hot lines: the kernel's own in its code, those of libraries apart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.extract.evidence import read_details
from stallgate.extract.reader import function_of
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import Attempt, Detail
from stallgate.project.load import Project, load_project
from stallgate.render.detail import CodeLine, Said, said
from stallgate.render.view import View
from stallgate.runs.folder import create_folder, load
from stallgate.runs.recording import find_recordings, replay
from tests.conftest import small_tree
from tests.small_recording import SMALL

SHOWN = (*SMALL, "two_pass_scan")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, JudgedRun]:
    project = load_project(small_tree(tmp_path_factory.mktemp("detail") / "project", variants=SHOWN, detail=True))
    cases = plan_cases(project, Request(subjects=[], workloads=[], configurations=[]))
    folder = create_folder(project.reports, "cumprod")
    replay(project, find_recordings(project, cases), cases, folder, [])
    return project, evaluate(project, folder, [], only_judge=True)


def details(project: Project, result: JudgedRun) -> dict[str, Said]:
    return {told.name: told for told in said(View(project, result, "cumprod", "square"), "here")}


def test_own_lines_are_linked_to_the_code_and_those_of_libraries_stand_apart(
    measured: tuple[Project, JudgedRun],
) -> None:
    found = details(*measured)
    assert list(found) == ["blocked_scan", "two_pass_scan", "copy_roof"], "the candidate comes first"
    blocked = found["blocked_scan"]
    (kernel,) = blocked.kernels
    assert {row.line.file for row in kernel.own} == {file.name for file in blocked.files}
    assert (blocked.files[0].path, blocked.files[0].is_own) == ("kernels/cumprod/blocked_scan.py", True)
    assert {Path(file.path).parent for file in blocked.files[1:]} == {Path("kernels/cumprod/scan")}
    assert kernel.file == "", "its lines are in several files"
    marked = anchored(blocked)
    for row in kernel.own:
        file, line = marked[row.anchor]
        assert (file, line.number, line.samples) == (row.line.file, row.line.line, row.line.samples)
        assert line.text.rstrip()[:200] == row.line.text
        assert 100 * line.called / kernel.samples == pytest.approx(row.called)
    assert kernel.library
    assert {(row.line.file, row.line.text) for row in kernel.library} == {("triton/language/standard.py", "")}
    assert 50 < sum(row.share for row in kernel.own + kernel.library) <= 100 + 1e-9


def anchored(told: Said) -> dict[str, tuple[str, CodeLine]]:
    """Anchor -> the file and the line that have it."""
    return {line.anchor: (file.name, line) for file in told.files for line in file.lines if line.anchor}


def test_lines_of_libraries_are_linked_to_the_code_where_their_caller_is_known(
    measured: tuple[Project, JudgedRun],
) -> None:
    told = details(*measured)["two_pass_scan"]
    marked = anchored(told)
    rows = [row for kernel in told.kernels for row in kernel.library]
    assert {row.line.function for row in rows if row.caller is not None} == {"min", "_elementwise_min"}
    assert any(row.caller is None for row in rows)
    for row in rows:
        if row.caller is None:
            assert not row.anchor
        else:
            file, line = marked[row.anchor]
            assert (file, line.number) == (row.caller.file, row.caller.line)
    for kernel in told.kernels:
        charged = sum(row.share for row in kernel.library if row.caller is not None)
        assert sum(row.called for row in kernel.own) == pytest.approx(charged)


def test_the_code_is_whole_and_marks_all_kernels_of_a_call(measured: tuple[Project, JudgedRun]) -> None:
    project, _ = measured
    told = details(*measured)["two_pass_scan"]
    own = project.problems["cumprod"].variants["two_pass_scan"].path
    assert [file.path for file in told.files if file.is_own] == [str(own)]
    assert len(told.files) > 1
    assert len(told.kernels) == 3
    for file in told.files:
        assert [line.text for line in file.lines] == (project.root / file.path).read_text().splitlines()
        assert all(bool(line.state) == bool(line.samples + line.called) for line in file.lines)
        hottest = max(file.lines, key=lambda line: line.samples)
        place = (file.name, hottest.number)
        found = [row.line for kernel in told.kernels for row in kernel.own if (row.line.file, row.line.line) == place]
        assert hottest.samples == sum(line.samples for line in found)
        assert {line.reason for line in found} & {hottest.state.rpartition("(")[2].removesuffix(")")}
        together = hottest.samples + hottest.called
        assert hottest.share == pytest.approx(100 * together / sum(kernel.samples for kernel in told.kernels))


def test_what_a_library_does_is_charged_to_the_line_that_calls_it(measured: tuple[Project, JudgedRun]) -> None:
    told = details(*measured)["two_pass_scan"]
    scanned = max((line for file in told.files for line in file.lines), key=lambda line: line.called)
    assert "tl.min(" in scanned.text
    assert scanned.called > 5 * scanned.samples, "its own samples alone are a tenth of what it is charged with"
    samples = sum(kernel.samples for kernel in told.kernels)
    assert scanned.share == pytest.approx(100 * (scanned.samples + scanned.called) / samples)


def test_code_that_is_not_what_was_measured_is_not_shown(measured: tuple[Project, JudgedRun], tmp_path: Path) -> None:
    project, result = measured
    variant = project.problems["cumprod"].variants["blocked_scan"]
    elsewhere = replace(project, root=tmp_path)
    (tmp_path / variant.path).parent.mkdir(parents=True)
    (tmp_path / variant.path).write_text("changed")
    told = details(elsewhere, result)["blocked_scan"]
    assert told.files == []
    assert told.kernels[0].file == ""
    assert told.kernels[0].own[0].anchor == ""

    kept = result.folder / "source" / variant.path
    kept.parent.mkdir(parents=True)
    shutil.copyfile(project.root / variant.path, kept)
    assert details(elsewhere, result)["blocked_scan"].files
    shutil.rmtree(result.folder / "source")


def test_a_report_has_the_hottest_instructions_of_a_kernel(measured: tuple[Project, JudgedRun]) -> None:
    """Each with its place in the kernel, and its share of all samples."""
    project, _ = measured
    recording = next((project.reports / "recorded").glob("*/cumprod"))
    (report,) = [attempt.report for attempt in load(recording).attempts if attempt.kind == "detail" and attempt.report]
    found = read_details(recording, Attempt(name="1", kind="detail", command=[], started="", report=report))
    assert found
    for detail in found:
        counts = [each.samples for each in detail.instructions]
        assert counts == sorted(counts, reverse=True)
        assert 0 < sum(counts) <= detail.samples
        assert all(each.offset % 16 == 0 and each.text and each.line for each in detail.instructions)
    hottest = next(detail for detail in found if detail.case.variant == "copy_roof").instructions[0]
    assert hottest.text.startswith("STG.E.128")
    assert (hottest.file, hottest.reason) == ("copy_roof.py", "long_scoreboard")


# --- a variant in several files ---------------------------------------------------------------------------------------

SCAN = "".join(f"line {number} of scan\n" for number in range(1, 2000))
ELSEWHERE = "mylib/scan.py"


def in_two_files(result: JudgedRun, modules: dict[str, str], *, all_lines: bool = False) -> JudgedRun:
    """The run as if every second hot line of the candidate's own file, or each, was in a module that it loaded.

    Hot lines of other files are left out.

    Args:
        result: the run.
        modules: path -> its text when it was measured.
        all_lines: whether no line is in the variant's own file.
    """

    def moved(detail: Detail) -> Detail:
        own = [line for line in detail.lines if line.file == "blocked_scan.py"]
        lines = [replace(line, file="scan.py") if all_lines or n % 2 else line for n, line in enumerate(own)]
        return replace(detail, lines=lines) if detail.case.variant == "blocked_scan" else detail

    digests = {path: sha256(text.encode()).hexdigest() for path, text in modules.items()}
    attempts = [replace(attempt, details=list(map(moved, attempt.details))) for attempt in result.run.attempts]
    cases = [replace(found, modules=digests) for found in result.run.cases]
    return replace(result, run=replace(result.run, attempts=attempts, cases=cases))


@pytest.fixture
def kept(measured: tuple[Project, JudgedRun]) -> Iterator[Path]:
    """The folder of the run's copies, for as long as a test."""
    folder = measured[1].folder / "source"
    (folder / "mylib" / "more").mkdir(parents=True)
    (folder / ELSEWHERE).write_text(SCAN)
    yield folder
    shutil.rmtree(folder)


def test_a_module_with_hot_lines_is_shown_behind_the_variants_own_file(
    measured: tuple[Project, JudgedRun], kept: Path
) -> None:
    told = details(measured[0], in_two_files(measured[1], {ELSEWHERE: SCAN}))["blocked_scan"]
    assert [(file.path, file.is_own) for file in told.files] == [
        ("kernels/cumprod/blocked_scan.py", True),
        (ELSEWHERE, False),
    ]
    (kernel,) = told.kernels
    assert kernel.file == "", "its lines are in two files"
    marked = {line.anchor: (file.name, line.number) for file in told.files for line in file.lines if line.anchor}
    assert [marked[row.anchor] for row in kernel.own] == [(row.line.file, row.line.line) for row in kernel.own]
    assert len(marked) == len(kernel.own)
    assert [line.text for line in told.files[1].lines] == SCAN.splitlines()


def test_a_file_without_hot_lines_is_not_shown(measured: tuple[Project, JudgedRun], kept: Path) -> None:
    one = details(measured[0], in_two_files(measured[1], {ELSEWHERE: SCAN}, all_lines=True))["blocked_scan"]
    assert [file.path for file in one.files] == [ELSEWHERE]
    assert one.kernels[0].file == "scan.py"


@pytest.mark.parametrize(
    "modules",
    [
        {ELSEWHERE: SCAN, "mylib/more/scan.py": SCAN},
        {ELSEWHERE: "what is not what was measured"},
        {"../../outside/scan.py": SCAN},
        {"mylib/gone/scan.py": SCAN},
    ],
    ids=["two of a name", "changed", "outside", "gone"],
)
def test_a_hot_line_of_an_unknown_file_is_linked_to_none(
    measured: tuple[Project, JudgedRun], kept: Path, modules: dict[str, str]
) -> None:
    (kept / "mylib/more/scan.py").write_text(SCAN)
    (kept.parents[1] / "outside").mkdir(exist_ok=True)
    (kept.parents[1] / "outside" / "scan.py").write_text(SCAN)
    told = details(measured[0], in_two_files(measured[1], modules))["blocked_scan"]
    assert [file.is_own for file in told.files] == [True]
    (kernel,) = told.kernels
    assert {row.line.file for row in kernel.own if not row.anchor} == {"scan.py"}


@pytest.mark.parametrize(("line", "name"), [(1, ""), (2, "outer"), (4, "inner"), (5, "outer"), (9, "")])
def test_a_line_is_told_by_the_innermost_function(line: int, name: str) -> None:
    source = "import this\ndef outer():\n    def inner():\n        pass\n    return inner\n"
    assert function_of(source, line) == name
    assert function_of("no python(", line) == ""
