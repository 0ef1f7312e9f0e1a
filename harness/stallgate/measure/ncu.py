"""Nsight Compute's command line and what its output means."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from stallgate.errors import NoProfiler
from stallgate.model import FrozenStruct

CLOCK_CONTROL = "none"
"""Clocks are not locked: the time decides, and production does not run at a locked base clock."""

CACHE_CONTROL = "all"
"""Caches are flushed before each pass, so that passes and samples start alike."""

PERMISSION_PAGE = "https://developer.nvidia.com/ERR_NVGPUCTRPERM"


class Invocation(FrozenStruct, frozen=True):
    """Settings of an ncu process to start."""

    report: Path
    metrics: list[str]
    """ncu metric names; unused where ``detail`` is set."""
    detail: bool
    """The whole section set with source counters and the sources themselves."""
    application: list[str]


def find_ncu() -> Path:
    """The ncu on PATH.

    Raises:
        NoProfiler: there is none.
    """
    found = shutil.which("ncu")
    if found is None:
        raise NoProfiler(
            "Nsight Compute (ncu) is not on PATH",
            "install it with the CUDA toolkit or from https://developer.nvidia.com/nsight-compute and add it to PATH",
        )
    return Path(found)


def version(ncu: Path) -> str:
    """The version of an ncu.

    Raises:
        NoProfiler: it does not start.
    """
    try:
        answer = subprocess.run(
            [ncu, "--version"], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoProfiler(f"{ncu} does not start: {error}", "run `ncu --version` yourself") from None
    found = re.search(r"Version ([0-9.]+)", answer.stdout)
    if found is None:
        raise NoProfiler(f"{ncu} does not say its version", "run `ncu --version` yourself; reinstall Nsight Compute")
    return found[1]


def command(ncu: Path, invocation: Invocation) -> list[str]:
    """The whole command line of an ncu process.

    Profiling is off until the child switches it on around a sample, so compilation, checks and warm-up stay
    outside; a stray ``config.ncu-cfg`` in the working directory is not obeyed.
    """
    collect = (
        ["--set", "full", "--import-source", "yes"]
        if invocation.detail
        else ["--metrics", ",".join(invocation.metrics)]
    )
    return [
        str(ncu),
        *("--config-file", "off"),
        *("--clock-control", CLOCK_CONTROL),
        *("--cache-control", CACHE_CONTROL),
        *("--profile-from-start", "off"),
        "--nvtx",
        *("--target-processes", "all"),
        *collect,
        "--force-overwrite",
        *("--export", str(invocation.report)),
        *invocation.application,
    ]


class AroundProgram(FrozenStruct, frozen=True):
    """Settings of an ncu process around a program that knows nothing of stallgate."""

    report: Path
    log: Path
    """Takes what ncu says, so that the program's output stays its own."""
    metrics: list[str]
    cache_control: str
    program: list[str]
    kernels: list[str] = []
    """The functions to profile, without namespace and template arguments; empty: all."""
    launches: int = 0
    """The first launches to profile of each function and geometry; 0: all."""


def command_around(ncu: Path, around: AroundProgram) -> list[str]:
    """The whole command line of an ncu process around a program.

    Launches are counted for each geometry (``per-launch-config``); not every ncu may tell functions apart.
    """
    return [
        str(ncu),
        *("--config-file", "off"),
        *("--clock-control", CLOCK_CONTROL),
        *("--cache-control", around.cache_control),
        "--nvtx",
        *("--target-processes", "all"),
        *("--replay-mode", "kernel"),
        *(["--kernel-name-base", "function", "--kernel-name", pattern_of(around.kernels)] if around.kernels else []),
        *(["--filter-mode", "per-launch-config", "--launch-count", str(around.launches)] if around.launches else []),
        *("--metrics", ",".join(around.metrics)),
        "--force-overwrite",
        *("--export", str(around.report)),
        *("--log-file", str(around.log)),
        *around.program,
    ]


def pattern_of(kernels: list[str]) -> str:
    """A value of ``--kernel-name`` that stands for these functions and no others."""
    return f"regex:^({'|'.join(map(_literally, kernels))})$"


def _literally(name: str) -> str:
    """A name as a regular expression in which no character has a meaning of its own."""
    return re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", name)


def written_report(path: Path) -> Path | None:
    """The report that ncu wrote, where it may have made the suffix its own; None if there is none."""
    found = (path, path.with_suffix(".ncu-repz"), path.with_name(f"{path.name}.ncu-repz"))
    return next((each for each in found if each.is_file()), None)


