"""The timing child: unprofiled times by CUDA events, in the interpreter that has torch.

A package of its own beside the modules that measure under ncu: what is recorded there does not depend on it. It needs
what they need, the standard library, torch and triton.
"""
