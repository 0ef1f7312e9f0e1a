"""From an ncu report to launches. Only ``reader.py`` imports ``ncu_report``. It runs in a separate process, because a
damaged report can abort the interpreter that reads it.
"""

FROM = "--from="
"""Before the number of the first launch to read: one process reads so many launches at most as fit into its memory."""

DETAILS = "--details"
"""Asks the reader for what NVIDIA's rules say and for the hottest source lines as well."""
