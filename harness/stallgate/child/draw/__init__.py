"""The drawing child: it asks references for arguments that nobody chose, and for small ones.

A package of its own beside the modules that measure under ncu: what is recorded there does not depend on it. It runs no
variant's code, and needs the standard library and torch.
"""
