"""The table of a project's own file that names stages for imported runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.errors import BrokenFile
from stallgate.project.load import load_project


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stallgate.toml", '[imports]\nstages = ["block_tiling", "streaming"]\n'),
        ("pyproject.toml", '[tool.stallgate.imports]\nstages = ["block_tiling", "streaming"]\n'),
    ],
)
def test_stages_for_imports_are_read_beside_kernels_too(tree: Path, file: str, text: str) -> None:
    assert load_project(tree).import_stages == []
    (tree / file).write_text(text)
    project = load_project(tree)
    assert project.import_stages == ["block_tiling", "streaming"]
    assert "cumprod" in project.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[imports]\nstages = ["block_tilin"]\n', "stallgate.toml: imports.stages: no stage is named 'block_tilin'"),
        ("[imports]\nstages = 1\n", "stallgate.toml: imports.stages"),
        ("[imports]\nstage = []\n", "stallgate.toml: imports"),
    ],
)
def test_a_wrong_table_is_refused_by_its_key(tree: Path, text: str, message: str) -> None:
    (tree / "stallgate.toml").write_text(text)
    with pytest.raises(BrokenFile) as refused:
        load_project(tree)
    assert refused.value.message.startswith(message)


def test_two_files_cannot_both_name_them(tree: Path) -> None:
    (tree / "stallgate.toml").write_text('[imports]\nstages = ["streaming"]\n')
    (tree / "pyproject.toml").write_text('[tool.stallgate.imports]\nstages = ["streaming"]\n')
    with pytest.raises(BrokenFile, match=r"stallgate.toml: imports.stages names stages for imports too"):
        load_project(tree)
