"""What stallgate costs over bare ncu: both measure the same launches, one after the other, on a GPU.

    python tests/measure/side_by_side.py [PAIRS]

The bare side is ncu, with the same options and metrics, around a script that does nothing but call the same variants
on random data: no checks, no fresh data, no extraction. Prints the seconds of each pair and their ratio, then the
medians.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

VARIANTS = ["copy_roof", "blocked_scan", "naive_serial"]
WORKLOADS = {"square": [32768, 32768], "page": [4096, 4096]}
SAMPLES = 3
METRICS = (
    "duration dram_throughput dram_bytes_read dram_bytes_written l2_sectors l2_hit_rate l2_read_hit_rate sm_throughput "
    "achieved_occupancy theoretical_occupancy stall_barrier stall_branch_resolving stall_dispatch_stall stall_drain "
    "stall_lg_throttle stall_long_scoreboard stall_math_pipe_throttle stall_membar stall_mio_throttle "
    "stall_no_instruction stall_not_selected stall_selected stall_short_scoreboard stall_wait"
)
"""24, of which 15 are shares of warp states."""

MINIMAL = """
import importlib.util, sys
import torch

def model(variant):
    spec = importlib.util.spec_from_file_location(variant, f"{sys.argv[1]}/kernels/cumprod/{variant}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ModelNew(1)

for shape in WORKLOADS:
    for variant in VARIANTS:
        x, scan = torch.rand(shape, device="cuda"), model(variant)
        scan(x)
        for sample in range(SAMPLES):
            torch.cuda.empty_cache()
            torch.cuda.synchronize()
            torch.cuda.profiler.start()
            torch.cuda.nvtx.range_push(f"{variant}/{shape}/{sample}")
            scan(x)
            torch.cuda.synchronize()
            torch.cuda.nvtx.range_pop()
            torch.cuda.profiler.stop()
"""


def seconds(command: list[str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def measured() -> float:
    """stallgate's side: the roof comes along without being named."""
    subjects = [f"cumprod/{variant}" for variant in VARIANTS]
    workloads = [word for name in WORKLOADS for word in ("-w", name)]
    options = ["--samples", str(SAMPLES), "--metrics", ",".join(METRICS.split())]
    return seconds([sys.executable, "-m", "stallgate", "profile", "--live", *subjects, *workloads, *options])


def bare(folder: Path) -> float:
    """ncu with the options of the last run, around the minimal script."""
    run = json.loads((ROOT / "reports/latest/run.json").read_text())
    command = run["attempts"][0]["command"]
    script, report = folder / "minimal.py", folder / "bare.ncu-rep"
    constants = f"WORKLOADS = {list(WORKLOADS.values())}\nVARIANTS = {VARIANTS}\nSAMPLES = {SAMPLES}\n"
    script.write_text(constants + MINIMAL)
    options = command[: command.index("--export")]
    return seconds([*options, "--export", str(report), sys.executable, str(script), str(ROOT)])


def said(without: float, with_it: float) -> str:
    return f"bare ncu {without:.2f} s, stallgate {with_it:.2f} s, ratio {with_it / without:.3f}"


def main(pairs: int) -> None:
    """Prints a line per pair, then the medians."""
    measured()  # compiles
    both = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            both.append((bare(Path(folder)), measured()))
            print(said(*both[-1]), flush=True)
    sides = [statistics.median(side) for side in zip(*both, strict=True)]
    ratio = statistics.median(with_it / without for without, with_it in both)
    print(f"medians: bare ncu {sides[0]:.2f} s, stallgate {sides[1]:.2f} s, ratio of a pair {ratio:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
