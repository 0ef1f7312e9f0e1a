"""Two folders of the repository become part of the package; everything else is in pyproject.toml.

They are here because pyproject.toml can either find packages or list them, and a list forgets the new ones.
"""

from setuptools import find_packages, setup

# docs/ is what `stallgate docs` prints. metrics/ are the yardsticks; the baselines there are this repository's own.
FOLDERS = {"stallgate.documents": "docs", "stallgate.yardsticks": "metrics"}

setup(
    packages=[*find_packages("harness"), *FOLDERS],
    package_dir={"": "harness", **FOLDERS},
    package_data={
        "stallgate.documents": ["*.md"],
        "stallgate.yardsticks": ["catalogue.toml", "stages/*.toml", "gpus/*.toml"],
        "stallgate.render": ["templates/*"],
    },
)
