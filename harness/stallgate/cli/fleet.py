"""``--on`` of several commands: the fleet that it names, opened, and which GPU models are measured.

The engine is imported only when a command asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from stallgate.cli.options import FleetOptions
from stallgate.cli.shared import is_given
from stallgate.errors import BadArgument, UnknownName
from stallgate.fleet.cluster import cluster_of
from stallgate.fleet.hosts import WorkerFacts, differing_versions, examined, refuse_unable
from stallgate.fleet.sources import pack_sources
from stallgate.formatting import listed
from stallgate.measure.attempt import Machine
from stallgate.measure.device import Device
from stallgate.measure.profile import chip_of
from stallgate.project.load import Project

if TYPE_CHECKING:
    from stallgate.fleet.dispatch import Dispatcher
    from stallgate.fleet.engine import Engine


class Fleet(msgspec.Struct, frozen=True):
    """A fleet that was found able to measure."""

    engine: Engine
    workers: list[WorkerFacts]
    models: list[str]
    """The GPU models to measure, by their drivers' names."""

    @contextmanager
    def dispatching(self, project: Project, python: str | None) -> Iterator[Dispatcher]:
        """Sends a project's files to every worker; then parts of its plans.

        Args:
            project: what is measured.
            python: the interpreter on every worker that has torch and triton; None: each worker's own.
        """
        from stallgate.fleet.dispatch import Dispatcher  # with the engine

        sources = pack_sources(project.root)
        with self.engine.sending(sources):
            yield Dispatcher(self.engine, sources, python or "")

    @property
    def gpus(self) -> dict[str, int]:
        """GPU model to measure -> how many of its GPUs there are."""
        return {model: sum(device.name == model for device in self._devices) for model in self.models}

    @property
    def _devices(self) -> list[Device]:
        return [facts.device for facts in self.workers if facts.device is not None]

    def machine_of(self, project: Project, model: str) -> Machine:
        """The first machine with a GPU of a model: what is planned is planned for its chip."""
        return self.machines_of(project, model)[0]

    def machines_of(self, project: Project, model: str) -> dict[int, Machine]:
        """Every machine with a GPU of a model, numbered through the fleet."""
        found = [(facts, facts.device) for facts in self.workers if facts.device is not None]
        mine = [(facts, device) for facts, device in found if device.name == model]
        return {
            number: Machine(
                device=msgspec.structs.replace(device, index=number),
                ncu=Path("ncu"),
                ncu_version=facts.ncu,
                chip=chip_of(project, device),
            )
            for number, (facts, device) in enumerate(mine)
        }


@contextmanager
def opened_fleet(project: Project, options: FleetOptions, *, with_ncu: bool = True) -> Iterator[Fleet]:
    """The fleet that ``--on`` names, every worker examined before the first task.

    Args:
        project: what is measured; its own file may name the cluster.
        options: of the command line.
        with_ncu: whether counters are wanted.

    Raises:
        BadArgument: the engine is not installed, or it is not said which of several GPU models to measure.
        NotMeasured: there is no worker with a GPU, or one that could not measure.
    """
    cluster = cluster_of(project.root, options.on or "")
    from stallgate.fleet import engine  # imported only when it is asked for

    with engine.opened(cluster, options.wait) as opened:
        opened.wait_for_gpus(max(cluster.workers, 1))
        workers = examined(opened)
        models = chosen_models(list(opened.models()), options.gpu, each=options.each_model)
        there = [facts for facts in workers if facts.device is not None and facts.device.name in models]
        refuse_unable(there, with_ncu=with_ncu)
        for sentence in differing_versions(there):
            click.echo(sentence, err=True)
        yield Fleet(opened, there, models)


class FoundWorkers(msgspec.Struct, frozen=True):
    """The workers of a fleet, able to measure or not."""

    workers: list[WorkerFacts]
    allowed_failures: int
    """Workers that a task may lose before the scheduler gives it up at the next."""


def workers_of(project: Project, on: str, wait: float) -> FoundWorkers:
    """The workers of the fleet that ``--on`` names.

    Raises:
        BadArgument: the engine is not installed.
        NotMeasured: there is no worker with a GPU.
    """
    cluster = cluster_of(project.root, on)
    from stallgate.fleet import engine  # imported only when it is asked for

    with engine.opened(cluster, wait) as opened:
        opened.wait_for_gpus(max(cluster.workers, 1))
        return FoundWorkers(examined(opened), opened.allowed_failures())


def chosen_models(known: list[str], wanted: str | None, *, each: bool) -> list[str]:
    """The GPU models to measure.

    Args:
        known: those of the fleet.
        wanted: a model's name or a part of it, in any case; None: it does not matter. A whole name is that model's
            alone: it may be a part of another's.
        each: whether every model is measured.

    Raises:
        UnknownName: none is called so.
        BadArgument: there are several, and it is not said which.
    """
    asked = (wanted or "").casefold()
    whole = [name for name in known if name.casefold() == asked]
    found = whole or [name for name in known if asked in name.casefold()]
    if not found:
        raise UnknownName("GPU model", wanted or "", known)
    if len(found) > 1 and not each:
        raise BadArgument(
            f"the fleet has GPUs of {len(found)} models: {listed(sorted(found))}",
            "name one with --gpu, or measure every case on each with --each-model",
        )
    return sorted(found)


_AnyOptions = TypeVar("_AnyOptions", bound=FleetOptions)


def of_its_model(options: _AnyOptions, begun: str | None) -> _AnyOptions:
    """The options of what is gone on with, for the GPU model that it was begun on.

    Raises:
        BadArgument: another model is asked for, or each.
    """
    if options.each_model:
        raise BadArgument(
            "--each-model is not allowed with --resume, which goes on with one model",
            "leave it out, and name each of them: --resume NAME",
        )
    if begun and options.gpu and options.gpu.casefold() not in begun.casefold():
        raise BadArgument(f"--gpu {options.gpu}: this was begun on {begun}", "leave it out, or start anew")
    return msgspec.structs.replace(options, gpu=begun or options.gpu)


_WORDS = {"target": "device", "each_model": "each-model"}
"""Parameters whose options are written otherwise."""


def refuse_beside_fleet(*options: str) -> None:
    """Refuses options that are about this machine.

    Raises:
        BadArgument: one was given.
    """
    for name in options:
        if is_given(name):
            word = _WORDS.get(name, name)
            raise BadArgument(
                f"--{word} is not allowed here with --on: the workers have their own GPUs", "leave it out"
            )


def refuse_without_fleet(options: FleetOptions) -> None:
    """Refuses options that are about a fleet where none is named: they would change nothing.

    Raises:
        BadArgument: one was given.
    """
    for name in ("gpu", "each_model", "wait"):
        if options.on is None and is_given(name):
            raise BadArgument(
                f"--{_WORDS.get(name, name)} is for measuring on a fleet", "name the fleet with --on, or leave it out"
            )