_PROGRAM_FAILED = re.compile(r"The application returned an error code \((-?[0-9]+)\)")


def program_status(log: str, exit_status: int | None) -> int | None:
    """The exit status of the program that ncu ran; ncu's own where ncu does not tell it, None where it was ended.

    Args:
        log: ncu's output.
        exit_status: ncu's; None where it was ended from outside.
    """
    found = _PROGRAM_FAILED.search(log)
    return int(found[1]) if found is not None and exit_status is not None else exit_status


def example_command(metrics: list[str]) -> list[str]:
    """The command line of a profile's first ncu process, with words in capitals for what is not known yet."""
    run = Path("RUN/ncu")
    application = ["PYTHON", "CHILD", str(run / "1.plan.json")]
    return command(
        Path("ncu"),
        Invocation(report=run / "1.ncu-rep", metrics=metrics, detail=False, application=application),
    )


class Complaints(FrozenStruct, frozen=True):
    """What an ncu process complained of."""

    errors: list[str]
    """Its error lines, and sentences for signs that it does not call errors."""
    counters_blocked: bool
    """The driver denies hardware counters to this user."""


NO_KERNEL = "ncu profiled no kernel"

_SIGNS = {
    "No kernels were profiled": NO_KERNEL,
    "Failed to initialize the profiler": "the profiler could not be initialised",
}


def complaints(log: str) -> Complaints:
    """Reads an ncu process's output, which names faults that its exit status hides."""
    errors = _errors(log)
    said = "\n".join(errors)
    errors += [sentence for sign, sentence in _SIGNS.items() if sign in log and sign not in said]
    return Complaints(
        errors=errors,
        counters_blocked="ERR_NVGPUCTRPERM" in log,
    )


_OWN_LINE = re.compile(r"(?:.*%)?\s*==(?P<kind>[A-Za-z]+)==(?P<text>.*)$")
"""A line of ncu's own; it may stand behind the progress of a kernel, which has no line end."""

_ANNOUNCEMENT = re.compile(r"(?:.*:|an error was reported by the driver|failed to prepare kernel for profiling)", re.I)
"""An error that only announces the one that says what went wrong."""

_CONTINUATION = re.compile(r"[a-z]")
"""How the second line of a sentence begins; the program's own output stands between ncu's lines as well."""

_ENDED = (".", "!", "?", ")", '"', "'", ":")

_FURTHEST = 5
"""Most lines between an announcement and its error."""


def _errors(log: str) -> list[str]:
    """ncu's errors, each with what belongs to it; of errors that repeat each other at once, the first."""
    lines = log.splitlines()
    found: list[str] = []
    at = 0
    while at < len(lines):
        if _error_in(lines[at]) is None:
            at += 1
            continue
        at, text = _whole_error(lines, at)
        if text and text not in found[-1:]:
            found.append(text)
    return found


def _whole_error(lines: list[str], at: int) -> tuple[int, str]:
    """The line after an error, and the error that begins at a line, with all that belongs to it."""
    parts: list[str] = []
    while True:
        text = _error_in(lines[at]) or ""
        at += 1
        while at < len(lines) and text and not text.endswith(_ENDED) and _CONTINUATION.match(lines[at]):
            text, at = f"{text} {lines[at].strip()}", at + 1
        parts.append(text)
        following = _announced_by(text, lines, at)
        if following is None:
            return at, ": ".join(parts)
        parts[-1], at = text.removesuffix(":"), following
        if _error_in(lines[at]) is None:
            return at + 1, ": ".join([*parts, lines[at].strip()])


def _announced_by(text: str, lines: list[str], at: int) -> int | None:
    """The line that says what an announcement announces: ncu's next error, else what stands right behind a colon."""
    if not _ANNOUNCEMENT.fullmatch(text):
        return None
    near = [number for number in range(at, min(at + _FURTHEST, len(lines))) if lines[number].strip()]
    own = next((number for number in near if _OWN_LINE.match(lines[number])), None)
    if own is not None and _error_in(lines[own]) is not None:
        return own
    return near[0] if text.endswith(":") and near and near[0] != own else None


def _error_in(line: str) -> str | None:
    """The text of an error line; None for another line."""
    found = _OWN_LINE.match(line)
    return found["text"].strip() if found is not None and found["kind"].upper() == "ERROR" else None
