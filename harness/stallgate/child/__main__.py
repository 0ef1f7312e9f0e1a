"""PlannedEntry of the child: ``python .../stallgate/child/__main__.py PLAN.json CHANNEL LIFELINE``.

Any interpreter that has torch will do. CHANNEL and LIFELINE are the numbers of descriptors that the child inherits.

The package is made importable by path. The child's interpreter must not see the packages that stand beside
``stallgate`` (they are another interpreter's), nor this folder's modules as top-level names.
"""

import importlib.util
import sys
from pathlib import Path


def _make_importable(package: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package.name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.path.pop(0)
    _make_importable(Path(__file__).resolve().parents[1])
    from stallgate.child.work import main

    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
