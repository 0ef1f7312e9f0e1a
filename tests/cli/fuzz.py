"""The command line with files, arguments and an environment as nobody writes them: an answer, never a bug's status.

``python -m tests.cli.fuzz [COUNT] [FIRST]`` tries COUNT examples (500 by default) and shows each kind of failure once;
then it ends with status 1. FIRST seeds them.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import stat
import string
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from stallgate.cli.output import JSON_VERSION
from stallgate.cli.schema import json_schema
from tests.conftest import command_line, copy_tree, with_fakes
from tests.json_schema import violations

PATIENCE_S = 60.0

# --- values, as TOML and JSON have them -------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *(
            "",
            ".",
            "..",
            "../../victim",
            "/tmp/victim",
            "a/b",
            "a\0b",
            "n" * 300,
            "nan",
            "é",
            "🔥",
            " ",
            "a.",
            "-x",
            "[a]",
        ),
        *("cumprod", "blocked_scan", "copy_roof", "square", "default", "duration", "dram_throughput", "memory_access"),
        *("\x1b[2J", "{{ 7 * 7 }}", "%s", "<script>", "*", "aux", "a\nb", "latest", "recorded"),
    ]
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400]),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]),
)
LEAVES = st.one_of(NAMES, NUMBERS, st.booleans(), st.just(date(2030, 2, 28)), st.text(max_size=20))
FORMULAS = st.sampled_from(
    ["(" * 5000, "+".join("a" * 3000), "9" * 400, "a / 0", "a..b", "- " * 900 + "1", "1e999", "a__b.ratio + a__b.ratio"]
)
VALUES = st.one_of(
    LEAVES,
    FORMULAS,
    st.sampled_from([9, 400, 3000]).map(lambda depth: f"@nested {depth}@"),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)),
)


def _with_nesting(text: str) -> str:
    """A file's text with arrays within arrays where they are to be; Python itself can neither copy nor print them."""
    return re.sub(r'"@nested (\d+)@"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a parsed file."""
    found = [path] if path else []
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:200]:
        found += places(part, (*path, key))
    return found


class Change(NamedTuple):
    """A change to a parsed file: at the place of so many, its value, its key or both."""

    place: int
    how: str
    value: Any
    name: str


CHANGES = st.builds(
    Change,
    place=st.integers(0, 10**6),
    how=st.sampled_from(["set", "set", "alike", "alike", "alike", "delete", "rename", "add", "repeat"]),
    value=VALUES,
    name=NAMES,
)


def changed(tables: Any, change: Change) -> Any:
    """The parsed file with the change."""
    every = places(tables)
    if not every:
        return change.value
    *above, key = every[change.place % len(every)]
    holder = tables
    for step in above:
        holder = holder[step]
    match change.how:
        case "set":
            holder[key] = change.value
        case "alike":
            holder[key] = _alike(holder[key], change)
        case "delete":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[change.name] = holder.pop(key)
        case "repeat" if isinstance(holder, list):
            holder.append(holder[key])
        case _ if isinstance(holder, dict):
            holder[change.name] = change.value
    return tables


def _alike(value: Any, change: Change) -> Any:
    """Another value of the same type, which gets further."""
    match value:
        case bool():
            return not value
        case int():
            return [0, -1, 1, 2**31, 2**63 - 1, -(2**63)][change.place % 6]
        case float():
            return [0.0, -1.0, 1e-300, 1e300, 1e308][change.place % 5]
        case str():
            return change.name
        case list():
            return value[::-1] + value
        case _:
            return {}


def as_toml(value: Any) -> str:
    """A value as TOML, tables inline; what TOML cannot hold is written as it would have to be."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 10**300 else hex(abs(value))
        case float():
            return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))
        case date():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(as_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {as_toml(part)}" for key, part in value.items()) + "}"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _written_anew(path: Path, change: Change) -> str:
    """The text of a file with a change."""
    if path.suffix == ".json":
        return json.dumps(changed(json.loads(path.read_text()), change), default=str)
    tables = changed(tomllib.loads(path.read_text()), change)
    lines = tables.items() if isinstance(tables, dict) else ()
    return "".join(f"{_quoted(key)} = {as_toml(value)}\n" for key, value in lines)


# --- files ------------------------------------------------------------------------------------------------------------


class Bytes(NamedTuple):
    """A change to a file's bytes."""

    at: float
    how: str
    piece: bytes


