"""An answerer that plays recorded answers: the files of a folder, in the order of their names, one a run.

    stallgate loop cumprod/naive_serial --command 'python examples/answerers/recorded.py FOLDER'

``1.1.py`` is the first answer of round 1, ``1.2.py`` the second, ``1.1-repair.py`` the repair of the first. Where a
place has no file, it fails, which costs the round.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.stdin.read()
    place = f"{os.environ['STALLGATE_ROUND']}.{os.environ['STALLGATE_ANSWER']}"
    repair = "-repair" if os.environ["STALLGATE_ATTEMPT"] == "2" else ""
    found = sorted(Path(sys.argv[1]).glob(f"{place}{repair}.*"))
    if not found:
        sys.exit(f"there is no {place}{repair}.* in {sys.argv[1]}")
    sys.stdout.write(found[0].read_text(encoding="utf-8"))
