"""One row: every contender on one workload, checked, warmed up, then timed round by round in turn."""

from __future__ import annotations

import gc
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch

from stallgate.child.bench.clock import Clock, TimedCall
from stallgate.child.bench.contenders import Contender, Copy, GradientContender, Implementation
from stallgate.child.bench.elimination import Elimination
from stallgate.child.bench.order import ContenderOrder
from stallgate.child.bench.pool import Pool, tensors_of
from stallgate.child.bench.renewal import Renewal
from stallgate.child.channel import ParentChannel, first_line, printable
from stallgate.child.correctness import shares_memory
from stallgate.child.device import ComputeDevice
from stallgate.child.load import ProjectModules
from stallgate.child.referee_client import Skip, Wrong
from stallgate.child.reference import Reference
from stallgate.child.settings import TorchSettings, kept_settings

_T = TypeVar("_T")

ROTATION = (2, 4)
"""Least and most inputs that single calls rotate through."""
ROTATION_SHARE = 0.4
"""Share of the free memory that inputs beyond the least may take."""
KEPT_SHARE = 4
"""How many times a workload's bytes have to be free if what a sweep's contenders are checked with is kept."""
GRADIENT_ROTATION = (1, 2)
GRADIENT_SHARE = 0.2
"""The same for gradients: a backward pass of torch needs ten times its input."""
LEAST_ROUNDS = 3
"""Minimum number of rounds per contender."""
HOST_CALLS = 50
HOST_BUDGET_US = 2e5
"""Time limit of the calls whose host cost is measured. At least five are made."""
GRAPH_BELOW_US = 100.0
"""If the roof or the copy is faster than this, the row is timed by CUDA graphs: events would cost too much."""
GRAPH_CALLS = (8, 64)
GRAPH_SHARE = 0.5
"""Share of the free memory that the outputs of all graphs may take in a sweep."""
GRAPH_BYTES = 2**31
"""Bytes that the calls of a graph move in total, within the limits of `GRAPH_CALLS`."""


class DeviceLost(Exception):
    """A fault left the device unusable to this process."""


class Entrant:
    """A contender that is right, with what is known of its speed."""

    def __init__(self, spec: dict[str, Any], contender: Contender, call_us: float, host_us: list[float]) -> None:
        self.spec = spec
        self.contender = contender
        self.call_us = call_us
        self.host_us = host_us
        self.replay: Callable[[], list[object]] | None = None
        self.calls = 1
        self.rounds = 0
        self.compared: set[int] = set()
        """The rounds of its own whose outputs are compared."""
        self.settings = TorchSettings()
        """Those of torch that it was checked with: its own calls find them again."""
        self.samples_us: list[float] = []
        self.repeated_us: list[float] = []
        """The same calls made again at once, where each round has inputs of its own."""
        self.note = ""

    def is_due(self, number: int, rounds: int) -> bool:
        """Whether it takes part in a round; its own rounds lie evenly among all."""
        return number * self.rounds // rounds != (number + 1) * self.rounds // rounds