BYTES = st.builds(
    Bytes,
    at=st.floats(0, 1),
    how=st.sampled_from(["insert", "replace", "cut"]),
    piece=st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from(
            [b"\0", b"\xff", b"\xef\xbb\xbf", b"[" * 3000, b'"', b"\n", b"a." * 3000, b"\r\n", b"{" * 3000]
        ),
    ),
)

KINDS = st.sampled_from(["folder", "pipe", "circle", "nowhere", "zero", "empty", "large", "gone", "another"])


def in_place_of(path: Path, kind: str) -> None:
    """Puts something else in the place of a file."""
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "circle":
            path.symlink_to(path.name)
        case "nowhere":
            path.symlink_to("/dev/null/nowhere/at/all")
        case "zero":
            path.symlink_to("/dev/zero")
        case "empty":
            path.write_bytes(b"")
        case "large":
            with path.open("wb") as file:
                file.truncate(3 << 30)
        case "another":
            path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(range(256)))


def spoiled(content: bytes, change: Bytes) -> bytes:
    at = int(change.at * len(content))
    if change.how == "cut":
        return content[:at]
    return content[:at] + change.piece + content[at + (len(change.piece) if change.how == "replace" else 0) :]


TOMLS = ("kernels/cumprod/problem.toml", "metrics/catalogue.toml", "metrics/stages/memory_access.toml")
MORE_TOMLS = ("metrics/stages/advanced_memory.toml", "metrics/gpus/h100_sxm.toml")
JSONS = ("reports/run/run.json", "reports/run/verdicts.json", "reports/bench/bench.json", "reports/live/run.json")
MORE_JSONS = ("reports/recorded/h100_sxm/cumprod/run.json", "metrics/baselines/h100_sxm/cumprod.json")
OTHERS = ("reports/run/metrics.csv", "reports/run/summary.md", "reports/run/ncu/1.ncu-repz", "reports/latest")
SOURCES = ("kernels/cumprod/blocked_scan.py", "kernels/cumprod/reference.py", "reports/run/junit.xml")

FILES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys((*TOMLS, *MORE_TOMLS, *JSONS, *MORE_JSONS), st.one_of(CHANGES, CHANGES, CHANGES, BYTES, KINDS)),
    **dict.fromkeys(OTHERS[:3] + SOURCES, BYTES | KINDS),
    OTHERS[3]: KINDS,
}
DAMAGE = st.sampled_from(sorted(FILES)).flatmap(lambda name: st.tuples(st.just(name), FILES[name]))

# --- arguments and environment ----------------------------------------------------------------------------------------

WORDS = NAMES.filter(lambda word: "\0" not in word) | st.sampled_from(["\udcff", "run", "live", "bench", "0", "1e9"])
RUNS = st.sampled_from(
    ["run", "latest", "live", "bench", "recorded", "reports/run", "reports/recorded/h100_sxm/cumprod"]
)
PLAN = st.one_of(
    st.tuples(st.just("-w"), WORDS),
    st.tuples(st.just("-c"), WORDS),
    st.tuples(WORDS),
    st.just(("cumprod/blocked_scan",)),
)
CHIP = st.tuples(st.just("--chip"), st.sampled_from(["GH100", "AD102", "gh100", ""]))


def command(name: str, *options: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, ...]]:
    """A command with up to three of some options, each of one word or more."""
    chosen = st.lists(st.one_of(*options), max_size=3) if options else st.just([])
    return chosen.map(lambda found: (name, *(word for option in found for word in option)))


