"""How imported runs are told: by the names in the reports and of the files; no line denies another."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from stallgate.project.paths import slug
from tests.conftest import Stallgate
from tests.extract.patching import launches_of, patched, recorded_report
from tests.recordings import committed

GPU = committed().gpu
FOREIGN = {"stallgate/cumprod/": "somewhere/cumprod/"}


@pytest.fixture
def report(recording: Path) -> bytes:
    """Three launches of the recorded report, in ranges that stallgate did not make."""
    return patched(launches_of(recorded_report(recording), [0, 1, 2]), FOREIGN)


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_advice_and_gate_name_the_gpu_as_the_report_does(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    (tree / "a.ncu-rep").write_bytes(report)
    assert stallgate("import", "a.ncu-rep").returncode == 0
    mine = 'title = "Mine"\nfocus = "F."\n\n[[targets]]\nmetric = "duration"\nbelow = 1\n'
    (tree / "metrics/stages/mine.toml").write_text(mine)
    for said in (stallgate("advise").stdout, stallgate("gate", "--stage", "mine").stdout):
        assert f" on {GPU}, device 0" in words(said)
        assert slug(GPU) not in said
        assert "imported: " not in said
        assert "NVTX ranges on" not in said
        assert "sample" not in said, "of an import nothing is a sample"


def test_the_one_report_of_a_run_is_named_as_its_file_is(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    """Stored reports have lower-case names; the user's file has not."""
    (tree / "Before_V2.NCU-REP").write_bytes(report)
    told = f"Imported the ncu report Before_V2.NCU-REP, measured on {GPU}."
    assert told in words(stallgate("import", "Before_V2.NCU-REP").stdout)
    assert stallgate("report").returncode == 0
    page = words((tree / "reports/latest/report.html").read_text())
    assert told in page
    assert "of Before_V2.NCU-REP" in page


def test_a_spread_that_reads_the_same_is_told_once(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    (tree / "a.ncu-rep").write_bytes(launches_of(report, [0, 0]))
    said = stallgate("import", "a.ncu-rep").stdout
    assert re.search(r"^ +[\d.]+ (?:µs|ms) each\b", said, re.MULTILINE)
    assert not re.search(r"^ +to ", said, re.MULTILINE)


def test_a_stage_with_a_roof_draws_no_empty_chart_of_imported_cases(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    (tree / "a.ncu-rep").write_bytes(report)
    said = stallgate("import", "a.ncu-rep", "--stage", "memory_access", COLUMNS="200").stdout
    assert "Fraction of" not in said
    assert stallgate("report").returncode == 0
    page = (tree / "reports/latest/report.html").read_text()
    figures = " ".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "DRAM throughput" in figures
    assert "Fraction of the roof" not in figures


def test_imports_with_nothing_in_common_are_told_what_can_be_compared(
    stallgate: Stallgate, tree: Path, report: bytes
) -> None:
    others = {"_copy_kernel": "_core_kernel", "somewhere/cumprod/": "different/cumprod/"}
    runs = []
    for name, changes in (("a", {}), ("b", others)):
        (tree / f"{name}.ncu-rep").write_bytes(launches_of(patched(report, changes), [0]))
        assert stallgate("import", f"{name}.ncu-rep").returncode == 0
        runs.append((tree / "reports/latest").resolve().name)
    done = stallgate("compare", *runs)
    assert done.returncode == 3
    assert "hint: import reports that have numbers of the same kernels" in words(done.stderr)
    assert "profile" not in done.stderr


def test_the_page_names_its_own_run_where_it_names_a_command(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    """`stallgate advise` alone is about the newest run, which a page is not for long."""
    (tree / "a.ncu-rep").write_bytes(report)
    assert stallgate("import", "a.ncu-rep").returncode == 0
    assert stallgate("report").returncode == 0
    folder = (tree / "reports/latest").resolve()
    page = words((folder / "report.html").read_text())
    assert "Advice" in page
    assert page.count("stallgate advise") == page.count(f"stallgate advise {folder.name}") > 0


def test_every_case_of_a_comparison_has_its_time(stallgate: Stallgate, tree: Path, report: bytes) -> None:
    """Also where nothing changed beyond the noise: its name alone says nothing."""
    runs = []
    (tree / "a.ncu-rep").write_bytes(launches_of(report, [0]))
    for _ in range(2):
        assert stallgate("import", "a.ncu-rep").returncode == 0
        runs.append((tree / "reports/latest").resolve().name)
    done = stallgate("compare", *runs, "--same-conditions")
    assert done.returncode == 0
    assert len(re.findall(r"^ +duration +[\d.]+ ms → +[\d.]+ ms ", done.stdout, re.MULTILINE)) == 2
