"""Checks whether this machine can measure, and whether its recordings are usable."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from stallgate.errors import StallgateError
from stallgate.formatting import listed
from stallgate.measure import ncu
from stallgate.measure.card import PROPERTIES, DeviceProperties, differences_from_card
from stallgate.measure.device import find_devices
from stallgate.measure.plan import Request, plan_cases
from stallgate.model import FrozenStruct, Run
from stallgate.project.load import Project
from stallgate.project.staleness import changes, stale_because
from stallgate.runs.conditions import environments
from stallgate.runs.folder import RECORDED, load, missing_reports

_DRIVER_SETTINGS = Path("/proc/driver/nvidia/params")

_PROBE = """
import importlib.util, json, pathlib, runpy
found = importlib.util.find_spec("torch")
file = pathlib.Path(found.origin).with_name("version.py") if found and found.origin else None
built = runpy.run_path(str(file)) if file and file.is_file() else {}
if "__version__" in built and built.get("cuda", "") is None and built.get("hip", "") is None:
    import triton
    print(json.dumps([built["__version__"], triton.__version__, None, False, []]))
else:
    import torch, triton
    names = {names}
    able = torch.cuda.is_available()
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count() if able else 0)]
    facts = [dict((name, getattr(each, name, None)) for name in names) for each in found]
    print(json.dumps([torch.__version__, triton.__version__, torch.version.cuda, able, facts]))
