"""The workers of a fleet: which GPU each has, and what keeps it from measuring."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from stallgate import __version__
from stallgate.errors import NotMeasured, StallgateError
from stallgate.fleet.orders import program_digest
from stallgate.fleet.slot import claimed_slot
from stallgate.formatting import listed
from stallgate.measure import ncu
from stallgate.measure.device import Device
from stallgate.measure.doctor import counters_for_everybody
from stallgate.model import FrozenStruct

if TYPE_CHECKING:  # the engine is not imported unless a command asks for it
    from stallgate.fleet.engine import Engine

CounterPermission = Literal["open", "blocked", "unknown"]
"""open: hardware counters are for every user, or this one is an administrator. unknown: the driver does not say."""

_CAP_SYS_ADMIN = 21
_MIG = re.compile(r"MIG Mode\s*\n\s*Current\s*:\s*Enabled")
_VIRTUAL = re.compile(r"Virtualization Mode\s*:\s*(VGPU|Host VGPU|Host VSGA)", re.IGNORECASE)


class WorkerFacts(FrozenStruct, frozen=True):
    """A worker, its GPU, and what it would measure with."""

    worker: str
    """Its address."""
    host: str
    stallgate: str
    child: str
    """``program_digest()`` of its stallgate. By this name older commands know it, and refuse."""
    device: Device | None
    """None where it has no GPU of its own."""
    ncu: str
    """Version of Nsight Compute; empty where there is none."""
    counters: CounterPermission
    mig: bool
    """Whether the GPU is divided into instances: counters of what they share are not available."""
    vgpu: bool
    """Whether the GPU is a virtual machine's share of one."""


def faults_of(facts: WorkerFacts, *, with_ncu: bool = True) -> list[str]:
    """What keeps a worker from measuring.

    Args:
        facts: what it says of itself.
        with_ncu: whether counters are wanted.
    """
    found = []
    if facts.device is None:
        found.append("it has no GPU of its own")
    if facts.child != program_digest():
        found.append(f"its stallgate ({facts.stallgate}) measures by other code than this one ({__version__})")
    if with_ncu and not facts.ncu:
        found.append("Nsight Compute (ncu) is not on its PATH")
    if with_ncu and facts.counters == "blocked":
        found.append("the driver keeps hardware counters for administrators (ERR_NVGPUCTRPERM)")
    return found


def worker_remarks(facts: WorkerFacts) -> list[str]:
    """What a worker's numbers have to be read with."""
    found = ["MIG: counters of L2 and memory may be missing"] if facts.mig else []
    return [*found, *(["vGPU: counters may be missing"] if facts.vgpu else [])]


def facts_here() -> bytes:
    """What a worker says of itself."""
    slot = claimed_slot()
    device = slot.device if slot is not None else None
    said = _driver_says(device)
    return msgspec.json.encode(
        WorkerFacts(
            worker="",
            host=platform.node(),
            stallgate=__version__,
            child=program_digest(),
            device=device,
            ncu=_ncu_version(),
            counters=_counters(),
            mig=_MIG.search(said) is not None,
            vgpu=_VIRTUAL.search(said) is not None,
        )
    )


def _driver_says(device: Device | None) -> str:
    """Everything that the driver's tool says of a GPU."""
    tool = shutil.which("nvidia-smi")
    if device is None or tool is None:
        return ""
    try:
        answer = subprocess.run(
            [tool, "-q", "-i", device.uuid], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout


def _ncu_version() -> str:
    try:
        return ncu.version(ncu.find_ncu())
    except StallgateError:
        return ""


def _counters() -> CounterPermission:
    allowed = counters_for_everybody()
    if allowed is None:
        return "unknown"
    return "open" if allowed or _is_administrator() else "blocked"


def _is_administrator() -> bool:
    """Whether this process may do what root may, by user or by capability, as in a container."""
    status = Path("/proc/self/status")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status.read_text(), re.MULTILINE) if status.is_file() else None
    if found is not None:
        return bool(int(found[1], 16) >> _CAP_SYS_ADMIN & 1)
    return os.geteuid() == 0


# --- asked by a command -----------------------------------------------------------------------------------------------


def examined(engine: Engine) -> list[WorkerFacts]:
    """Every worker of a fleet, by host and GPU.

    Raises:
        NotMeasured: a worker does not answer as stallgate does.
    """
    found = []
    for address, answer in engine.ask_workers(facts_here).items():
        facts = msgspec.json.decode(answer, type=WorkerFacts)
        found.append(msgspec.structs.replace(facts, worker=address))
    return sorted(found, key=lambda facts: (facts.host, facts.device.index if facts.device is not None else -1))


def refuse_unable(workers: list[WorkerFacts], *, with_ncu: bool = True) -> None:
    """Refuses to begin while a worker with a GPU could not measure: it would take tasks and lose them.

    Raises:
        NotMeasured: one could not.
    """
    for facts in workers:
        faults = faults_of(facts, with_ncu=with_ncu)
        if facts.device is not None and faults:
            raise NotMeasured(
                f"the worker {facts.worker} on {facts.host} cannot measure: {listed(faults)}",
                "mend it or stop it; `stallgate doctor --on CLUSTER` shows every worker",
            )


def differing_versions(workers: list[WorkerFacts]) -> list[str]:
    """A sentence for each of driver and ncu that is not the same on every worker of a GPU model."""
    told = []
    for model in dict.fromkeys(facts.device.name for facts in workers if facts.device is not None):
        known = [(facts, facts.device) for facts in workers if facts.device is not None and facts.device.name == model]
        versions = {"driver": {device.driver for _, device in known}, "ncu": {facts.ncu for facts, _ in known}}
        for what, found in versions.items():
            if len(found) > 1:
                told.append(f"the workers with {model} have different versions of {what}: {listed(sorted(found))}")
    return told
