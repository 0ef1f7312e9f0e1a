"""``--resume`` of profile, sweep and loop: whatever an option said at the beginning, it says when it is gone on with.

Nothing is measured: each test takes what would be measured from the command just before it begins.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import pytest
from msgspec.structs import replace

from stallgate.cli import loop as loop_cli
from stallgate.cli import profile as profile_cli
from stallgate.cli import sweep as sweep_cli
from stallgate.cli.group import stallgate as group
from stallgate.cli.resumed import Fates, ResumeOption
from stallgate.measure.attempt import Machine
from stallgate.measure.device import Device
from stallgate.runs.folder import load, save
from stallgate.runs.journal import VersionReading, load_journal, save_journal
from stallgate.runs.sweep import load_sweep, save_sweep
from tests.agent.loop.test_command import DOUBLE, PROBLEM, REFERENCE
from tests.cli.test_failures import said
from tests.conftest import in_this_process

OTHER_WORKLOADS = """
[workloads.line]
arguments = { n = 128 }
bytes = 1024
[workloads.dot]
arguments = { n = 64 }
bytes = 512
[variants.small.configurations.wide]
BLOCK = 256
[variants.small.sweep]
BLOCK = [32, 64, 128]
"""

GPUS = [Device(index, f"GPU-{index}", "NVIDIA H200", "580", "9.0", 141e3, 141e3) for index in range(3)]
OTHER_GPU = replace(GPUS[0], name="NVIDIA H100 PCIe")


class Begun(NamedTuple):
    """A command as it is begun and gone on with."""

    line: str
    """Each option that is kept has another value than its default."""
    others: dict[str, str]
    """Parameter -> its words with a third value."""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)


PROFILE = Begun(
    "double/small -w line -w dot --samples 9 --metrics duration,registers --detail --isolate "
    "--timeout 77 --grace 3 --device 1 --record --report",
    {
        "subjects": "double",
        "workloads": "-w line",
        "samples": "--samples 5",
        "metrics": "--metrics duration",
        "python": "--python /bin/sh",
        "timeout": "--timeout 99",
        "grace": "--grace 4.5",
        "device": "--device 2",
    },
)
SWEEP = Begun(
    "double/small -w line -w dot --stage memory_access --effort full --seconds 60 --seed 5 --counters all "
    "--against registers --devices 1,2 --timeout 77 --grace 3",
    {
        "subject": "double/copy",
        "workloads": "-w dot",
        "stage": "--stage streaming",
        "effort": "--effort quick",
        "seconds": "--seconds 61",
        "seed": "--seed 0",
        "counters": "--counters front",
        "against": "--against stall_barrier",
        "python": "--python /bin/sh",
        "devices": "--devices 0",
        "timeout": "--timeout 99",
        "grace": "--grace 4.5",
    },
)
LOOP = Begun(
    "double/small --command 'sh -c \"exit 3\"' --stage memory_access --rounds 7 --width 2 --patience 4 --seed 5 "
    "--answer-timeout 60 --answer-bytes 2000 --budget 9000 --gpu H100 -w line -w dot --samples 9 "
    "--timeout 77 --grace 3 --device 1",
    {
        "subject": "double/copy",
        "command": "--command 'sh -c \"exit 4\"'",
        "stages": "--stage streaming",
        "rounds": "--rounds 5",
        "width": "--width 1",
        "patience": "--patience 3",
        "seed": "--seed 0",
        "answer_bytes": "--answer-bytes 1000",
        "budget": "--budget 8000",
        "gpu": "--gpu H200",
        "workloads": "-w dot",
        "samples": "--samples 5",
        "rehearse": "--rehearse",
        "python": "--python /bin/sh",
        "answer_timeout": "--answer-timeout 61",
        "timeout": "--timeout 99",
        "grace": "--grace 4.5",
        "device": "--device 2",
    },
)
BEGUN = {"profile": PROFILE, "sweep": SWEEP, "loop": LOOP}

AS_BEGUN = {
    "profile": {"detail", "isolate", "page", "record"},
    "sweep": set[str](),
    "loop": set[str](),
}
"""Flags that were given: there is no word that takes one back."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one problem with three workloads, a space and two configurations."""
    folder = tmp_path / "doubling" / "kernels" / "double"
    folder.mkdir(parents=True)
    (folder / "problem.toml").write_text(PROBLEM + OTHER_WORKLOADS)
    (folder / "reference.py").write_text(REFERENCE)
    (folder / "small.py").write_text(DOUBLE)
    return tmp_path / "doubling"