FLAGS = st.sampled_from(
    [("--json",), ("--json",), ("--help",), ("--all",), ("--record",), ("--live",), ("--", "--json")]
)
NUMBER = st.tuples(st.sampled_from(["--samples", "--timeout", "--device", "--rounds", "--zeros", "--port"]), WORDS)
COMMANDS = st.one_of(
    command("plan", PLAN, CHIP, FLAGS),
    command("metrics", CHIP, FLAGS),
    command("gate", RUNS.map(lambda run: (run,)), st.tuples(st.just("--stage"), WORDS), FLAGS),
    command("gate", st.tuples(WORDS), FLAGS),
    st.just(("gate", "run", "--json")),
    command("report", RUNS.map(lambda run: (run,)), FLAGS),
    st.just(("report", "run", "--json")),
    command("compare", RUNS.map(lambda run: (run,)), st.tuples(WORDS), st.just(("--report",)), FLAGS),
    st.just(("compare", "run", "live", "--json", "--report")),
    command("baseline", RUNS.map(lambda run: (run,)), FLAGS),
    command("bench", st.tuples(st.just("--show"), WORDS), NUMBER, FLAGS),
    st.just(("bench", "--show", "--json")),
    command("import", st.sampled_from([("reports/run/ncu/1.ncu-repz",), ("run",), ("x.ncu-rep",)]), FLAGS),
    command("capture", st.just(("--kernel", "(")), NUMBER, st.just(("true",)), FLAGS),
    command("profile", PLAN, NUMBER, st.tuples(st.just("--metrics"), WORDS), FLAGS),
    command("show", st.sampled_from([("runs",), ("problems",), ("stages",), ("run",)]), st.tuples(WORDS), FLAGS),
    st.sampled_from([("--json", "show", what) for what in ("runs", "problems", "stages", "run")]),
    command("schema", st.tuples(WORDS), FLAGS),
    command("bundle", st.just(("cumprod/scan",)), st.tuples(WORDS), st.tuples(st.just("-o"), WORDS), FLAGS),
    st.just(("profile", "--json", "-w", "page")),
    st.just(("profile", "--resume", "live", "--json")),
    st.just(("profile", "--resume", "live", "--record")),
)
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "COLUMNS": st.sampled_from(["0", "-1", "²", "1", "9" * 30, "9" * 5000, "x", "", "1e3", "٣"]),
        "LINES": st.sampled_from(["0", "²", "9" * 5000]),
        "TERM": st.sampled_from(["dumb", "", "x\udcff"]),
        "LC_ALL": st.sampled_from(["C", "POSIX", "nonsense", "en_US.ISO-8859-1"]),
        "PYTHONIOENCODING": st.sampled_from(["ascii", "latin-1", "utf-8"]),
        "FORCE_COLOR": st.just("1"),
        "TTY_COMPATIBLE": st.just("1"),
        "MPLBACKEND": st.sampled_from(["nonsense", "Qt5Agg", ""]),
        "MATPLOTLIBRC": st.sampled_from(["/dev/null/nowhere", "/dev/null"]),
        "TMPDIR": st.sampled_from(["/dev/null/nowhere", "\udcff"]),
        "HOME": st.sampled_from(["/dev/null/nowhere", "\udcff", ""]),
        "GITHUB_ACTIONS": st.just("true"),
        "GITHUB_WORKSPACE": st.sampled_from(["", "/dev/null/nowhere", "\udcff", "a" * 5000]),
        "GITHUB_STEP_SUMMARY": st.sampled_from(["/dev/null/nowhere/x", "/dev/full", "\udcff"]),
        "STALLGATE_COMMIT": st.sampled_from(["+", "\udcff", "x" * 5000, "a\nb"]),
        "CUDA_VISIBLE_DEVICES": st.sampled_from(["", "-1", "9", "\udcff", ","]),
        "PATH": st.sampled_from(["", "/dev/null/nowhere", "\udcff"]),
        "FAKE_GPU_NAME": st.sampled_from(["../../victim", "/", "..", "", "é", "a" * 300]),
        "FAKE_GPUS": st.sampled_from(["0", "2"]),
    },
)


