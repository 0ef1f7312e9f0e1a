"""From an ncu report to launches. ``ncu_report`` is imported by ``reader.py`` alone, which runs in a process of its
own: a damaged report can abort the interpreter that reads it.
"""
