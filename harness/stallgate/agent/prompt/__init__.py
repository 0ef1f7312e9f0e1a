"""Writes the prompt for a program, or a person, that writes kernels: a module for each part."""
