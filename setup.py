"""Two folders of the repository become part of the package; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

# docs/ is what `stallgate docs` prints, metrics/ the yardsticks of projects that have none of their own.
FOLDERS = {"stallgate.documents": "docs", "stallgate.yardsticks": "metrics"}

setup(
    packages=[*find_packages("harness"), *FOLDERS],
    package_dir={"": "harness", **FOLDERS},
    package_data={
        "stallgate.documents": ["*.md"],
        "stallgate.yardsticks": ["*.toml", "stages/*.toml", "gpus/*.toml"],
        "stallgate.render": ["templates/*"],
    },
)
