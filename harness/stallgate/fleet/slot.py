"""The GPU of a worker: the first of its host that no other worker has, for as long as the worker lives.

Every worker loads this module as it starts (``dask worker … --preload stallgate.fleet.slot``). The engine then knows
its GPU's model as a resource, and never runs two tasks on it at once.
"""

from __future__ import annotations

import fcntl
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from stallgate.errors import NoDevice
from stallgate.fleet.orders import program_digest
from stallgate.measure.device import Device, find_devices, visible_devices
from stallgate.measure.lock import open_lock
from stallgate.model import FrozenStruct

RESOURCE = "gpu:"
"""Before a GPU's model: the name of the engine's resource, of which a worker has one."""


class Slot(FrozenStruct, frozen=True):
    """A GPU that a worker has to itself among the workers of its host."""

    host: str
    device: Device
    gpus: int
    """How many the driver lists on the host, whoever may see them."""


_claimed: list[Slot] = []


def claimed_slot() -> Slot | None:
    """The slot of this process; None where it is no worker, or none was free."""
    return next(iter(_claimed), None)


def dask_setup(worker: Any) -> None:
    """Claims a GPU for a worker, before it registers with the scheduler, and notes which program it has loaded."""
    program_digest()
    slot = claim()
    if slot is not None:
        resource = {f"{RESOURCE}{slot.device.name}": 1.0}
        worker.state.total_resources.update(resource)
        worker.state.available_resources.update(resource)


def claim() -> Slot | None:
    """Takes the first free GPU of those that this process may see. It is free again when the process has ended."""
    try:
        found = find_devices()
        devices = visible_devices(found)
    except NoDevice:
        return None
    for device in devices:
        descriptor = open_lock(Path(tempfile.gettempdir()) / f"stallgate-{device.uuid}.slot")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        _claimed[:] = [Slot(platform.node(), device, len(found))]
        return _claimed[0]
    return None
