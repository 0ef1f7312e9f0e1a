"""Which targets can be judged on a chip, for the commands that need no GPU."""

from __future__ import annotations

from stallgate.measure.chip import CatalogueCheck, installed, unmeasurable, verify
from stallgate.measure.device import choose, find_devices
from stallgate.measure.profile import chip_of
from stallgate.project.load import Project


def chip_here(project: Project) -> str | None:
    """The chip of this machine's GPU; None if there is no GPU, or an unknown one."""
    devices = find_devices()
    return chip_of(project, choose(devices, None)) if devices else None


def on_chip(project: Project, chip: str | None, problems: list[str]) -> tuple[list[str], CatalogueCheck | None]:
    """A sentence per target that cannot be judged on a chip; whether an installed ncu agrees with the catalogue."""
    if chip is None:
        return [], None
    tool = installed()
    answer = verify(project.catalogue, chip, tool) if tool is not None else None
    return unmeasurable(project, chip, problems), answer
