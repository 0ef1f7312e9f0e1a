"""The GPUs of this machine, asked of the driver's own tool: no CUDA context, no torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from stallgate.errors import BadArgument, NoDevice
from stallgate.model import FrozenStruct

_QUERY = ("index", "uuid", "name", "driver_version", "compute_cap", "memory.total", "memory.free")
_LINE = re.compile(r"\s*[0-9]{1,4}" + ",[^,]*" * (len(_QUERY) - 1))


class Device(FrozenStruct, frozen=True):
    """One GPU as its driver describes it."""

    index: int
    uuid: str
    name: str
    driver: str
    compute_capability: str
    memory_mib: float
    free_mib: float

    @property
    def shown(self) -> str:
        return f"{self.name} (device {self.index})"


def find_devices() -> list[Device]:
    """Every NVIDIA GPU of this machine; none where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    return [_device(line) for line in answer.stdout.splitlines() if _LINE.fullmatch(line)]


def _device(line: str) -> Device:
    index, uuid, name, driver, capability, memory, free = (cell.strip() for cell in line.split(","))
    return Device(
        index=int(index),
        uuid=uuid,
        name=name,
        driver=driver,
        compute_capability=capability,
        memory_mib=_number(memory),
        free_mib=_number(free),
    )


def _number(cell: str) -> float:
    return float(cell) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", cell) else float("nan")


def choose(devices: list[Device], index: int | None) -> Device:
    """The GPU to measure on: the one asked for, or the first that CUDA_VISIBLE_DEVICES leaves.

    Raises:
        NoDevice: there is no GPU.
        BadArgument: there is none of that index.
    """
    if not devices:
        raise NoDevice(
            "this machine has no CUDA device",
            "`stallgate doctor` says what is missing; plain `stallgate profile` replays the recording",
        )
    if index is None:
        return visible_devices(devices)[0]
    for device in devices:
        if device.index == index:
            return device
    raise BadArgument(
        f"there is no device {index}", f"known: {', '.join(f'{device.index} {device.name}' for device in devices)}"
    )


def visible_devices(devices: list[Device]) -> list[Device]:
    """The devices in the order of CUDA_VISIBLE_DEVICES, where it is set.

    Raises:
        NoDevice: it hides them all.
    """
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None:
        return devices
    names = [name.strip() for name in setting.split(",")]
    visible = [device for name in names for device in devices if name and name in (str(device.index), device.uuid)]
    if not visible:
        raise NoDevice(f"CUDA_VISIBLE_DEVICES={setting} hides every device", "unset it, or name one with --device")
    return visible
