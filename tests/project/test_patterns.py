"""Patterns of allowed kernels: what allows everything is refused, however it is spelled."""

from __future__ import annotations

import fnmatch
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.project.load import Project
from stallgate.project.patterns import too_wide

EVERYTHING = [
    *("*", "?*", "**", "* *", "[!~]*", "*[!~]", "*[a-z]*", "*_*", "*e*", "[!]]*", "*[]]*", "*[!!]*", "?*?", "*[_a]*"),
    *("*ker*", "*nel", "*::*", "*[k][e][r][n][e][l]*", "[!~][!~]*", "[v_t]*", "*(*", ">*<"),
]
TOO_WIDE = ["*kernel*", "void *", "*at::native::*", "*native*", "triton_*", "*cub::Device*", "*cutlass*", "*float*"]
FINE = [
    "*Fill*",
    "*at::native::*FillFunctor<*",
    "*direct_copy_kernel*",
    "*gemm*",
    "my_helper",
    "k",
    "ncclDev*",
    "memset*",
]


@pytest.mark.parametrize("pattern", EVERYTHING)
def test_everything_is_refused_under_any_spelling(pattern: str) -> None:
    assert "is too broad" in too_wide(pattern)


@pytest.mark.parametrize("pattern", TOO_WIDE)
def test_what_allows_unrelated_kernels_is_refused(pattern: str) -> None:
    assert "allows unrelated kernels" in too_wide(pattern)


@pytest.mark.parametrize("pattern", FINE)
def test_what_names_a_kernel_is_fine(pattern: str) -> None:
    assert too_wide(pattern) == ""


def test_this_repository_names_its_helpers(repository: Project) -> None:
    assert [too_wide(allowed.pattern) for allowed in repository.problem("cumprod").allowed_kernels] == ["", ""]


names = st.text(string.ascii_letters + string.digits + "_:<>(), *&", min_size=1, max_size=60)
pieces = st.sampled_from(["*", "?", "[!~]", "[a-z_]", "[!0-9]", "[^a]", "[[]", "[]]", "e", "_", "k", "::", "ker"])


@given(spelling=st.lists(pieces, min_size=1, max_size=8).map("".join), others=st.lists(names, min_size=20, max_size=20))
def test_a_pattern_that_matches_half_of_all_names_is_refused(spelling: str, others: list[str]) -> None:
    matched = sum(fnmatch.fnmatchcase(name, spelling) for name in set(others))
    if matched > len(set(others)) / 2 and matched > 2:
        assert too_wide(spelling)


@given(pattern=st.text(max_size=40))
def test_any_pattern_can_be_judged(pattern: str) -> None:
    too_wide(pattern)


@given(before=st.sampled_from(["*", "?*", "[!~]*"]), after=st.sampled_from(["*", "*?", "*[!~]"]), name=names)
def test_what_is_accepted_matches_few_names(before: str, after: str, name: str) -> None:
    """Wildcards around a text match what contains it: of unrelated names no two."""
    literal = name.replace("*", "").replace("[", "")[:6]
    unrelated = ["void a::b<int>(int)", "_my_kernel", "triton_per_fused_1", "x", "Kern7", "gemm_nt", "void c::d()"]
    if not too_wide(f"{before}{literal}{after}"):
        assert sum(fnmatch.fnmatchcase(other, f"{before}{literal}{after}") for other in unrelated) <= 1
