"""Entry of the compiling child: ``python .../stallgate/child/sweep/__main__.py PLAN.json CHANNEL LIFELINE``.

The package is made importable as the measuring child does it: by path, and without the packages that stand beside it.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.pop(0)
    child = Path(__file__).resolve().parents[1]
    runpy.run_path(str(child / "__main__.py"))["_make_importable"](child.parent)
    from stallgate.child.sweep.work import main

    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
