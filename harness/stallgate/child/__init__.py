"""The measuring child: the only code that imports torch, run by the engineer's own interpreter under ncu.

It needs the standard library, torch and triton, on Python 3.10 or newer. It takes a plan (a JSON file) and reports
progress as events, one JSON object per line; ncu does the measuring. Its source is part of what was measured: a change
here makes every recording stale.
"""
