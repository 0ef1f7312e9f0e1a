"""The engine, Dask distributed: it queues, sends, watches workers and tries tasks again. Only this module imports it."""

from __future__ import annotations

import logging
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import dask
import distributed
from distributed.diagnostics.plugin import WorkerPlugin

from stallgate.errors import BadArgument, NoDevice, NotMeasured
from stallgate.fleet.cluster import LOCAL, Cluster
from stallgate.fleet.orders import Order
from stallgate.fleet.slot import RESOURCE, claimed_slot
from stallgate.fleet.sources import Sources, unpack
from stallgate.measure.device import find_devices
from stallgate.model import FrozenStruct

SLOT_MODULE = "stallgate.fleet.slot"
"""What every worker loads as it starts: ``dask worker … --preload stallgate.fleet.slot``."""

MOST_LOST = 1
"""Workers that a task may lose before it is given up at the next: a local cluster's ``allowed-failures``."""

_LOOK_S = 0.5
"""How often it is looked whether any worker is left, while nothing comes back."""

_CONNECT_S = 15


class Step(FrozenStruct, frozen=True):
    """What a worker was at when it was last heard of in a task."""

    worker: str
    """Its address."""
    place: str
    """Host and GPU."""
    case: str
    step: str


class Landed(FrozenStruct, frozen=True):
    """What became of a task."""

    order: Order
    content: bytes
    """What the task returned; empty where it failed."""
    lost: list[Step] = []
    """Where each of the workers was that the task lost, if it was given up for that."""
    error: str = ""
    """Why the task itself failed."""


class _SourcesPlugin(WorkerPlugin):  # type: ignore[misc]
    """Unpacks a project on each worker once; the scheduler hands it to workers that join later."""

    def __init__(self, sources: Sources) -> None:
        self.name = f"stallgate-{sources.digest}"
        self._sources = sources

    def setup(self, worker: distributed.Worker) -> None:
        unpack(self._sources, worker.local_directory)


