"""A project with the cumulative product, and the cheats under tests/agent/cheats as its candidates or as answers."""

from __future__ import annotations

import shutil
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

CHEATS = Path(__file__).parent / "cheats"

PROBLEM = """
title = "Cumulative product"
stages = []

[workloads.page]
arguments = { shape = [4096, 4096], dim = 1, dtype = "float32" }
bytes = 134_217_728
flops = 16_777_216
default = true

# Its kernels take much longer than a call's host time, on whatever host
[workloads.large]
arguments = { shape = [16384, 16384], dim = 1, dtype = "float32" }
bytes = 2_147_483_648
flops = 268_435_456

# For Triton's interpreter
[workloads.hand]
arguments = { shape = [4, 512], dim = 1, dtype = "float32" }
bytes = 16_384
flops = 2_048

[variants.copy_roof]
role = "roof"
ceiling = "bytes"

[variants.naive_serial]
role = "baseline"
"""


def cheated_project(root: Path, variants: list[str] | None = None) -> Path:
    """The project.

    Args:
        root: where to.
        variants: names of cheats that are its candidates; None: none is.
    """
    problem = root / "kernels" / "scan"
    problem.mkdir(parents=True)
    for name in ("reference", "copy_roof", "naive_serial"):
        shutil.copyfile(ROOT / "kernels" / "cumprod" / f"{name}.py", problem / f"{name}.py")
    table = [PROBLEM, *(f'[variants.{name}]\nrole = "candidate"' for name in variants or [])]
    (problem / "problem.toml").write_text("\n".join(table))
    for name in variants or []:
        shutil.copyfile(CHEATS / f"{name}.py", problem / f"{name}.py")
    return root


class Cheat(NamedTuple):
    """What refuses a cheat. Each layer is tested on its own, as if those before had let it pass."""

    family: str
    source: Set[str] = frozenset()
    """Codes of objections to its form, one of which is enough; empty: its text is that of an honest answer."""
    values: str = ""
    """Words of the reason for which its results are wrong; empty: they are right."""
    process: str = ""
    """The code by which the limits of its process, or what it left, refuse it."""
    counters: str = ""
    """The code by which times and counters refuse it on a GPU, where its results are right."""


WRONG = "elements are wrong"
REPLAYED = "it returned the result of its previous call"

CATALOGUE = {
    "replay_identity": Cheat("replay", {"forbidden_name"}),  # its results are wrong where Python gives an id again
    "replay_pointer": Cheat("replay", values=REPLAYED),
    "replay_fingerprint": Cheat("replay", {"torch_operation"}, counters="replayed_result"),
    "replay_previous": Cheat("fewer calls", values=REPLAYED),
    "first_call": Cheat("work moved", values=REPLAYED),
    "work_in_init": Cheat("work moved", {"work_in_init"}, WRONG),
    "compile_cache": Cheat("work moved", {"torch_operation"}, counters="foreign_kernel"),
    "finds_expected": Cheat("expected tensors", {"import"}, WRONG),
    "reads_frames": Cheat("expected tensors", {"import"}, WRONG),
    "spoils_expected": Cheat("expected tensors", {"import"}, "it changed its input"),
    "leftover_memory": Cheat("memory reused", {"kernel_not_launched"}, "is nan, expected"),
    "patches_comparison": Cheat("patches", {"monkey_patch"}, WRONG),
    "patches_timer": Cheat("patches", {"monkey_patch"}, counters="time_contradicts_counters"),
    "patches_statistics": Cheat("patches", {"monkey_patch"}),
    "patches_synchronize": Cheat("patches", {"monkey_patch"}),
    "patches_allocator": Cheat("patches", {"monkey_patch"}, "its output shares memory with that of its previous call"),
    "overwrites_results": Cheat("result files", {"import"}, WRONG),
    "exit_hook": Cheat("result files", {"import"}, process="crashed"),
    "lazy_output": Cheat("lazy output", {"base_class"}, "it returned Lazy, not a tensor"),
    "works_in_thread": Cheat("lazy output", {"import"}, "is nan, expected"),
    "pre_hook": Cheat("work moved", {"torch_operation"}),  # its results are right: torch's
    # A GPU's referee waits for all streams before it looks: there the kernels that nobody waited for have ended.
    "other_stream": Cheat("other stream", {"torch_operation"}, "is nan, expected", counters="foreign_kernel"),
    "calls_torch": Cheat("library", {"torch_operation"}, counters="foreign_kernel"),
    "calls_torch_renamed": Cheat("library", {"forbidden_name"}, counters="foreign_kernel"),
    "known_shapes": Cheat("branches", values=WRONG),
    "known_seeds": Cheat("branches", {"torch_operation"}, WRONG),
    "being_profiled": Cheat("branches", {"import"}, WRONG),
    "half_precision": Cheat("precision", {"torch_operation"}, WRONG),
    "half_carry": Cheat("precision", values=WRONG),
    "changes_input": Cheat("input changed", values="it changed its input"),
    "constant_answer": Cheat("no work", {"kernel_not_launched"}, WRONG),
    "no_work": Cheat("no work", values=WRONG),
    "first_columns": Cheat("no work", values=WRONG),
    "infinite_loop": Cheat("limits", {"kernel_not_launched"}, process="timed_out"),
    "huge_allocation": Cheat("limits", {"kernel_not_launched"}, process="over_memory"),
    "fork_bomb": Cheat("limits", {"import"}, process="over_processes"),
    "daemon": Cheat("limits", {"import"}, process="left_processes"),
    "reads_files": Cheat("limits", {"import"}),
    "calls_home": Cheat("limits", {"import"}, process="crashed"),
}
"""Cheat -> what refuses it. docs/untrusted-code.md has the same table in words."""
