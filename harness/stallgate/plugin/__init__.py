"""The pytest plugin: ``pytest --stallgate`` measures and judges the tests marked ``stallgate``.

pytest loads it in every session where stallgate is installed, so ``hooks.py`` imports nothing but pytest. It runs the
command line as a program would, by ``--json``; of stallgate's other packages it imports none.
"""