""".replace("{names}", repr(PROPERTIES))
"""A torch that was built without CUDA says so in a file; its import, which takes seconds, is not tried."""


class Finding(FrozenStruct, frozen=True):
    """One fact about the machine."""

    name: str
    state: Literal["ok", "missing", "note"]
    """missing: without it nothing is measured here. note: good to know."""
    text: str
    hint: str = ""


def examine(project: Project, python: str) -> list[Finding]:
    """Every finding, in the order in which a person would look."""
    child, properties = _child(python)
    cards = [_card(project, each) for each in properties]
    return [_gpu(), *cards, _counters(), _ncu(), child, _reader(), *_broken(project), *_recordings(project)]


def able(findings: list[Finding]) -> bool:
    """Whether nothing is missing that measuring takes."""
    return all(finding.state != "missing" for finding in findings)


def _gpu() -> Finding:
    devices = find_devices()
    if not devices:
        return Finding(
            name="GPU",
            state="missing",
            text="no NVIDIA GPU (nvidia-smi is not on PATH, or finds none)",
            hint="profile replays a recording here",
        )
    text = "; ".join(f"{device.shown}, driver {device.driver}" for device in devices)
    return Finding(name="GPU", state="ok", text=text)


def _counters() -> Finding:
    """Whether the driver gives hardware counters to everybody; root has them either way."""
    allowed = counters_for_everybody()
    if allowed is None:
        return Finding(name="counters", state="note", text="the driver does not say who may read hardware counters")
    if allowed:
        return Finding(name="counters", state="ok", text="hardware counters are open to every user")
    return Finding(
        name="counters",
        state="note",
        text="hardware counters are for administrators only",
        hint=f"as another user see {ncu.PERMISSION_PAGE}",
    )


def counters_for_everybody() -> bool | None:
    """Whether the driver gives hardware counters to every user; None where it does not say."""
    if not _DRIVER_SETTINGS.is_file():
        return None
    settings = dict(
        line.split(": ", 1) for line in _DRIVER_SETTINGS.read_text(errors="replace").splitlines() if ": " in line
    )
    return settings.get("RmProfilingAdminOnly") == "0"


def _ncu() -> Finding:
    try:
        path = ncu.find_ncu()
        return Finding(name="ncu", state="ok", text=f"Nsight Compute {ncu.version(path)} at {path}")
    except StallgateError as error:
        return Finding(name="ncu", state="missing", text=error.message, hint=error.hint)


def _card(project: Project, found: DeviceProperties) -> Finding:
    """How a GPU of this machine stands to its data sheet."""
    spec = project.gpu_spec_of(found.name)
    if spec is None:
        hint = "add one in metrics/gpus/: `stallgate docs files` has its keys"
        return Finding(name="card", state="note", text=f"{found.name} has no data sheet", hint=hint)
    differences = differences_from_card(spec, found)
    if differences:
        text = f"{found.name} differs from its data sheet {spec.name}: {'; '.join(differences)}"
        return Finding(
            name="card", state="note", text=text, hint="another edition, or a part of a GPU: check the figures"
        )
    return Finding(name="card", state="ok", text=f"{found.name} is as its data sheet {spec.name} says")


def _child(python: str) -> tuple[Finding, list[DeviceProperties]]:
    """torch and triton in the interpreter that would run the variants, and what they say of the GPUs."""
    hint = "name an interpreter that has a CUDA torch and triton with --python"
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, errors="replace", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _no_torch(f"{python} does not run: {error}", hint)
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no word"]
        return _no_torch(f"{python}: {last[0]}", hint)
    try:
        torch, triton, cuda, available, properties = msgspec.json.decode(answer.stdout, type=_Answer)
    except msgspec.DecodeError:
        return _no_torch(f"{python} does not answer as Python does", hint)
    text = f"{python} has torch {torch}, triton {triton}, CUDA {cuda}"
    if not available:
        return _no_torch(f"{text}, and finds no CUDA device", hint)
    return Finding(name="torch", state="ok", text=text), properties


_Answer = tuple[str, str, str | None, bool, list[DeviceProperties]]


def _no_torch(text: str, hint: str) -> tuple[Finding, list[DeviceProperties]]:
    return Finding(name="torch", state="missing", text=text, hint=hint), []


def _reader() -> Finding:
    try:
        installed = version("ncu-report")
    except PackageNotFoundError:
        return Finding(name="reader", state="missing", text="it is not installed", hint="pip install ncu-report")
    return Finding(name="reader", state="ok", text=f"ncu-report {installed}")


def _broken(project: Project) -> list[Finding]:
    """Problems and stages that cannot be used. The machine can measure others."""
    problems = [("problem", error) for error in project.broken_problems.values()]
    stages = [("stage", error) for error in project.broken_stages.values()]
    return [
        Finding(name=kind, state="note", text=error.message, hint=error.hint) for kind, error in [*problems, *stages]
    ]


def _recordings(project: Project) -> list[Finding]:
    """Every recording, and every problem without one."""
    folders = [path.parent for path in sorted(project.reports.glob(f"{RECORDED}/*/*/run.json"))]
    recorded = {folder.name for folder in folders}
    return [_recording(project, folder) for folder in folders] + [
        _note_of(
            f"{name} has no recording: without a GPU it cannot be replayed",
            f"make one on a GPU with `stallgate profile {name} --record`",
        )
        for name in project.problems
        if name not in recorded
    ]


def _recording(project: Project, folder: Path) -> Finding:
    shown = folder.relative_to(project.root).as_posix()
    again = "record again on a GPU with `stallgate profile --record`"
    try:
        run = load(folder)
    except StallgateError as error:
        return _note_of(f"{shown} cannot be read: {error.message}", f"{again}, or restore it with git")
    missing = missing_reports(folder, run)
    if missing:
        return _note_of(f"{shown} is damaged: it lacks {listed(missing)}", f"{again}, or restore it with git")
    broken = [name for name in run.subjects if name in project.broken_problems]
    if broken:
        return _note_of(f"{shown} is of {listed(broken)}, whose file is broken", "correct the file")
    gone = [name for name in run.subjects if name not in project.problems]
    if gone:
        return _note_of(f"{shown} is of {listed(gone)}, which no longer exists in the project", "remove it")
    about = f"{', '.join(run.subjects)} on {', '.join(found.gpu for found in environments(run)) or 'an unknown GPU'}"
    changed = list(dict.fromkeys(why for r in run.cases for why in stale_because(r, changes(run, project))))
    if changed:
        return _note_of(f"{about}: {shown} is stale: {', '.join(changed)} changed since", again)
    lacking = _lacking(project, run)
    if lacking:
        return _note_of(f"{about}: {shown} cannot be replayed: it lacks {lacking}, which the plan has", again)
    return Finding(name="recording", state="ok", text=f"{about}: {shown} is of the code that is here")


def _lacking(project: Project, run: Run) -> str:
    """The planned cases of its problems that a recording does not have, as text."""
    recorded = {result.case for result in run.cases}
    try:
        planned = plan_cases(project, Request(subjects=list(run.subjects)))
    except StallgateError:  # no workload is measured by default
        return ""
    names = [case.name for case in planned if case not in recorded]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _note_of(text: str, hint: str) -> Finding:
    """What is wrong with a recording. The machine can measure all the same."""
    return Finding(name="recording", state="note", text=text, hint=hint)