class Example(NamedTuple):
    """What one run of the command line is given."""

    damage: list[tuple[str, Any]]
    arguments: tuple[str, ...]
    variables: dict[str, str]
    fakes: bool
    """Whether the machine has the fakes' GPU and ncu."""


EXAMPLES = st.builds(
    Example,
    damage=st.lists(DAMAGE, max_size=2),
    arguments=COMMANDS,
    variables=st.one_of(st.just({}), st.just({}), VARIABLES),
    fakes=st.booleans(),
)

# --- a project to try it in -------------------------------------------------------------------------------------------


class Fuzz:
    """A project with a run, a live run, a bench, a recording and a baseline; put right again after every example."""

    def __init__(self, folder: Path) -> None:
        self.tree = copy_tree(folder / "project")
        self.outside = folder / "victim"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self._plain = command_line(self.tree)
        recording = next((self.tree / "reports/recorded").glob("*/cumprod"))
        self._played = shutil.copytree(recording, folder / "played")
        self._fakes = with_fakes(self._plain, self._played, folder / "bin")
        self._make(recording)
        self._kept = folder / "kept"
        shutil.copytree(self.tree, self._kept, symlinks=True)

    def _make(self, recording: Path) -> None:
        """Makes what the commands are tried on, by the command line."""
        for done in (
            self._plain("profile", "cumprod/blocked_scan", "-w", "page"),
            self._fakes("profile", "cumprod/blocked_scan", "-w", "page", FAKE_GPU_UUID="one"),
        ):
            assert done.returncode == 0, done.stderr
        replayed, live = sorted(path for path in (self.tree / "reports").iterdir() if path.name[0].isdigit())
        replayed.rename(self.tree / "reports/run")
        live.rename(self.tree / "reports/live")
        assert self._plain("gate", "run").returncode in (0, 3)
        (self.tree / "reports/latest").unlink()
        (self.tree / "reports/latest").symlink_to("run")
        (self.tree / "reports/bench").mkdir()
        (self.tree / "reports/bench/bench.json").write_bytes(msgspec.json.encode(BENCH))
        baseline = self.tree / "metrics/baselines/h100_sxm/cumprod.json"
        baseline.parent.mkdir(parents=True)
        baseline.write_bytes(msgspec.json.encode(BASELINE))

    def trial(self, example: Example) -> int:
        """Runs an example; its status.

        Raises:
            AssertionError: the answer is not one that a user may get.
        """
        try:
            for name, damage in example.damage:
                self._spoil(self.tree / name, damage)
            return self._run(example)
        finally:
            self._restore()

    def _spoil(self, path: Path, damage: Any) -> None:
        if isinstance(damage, str):
            in_place_of(path, damage)
        elif isinstance(damage, Bytes) and path.is_file():
            path.write_bytes(spoiled(path.read_bytes(), damage))
        elif path.is_file():
            with suppress(ValueError, RecursionError):  # it was spoiled before
                path.write_text(_with_nesting(_written_anew(path, damage)))

    def _run(self, example: Example) -> int:
        run = self._fakes if example.fakes else self._plain
        variables = {"FAKE_GPU_UUID": "one", **example.variables} if example.fakes else example.variables
        begin = time.monotonic()
        done = run(*example.arguments, **variables)
        said = done.stdout + done.stderr
        assert done.returncode in (0, 1, 2, 3), said
        assert "Traceback" not in said, said
        assert "Warning" not in done.stderr, said
        assert time.monotonic() - begin < PATIENCE_S, "it took too long"
        assert done.returncode == 0 or done.stderr or done.stdout
        assert sorted(path.name for path in self.outside.iterdir()) == ["kept"], "it wrote outside of the project"
        _check_json(example.arguments, done)
        return done.returncode

    def _restore(self) -> None:
        """The project as it was: what was changed is copied again, what was made is removed."""
        wanted = _listing(self._kept)
        for name, state in reversed(_listing(self.tree).items()):
            if wanted.get(name) != state:
                path = self.tree / name
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in wanted.keys() - _listing(self.tree).keys():
            source, target = self._kept / name, self.tree / name
            if source.is_dir() and not source.is_symlink():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)


