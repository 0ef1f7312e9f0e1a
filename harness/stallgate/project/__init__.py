"""A project's own files (kernels and yardsticks), read into the nouns of ``stallgate.model``."""
