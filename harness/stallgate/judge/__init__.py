"""Verdicts on the targets of a run's stages, by its readings."""