class Commands:
    """The three commands on a machine with GPUs, up to the moment in which they would measure."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.gpus = GPUS
        self.measured: list[Any] = []
        """What each command would have measured."""
        for module in (loop_cli, profile_cli, sweep_cli):
            patch.setattr(module, "find_devices", lambda: self.gpus)
        for module in (loop_cli, profile_cli):
            patch.setattr(module, "find_ncu", lambda: Path("ncu"))
            patch.setattr(module, "machine_of", self._machine)
        patch.setattr(profile_cli, "_measure", self._profile)
        patch.setattr(profile_cli, "_finished", lambda *_: 0)
        patch.setattr(sweep_cli, "_measure", self._sweep)
        patch.setattr(sweep_cli, "_concluded", lambda *_: 0)
        patch.setattr(loop_cli, "Looper", self._looper)
        patch.setattr(loop_cli, "_loop_concluded", lambda *_: 0)

    def _machine(self, project: Any, device: Device, executable: Path) -> Machine:
        return Machine(device=device, ncu=executable, ncu_version="2026.2", chip="GH100")

    def _profile(self, project: Any, folder: Path, run: Any, machine: Machine, arguments: Any) -> None:
        save(folder, replace(run, name=folder.name))
        shown = (arguments.page, arguments.record, arguments.metrics, arguments.isolate, arguments.samples)
        self.measured.append((run.options, run.settings, run.selection, [r.case for r in run.cases], machine, shown))

    def _sweep(self, project: Any, planned: Any, site: Any) -> None:
        (one,) = planned
        assert one.request.against == load_sweep(one.folder).against
        self.measured.append((one.request, set(one.machines)))

    def _looper(self, folder: Path, journal: Any, workshop: Any, answerer: Any, lines: Any) -> Any:
        measurer = workshop._measurer
        limits = (answerer._command, answerer._timeout_s, answerer._most_bytes, journal.limits, journal.stages)
        options = (measurer._options, measurer._workloads, measurer._machine) if measurer is not None else ()
        self.measured.append((workshop._options, limits, options))
        return SimpleNamespace(run=lambda: None)

    def __call__(self, *words: str) -> Any:
        return in_this_process(self.root)(*words)

    def begun(self, name: str, *more: str) -> Path:
        """Begins a command; the folder."""
        done = self(name, *BEGUN[name].words, *more)
        assert done.returncode == 0, done.stderr
        return self.folder

    @property
    def folder(self) -> Path:
        (found,) = [path for path in (self.root / "reports").iterdir() if not path.is_symlink()]
        return found


@pytest.fixture
def commands(project: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(project, monkeypatch)


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def fates_of(name: str) -> Fates:
    (option,) = [each for each in command(name).params if isinstance(each, ResumeOption)]
    return option.fates


def names(name: str, *fates: str) -> set[str]:
    return {option for option, fate in fates_of(name).items() if fate in fates}


def test_every_command_that_resumes_says_what_becomes_of_every_option() -> None:
    resuming = [
        name
        for name in group.list_commands(click.Context(group))
        if any(each.name == "resume" for each in command(name).params)
    ]
    assert resuming == sorted(BEGUN, key=resuming.index)
    for name in resuming:
        assert set(fates_of(name)) == {each.name for each in command(name).params}


@pytest.mark.parametrize("name", BEGUN)
def test_the_tests_begin_with_every_option_that_is_kept(name: str) -> None:
    """Each with another value than its default: what is forgotten would not be seen otherwise."""
    context = command(name).make_context(name, BEGUN[name].words)
    usual = command(name).make_context(name, [], resilient_parsing=True)
    given = {option for option, value in context.params.items() if value != usual.params[option]}
    assert names(name, "kept", "anew") - given <= {"python", "rehearse"}
    assert names(name, "kept", "anew") - set(BEGUN[name].others) == AS_BEGUN[name]


@pytest.mark.parametrize("name", BEGUN)
def test_what_is_gone_on_with_is_measured_as_it_was_begun(commands: Commands, name: str) -> None:
    folder = commands.begun(name)
    for words in ((), (folder.name,)):
        done = commands(name, "--resume", *words)
        assert done.returncode == 0, done.stderr
    renamed = folder.rename(folder.with_name("renamed"))
    assert commands(name, "--resume", renamed.name).returncode == 0
    first, *others = commands.measured
    assert others == [first] * 3


@pytest.mark.parametrize("name", BEGUN)
def test_what_was_said_may_be_said_again(commands: Commands, name: str) -> None:
    commands.begun(name)
    done = commands(name, *BEGUN[name].words, "--python", sys.executable, "--resume")
    assert done.returncode == 0, done.stderr
    first, again = commands.measured
    assert again == first


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in BEGUN for option in sorted(BEGUN[name].others)]
)
def test_another_value_is_refused_or_taken_and_kept(commands: Commands, name: str, option: str) -> None:
    folder = commands.begun(name)
    before = kept_files(folder)
    words = shlex.split(BEGUN[name].others[option])
    done = commands(name, "--resume", *words) if words[0].startswith("-") else commands(name, *words, "--resume")
    if fates_of(name)[option] == "kept":
        assert done.returncode == 2
        said(done, f"{folder.name} was begun with", "leave it out")
        if option != "rehearse":
            said(done, f"not {shlex.join(shlex.split(words[-1]))}")
        assert kept_files(folder) == before
        assert len(commands.measured) == 1
        return
    assert done.returncode == 0, done.stderr
    assert commands(name, "--resume").returncode == 0
    first, changed, again = commands.measured
    assert changed != first
    assert again == changed


def kept_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def test_what_was_not_said_is_another_value_too(commands: Commands) -> None:
    """Without --seconds there is no time frame; a flag that was not given is off."""
    for name, words, message in (
        ("profile", ("--isolate",), "was begun without --isolate"),
        ("sweep", ("--seconds", "60"), "was begun without --seconds"),
        ("sweep", ("--seed", "1"), "was begun with --seed 0, not 1"),
        ("loop", ("--budget", "9000"), "was begun without --budget"),
    ):
        begun = ("--command", "true") if name == "loop" else ()
        assert commands(name, "double/small", *begun).returncode == 0
        done = commands(name, "--resume", *words)
        assert done.returncode == 2
        said(done, message)


def test_what_is_only_of_something_new_is_refused(commands: Commands) -> None:
    folder = commands.begun("profile")
    done = commands("profile", "--resume", "-c", "wide")
    assert done.returncode == 2
    said(done, f"{folder.name} was begun before, and --configuration is only for something new")


@pytest.mark.parametrize("name", BEGUN)
def test_the_help_names_what_may_be_given_anew_and_what_is_forgotten(name: str) -> None:
    shown = command(name).get_help(click.Context(command(name), terminal_width=1000, max_content_width=1000))
    shown = " ".join(shown.split())
    told, _, rest = shown.partition("may be given anew. Not kept: ")
    anew = told.rpartition("begun with; ")[2]
    forgotten = rest.partition(".")[0]
    words = {each.name: max(each.opts, key=len) for each in command(name).params}
    assert {words[option] for option in names(name, "anew")} == set(anew.strip().replace(" and ", ", ").split(", "))
    assert {words[option] for option in names(name, "again")} == set(forgotten.replace(" and ", ", ").split(", "))


# --- written by an older stallgate ------------------------------------------------------------------------------------


def without(file: str, *keys: str) -> Callable[[Path], None]:
    """Takes what an older stallgate did not write out of a file."""

    def change(folder: Path) -> None:
        known = json.loads((folder / file).read_bytes())
        for key in keys:
            del known[key]
        (folder / file).write_text(json.dumps(known))

    return change


OLDER = {"sweep": without("sweep.json", "options"), "loop": without("journal.json", "options")}


@pytest.mark.parametrize("name", OLDER)
def test_what_an_older_stallgate_began_is_measured_by_its_arguments(commands: Commands, name: str) -> None:
    OLDER[name](commands.begun(name))
    assert commands(name, "--resume").returncode == 0
    assert commands(name, "--resume").returncode == 0
    first, older, newer = commands.measured
    assert first == older == newer
    OLDER[name](commands.folder)
    words = shlex.split(BEGUN[name].others["workloads"])
    assert commands(name, "--resume", *words).returncode == 2


@pytest.mark.parametrize("name", OLDER)
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["pytest", "--samples", "3"],
        ["sweep", "loop", "--timeout", "nonsense", "--samples", "9" * 5000, "--counters", "none"],
        ["loop", "sweep", "--no-such-option", "--timeout"],
        ["--json", "sweep", "loop", "--help"],
    ],
    ids=["none", "pytest", "nonsense", "unknown", "help"],
)
def test_arguments_that_say_nothing_of_use_are_the_defaults(commands: Commands, name: str, words: list[str]) -> None:
    more = ("--command", "true") if name == "loop" else ()
    assert commands(name, "double/small", *more).returncode == 0
    folder = commands.folder
    OLDER[name](folder)
    file = next(path for path in folder.glob("*.json") if path.name in ("sweep.json", "journal.json"))
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"arguments": words}))
    done = commands(name, "--resume")
    assert done.returncode == 0, done.stderr
    first, again = (as_planned(each) for each in commands.measured)
    assert again == first


def as_planned(measured: Any) -> Any:
    """What would be measured; of a sweep without what its trials say: of which workloads and stage it is."""
    return (replace(measured[0], workloads=[], stage=None), measured[1]) if len(measured) == 2 else measured


# --- time limits ------------------------------------------------------------------------------------------------------


def test_a_longer_limit_measures_again_what_ran_out_of_time(commands: Commands) -> None:
    folder = commands.begun("profile")
    run = load(folder)
    ended = ["timed_out", "crashed", *["profiled"] * len(run.cases)]
    cases = [replace(each, outcome=outcome) for each, outcome in zip(run.cases, ended, strict=False)]
    changed = profile_cli.with_options(replace(run, cases=cases), replace(run.options, timeout_s=99.0))
    assert [each.outcome for each in changed.cases] == ["planned", *(each.outcome for each in cases[1:])]
    assert (changed.options.timeout_s, changed.settings.timeout_s) == (99.0, 99.0)
    shorter = profile_cli.with_options(replace(run, cases=cases), replace(run.options, timeout_s=7.0))
    assert shorter.cases == cases


@pytest.mark.parametrize(("timeout", "state", "complete"), [("99", "planned", False), ("7", "timed_out", True)])
def test_a_longer_limit_times_trials_again_that_ran_out_of_it(
    commands: Commands, timeout: str, state: str, complete: bool
) -> None:
    folder = commands.begun("sweep")
    begun = load_sweep(folder)
    first, *others = begun.trials
    late = replace(first, state="timed_out", reason="it did not finish within 77 s", samples_us=[1.0])
    done = [replace(each, state="timed", samples_us=[1.0]) for each in others]
    save_sweep(folder, replace(begun, trials=[late, *done], complete=True))
    assert commands("sweep", "--resume").returncode == 0
    assert load_sweep(folder).trials == [late, *done]
    assert commands("sweep", "--resume", "--timeout", timeout).returncode == 0
    found = load_sweep(folder)
    assert (found.trials[0].state, found.complete) == (state, complete)
    assert found.trials[1:] == done


# --- other GPUs -------------------------------------------------------------------------------------------------------


def test_a_loop_is_not_gone_on_with_on_another_model(commands: Commands) -> None:
    folder = commands.begun("loop")
    journal = load_journal(folder)
    reading = VersionReading("runs/start", GPUS[0].name, {}, {}, [], [])
    (start,) = journal.versions
    save_journal(folder, replace(journal, versions=[replace(start, reading=reading)]))
    commands.gpus = [GPUS[0], replace(OTHER_GPU, index=1)]
    done = commands("loop", "--resume")
    assert done.returncode == 2
    said(done, f"{folder.name} was begun on NVIDIA H200, not NVIDIA H100 PCIe", "--device")
    assert commands("loop", "--resume", "--device", "0").returncode == 0
    assert load_journal(folder).options.device == 0
    commands.gpus = []
    done = commands("loop", "--resume")
    assert done.returncode == 3
    said(done, "there is no CUDA device to go on with", "--replay")


def test_a_sweep_that_was_gone_on_with_elsewhere_names_all_its_gpus(commands: Commands) -> None:
    folder = commands.begun("sweep")
    assert commands("sweep", "--resume", "--devices", "0").returncode == 0
    found = load_sweep(folder)
    assert found.devices == [1, 2, 0]
    assert found.options is not None
    assert found.options.devices == [0]


def test_a_fleet_goes_on_with_a_run_as_it_was_begun(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgot --report and --record."""
    folder = commands.begun("profile")
    fleet = SimpleNamespace(models=["NVIDIA H200"], machine_of=lambda *_: commands._machine(None, GPUS[0], Path("ncu")))
    finished: list[Any] = []
    monkeypatch.setattr(profile_cli, "opened_fleet", lambda *_: nullcontext(fleet))
    monkeypatch.setattr(profile_cli, "_measure_runs", lambda _project, _fleet, runs, _arguments: finished.extend(runs))
    monkeypatch.setattr(profile_cli, "_finished", lambda *given: finished.append(given[2]) or 0)
    done = commands("profile", "--resume", "--on", "local", "--timeout", "99")
    assert done.returncode == 0, done.stderr
    (_, place, run), arguments = finished
    assert place == folder
    assert run.options == replace(load(folder).options, timeout_s=99.0)
    assert (arguments.page, arguments.record) == (True, True)
    done = commands("profile", "--resume", "--on", "local", "--live")
    assert done.returncode == 2
    said(done, "--live is not allowed here with --on")