class Engine:
    """A cluster that tasks are sent to."""

    def __init__(self, client: distributed.Client, wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s
        self._landed: queue.SimpleQueue[distributed.Future] = queue.SimpleQueue()
        self._orders: dict[str, tuple[Order, distributed.Future]] = {}
        self._steps: dict[str, dict[str, Step]] = {}
        self._on_step: Callable[[str, str], None] = _ignore
        self.topic = f"stallgate-{client.id}"
        client.subscribe_topic(self.topic, self._hear)

    # --- workers ---

    def models(self) -> dict[str, int]:
        """GPU model -> workers with a GPU of it, at this moment."""
        found: dict[str, int] = {}
        for worker in self._client.scheduler_info()["workers"].values():
            for name, amount in worker["resources"].items():
                if name.startswith(RESOURCE) and amount:
                    found[name.removeprefix(RESOURCE)] = found.get(name.removeprefix(RESOURCE), 0) + 1
        return found

    def wait_for_gpus(self, number: int = 1) -> None:
        """Waits until so many workers with a GPU are there.

        Raises:
            NoDevice: there are fewer after the time that one may wait.
        """
        end = time.monotonic() + self._wait_s
        while sum(self.models().values()) < number:
            if time.monotonic() > end:
                raise self._nobody("a GPU")
            time.sleep(_LOOK_S)

    def ask_workers(self, function: Callable[..., bytes], *arguments: str) -> dict[str, bytes]:
        """The answer of each worker to a question, by its address. A question needs no GPU, and no slot.

        Raises:
            NotMeasured: a worker has no stallgate, or another one.
        """
        answers = self._client.run(function, *arguments, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, BaseException):
                raise NotMeasured(f"the worker {address} does not answer: {_shown(answer)}", _SAME_STALLGATE)
        return dict(answers)

    def allowed_failures(self) -> int:
        """Workers that a task may lose before the scheduler gives it up at the next."""
        return int(self._client.run_on_scheduler(_allowed_failures))

    # --- tasks ---

    @contextmanager
    def sending(self, sources: Sources) -> Iterator[None]:
        """Sends a project to every worker, once, for as long as the block lasts."""
        plugin = _SourcesPlugin(sources)
        plugin.name = f"{plugin.name}-{self._client.id}"
        self._client.register_plugin(plugin)
        try:
            yield
        finally:
            if self._client.status == "running":
                self._client.unregister_worker_plugin(plugin.name)

    def submit(self, order: Order, function: Callable[[bytes], bytes]) -> None:
        """Hands a task to the engine; it runs on a worker that has a GPU of the order's model to itself."""
        future = self._client.submit(
            function,
            order.packed(),
            key=f"{order.name}-{self._client.id}",
            resources={f"{RESOURCE}{order.model}": 1},
            pure=False,
        )
        self._orders[future.key] = order, future
        future.add_done_callback(self._landed.put)

    def landing(self, on_step: Callable[[str, str], None]) -> Iterator[Landed]:
        """What becomes of the tasks, as they end; more may be submitted meanwhile.

        Args:
            on_step: called with the name of a case and the step that it has come to.

        Raises:
            NoDevice: no worker with a GPU of a task's model is left, and none comes in the time that one may wait.
            NotMeasured: the scheduler is gone.
        """
        self._on_step = on_step
        deserted = time.monotonic()
        while self._orders:
            try:
                future = self._landed.get(timeout=_LOOK_S)
            except queue.Empty:
                deserted = self._look(deserted)
                continue
            order, _ = self._orders.pop(future.key)
            yield self._ended(order, future)
            deserted = time.monotonic()

    def cancel(self) -> None:
        """Takes back every task; one that runs ends at its next step."""
        self._client.cancel([future for _, future in self._orders.values()], force=True)
        self._orders.clear()

    def _look(self, deserted: float) -> float:
        """Since when nobody is there who could do what is left; now, if somebody is."""
        if self._client.status not in ("running", "connecting"):
            raise NotMeasured(f"the scheduler is gone (the client is {self._client.status})", "start it again")
        there = self.models() if self._client.status == "running" else {}
        missing = {order.model for order, _ in self._orders.values()} - there.keys()
        if not missing:
            return time.monotonic()
        if time.monotonic() - deserted > self._wait_s:
            raise self._nobody(sorted(missing)[0])
        return deserted

    def _nobody(self, what: str) -> NoDevice:
        return NoDevice(
            f"no worker with {what} was there within {self._wait_s:g} s",
            f"start one with `dask worker SCHEDULER --nthreads 1 --preload {SLOT_MODULE}`, or wait longer with --wait",
        )

    def _ended(self, order: Order, future: distributed.Future) -> Landed:
        steps = self._steps.pop(order.name, {})
        if future.status == "finished":
            return Landed(order, future.result())
        error = future.exception() if future.status == "error" else None
        if isinstance(error, distributed.KilledWorker):
            return Landed(order, b"", lost=list(steps.values()))
        return Landed(order, b"", error=_shown(error) if error is not None else f"the task was {future.status}")

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said = event[1]
        step = Step(said["worker"], said["place"], said["case"], said["step"])
        self._steps.setdefault(said["task"], {})[step.worker] = step
        self._on_step(step.case, step.step)


def _ignore(case: str, step: str) -> None:
    """Before tasks are waited for, nobody watches."""


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _allowed_failures(dask_scheduler: distributed.Scheduler) -> int:
    return int(dask_scheduler.allowed_failures)


_SAME_STALLGATE = "install the same stallgate, with its extra `fleet`, in the worker's environment"


# --- on a worker ------------------------------------------------------------------------------------------------------


def tell_step(topic: str, task: str, case: str, step: str) -> None:
    """Tells who waits for a task that it has come to a step of a case.

    Raises:
        KeyboardInterrupt: nobody waits for it any more.
    """
    worker = distributed.get_worker()
    state = worker.state.tasks.get(worker.get_current_task())
    if state is None or state.state == "cancelled":
        raise KeyboardInterrupt
    slot = claimed_slot()
    place = f"{slot.host}, {slot.device.uuid}" if slot is not None else worker.address
    said = {"task": task, "worker": worker.address, "place": place, "case": case, "step": step}
    worker.log_event(topic, said)


def worker_folder() -> str:
    """The folder of the worker that runs this task."""
    return str(distributed.get_worker().local_directory)


# --- clusters ---------------------------------------------------------------------------------------------------------


@contextmanager
def opened(cluster: Cluster, wait_s: float) -> Iterator[Engine]:
    """Connects to a scheduler, or starts a cluster for as long as the block lasts.

    Args:
        cluster: where the workers are.
        wait_s: seconds that may pass without a worker that could do what is left.

    Raises:
        NotMeasured: no scheduler answers.
        BadArgument: the cluster's class does not exist, or does not take its options.
    """
    settings = {"distributed.scheduler.allowed-failures": MOST_LOST, "distributed.comm.timeouts.connect": _CONNECT_S}
    with dask.config.set(settings), _quiet():
        if cluster.scheduler:
            with _client(cluster.scheduler) as client:
                yield Engine(client, wait_s)
            return
        with (
            tempfile.TemporaryDirectory(prefix="stallgate-fleet-", ignore_cleanup_errors=True) as folder,
            dask.config.set({"temporary-directory": folder}),
            _local(cluster) if cluster.start == LOCAL else _named(cluster) as started,
            distributed.Client(started) as client,
        ):
            yield Engine(client, wait_s)


def _client(address: str) -> distributed.Client:
    try:
        return distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise NotMeasured(
            f"no scheduler answers at {address}: {error}", "start one with `dask scheduler`, and name its address"
        ) from None


def _local(cluster: Cluster) -> Any:
    """A worker for each GPU of this machine."""
    number = cluster.workers or len(find_devices())
    if not number:
        raise NoDevice("this machine has no CUDA device", "`stallgate doctor` says what is missing")
    return distributed.LocalCluster(
        n_workers=number,
        threads_per_worker=1,
        dashboard_address=None,
        memory_limit=None,
        preload=[SLOT_MODULE],
    )


def _named(cluster: Cluster) -> Any:
    """A cluster of a class that a project names, such as ``dask_jobqueue:SLURMCluster``."""
    module, _, name = cluster.start.partition(":")
    try:
        started = getattr(import_module(module), name)(**cluster.options)
        if cluster.workers:
            started.scale(cluster.workers)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadArgument(
            f"the cluster {cluster.start} cannot be started: {_shown(error)}",
            "see its keys in stallgate.toml; `stallgate docs fleet` has examples",
        ) from None
    return started


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the engine's log off the terminal: what matters of a lost worker, stallgate says itself."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
