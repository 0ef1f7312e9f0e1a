"""Whether variants are right, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stallgate.formatting import spaced, workload_keys
from stallgate.render.terminal_text import hang, out, styled

if TYPE_CHECKING:  # a progress bar is shown before they are imported
    from stallgate.measure.checked import CheckedCase, CheckedVariant, CheckReport


_ANSWERS = {"right": ("right", "green"), "wrong": ("WRONG", "bold red"), "not_checked": ("not checked", "yellow")}

_MOST_CASES = 10
"""Cases of a variant whose reasons are shown; `--json` has them all."""


def show_check(found: CheckReport) -> None:
    """Where the variants ran, then each variant's answer, with the reasons where it is not right."""
    if found.gpu is None:
        where = "Triton's interpreter on the CPU: small inputs in the place of the workloads'"
    else:
        where = f"{found.gpu}: whole workloads"
    drawn = f", and drawn ones of seed {found.seed}" if found.seed is not None else ""
    hang(out, styled(""), f"{where}{drawn}", 2, "yellow" if found.small else "")
    for left_out, same in found.stand_ins.items():
        out.print(styled(f"  {left_out} is the same as {same} once it is small", "dim"), soft_wrap=True)
    for note in found.notes:
        hang(out, styled("  "), note, 2, "dim")
    for variant in found.variants:
        _checked_variant(variant, found)


def _checked_variant(variant: CheckedVariant, found: CheckReport) -> None:
    word, style = _ANSWERS[variant.answer]
    line = f" on {variant.right} of {len(variant.cases)}" if variant.answer == "right" else ""
    if variant.answer != "right":
        line = f": right on {variant.right} of {len(variant.cases)}"
    worst = ""
    if variant.worst is not None and variant.answer == "right":
        worst = f", worst error {variant.worst.used:.2f} of its tolerance"
    out.print(styled(f"{word:<12}", style) + styled(f"{variant.name}{line}{worst}"), soft_wrap=True)
    faulty = [case for case in variant.cases if case.outcome != "right"]
    for case in faulty[:_MOST_CASES]:
        _checked_case(case, found, variant)
    if len(faulty) > _MOST_CASES:
        out.print(styled(f"{'':12}and on {len(faulty) - _MOST_CASES} more; --json has them all"))
    for note in dict.fromkeys(case.note for case in variant.cases if case.note):
        hang(out, styled(f"{'':12}edge cases: "), note, 14, "yellow")


def _checked_case(case: CheckedCase, found: CheckReport, variant: CheckedVariant) -> None:
    """Why a case is not right, and for a drawn one how to run it again alone."""
    hang(out, styled(f"{'':12}{case.workload}: "), f"{spaced(case.outcome)}: {case.reason}", 14)
    if case.number is not None:
        hang(out, styled(" " * 14), workload_keys(case.arguments, case.inputs), 16, "dim")
        again = f"stallgate check {variant.problem}/{variant.variant} --seed {found.seed} --drawn-only {case.number}"
        out.print(styled(f"{'':14}{again}", "dim"), soft_wrap=True)
