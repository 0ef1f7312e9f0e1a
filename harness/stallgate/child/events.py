"""What the child tells its parent: one JSON object a line, on disk before the next step begins.

Each has its kind under ``event`` and the seconds since the child opened the file under ``at``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path


class Events:
    """An append-only file of events; it holds everything said so far even if the child dies the next moment."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._begin = time.monotonic()

    def tell(self, event: str, **facts: object) -> None:
        at = round(time.monotonic() - self._begin, 3)
        self._file.write(json.dumps({"event": event, "at": at, **facts}) + "\n")
        self._file.flush()
