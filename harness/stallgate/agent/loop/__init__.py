"""Rounds of prompt, answer and check around any program that writes kernels."""
