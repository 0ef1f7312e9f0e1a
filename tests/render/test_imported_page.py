"""What a page, a summary and a terminal say of an imported report."""

from __future__ import annotations

import csv
from pathlib import Path

from stallgate.runs.folder import load
from tests.conftest import Stallgate
from tests.extract.patching import patched, recorded_report


def test_imported_kernels_have_their_names_and_their_gpus(stallgate: Stallgate, tree: Path, recording: Path) -> None:
    names = {"stallgate/cumprod/": "training/the step/", "_blocked_scan_kernel": "_Blocked_Scan_Kernel"}
    report = patched(recorded_report(recording), names)
    (tree / "one.ncu-rep").write_bytes(report)
    gpu, other = "NVIDIA H100 80GB HBM3", "NVIDIA Q900 80GB HBM3"
    (tree / "two.ncu-rep").write_bytes(patched(report, {gpu: other}))
    done = stallgate("import", "one.ncu-rep", "two.ncu-rep")
    said = " ".join(done.stdout.split())
    assert f"Imported ncu reports from {gpu} and {other}." in said
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
