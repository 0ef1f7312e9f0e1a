"""The kernels that provoke advice are a sound project: everything a GPU test names is there, and every rule is met."""

from __future__ import annotations

from stallgate.project.advice import read_advice_rules
from stallgate.project.load import load_project
from tests.advise.followed import KERNELS
from tests.advise.test_gpu_advice import AMONG, FIRST, SILENT

NOT_BY_TRITON = {
    "bytes_in_flight",  # above the rules on pipelining and occupancy: it fires with them
    "excessive_sectors",  # yields to sector_use
    "more_bytes_than_needed",  # above l2_thrash and rereads: it fires with them
    "at_the_library",
    "at_the_dram_limit",  # of imported reports
}
"""Rules without a kernel of their own here. Tables of readings test them, and reports of CUDA kernels."""


def test_the_cases_are_those_of_the_project() -> None:
    project = load_project(KERNELS)
    assert not project.broken_problems
    for case in {*FIRST, *AMONG, *SILENT.values()}:
        problem, variant, configuration, workload = case.split("/")
        known = project.problem(problem)
        assert workload in known.workloads
        assert configuration in known.variants[variant].configurations


def test_every_rule_has_a_kernel_or_a_reason() -> None:
    project = load_project(KERNELS)
    rules = set(read_advice_rules(KERNELS, project.catalogue))
    provoked = {*FIRST.values(), *AMONG.values()}
    assert provoked | NOT_BY_TRITON == rules
