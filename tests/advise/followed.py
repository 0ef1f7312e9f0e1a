"""Whether following the first advice gains what it claims: planted kernels beside the same kernels with it followed.

    python tests/advise/followed.py [--all]

profiles the pairs on a GPU (about a minute; with ``--all`` every kernel of tests/advise/kernels) and prints for each
the gain that the first advice claims, the gain that was measured, and their ratio. Exits with 1 where one is not fair.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
KERNELS = Path(__file__).with_name("kernels")

CONFIGURATIONS = ("default", "one_stage", "deep", "spilling", "small_tiles")

PAIRS = {
    "scaled_add/strided/default/large": ("sector_use", "scaled_add/whole/default/large"),
    "row_sums/pipelined/one_stage/large": ("no_pipelining", "row_sums/pipelined/default/large"),
    "scaled_add/few/default/large": ("too_few_programs", "scaled_add/whole/default/large"),
    "scaled_add/double/default/large": ("double_precision", "scaled_add/whole/default/large"),
}
"""Planted case -> the rule that has to come first, and the case in which its advice is followed."""

MOST_APART = 2.0
"""The factor by which a claim and a measured gain may differ."""


class Followed(NamedTuple):
    """A planted case, what its first advice claims, and what following it gained; shares of the planted case's time."""

    planted: str
    rule: str
    expected: str
    claimed: float
    measured: float

    @property
    def ratio(self) -> float:
        """Claimed over measured gain."""
        return self.claimed / self.measured if self.measured > 0 else float("inf")

    @property
    def is_fair(self) -> bool:
        """Whether the expected rule comes first and claims what is gained, within the factor."""
        return self.rule == self.expected and 1 / MOST_APART <= self.ratio <= MOST_APART

    @property
    def line(self) -> str:
        """For a table of words."""
        shares = f"claimed {self.claimed:6.1%}  measured {self.measured:6.1%}  ratio {self.ratio:5.2f}"
        said = self.rule if self.rule == self.expected else f"{self.rule or 'nothing'} instead of {self.expected}"
        return f"{self.planted:<34} {shares}  {'fair' if self.is_fair else 'NOT FAIR'}  {said}"


def followed(cases: list[dict[str, Any]], planted: str) -> Followed:
    """A pair of cases, from what ``stallgate advise --json`` says of them."""
    known = {case["case"]: case for case in cases}
    rule, mended = PAIRS[planted]
    before, after = known[planted], known[mended]
    first = next(iter(before["advice"]), {"rule": "", "gain": 0.0})
    measured = 1 - after["duration_ms"] / before["duration_ms"]
    return Followed(planted, first["rule"], rule, first["gain"], measured)


def advised_cases(root: Path, *subjects: str) -> list[dict[str, Any]]:
    """Copies the kernels to a folder, profiles them once with every section, and asks for advice."""
    shutil.copytree(KERNELS, root)
    known = [name for name in CONFIGURATIONS if not subjects or name in {case.split("/")[2] for case in _cases()}]
    configurations = [word for name in known for word in ("-c", name)]
    _stallgate(root, "profile", *subjects, "--live", "--detail", "--samples", "1", *configurations)
    cases: list[dict[str, Any]] = _stallgate(root, "advise", "--limit", "20")["cases"]
    return cases


def _stallgate(root: Path, *arguments: str) -> Any:
    paths = [str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", *arguments, "--json", "--root", str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1500,
        check=False,
    )
    return json.loads(done.stdout)


def main() -> int:
    """Prints the table; 1 where a claim is not fair."""
    subjects = [] if "--all" in sys.argv[1:] else sorted({"/".join(c.split("/")[:2]) for c in _cases()})
    with tempfile.TemporaryDirectory() as folder:
        cases = advised_cases(Path(folder) / "project", *subjects)
    rows = [followed(cases, planted) for planted in PAIRS]
    print("\n".join(row.line for row in rows))
    return int(not all(row.is_fair for row in rows))


def _cases() -> list[str]:
    return [*PAIRS, *(mended for _, mended in PAIRS.values())]


if __name__ == "__main__":
    sys.exit(main())
