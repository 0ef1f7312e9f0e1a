"""What a page, a summary and a terminal say of an imported report."""

from __future__ import annotations

import csv
from pathlib import Path

from stallgate.runs.folder import load
from tests.conftest import Stallgate
from tests.extract.patching import launches_of, patched, recorded_report
from tests.recordings import committed, made_up_name


def test_imported_kernels_have_their_names_and_their_gpus(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    names = {"stallgate/cumprod/": "training/the step/", "_blocked_scan_kernel": "_Blocked_Scan_Kernel"}
    report = patched(recorded_report(recording), names)
    (tree / "one.ncu-rep").write_bytes(report)
    gpu = committed().gpu
    other = made_up_name(gpu)
    (tree / "two.ncu-rep").write_bytes(patched(report, {gpu: other}))
    done = stallgate("import", "one.ncu-rep", "two.ncu-rep")
    said = " ".join(done.stdout.split())
    assert f"Imported ncu reports, measured on {gpu} and {other}." in said
    for told in (f"{gpu}, device 0", f"{other}, device 0", f"NVTX ranges on {gpu}, device 0", "_Blocked_Scan_Kernel"):
        assert told in said
    assert "samples" not in said
    assert "fastest" not in said

    assert stallgate("report").returncode == 0
    folder = (tree / "reports/latest").resolve()
    page, summary = (folder / "report.html").read_text(), (folder / "summary.md").read_text()
    assert "_Blocked_Scan_Kernel" in page
    assert f"<dt>GPU</dt><dd>{gpu}, device 0</dd><dt>GPU</dt><dd>{other}, device 0</dd>" in page
    assert "is the fastest of" not in page
    assert "took longest" in page
    assert "| Kernel | Launches |" in summary
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert {row["device"] for row in rows} == {f"{name}, device 0" for name in (gpu, other)}
    assert "_Blocked_Scan_Kernel" in {row["kernel"] for row in rows}
    identities = [result.identity for result in load(folder).cases if result.identity is not None]
    assert {identity.report for identity in identities} == {"one.ncu-rep", "two.ncu-rep"}


def test_a_kernel_without_a_time_is_said_to_have_none(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    without = {"stallgate/cumprod/": "training/the step/", "gpu__time_duration": "gpu__time_xxxxxxxx"}
    (tree / "one.ncu-rep").write_bytes(launches_of(patched(recorded_report(recording), without), [0]))
    said = " ".join(stallgate("import", "one.ncu-rep").stdout.split())
    told = "in the ncu report: ncu --metrics gpu__time_duration.sum collects it"
    assert said.count(told) == 1
    assert stallgate("report").returncode == 0
    assert told in (tree / "reports/latest/report.html").read_text()


def test_kernels_that_share_one_measurement_are_told(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    whole = patched(recorded_report(recording), {"stallgate/cumprod/": "training/the step/"})
    names = [b"_copy_kernel", b"_Copy_kernel", b"_core_kernel"]
    alike = launches_of(whole, [0, 0, 0], lambda place, block: block.replace(names[0], names[place]))
    (tree / "alike.ncu-rep").write_bytes(alike)
    said = " ".join(stallgate("import", "alike.ncu-rep").stdout.split())
    three = "_copy_kernel, _Copy_kernel and _core_kernel"
    assert f"the ncu report has the same counter values for {three}: " in said
    assert stallgate("report").returncode == 0
    page = (tree / "reports/latest/report.html").read_text()
    assert f"the ncu report has the same counter values for {three}: " in page
    assert "<li>_copy_kernel on" not in page  # nobody knows whose time it is


def test_a_page_of_imports_says_nothing_of_what_imports_lack(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    (tree / "one.ncu-rep").write_bytes(
        patched(recorded_report(recording), {"stallgate/cumprod/": "training/the step/"})
    )
    assert stallgate("import", "one.ncu-rep").returncode == 0
    assert stallgate("report").returncode == 0
    page = (tree / "reports/latest/report.html").read_text()
    assert "The roof is the fastest known kernel" not in page
    assert "with every section" not in page
    assert page.count("of an NVTX range times, bytes and operations of its launches are added") == 1
