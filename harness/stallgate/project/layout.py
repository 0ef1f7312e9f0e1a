"""Where a project keeps what: the paths under its root."""

from __future__ import annotations

from pathlib import Path

METRICS = "metrics"
"""The folder of a project's yardsticks. Those that come with stallgate are found by ``shipped.py``."""

CATALOGUE_FILE = f"{METRICS}/catalogue.toml"


def relative(root: Path, path: Path) -> str:
    """A path as messages and digests show it: relative to the root, with forward slashes."""
    return path.relative_to(root).as_posix()


# --- kernels ----------------------------------------------------------------------------------------------------------


def problem_files(root: Path) -> list[Path]:
    """Every problem's ``problem.toml``."""
    return sorted(root.glob("kernels/*/problem.toml"))


def problem_folder(root: Path, problem: str) -> Path:
    return root / "kernels" / problem


def project_file(root: Path) -> Path:
    """The file that can hold a project's problems as tables."""
    return root / "stallgate.toml"


def packaging_file(root: Path) -> Path:
    """The file that can hold them under ``[tool.stallgate]``."""
    return root / "pyproject.toml"


def problem_file(root: Path, problem: str) -> Path:
    return problem_folder(root, problem) / "problem.toml"


def gradient_file(root: Path, problem: str) -> Path:
    """The correct gradient of a problem. It is a file beside the reference because recordings depend on the latter."""
    return problem_folder(root, problem) / "gradient.py"


def peer_file(root: Path, problem: str, name: str) -> Path:
    return problem_folder(root, problem) / "peers" / f"{name}.py"


def peer_files(root: Path, problem: str) -> list[Path]:
    """Other people's implementations, in the form of variants."""
    return sorted((problem_folder(root, problem) / "peers").glob("*.py"))


# --- yardsticks -------------------------------------------------------------------------------------------------------


def catalogue_file(root: Path) -> Path:
    """A project's own catalogue, which overlays the shipped one; it need not exist."""
    return root / CATALOGUE_FILE


def baseline_files(root: Path) -> list[Path]:
    return sorted(root.glob(f"{METRICS}/baselines/*/*.json"))


def baseline_file(root: Path, gpu: str, problem: str) -> Path:
    """The accepted numbers of a problem on a GPU.

    Args:
        root: the project's.
        gpu: the name of the GPU's folder.
        problem: the problem.
    """
    return root / METRICS / "baselines" / gpu / f"{problem}.json"
