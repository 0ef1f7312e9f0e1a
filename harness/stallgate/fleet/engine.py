"""The engine, Dask distributed: it queues, sends, watches workers, tries tasks again. Only this module imports it."""

from __future__ import annotations

import logging
import queue
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
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

_MOST_SENT = 2_000
"""Tasks for a GPU model that the engine has at once. It places them in one go, looks at every worker for each, and
answers nobody meanwhile."""

_MOST_FETCHED = 50
"""Results that are fetched together: the scheduler holds them in memory meanwhile."""


class LastStep(FrozenStruct, frozen=True):
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
    lost: list[LastStep] = []
    """Where each of the workers was that the task lost, if it was given up for that."""
    error: str = ""
    """Why the task itself failed."""


class _SourcesPlugin(WorkerPlugin):  # type: ignore[misc]
    """Unpacks a project on each worker once; the scheduler hands it to workers that join later."""

    def __init__(self, sources: Sources, client: str) -> None:
        self.name = f"stallgate-{sources.digest}-{client}"
        self._sources = sources

    def setup(self, worker: distributed.Worker) -> None:
        unpack(self._sources, worker.local_directory)


class Engine:
    """A cluster that tasks are sent to."""

    def __init__(self, client: distributed.Client, wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s
        self._batches = count(1)

    # --- workers ---

    def models(self) -> dict[str, int]:
        """GPU model -> workers with a GPU of it, at this moment."""
        found: dict[str, int] = {}
        for worker in self._client.scheduler_info(n_workers=-1)["workers"].values():
            for name, amount in worker["resources"].items():
                if name.startswith(RESOURCE) and amount:
                    found[name.removeprefix(RESOURCE)] = found.get(name.removeprefix(RESOURCE), 0) + 1
        return found

    @property
    def status(self) -> str:
        """How the client stands to its scheduler: ``running`` while all is well."""
        return str(self._client.status)

    def wait_for_gpus(self, number: int = 1) -> None:
        """Waits until so many workers with a GPU are there.

        Raises:
            NoDevice: there are fewer after the time that one may wait.
        """
        begun = time.monotonic()
        while sum(self.models().values()) < number:
            self.refuse_after_waiting(begun, "a GPU")
            time.sleep(_LOOK_S)

    def refuse_after_waiting(self, since: float, what: str) -> None:
        """Refuses to wait any longer than one may.

        Raises:
            NoDevice: the time is up.
        """
        if time.monotonic() - since > self._wait_s:
            raise NoDevice(
                f"no worker with {what} was there within {self._wait_s:g} s",
                f"start one with `dask worker SCHEDULER --nthreads 1 --preload {SLOT_MODULE}`, or wait longer: --wait",
            )

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

    @contextmanager
    def sending(self, sources: Sources) -> Iterator[None]:
        """Sends a project to every worker, once, for as long as the block lasts."""
        plugin = _SourcesPlugin(sources, self._client.id)
        self._client.register_plugin(plugin)
        try:
            yield
        finally:
            if self._client.status == "running":
                self._client.unregister_worker_plugin(plugin.name)

    @contextmanager
    def batch(self, function: Callable[[bytes], bytes], on_step: Callable[[str, str], None]) -> Iterator[Batch]:
        """Tasks that belong together; those that are left are taken back when the block ends.

        Args:
            function: what a task does with its order, packed.
            on_step: called with the name of a case and the step that it has come to.
        """
        batch = Batch(self._client, self, f"{self._client.id}-{next(self._batches)}", function, on_step)
        try:
            yield batch
        finally:
            batch.cancel()


class Batch:
    """Tasks that were handed to the engine, until each has ended."""

    def __init__(
        self,
        client: distributed.Client,
        engine: Engine,
        name: str,
        function: Callable[[bytes], bytes],
        on_step: Callable[[str, str], None],
    ) -> None:
        self._client = client
        self._engine = engine
        self._name = name
        self._function = function
        self._on_step = on_step
        self._unsent: dict[str, deque[Order]] = {}
        self._orders: dict[str, tuple[Order, distributed.Future]] = {}
        self._landed: queue.SimpleQueue[distributed.Future] = queue.SimpleQueue()
        self._steps: dict[str, dict[str, LastStep]] = {}
        self.topic = f"stallgate-{name}"
        client.subscribe_topic(self.topic, self._hear)

    def submit(self, orders: list[Order]) -> None:
        """Hands tasks to the engine; each runs on a worker that has a GPU of its order's model to itself.

        Tasks beyond the most that the engine has at once follow as others land.
        """
        for order in orders:
            self._unsent.setdefault(order.model, deque()).append(order)
        self._send()

    def _send(self) -> None:
        """Sends the engine as many tasks for each GPU model as it may have, together."""
        for model, unsent in self._unsent.items():
            room = _MOST_SENT - sum(order.model == model for order, _ in self._orders.values())
            orders = [unsent.popleft() for _ in range(min(len(unsent), room))]
            futures = self._client.map(
                self._function,
                [order.packed() for order in orders],
                key=[f"{order.name}-{self._name}" for order in orders],
                resources={f"{RESOURCE}{model}": 1},
                pure=False,
            )
            for order, future in zip(orders, futures, strict=True):
                self._orders[future.key] = order, future
                future.add_done_callback(self._landed.put)

    def landing(self) -> Iterator[Landed]:
        """What becomes of the tasks, as they end; more may be submitted meanwhile.

        Raises:
            NoDevice: no worker with a GPU of a task's model is left, and none comes in the time that one may wait.
            NotMeasured: the scheduler is gone.
        """
        deserted = time.monotonic()
        while self._orders:
            try:
                future = self._landed.get(timeout=_LOOK_S)
            except queue.Empty:
                deserted = self._look(deserted)
                continue
            yield from self._ended([future, *self._also_landed()])
            self._send()
            deserted = time.monotonic()

    def cancel(self) -> None:
        """Takes back every task; one that runs ends at its next step."""
        if self._orders and self._engine.status == "running":
            self._client.cancel([future for _, future in self._orders.values()], force=True)
        self._unsent.clear()
        self._orders.clear()
        self._client.unsubscribe_topic(self.topic)

    def _look(self, deserted: float) -> float:
        """Since when nobody is there who could do what is left; now, if somebody is."""
        status = self._engine.status
        if status not in ("running", "connecting"):
            raise NotMeasured(f"the scheduler is gone (the client is {status})", "start it again")
        there = self._engine.models() if status == "running" else {}
        missing = {order.model for order, _ in self._orders.values()} - there.keys()
        if not missing:
            return time.monotonic()
        self._engine.refuse_after_waiting(deserted, sorted(missing)[0])
        return deserted

    def _also_landed(self) -> Iterator[distributed.Future]:
        """Others that have ended by now: results are fetched together."""
        for _ in range(_MOST_FETCHED - 1):
            if self._landed.empty():
                return
            yield self._landed.get()

    def _ended(self, futures: list[distributed.Future]) -> Iterator[Landed]:
        known = [future for future in futures if future.key in self._orders]
        finished = [future for future in known if future.status == "finished"]
        contents = dict(zip((each.key for each in finished), self._client.gather(finished), strict=True))
        for future in known:
            order, _ = self._orders.pop(future.key)
            steps = self._steps.pop(order.name, {})
            error = future.exception() if future.status == "error" else None
            if future.key in contents:
                yield Landed(order, contents[future.key])
            elif isinstance(error, distributed.KilledWorker):
                yield Landed(order, b"", lost=list(steps.values()))
            else:
                yield Landed(order, b"", error=_shown(error) if error is not None else f"the task was {future.status}")

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said = event[1]
        step = LastStep(said["worker"], said["place"], said["case"], said["step"])
        self._steps.setdefault(said["task"], {})[step.worker] = step
        self._on_step(step.case, step.step)


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
    with dask.config.set({"distributed.scheduler.allowed-failures": MOST_LOST}), _quiet():
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
        dashboard_address=":0",  # any free port
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
