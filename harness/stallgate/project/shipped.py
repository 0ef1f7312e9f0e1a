"""The yardsticks that come with stallgate, and those of a project that overlay them.

The wheel has the repository's ``metrics/`` as ``stallgate/yardsticks/``. A source checkout has it beside ``harness/``.
"""

from __future__ import annotations

from pathlib import Path

import stallgate
from stallgate.project.layout import METRICS, catalogue_file, relative

_PACKAGE = Path(stallgate.__file__).resolve().parent


def shipped_yardsticks() -> Path:
    """The folder of the yardsticks that come with stallgate."""
    installed = _PACKAGE / "yardsticks"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / METRICS


def yardstick_folders(root: Path) -> list[Path]:
    """The folders that yardsticks are read from, each once; a later one overlays those before it."""
    own, shipped = root / METRICS, shipped_yardsticks()
    if not own.is_dir():
        return [shipped]
    return [own] if own.resolve() == shipped else [shipped, own]


def catalogue_files(root: Path) -> list[Path]:
    """The catalogues, the shipped one first. A project need not have one of its own."""
    paths = [folder / catalogue_file(root).name for folder in yardstick_folders(root)]
    return [paths[0], *(path for path in paths[1:] if path.exists() or path.is_symlink())]


def stage_files(root: Path) -> list[Path]:
    """The file of each stage."""
    return _overlaid(root, "stages")


def gpu_spec_files(root: Path) -> list[Path]:
    """The data sheet of each GPU."""
    return _overlaid(root, "gpus")


def advice_files(root: Path) -> list[Path]:
    """The file of each rule of advice."""
    return _overlaid(root, "advice")


def shown_name(root: Path, path: Path) -> str:
    """A file as messages show it: relative to the project's root; a shipped one by its path."""
    return relative(root, path) if path.is_relative_to(root) else path.as_posix()


def _overlaid(root: Path, kind: str) -> list[Path]:
    """The TOML files of a kind, by name; a project's file takes the place of the shipped one of its name."""
    paths = {path.name: path for folder in yardstick_folders(root) for path in sorted(folder.glob(f"{kind}/*.toml"))}
    return [paths[name] for name in sorted(paths)]
