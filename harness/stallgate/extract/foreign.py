"""Names for the launches of ncu reports that stallgate did not make.

A range of stallgate's own form keeps its names; a detail launch is a sample like any other. A range
``variant/workload/sample`` names these three. Any other range names the variant; a launch without one is named by its
kernel. There the workload is the launch's geometry, and launches that nothing tells apart are samples of one case. The
configuration is the report that a launch comes from.
"""

from __future__ import annotations

import re
from collections import Counter

from msgspec.structs import replace

from stallgate.extract.launches import GEOMETRY, fact
from stallgate.model import DETAIL, Case, Label, Launch

IMPORTED = "imported"


def identify_foreign(launches: list[Launch], report: str) -> list[tuple[Label, Launch]]:
    """A label for every launch that has a kernel's name.

    Args:
        launches: of one ncu report.
        report: its name, fit for a label.
    """
    seen: Counter[tuple[Case, str]] = Counter()
    labelled = []
    for launch in launches:
        if launch.kernel is None:
            continue
        label = _by_range(launch, report)
        if label is None:
            case = _by_geometry(launch, report)
            label = Label(case=case, sample=str(seen[case, launch.kernel]))
            seen[case, launch.kernel] += 1
        labelled.append((label, launch))
    return labelled


def _by_range(launch: Launch, report: str) -> Label | None:
    for text in launch.ranges:
        own = Label.parse(text)
        if own is not None:
            configuration = report if own.case.configuration == "default" else f"{report}.{own.case.configuration}"
            sample = "0" if own.sample == DETAIL else own.sample
            return Label(case=replace(own.case, configuration=configuration), sample=sample)
        parts = [slug(part) for part in text.split("/")]
        if len(parts) == 3 and parts[2].isdigit():
            return Label(case=_case(parts[0], report, parts[1]), sample=parts[2])
    return None


def _by_geometry(launch: Launch, report: str) -> Case:
    grid, block = (fact(launch, name) or "unknown" for name in GEOMETRY)
    variant = launch.ranges[-1] if launch.ranges else str(launch.kernel)
    return _case(slug(variant), report, f"grid-{grid}-block-{block}")


def _case(variant: str, report: str, workload: str) -> Case:
    return Case(problem=IMPORTED, variant=variant, configuration=report, workload=workload)


def slug(text: str) -> str:
    """A text as a part of a label: lower case, everything else a dash, at most 60 characters."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-")[:60] or "unnamed"
