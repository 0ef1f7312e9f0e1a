"""From an ncu report to launches. Only ``reader.py`` imports ``ncu_report``. It runs in a separate process, because a
damaged report can abort the interpreter that reads it.
"""

DETAILS = "--details"
"""Asks the reader for what NVIDIA's rules say and for the hottest source lines as well."""
