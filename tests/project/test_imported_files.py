"""The project's files that a file imports, without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.project.imported_files import with_imported_files

VARIANT = "kernels/sums/blocked.py"
FILES = {
    "shared.py": "",
    "src/house/__init__.py": "",
    "src/house/below.py": "import beside",
    "src/beside.py": "",
    "kernels/sums/beside.py": "from shared import name",
    "kernels/sums/shared.py": "",
    "kernels/sums/random.py": "",
    "kernels/sums/scan/__init__.py": "",
    "kernels/sums/scan/inner/__init__.py": "",
    "kernels/sums/scan/inner/turned.py": "from ..ranges import picked\nimport beside",
    "kernels/sums/scan/ranges.py": "import inner.turned",
    "kernels/other/elsewhere.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def imported(root: Path, path: str, text: str = "") -> list[str]:
    """What is found besides the file itself."""
    if text:
        (root / path).write_text(text, encoding="utf-8")
    first, *others = with_imported_files(root, [path])
    assert first == path
    return others


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import scan.ranges", ["kernels/sums/scan/ranges.py"]),
        ("from scan import ranges", ["kernels/sums/scan/__init__.py", "kernels/sums/scan/ranges.py"]),
        ("from scan.ranges import picked", ["kernels/sums/scan/ranges.py"]),
        ("import elsewhere, sums.beside, kernels.other.missing", []),
    ],
)
def test_modules_beside_a_file_are_found(root: Path, text: str, found: list[str]) -> None:
    assert imported(root, VARIANT, text) == found


def test_what_lies_below_the_root_or_src_comes_first(root: Path) -> None:
    """As on Python's path: the folder of a file that is loaded by its path is the last there."""
    assert imported(root, VARIANT, "import shared\nimport house.below") == [
        "shared.py",
        "src/house/below.py",
        "src/beside.py",
    ]


def test_python_s_own_modules_come_before_files_of_their_names(root: Path) -> None:
    assert imported(root, VARIANT, "import random") == []


def test_a_package_s_files_find_what_lies_beside_the_package(root: Path) -> None:
    """Not beside themselves, unless they say so with a dot."""
    (root / "src/beside.py").unlink()
    assert imported(root, "kernels/sums/scan/inner/turned.py") == [
        "kernels/sums/scan/ranges.py",
        "kernels/sums/beside.py",
        "shared.py",
    ]


def test_what_is_found_is_followed(root: Path) -> None:
    (root / "src/beside.py").unlink()
    text = "from scan.inner.turned import turned"
    assert imported(root, VARIANT, text)[:2] == ["kernels/sums/scan/inner/turned.py", "kernels/sums/scan/ranges.py"]
