"""Imports triton ready for its interpreter: it asks when it is imported, and again whenever it runs.

Whoever imports triton first decides for all tests of a process. Programs that tests start shall compile.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

import triton.experimental.gluon
import triton.language

del os.environ["TRITON_INTERPRET"]

__all__ = ["triton"]
