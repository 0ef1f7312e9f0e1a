"""The compiling child: compiles configurations into Triton's cache, and runs none of them.

A package of its own beside the modules that measure under ncu: what is recorded there does not depend on it.
"""