def _listing(folder: Path) -> dict[str, tuple[int, ...]]:
    """The files of a folder, each with what changes when it is written; folders before what is in them."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        times = () if stat.S_ISDIR(state.st_mode) else (state.st_size, state.st_mtime_ns)
        found[str(path.relative_to(folder))] = (stat.S_IFMT(state.st_mode), *times)
    return found


def _check_json(arguments: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> None:
    """Under ``--json`` there is one object on standard output."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" not in before or "--help" in before:
        return
    answer = json.loads(done.stdout)
    assert answer["status"] == done.returncode
    assert answer["schema"] == JSON_VERSION
    assert answer["ok"] is (done.returncode == 0)
    if answer["command"] is not None:
        schema = json_schema(answer["command"])
        assert not violations(answer, schema, schema)
    if "error" in answer:
        assert re.fullmatch("[a-z_]+", answer["error"]["code"])
        assert answer["error"]["message"].strip(string.whitespace)


BENCH = {
    "format": 1,
    "name": "bench",
    "created": "2026-01-01T00:00:00Z",
    "stallgate": "0.1.0",
    "commit": None,
    "dirty": False,
    "arguments": ["bench"],
    "rounds": 3,
    "row_budget_s": 4.0,
    "timeout_s": 120.0,
    "clock_control": "none",
    "digests": {"cumprod": {"the reference": "x"}},
    "rows": [
        {
            "problem": "cumprod",
            "workload": {"name": "page", "arguments": {"dim": 1}, "bytes": 8, "flops": 4, "default": True},
            "entries": [
                {"name": name, "role": role, "outcome": "timed", "method": "events", "samples_us": [2.0, 3.0, 4.0]}
                for name, role in (("copy", "copy"), ("copy_roof", "roof"), ("blocked_scan", "candidate"))
            ],
        }
    ],
    "environment": None,
    "complete": True,
}
BASELINE = {
    "format": 1,
    "gpu": "NVIDIA H100 80GB HBM3",
    "clock_control": "none",
    "cache_control": "all",
    "cases": {
        "blocked_scan/default/page": {
            "runs": 3,
            "accepted": "2026-01-01",
            "commit": None,
            "digests": {"the reference": "x"},
            "metrics": {"duration": {"low": 1.0, "median": 2.0, "high": 3.0, "unit": "ns"}},
        }
    },
}


# --- the program ------------------------------------------------------------------------------------------------------


def trials(fuzz: Fuzz, count: int, first: int, tell: Callable[[Example], None]) -> None:
    """Hands so many examples to a function."""

    @seed(first)
    @settings(
        max_examples=count, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=HealthCheck
    )
    @given(EXAMPLES)
    def every(example: Example) -> None:
        tell(example)

    every()


def main(count: int, first: int) -> int:
    failures: dict[str, str] = {}
    statuses: dict[int, int] = {}

    def tell(example: Example) -> None:
        try:
            status = fuzz.trial(example)
            statuses[status] = statuses.get(status, 0) + 1
        except Exception as error:  # noqa: BLE001  (that is what it looks for)
            said = str(error)
            kind = re.sub(r"[0-9]+|'[^']*'", "…", said.split("\n")[0])[:120]
            if kind not in failures:
                print(f"--- {type(error).__name__}: {said[:3000]}\n{str(example)[:1500]}\n", flush=True)
            failures[kind] = said

    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder))
        trials(fuzz, count, first, tell)
    print(f"{statuses}, {len(failures)} kinds of failures")
    return 1 if failures else 0


if __name__ == "__main__":
    given_words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given_words + [500, 1][len(given_words) :])))
