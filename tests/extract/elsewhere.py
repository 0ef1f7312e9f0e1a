"""Makes small ncu reports of what stallgate itself never makes, on a machine with a GPU and ncu.

    python tests/extract/elsewhere.py FOLDER [NAME...]    makes them, packed, and says what became of each
    python tests/extract/elsewhere.py --commands          prints the ncu command lines, and makes nothing

Every report has few metrics and only Triton kernels, whose modules are small. ncu runs this file once more for each,
with ``--part NAME``.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl

LARGEST = 300_000
"""Most bytes of a packed report that is committed."""

TIME, BYTES, WARPS = "gpu__time_duration.sum", "dram__bytes_read.sum", "smsp__warps_active.sum"
STALL = "smsp__warp_issue_stalled_long_scoreboard_per_warp_active.pct"
CYCLES = "sm__cycles_active.sum"
SIZE = 1 << 20


@triton.jit
def scale(source, target, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, 2.0 * tl.load(source + at, mask=at < size), mask=at < size)


@triton.jit
def Scale(source, target, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + at, 3.0 * tl.load(source + at, mask=at < size), mask=at < size)


@triton.jit
def add(source, target, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = at < size
    tl.store(target + at, tl.load(source + at, mask=here) + tl.load(target + at, mask=here), mask=here)


@triton.jit
def stray(target, distance):
    tl.store(target + distance, 1.0)


# --- the parts, each the whole of what one ncu process sees -----------------------------------------------------------


def memory(device: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Memory without a kernel that fills it."""
    return tuple(torch.empty(SIZE, device=f"cuda:{device}") for _ in range(2))  # type: ignore[return-value]


def call(kernel: Any, device: int = 0, blocks: int = 1024, warps: int = 4, size: int = SIZE) -> None:
    """One launch of a kernel; its memory is the same for all."""
    if device not in _memory:
        _memory[device] = memory(device)
    with torch.cuda.device(device):
        kernel[(triton.cdiv(size, blocks),)](*_memory[device], size, BLOCK=blocks, num_warps=warps)


_memory: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}


@contextmanager
def profiled() -> Iterator[None]:
    """What is between ``cudaProfilerStart`` and ``cudaProfilerStop``: with range replay, a range.

    Within a range ncu supports few of CUDA's functions, so nothing else is called there.
    """
    torch.cuda.synchronize()
    torch.cuda.profiler.start()
    yield
    torch.cuda.profiler.stop()
    torch.cuda.synchronize()


@contextmanager
def nvtx(name: str) -> Iterator[None]:
    torch.cuda.nvtx.range_push(name)
    yield
    torch.cuda.nvtx.range_pop()


def ranges() -> None:
    """Two ranges, the first of three launches of two kernels, the second of one; launched by the driver."""
    driver, grid, block = ctypes.CDLL("libcuda.so.1"), 1024, 1024
    source, target = _memory.setdefault(0, memory())
    compiled = [kernel[(grid,)](source, target, SIZE, BLOCK=block, num_warps=4) for kernel in (scale, add)]
    none = ctypes.c_void_p()  # Triton's scratch memory, which these kernels have no use for
    values = [ctypes.c_void_p(source.data_ptr()), ctypes.c_void_p(target.data_ptr()), ctypes.c_int(SIZE), none, none]
    given = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))

    def launch(found: Any) -> None:
        shape = [ctypes.c_uint(number) for number in (grid, 1, 1, 32 * 4, 1, 1, found.metadata.shared)]
        status = driver.cuLaunchKernel(ctypes.c_void_p(found.function), *shape, None, given, None)
        assert status == 0, f"CUDA driver: error {status}"

    with profiled():
        for number in (0, 1, 0):
            launch(compiled[number])
    with profiled():
        launch(compiled[1])


def ranges_of_triton() -> None:
    """One range of three launches, as Triton makes them: ncu may refuse what else is called there."""
    for kernel in (scale, add):
        call(kernel)  # compiled before
    with profiled():
        for kernel in (scale, add, scale):
            call(kernel)


def application() -> None:
    for kernel in (scale, add, scale):
        call(kernel)


def graph() -> None:
    """A CUDA graph of three kernels, launched twice; made by the driver, so that torch adds no kernel of its own."""
    for kernel in (scale, add):
        call(kernel)
    driver, stream = ctypes.CDLL("libcuda.so.1"), torch.cuda.Stream()

    def checked(status: int) -> None:
        assert status == 0, f"CUDA driver: error {status}"

    made, executable = ctypes.c_void_p(), ctypes.c_void_p()
    queue = ctypes.c_void_p(stream.cuda_stream)
    with torch.cuda.stream(stream):
        checked(driver.cuStreamBeginCapture_v2(queue, 2))  # relaxed
        for kernel in (scale, add, scale):
            call(kernel)
        checked(driver.cuStreamEndCapture(queue, ctypes.byref(made)))
    checked(driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), made, ctypes.c_ulonglong(0)))
    with profiled():
        for _ in range(2):
            checked(driver.cuGraphLaunch(executable, queue))


def processes() -> None:
    """Two other processes, one after the other."""
    for kernel in ("scale", "add"):
        subprocess.run([sys.executable, __file__, "--part", f"one_{kernel}"], check=True)


def devices() -> None:
    """The same kernels on every GPU, at most two."""
    for device, kernel in itertools.product(range(min(2, torch.cuda.device_count())), (scale, add)):
        call(kernel, device)


