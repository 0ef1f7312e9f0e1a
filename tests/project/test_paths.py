"""Names that become paths: whatever a name is, the path is safe and inside its root."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.errors import BrokenFile
from stallgate.model import LABEL_PART
from stallgate.project.load import Project
from stallgate.project.paths import Slugs, distinct_slug, inside, slug

HOSTILE = [
    *("", ".", "..", "...", "../../victim", "/etc/passwd", "a/b", "a\\b", "nul\0", "line\nbreak", "n" * 300, "é" * 300),
    *("日本", "中国", "🔥", "name. ", " name", "name...", "-rf", "~", "$HOME", "*", "?", "\udcff", "İ", "ﬁ", "Å"),
]
ANY = st.text(max_size=300) | st.sampled_from(HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_becomes_a_safe_part_of_a_path(name: str, tmp_path: Path) -> None:
    part = slug(name)
    assert re.fullmatch(LABEL_PART, part)
    assert len(part) <= 60
    assert part.strip(".-") == part
    path = inside(tmp_path, part)
    path.mkdir()
    assert [found.name for found in tmp_path.iterdir()] == [part]


@given(ANY)
def test_any_name_becomes_a_safe_part_of_a_path(name: str) -> None:
    for part in (slug(name), distinct_slug(name), Slugs().of(name)):
        assert re.fullmatch(LABEL_PART, part)
        assert part.strip(".-") == part
        assert len(part.encode()) <= 80


@given(ANY, ANY)
def test_two_names_beside_each_other_never_share_a_slug(one: str, other: str) -> None:
    slugs = Slugs()
    assert (slugs.of(one) == slugs.of(other)) is (one == other)
    assert slugs.of(one) == slugs.of(one)
    if one.lower().split() != other.lower().split():
        assert distinct_slug(one) != distinct_slug(other)


def test_names_that_are_cut_at_the_same_place_keep_apart() -> None:
    assert slug("k" * 100) != slug("k" * 101)
    assert slug("k" * 60) == "k" * 60


def test_many_names_of_one_slug_are_numbered_and_cost_no_time() -> None:
    slugs = Slugs()
    given_names = [f"kernel<{' ' * number}>" for number in range(5000)]
    found = [slugs.of(name) for name in given_names]
    assert found[:3] == ["kernel", "kernel-2", "kernel-3"]
    assert len(set(found)) == 5000


# --- inside a root ---


@pytest.mark.parametrize(
    "part", ["..", ".", "", "../beside", "/etc", "a/../../beside", "link", "link/below", "circle", "a\0"]
)
def test_what_leads_out_of_the_root_is_refused(tmp_path: Path, part: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "beside").mkdir()
    (root / "link").symlink_to(tmp_path / "beside")
    (root / "circle").symlink_to("circle")
    with pytest.raises(BrokenFile) as refused:
        inside(root, part)
    assert refused.value.hint


def test_the_root_may_be_a_link_and_so_may_what_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").symlink_to("elsewhere")
    root = tmp_path / "root"
    (root / "run").mkdir()
    (root / "latest").symlink_to("run")
    assert inside(root, "latest") == root / "latest"
    assert inside(root, "new", "file") == root / "new" / "file"


@given(st.lists(ANY, min_size=1, max_size=3))
def test_no_parts_lead_out_of_the_root(parts: list[str]) -> None:
    root = Path("/nowhere/root")
    try:
        found = inside(root, *parts)
    except BrokenFile:
        return
    assert found.resolve().is_relative_to(root)


# --- the folder of a GPU ---


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_gpu_has_a_folder_of_its_own(repository: Project, name: str) -> None:
    folder = repository.folder_of(name)
    assert re.fullmatch(LABEL_PART, folder)
    assert folder not in {path.stem for path in (repository.root / "metrics/gpus").glob("*.toml")}


def test_the_usual_gpus_keep_their_folders(repository: Project) -> None:
    assert repository.folder_of("NVIDIA H200") == "h200_sxm"
    assert repository.folder_of("NVIDIA GeForce RTX 3090 Ti") == "nvidia-geforce-rtx-3090-ti"


def test_a_gpu_that_is_named_as_the_card_of_another_keeps_apart(repository: Project) -> None:
    assert repository.folder_of("h200_sxm") not in ("h200_sxm", "")
