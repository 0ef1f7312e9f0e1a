"""Which workloads are drawn, and their names."""

from __future__ import annotations

from stallgate.model import FrozenStruct


def drawn_name(seed: int, number: int) -> str:
    """The name of a drawn workload."""
    return f"drawn-{seed}-{number}"


class Draw(FrozenStruct, frozen=True):
    """Which workloads are drawn."""

    seed: int
    numbers: list[int]

    @property
    def names(self) -> list[str]:
        """The names of the workloads."""
        return [drawn_name(self.seed, number) for number in self.numbers]

    def number_of(self, workload: str) -> int | None:
        """The number of a drawn workload; None for any other."""
        return next((number for number in self.numbers if drawn_name(self.seed, number) == workload), None)
