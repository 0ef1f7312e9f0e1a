"""From an ncu report to launches. ``ncu_report`` is imported by ``reader.py`` alone, which runs in a process of its
own: a damaged report can abort the interpreter that reads it.
"""

DETAILS = "--details"
"""Asks the reader for what NVIDIA's rules say and for the hottest source lines as well."""