# --- damaged ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "damage"),
    [
        ("sweep", "sweep.json", {"timeout_s": -1}),
        ("sweep", "sweep.json", {"counters": "some"}),
        ("sweep", "sweep.json", {"devices": ["0"]}),
        ("sweep", "sweep.json", {"unheard_of": 1}),
        ("loop", "journal.json", {"samples": 0}),
        ("loop", "journal.json", {"timeout_s": "long"}),
        ("loop", "journal.json", {"grace_s": -0.5}),
        ("loop", "journal.json", {"workloads": "line"}),
        ("profile", "run.json", {"timeout_s": -1}),
    ],
    ids=str,
)
def test_damaged_options_are_named_and_nothing_is_measured(
    commands: Commands, name: str, file: str, damage: dict[str, Any]
) -> None:
    path = commands.begun(name) / file
    known = json.loads(path.read_bytes())
    path.write_text(json.dumps(known | {"options": known["options"] | damage}))
    before = path.read_bytes()
    done = commands(name, "--resume")
    assert done.returncode == 2
    said(done, file, next(iter(damage)))
    assert "Traceback" not in done.stderr
    assert len(commands.measured) == 1
    assert path.read_bytes() == before


def test_a_trial_on_a_workload_that_is_not_there_is_not_measured(commands: Commands) -> None:
    folder = commands.begun("sweep")
    begun = load_sweep(folder)
    save_sweep(folder, replace(begun, trials=[*begun.trials, replace(begun.trials[0], workload="none")]))
    done = commands("sweep", "--resume")
    assert done.returncode == 2
    said(done, "workload none has changed since")


