"""Verdicts: what the readings of a run say of the targets of its stages."""
