"""Holds stallgate's advice against NVIDIA's rule results on the same launches, over a folder of ncu reports.

    python tests/advise/agreement.py FOLDER

prints a table of rules in Markdown: on how many cases both say it, only stallgate does, only NVIDIA's rule does; and on
how many the rule could not be asked. The reports are imported into a temporary folder, and nothing else is written.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from stallgate.advise.advice import CaseAdvice, advice_by_case
from stallgate.advise.theirs import details_by_case, is_finding, is_named
from stallgate.errors import StallgateError
from stallgate.extract.imported import import_reports
from stallgate.judge.evaluate import evaluate
from stallgate.model import AdviceRule, Detail
from stallgate.project.advice import read_advice_rules
from stallgate.project.load import Project, load_project

SUFFIXES = {".ncu-rep", ".ncu-repz", ".nsight-cuprof-report"}


class Agreement:
    """Rule -> how many cases have each answer."""

    def __init__(self, rules: dict[str, AdviceRule]) -> None:
        self.rules = rules
        self.counts: Counter[tuple[str, str]] = Counter()
        self.lacking: Counter[tuple[str, str]] = Counter()
        self.theirs_alone: Counter[tuple[str, str]] = Counter()
        self.cases = 0

    def add(self, found: CaseAdvice, details: list[Detail]) -> None:
        """One case that NVIDIA's rules were run on."""
        self.cases += 1
        results = [result for detail in details for result in detail.advice if is_finding(result)]
        ours = {advice.rule for advice in found.advice}
        for name, rule in self.rules.items():
            theirs = any(is_named(rule, result) for result in results)
            self.counts[name, self._answer(name in ours, theirs, name in found.silent)] += 1
        for result in results:
            if not any(is_named(rule, result) for rule in self.rules.values()):
                self.theirs_alone[result.rule, result.title] += 1

    def _answer(self, ours: bool, theirs: bool, silent: bool) -> str:
        if silent:
            return "silent, theirs" if theirs else "silent"
        return {(True, True): "both", (True, False): "ours", (False, True): "theirs"}.get((ours, theirs), "neither")

    def markdown(self) -> str:
        """The table, and NVIDIA's results that no rule has a counterpart of."""
        answers = ("both", "ours", "theirs", "neither", "silent", "silent, theirs")
        lines = [
            "| rule | both | only ours | only theirs | neither | not asked | of these, theirs |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name in sorted(self.rules):
            shown = [self.counts[name, answer] for answer in answers]
            shown[4] += shown[5]
            lines.append(f"| `{name}` | {' | '.join(map(str, shown))} |")
        others = [f"* {rule}: {title}: {count}" for (rule, title), count in self.theirs_alone.most_common()]
        return "\n".join([f"{self.cases} cases", "", *lines, "", "NVIDIA's results without a counterpart:", *others])


def main() -> None:
    """Imports each report of a folder and prints the table."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "reports").mkdir()
        project = load_project(root)
        found = Agreement(read_advice_rules(root, project.catalogue))
        for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES):
            _add(found, project, path)
        print(found.markdown())


def _add(found: Agreement, project: Project, path: Path) -> None:
    try:
        run = evaluate(project, import_reports([path], project.reports, []), [])
    except StallgateError as error:
        print(f"{path.name}: {error.message}", file=sys.stderr)
        return
    details = details_by_case(run.run)
    for case in advice_by_case(run, project):
        if any(detail.advice for detail in details.get(case.case, [])):
            found.add(case, details[case.case])


if __name__ == "__main__":
    main()