class TimedRow:
    """A workload of a plan."""

    def __init__(
        self,
        plan: dict[str, Any],
        row: dict[str, Any],
        device: ComputeDevice,
        clock: Clock,
        parent: ParentChannel,
        modules: ProjectModules,
        order: ContenderOrder,
    ) -> None:
        self._plan = plan
        self._row = row
        self._device = device
        self._clock = clock
        self._parent = parent
        self._gradient: dict[str, Any] | None = row["gradient"]
        self._spec: dict[str, Any] = plan["references"][row["problem"]]
        self._modules = modules
        self._contender_order = order

    def fits(self) -> bool:
        """Whether its tensors fit, with two sets of inputs."""
        return 2 * int(self._row["bytes"] or 0) <= self._device.free_bytes()

    def measure(self) -> None:
        """Brings every contender to an outcome, whatever each of them raises.

        Raises:
            DeviceLost: the device cannot be used any more.
        """
        with torch.set_grad_enabled(self._gradient is not None):  # a forward call takes no notes for a backward pass
            self._measure()
        gc.collect()
        self._device.release()

    def _measure(self) -> None:
        try:
            self._pool = self._filled_pool()
            self._renewal = Renewal(self._pool, is_on=bool(self._plan.get("renewed")))
            self._tell_row(None if self._row["bytes"] else sum(self._pool.traffic))
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a reference's code can raise anything)
            self._tell_row(None)
            for spec in self._row["contenders"]:
                self._fail(spec, error)
            return
        entrants = list(self._entrants())
        if self._gradient is None and any(
            e.call_us < GRAPH_BELOW_US for e in entrants if e.spec["role"] in ("roof", "copy")
        ):
            self._arm(entrants)
        self._time(entrants)
        del self._pool

    def _tell_row(self, needed_bytes: int | None) -> None:
        """Begins the row, with the bytes that its workload needs where the plan does not say."""
        if needed_bytes is not None:
            self._row = {**self._row, "bytes": needed_bytes}
        self._parent.tell("row", name=self._row["name"], needed_bytes=needed_bytes)

    def _filled_pool(self) -> Pool:
        free = self._device.free_bytes()
        if not self.fits():
            gib = [f"{count / 2**30:.1f} GiB" for count in (2 * self._row["bytes"], free)]
            raise Skip(f"its tensors (with rotating inputs) need {gib[0]}; {gib[1]} of GPU memory are free")
        reference = Reference(self._spec, self._modules)
        make, (least, most), share = None, ROTATION, ROTATION_SHARE
        if self._gradient is not None:
            make = partial(self._with_cotangents, reference, self._truth(), self._gradient["zeros"])
            (least, most), share = GRADIENT_ROTATION, GRADIENT_SHARE
        pool = Pool(self._row, reference, self._modules, self._device.name, make)
        pool.grow(1)
        pool.grow(max(least, min(most, int(share * free / pool.bytes_each))))
        if self._plan.get("elimination"):
            needed = self._row["bytes"] or sum(pool.traffic)
            pool.keeps = KEPT_SHARE * needed <= self._device.free_bytes()
        return pool

    def _with_cotangents(self, reference: Reference, truth: Any, zeros: int, seed: int) -> list[Any]:
        """Inputs of the problem, and behind them a cotangent of its result."""
        arguments = self._row["arguments"]
        inputs = reference.inputs({**self._row, "direction": "forward"}, self._device.name, seed)
        found: list[Any] = truth.get_gradient_inputs(inputs, zeros=zeros, seed=seed, **arguments)
        return found

    # --- right, compiled, warm ---

    def _entrants(self) -> Iterator[Entrant]:
        """The contenders that passed their check, in the order in which their code was there."""
        left: list[dict[str, Any]] = list(self._row["contenders"])
        while left:
            entrant = self._entrant(self._contender_order.take(left))
            if entrant is not None:
                yield entrant

    def _entrant(self, spec: dict[str, Any]) -> Entrant | None:
        """A contender that passed its check; None if it failed."""
        return self._attempt(spec, "check", partial(self._checked, spec))

    def _checked(self, spec: dict[str, Any]) -> Entrant:
        contender = self._contender(spec)
        if not spec.get("checked"):  # by a process before this one
            self._skip_if_too_slow(contender.check())
        self._step(spec, "warm-up")
        calls: list[TimedCall] = [contender.ready(place) for place in range(len(self._pool))]
        call_us = min(self._clock.time(call)[0] for call in calls[:2])
        self._skip_if_too_slow(call_us / 1e6)
        count = max(5, min(self._plan.get("host_calls", HOST_CALLS), int(HOST_BUDGET_US / call_us)))
        return Entrant(spec, contender, call_us, self._clock.host_times([calls[i % len(calls)] for i in range(count)]))

    def _contender(self, spec: dict[str, Any]) -> Contender:
        if spec["role"] == "copy":
            return Copy(self._row["bytes"], self._pool, self._device.name)
        if self._gradient is not None:
            alone = bool(self._gradient["alone"])
            return GradientContender(self._pool, self._truth(), spec, self._device, alone=alone)
        return Implementation(self._pool, {**spec, "bytes": self._row["bytes"]}, self._device)

    def _truth(self) -> Any:
        """The problem's ``gradient.py``."""
        assert self._gradient is not None
        return self._modules.load(self._gradient["entry"])

    def _skip_if_too_slow(self, seconds: float) -> None:
        if seconds > self._plan["run_limit_s"]:
            raise Skip(f"one call takes {seconds:.1f} s, over the limit of {self._plan['run_limit_s']:g} s")

    # --- many calls in a graph ---

    def _arm(self, entrants: list[Entrant]) -> None:
        """Captures a graph of each entrant. One that cannot be captured is timed call by call, with a note."""
        if not self._renewal.keeps_form:
            for entrant in entrants:
                entrant.note = "single calls: the form of its inputs depends on the seed"
            return
        least, most = GRAPH_CALLS
        count = max(least, min(most, GRAPH_BYTES // self._row["bytes"]))
        if self._plan.get("elimination"):
            count = min(count, self._affordable_calls(len(entrants)))
        count = self._renewal.affordable(count, least, self._plan["rounds"])
        if count < 2:
            return
        self._pool.grow(count)
        self._pool.is_fixed = True
        for entrant in entrants:
            self._step(entrant.spec, "graph")
            if not entrant.contender.is_repeatable:
                entrant.note = "single calls: it changes its inputs"
                continue
            try:
                with kept_settings():
                    entrant.settings.restore()
                    entrant.replay = self._captured(entrant.contender, count)
            except Exception as error:
                traceback.print_exc()
                if not self._device.usable():
                    self._fail(entrant.spec, error)
                    raise DeviceLost from error
                entrant.note = f"single calls: no CUDA graph of it ({first_line(error)})"
                continue
            entrant.calls = count

    def _affordable_calls(self, entrants: int) -> int:
        """Calls of a graph whose outputs fit, where many contenders have a graph at a time."""
        outputs = max(1, self._pool.traffic[1])
        return int(GRAPH_SHARE * self._device.free_bytes() / entrants / outputs)

    def _captured(self, contender: Contender, count: int) -> Callable[[], list[object]]:
        """A graph whose replay repeats the work. Its output is compared: work on another stream is not captured."""
        replay = self._clock.graph([contender.ready(place) for place in range(count)])
        inputs = tensors_of(self._pool.inputs)  # a gradient may be one that was given
        for output in tensors_of(replay()):
            if not any(shares_memory(output, each) for each in inputs):
                output.zero_()
        contender.compare(replay()[-1], count - 1)
        return replay

    # --- round by round ---

    def _time(self, entrants: list[Entrant]) -> None:
        places = max((entrant.calls for entrant in entrants), default=1)
        rounds = self._renewal.affordable(self._plan["rounds"], LEAST_ROUNDS, places)
        for entrant in entrants:
            share_us = 1e6 * self._plan["row_budget_s"] / len(entrants)
            affordable = int(share_us / (entrant.call_us * entrant.calls))
            entrant.rounds = min(rounds, max(LEAST_ROUNDS, affordable))
        elimination = Elimination(self._plan.get("elimination"))
        if elimination.is_on:
            for entrant in entrants:
                entrant.rounds = rounds
        for entrant in entrants:
            entrant.compared = self._renewal.compared(entrant.rounds)
        shuffled = random.Random(0)
        with _no_collection():
            for number in range(rounds):
                if elimination.is_over(number, LEAST_ROUNDS):
                    break
                self._eliminate(elimination, number, entrants)
                due = [entrant for entrant in entrants if entrant.is_due(number, rounds)]
                self._order(due, number, shuffled)
                self._renew(due, number, entrants)
                for entrant in due:
                    step = f"round {number + 1} of {rounds}"
                    if not self._attempt(entrant.spec, step, partial(self._sample, entrant, number)):
                        entrants.remove(entrant)
        for entrant in entrants:
            self._conclude(entrant)

    def _renew(self, due: list[Entrant], number: int, entrants: list[Entrant]) -> None:
        """Renews the inputs of a round. If that fails, it is nobody's fault, and nobody has a time."""
        try:
            self._renewal.renew({place for entrant in due for place in self._places(entrant, number)})
        except (Exception, SystemExit) as error:  # a reference's code can raise anything
            for entrant in entrants:
                self._fail(entrant.spec, error)
            if not self._device.usable():
                raise DeviceLost from error
            entrants.clear()
            due.clear()

    def _order(self, due: list[Entrant], number: int, shuffled: random.Random) -> None:
        """Shuffles those who are due; in turn, they go forwards in one round and backwards in the next."""
        if self._plan.get("in_turn"):
            if number % 2:
                due.reverse()
        else:
            shuffled.shuffle(due)

    def _eliminate(self, elimination: Elimination, number: int, entrants: list[Entrant]) -> None:
        """Takes out those who are too slow to be the best, and reports them."""
        for entrant, reason in elimination.hopeless(number, entrants):
            entrants.remove(entrant)
            self._conclude(entrant, outcome="stopped", reason=reason)

    def _sample(self, entrant: Entrant, number: int) -> bool:
        """Takes a time; the output of the last is compared, and of some others where inputs are renewed."""
        entrant.settings.restore()
        place = self._places(entrant, number)[-1]
        took_us, output = self._timed(entrant, place)
        entrant.samples_us.append(took_us)
        if len(entrant.samples_us) - 1 in entrant.compared:
            entrant.contender.compare(output, place)
        if self._renewal.is_on:
            entrant.repeated_us.append(self._timed(entrant, place)[0])
        return True

    def _places(self, entrant: Entrant, number: int) -> range:
        """The inputs that it is called with in a round."""
        if entrant.replay is not None:
            return range(entrant.calls)
        place = number % len(self._pool)
        return range(place, place + 1)

    def _timed(self, entrant: Entrant, place: int) -> tuple[float, object]:
        """Microseconds of a call, and the output of the call on an input."""
        if entrant.replay is None:
            return self._clock.time(entrant.contender.ready(place))
        took_us, outputs = self._clock.time(entrant.replay)
        return took_us / entrant.calls, outputs[place]  # type: ignore[index]

    # --- reports to the parent ---

    def _attempt(self, spec: dict[str, Any], step: str, work: Callable[[], _T]) -> _T | None:
        """The result of a step; None if it failed, after its outcome was reported.

        Raises:
            DeviceLost: it took the device with it.
        """
        self._step(spec, step)
        try:
            with kept_settings():
                return work()
        except (Exception, SystemExit) as error:
            self._fail(spec, error)
            if not self._device.usable():
                raise DeviceLost from error
            return None

    def _step(self, spec: dict[str, Any], step: str) -> None:
        self._parent.tell("step", row=self._row["name"], contender=spec["label"], step=step)

    def _fail(self, spec: dict[str, Any], error: BaseException) -> None:
        outcome, reason = _verdict(error, spec["role"])
        self._tell(spec, outcome=outcome, reason=printable(reason))

    def _conclude(self, entrant: Entrant, outcome: str = "timed", reason: str = "") -> None:
        self._tell(
            entrant.spec,
            outcome=outcome,
            reason=reason,
            method="events" if entrant.replay is None else "graph",
            calls=entrant.calls,
            samples_us=entrant.samples_us,
            repeated_us=entrant.repeated_us,
            host_us=entrant.host_us,
            note=entrant.note,
        )

    def _tell(self, spec: dict[str, Any], **facts: object) -> None:
        self._parent.tell("outcome", row=self._row["name"], contender=spec["label"], **facts)


def _verdict(error: BaseException, role: str) -> tuple[str, str]:
    """The outcome and the reason that an exception stands for."""
    match error:
        case Wrong():
            return "wrong_result", str(error)
        case Skip():
            return "skipped", str(error)
        case torch.OutOfMemoryError():
            return "skipped", f"it does not fit in GPU memory: {first_line(error)}"
        case ImportError() if role == "peer":
            return "absent", first_line(error)
        case _:
            traceback.print_exception(error)
            return "crashed", f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turns off garbage collection, which would slow down the contender that is being timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
