"""Advice: what to try next on a case, from readings alone. Rules are data in ``metrics/advice/``."""