def configurations() -> None:
    """137 launches of one kernel, of which no two have the same grid and block."""
    sizes = [SIZE // part for part in (1, 3, 5, 7)]
    found = itertools.product((128, 256, 512, 1024, 2048, 4096, 8192, 16384), (1, 2, 4, 8, 16), sizes)
    for blocks, warps, size in itertools.islice(found, 137):
        call(scale, blocks=blocks, warps=warps, size=size)


def few_kernels() -> None:
    """105 launches: three kernels, two of which differ by the case of a letter, with five grids each, seven times."""
    for _ in range(7):
        for kernel, part in itertools.product((scale, Scale, add), (1, 2, 4, 8, 16)):
            call(kernel, size=SIZE // part)


def nvtx_ranges() -> None:
    """Ranges in ranges, entered several times, with names that are not ASCII, have slashes, or are the same."""
    for number in range(2):
        with nvtx("step"):
            with nvtx("forward"):
                call(scale)
                with nvtx("слой"):
                    call(add)
            with nvtx("backward/second"):
                call(Scale)
        with nvtx("forward"):
            call(add)
        with nvtx(f"epoch {number}"):
            call(scale)
    call(scale)  # in no range


def fault() -> None:
    """Two good launches, then one that writes where there is no memory."""
    for kernel in (scale, add):
        call(kernel)
    torch.cuda.synchronize()
    stray[(1,)](_memory[0][0], 1 << 45)
    torch.cuda.synchronize()


def same_geometry() -> None:
    """Three kernels, of which each has the same grid and block."""
    for kernel, _ in itertools.product((scale, Scale, add), range(4)):
        call(kernel)


PARTS: dict[str, Callable[[], None]] = {
    "ranges": ranges,
    "ranges_of_triton": ranges_of_triton,
    "application": application,
    "graph": graph,
    "processes": processes,
    "one_scale": lambda: call(scale),
    "one_add": lambda: call(add),
    "devices": devices,
    "configurations": configurations,
    "few_kernels": few_kernels,
    "nvtx_ranges": nvtx_ranges,
    "fault": fault,
    "same_geometry": same_geometry,
}

OPTIONS: dict[str, list[str]] = {
    "ranges": ["--replay-mode", "range", "--metrics", f"{TIME},{BYTES},{CYCLES}"],
    "ranges_of_triton": ["--replay-mode", "range", "--metrics", f"{TIME},{BYTES},{CYCLES}"],
    "application": ["--replay-mode", "application", "--metrics", f"{TIME},{BYTES},{STALL},{WARPS}"],
    "graph": ["--graph-profiling", "graph", "--profile-from-start", "off", "--metrics", f"{TIME},{BYTES},{CYCLES}"],
    "processes": ["--target-processes", "all", "--metrics", f"{TIME},{BYTES}"],
    "devices": ["--metrics", f"{TIME},{BYTES}"],
    "configurations": ["--metrics", f"{TIME},{BYTES}"],
    "few_kernels": ["--metrics", f"{TIME},{BYTES}"],
    "nvtx_ranges": ["--nvtx", "--metrics", f"{TIME},{STALL}"],
    "fault": ["--nvtx", "--metrics", f"{TIME},{BYTES}"],
    "same_geometry": [
        *("--kernel-name-base", "function", "--kernel-name", "regex:^(scale|Scale|add)$"),
        *("--filter-mode", "per-launch-config", "--launch-count", "2", "--metrics", TIME),
    ],
}
"""Report -> ncu's options. ``same_geometry`` shows whether ncu counts launches of different kernels together."""


# --- making them ------------------------------------------------------------------------------------------------------


def command(name: str, report: str) -> list[str]:
    application = [sys.executable, str(Path(__file__).resolve()), "--part", name]
    always = ["--config-file", "off", "--clock-control", "none", "--import-source", "no", "--force-overwrite"]
    return ["ncu", *always, *OPTIONS[name], "--export", report, *application]


def make(folder: Path, name: str) -> str:
    """Makes a report, and says what became of it."""
    if name == "devices" and torch.cuda.device_count() < 2:
        return "left out: there is one GPU"
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / f"{name}.ncu-rep"
        done = subprocess.run(
            command(name, str(report)),
            env={
                **os.environ,
                "TMPDIR": temporary,
                "TRITON_CACHE_DIR": str(Path(tempfile.gettempdir()) / "elsewhere-triton"),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said = done.stdout + done.stderr
        (folder / f"{name}.log").write_text(said)
        result = packed(report, folder / f"{name}.ncu-repz") if report.is_file() else "NO REPORT"
    return f"{result}; ncu ended with {done.returncode}, {said.count('==PROF== Profiling')} profiled"


def packed(report: Path, target: Path) -> str:
    import zstandard

    content = report.read_bytes()
    target.write_bytes(zstandard.ZstdCompressor(level=19).compress(content))
    size = target.stat().st_size
    return f"{size} bytes, {len(content)} unpacked" + (" TOO LARGE" if size > LARGEST else "")


def main(words: list[str]) -> None:
    match words:
        case ["--part", name]:
            PARTS[name]()
            torch.cuda.synchronize()
        case ["--commands"]:
            for name in OPTIONS:
                print(shlex.join(command(name, f"{name}.ncu-rep")))
        case [folder, *names]:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for name in names or OPTIONS:
                print(f"{name}: {make(Path(folder).resolve(), name)}", flush=True)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