def test_answers_are_profiled_as_often_as_versions(commands: Commands) -> None:
    commands.begun("loop")
    ((workshop, _, (options, *_)),) = commands.measured
    assert (workshop.answer.samples, options.samples) == (9, 9)


def test_a_loop_outside_the_project_is_not_gone_on_with(commands: Commands, tmp_path: Path) -> None:
    """Its versions are files, and what is measured lies in the project."""
    moved = commands.begun("loop").rename(tmp_path / "moved")
    done = commands("loop", "--resume", str(moved))
    assert done.returncode == 2
    said(done, f"{moved} is not in the project's folder", "move it under reports/")
    assert len(commands.measured) == 1


def test_a_run_of_reports_and_a_replay_are_not_gone_on_with(commands: Commands) -> None:
    folder = commands.begun("profile")
    save(folder, replace(load(folder), kind="recorded", name="as it was called"))
    done = commands("profile", "--resume", "--timeout", "9")
    assert done.returncode == 2
    said(done, f"{folder.name} was not measured here")


@pytest.mark.parametrize(
    ("words", "others"),
    [
        ("sweep --show -w line --against registers", "--workload"),
        ("sweep --show x --resume", "--resume"),
        ("sweep double/small --show", "PROBLEM/VARIANT"),
        ("loop --replay --samples 9 --apply", "--samples"),
        ("loop --replay --resume", "--resume"),
        ("bench --show --rounds 5 -w line", "--workload and --rounds"),
        ("bench double --show", "PROBLEM[/VARIANT]"),
    ],
)
def test_what_is_only_shown_takes_no_option_that_would_change_nothing(
    commands: Commands, words: str, others: str
) -> None:
    done = commands(*words.split())
    assert done.returncode == 2
    said(done, "always shows a whole", f"remove {others}")
