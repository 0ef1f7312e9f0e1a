"""Names for the launches of ncu reports that stallgate did not make.

A range of stallgate's own form keeps its names; a detail launch is a sample like any other. A range
``variant/workload/sample`` names these three. Any other range names the variant; a launch without a range is named by
its kernel. There the workload is the launch's geometry, and launches of the same variant and geometry are samples of
one case. The configuration is the report that a launch comes from.
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from stallgate.extract.launches import GEOMETRY, fact
from stallgate.model import DETAIL, Case, Label, Launch
from stallgate.project.paths import Slugs, slug

IMPORTED = "imported"


def identify_foreign(launches: list[Launch], report: str) -> list[tuple[Label, Launch]]:
    """A label for every launch that has a kernel's name.

    Args:
        launches: those of one ncu report.
        report: its name, fit for a label.
    """
    return _Names(report).labelled(launches)


class _Names:
    """The names of one report's launches, in order."""

    def __init__(self, report: str) -> None:
        self._report = report
        self._variants, self._workloads = Slugs(), Slugs()

    def labelled(self, launches: list[Launch]) -> list[tuple[Label, Launch]]:
        seen: Counter[tuple[Case, str]] = Counter()
        labelled = []
        for launch in launches:
            if launch.kernel is None:
                continue
            label = self._by_range(launch)
            if label is None:
                case = self._by_geometry(launch)
                label = Label(case=case, sample=str(seen[case, launch.kernel]))
                seen[case, launch.kernel] += 1
            labelled.append((label, launch))
        return labelled

    def _by_range(self, launch: Launch) -> Label | None:
        for text in launch.ranges:
            own = Label.parse(text)
            if own is not None:
                configuration = own.case.configuration
                configuration = self._report if configuration == "default" else f"{self._report}.{configuration}"
                sample = "0" if own.sample == DETAIL else own.sample
                return Label(case=replace(own.case, configuration=configuration), sample=sample)
            parts = text.split("/")
            if len(parts) == 3 and slug(parts[2]).isdigit():
                return Label(case=self._case(parts[0], parts[1]), sample=slug(parts[2]))
        return None

    def _by_geometry(self, launch: Launch) -> Case:
        grid, block = (fact(launch, name) or "unknown" for name in GEOMETRY)
        variant = launch.ranges[-1] if launch.ranges else str(launch.kernel)
        return self._case(variant, f"grid-{grid}-block-{block}")

    def _case(self, variant: str, workload: str) -> Case:
        return Case(
            problem=IMPORTED,
            variant=self._variants.of(variant),
            configuration=self._report,
            workload=self._workloads.of(workload),
        )
