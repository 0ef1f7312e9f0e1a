"""What a chip can measure: which targets cannot be judged on it, and the catalogue checked against an installed ncu."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from stallgate.errors import NoProfiler, UnknownName
from stallgate.measure import ncu
from stallgate.model import Catalogue, FrozenStruct, Metric
from stallgate.project.catalogue import COMPUTED_OF, asked_for, exists_on, is_measured, names_in
from stallgate.project.load import Project

_OWN = ("launch__", "device__", "smsp__pcsamp_", "sm__maximum_warps_per_active_cycle_pct")
"""Names that ncu computes itself and that no query lists."""

_NAME = re.compile(r"[a-z][a-z0-9]*__[a-z0-9_]+")


class CatalogueCheck(FrozenStruct, frozen=True):
    """How the catalogue stands to an installed ncu."""

    chip: str
    text: str
    differs: bool
    """Whether the two contradict each other."""


_MAKERS = ("nvidia", "geforce", "quadro", "tesla")


def named_chip(project: Project, name: str | None) -> str | None:
    """A chip from what people call it: its own name, a data sheet's, or a GPU's, in any case; or its first words.

    Raises:
        UnknownName: nothing is called so, or GPUs of several chips are.
    """
    if name is None:
        return None
    called, wanted = _names_of_chips(project), _words(name)
    exact = {chip for text, chip in called if "".join(_words(text)) == "".join(wanted)}
    begun = {chip for text, chip in called if wanted and _words(text)[: len(wanted)] == wanted}
    for found in (exact, begun):
        if len(found) == 1:
            return found.pop()
    known = [*project.catalogue.chips, *project.gpu_specs]
    raise UnknownName("chip", name, known if name.isupper() else [text.lower() for text in known])


def _names_of_chips(project: Project) -> list[tuple[str, str]]:
    """Every name of a chip or of a GPU with one, and the chip."""
    chips = project.catalogue.chips.values()
    found = [(chip.name, chip.name) for chip in chips]
    found += [(name, chip.name) for chip in chips for name in chip.device_names]
    for spec in project.gpu_specs.values():
        found += [(name, spec.chip) for name in (spec.name, spec.title, *spec.device_names)]
    return found


def _words(name: str) -> list[str]:
    """The words of a name in small letters, without the maker's."""
    return [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in _MAKERS]


def judged_by(project: Project, problems: list[str]) -> dict[str, list[str]]:
    """Metric -> the stages that judge by it, of those that gate the problems and are not broken."""
    stages = project.with_sound(name for problem in problems for name in project.problems[problem].stages)
    found: dict[str, list[str]] = {}
    for stage in stages:
        for metric in dict.fromkeys(target.metric.name for target in stage.targets):
            found.setdefault(metric, []).append(stage.name)
    return found


def unmeasurable(project: Project, chip: str, problems: list[str]) -> list[str]:
    """A sentence for every metric that a stage of the problems judges by and that no run on a chip will have."""
    return [
        f"{', '.join(stages)} cannot be judged on {chip}: {why}"
        for name, stages in judged_by(project, problems).items()
        for why in _lacks(project.catalogue, project.catalogue.metrics[name], chip)
    ]


def _lacks(catalogue: Catalogue, metric: Metric, chip: str) -> list[str]:
    """Why a metric will not be in a run on a chip, as far as the catalogue knows."""
    if is_measured(metric):
        return [] if asked_for(catalogue, metric, chip) else [f"it does not have {metric.name}"]
    if metric.formula is not None:
        return [f"{metric.name} exists only in --detail reports, which are never judged"]
    parts = [catalogue.metrics[name] for name in COMPUTED_OF.get(metric.name, [])]
    return [why for part in parts for why in _lacks(catalogue, part, chip)]


def verify(catalogue: Catalogue, chip: str, tool: Path) -> CatalogueCheck:
    """Holds what the catalogue says of a chip against ``ncu --query-metrics``."""
    listed = query(tool, chip)
    if not listed:
        return CatalogueCheck(
            chip=chip, text=f"{tool} lists no metrics of {chip}: the catalogue is not verified", differs=False
        )
    names = sorted({name for metric in catalogue.metrics.values() for name in _names(metric)})
    wrong = [name for name in names if (_base(name) in listed) != exists_on(catalogue, name, chip)]
    if not wrong:
        return CatalogueCheck(
            chip=chip, text=f"{tool} agrees with the catalogue on {len(names)} names of {chip}", differs=False
        )
    said = [f"{name} {'exists' if _base(name) in listed else 'does not exist'}" for name in wrong]
    return CatalogueCheck(
        chip=chip, text=f"{tool} contradicts the catalogue: on {chip} {', '.join(said)}", differs=True
    )


def _names(metric: Metric) -> list[str]:
    """The ncu names that may be asked for to measure a metric, but for those that ncu computes itself."""
    parts = [name for counters in metric.counters for name in names_in(counters)]
    return [name for name in (*metric.names, *parts) if not name.startswith(_OWN)]


def query(tool: Path, chip: str) -> set[str]:
    """The names of metrics, without suffixes, that ncu lists for a chip; none where it does not answer."""
    command = [str(tool), "--config-file", "off", "--query-metrics", "--chips", chip.lower()]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    if answer.returncode != 0:
        return set()
    first = (line.split(maxsplit=1)[0] for line in answer.stdout.splitlines() if line.strip())
    return {word for word in first if _NAME.fullmatch(word)}


def _base(name: str) -> str:
    return name.partition(".")[0]


def installed() -> Path | None:
    """The ncu on PATH; None where there is none."""
    try:
        return ncu.find_ncu()
    except NoProfiler:
        return None
