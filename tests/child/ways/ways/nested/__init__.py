"""Relative imports, and a dataclass whose annotations are texts."""
