"""A task, on the worker that runs it: a part of a plan, measured by what measures on one machine."""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from stallgate.errors import NoRun, NotMeasured, StallgateError
from stallgate.fleet.engine import tell_step, worker_folder
from stallgate.fleet.orders import (
    SAME_STALLGATE,
    BenchJob,
    CheckJob,
    MeasuredPart,
    Order,
    ProfileJob,
    Refusal,
    WorkerPlace,
    order_of,
    program_digest,
)
from stallgate.fleet.slot import Slot, claimed_slot
from stallgate.fleet.sources import place_of
from stallgate.measure.check import Checker, CheckOptions
from stallgate.measure.device import Device
from stallgate.measure.ncu import find_ncu
from stallgate.measure.profile import Profiler, machine_of
from stallgate.measure.sweep_compile import Compiled, ToCompile
from stallgate.measure.sweep_site import ThisMachine
from stallgate.model import Case, CaseResult
from stallgate.project.load import Project, load_project
from stallgate.runs.bench import Entry, load_bench
from stallgate.runs.folder import load


class _Teller:
    """Passes progress on to whoever waits for the task."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def begun(self, _: int) -> None:
        pass

    def waiting(self) -> None:
        self.at_work("", "waiting for another stallgate on the GPU")

    def at_work(self, case: str, step: str) -> None:
        tell_step(self._order.topic, self._order.name, case, step)

    def finished(self, *_: CaseResult | str | Entry) -> None:
        pass


def measure_part(content: bytes) -> bytes:
    """Measures a part of a plan on this worker's GPU.

    Args:
        content: an ``Order``.

    Returns:
        a ``MeasuredPart``; also where nothing can be measured here: it says why.
    """
    slot = claimed_slot()
    if slot is None:
        raise RuntimeError("this worker has no GPU of its own: `stallgate.fleet.slot` was not loaded as it started")
    with tempfile.TemporaryDirectory(prefix="part-", dir=worker_folder(), ignore_cleanup_errors=True) as name:
        return _measured(content, slot, Path(name)).packed()


def _measured(content: bytes, slot: Slot, folder: Path) -> MeasuredPart:
    part = MeasuredPart(WorkerPlace(slot.host, slot.device.uuid))
    try:
        order = order_of(content)
        teller = _Teller(order)
        teller.at_work("", "start")
        if order.child != program_digest():
            raise NotMeasured("its stallgate is another one: it measures by other code", SAME_STALLGATE)
        project = _project(order)
        match order.job:
            case ProfileJob():
                return _profiled(project, order, order.job, slot.device, folder, teller, part)
            case BenchJob():
                return _timed(project, order, order.job, slot, folder, teller, part)
            case CheckJob():
                return _checked(project, order, order.job, slot.device, folder, teller, part)
    except StallgateError as error:
        return replace(part, refusal=_refusal(error))
    except KeyboardInterrupt:  # from here it would end the worker
        return replace(part, refusal=Refusal("its task was taken back", ""))


def _refusal(error: StallgateError) -> Refusal:
    return Refusal(error.message, error.hint)


def _project(order: Order) -> Project:
    """The project that was sent, with its problems as they are planned."""
    project = _loaded(place_of(order.sources, worker_folder()))
    return replace(project, problems={**project.problems, **order.problems})


@lru_cache(maxsize=4)
def _loaded(root: Path) -> Project:
    return load_project(root)


def _profiled(
    project: Project, order: Order, job: ProfileJob, device: Device, folder: Path, teller: _Teller, part: MeasuredPart
) -> MeasuredPart:
    """Profiles cases. What was measured before a refusal is handed back with it."""
    assert job.run.options is not None
    run = replace(job.run, options=replace(job.run.options, python=_python(order)))
    (folder / "ncu").mkdir()
    refusal = None
    try:
        machine = machine_of(project, device, find_ncu())
        Profiler(project, run, machine, teller).measure(folder)
    except StallgateError as error:
        refusal = _refusal(error)
    with suppress(NoRun):
        part = replace(part, run=load(folder))
    return replace(part, refusal=refusal, files=_files(folder))


def _timed(
    project: Project, order: Order, job: BenchJob, slot: Slot, folder: Path, teller: _Teller, part: MeasuredPart
) -> MeasuredPart:
    """Times rows and compiles ahead, on its share of the host's cores: each GPU there may have a worker."""
    options = replace(job.options, python=_python(order))
    compiled: list[tuple[Case, Compiled]] = []
    to_compile = ToCompile(job.ahead, lambda case, found: compiled.append((case, found)))
    refusal = None
    try:
        ThisMachine(slot.gpus).take_times(project, job.bench, options, slot.device, folder, teller, to_compile)
    except StallgateError as error:
        refusal = _refusal(error)
    return replace(part, refusal=refusal, bench=load_bench(folder), compiled=compiled, files=_files(folder))


def _checked(
    project: Project, order: Order, job: CheckJob, device: Device, folder: Path, teller: _Teller, part: MeasuredPart
) -> MeasuredPart:
    """Checks cases."""
    options = CheckOptions(python=_python(order), timeout_s=job.timeout_s, device=device)
    return replace(part, checked=Checker(project, job.cases, options, teller).check(folder))


def _python(order: Order) -> str:
    return order.python or sys.executable


def _files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".part"]
    kept = [path for path in paths if path.parent != folder]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}
