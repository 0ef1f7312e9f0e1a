"""Ways to write a kernel, a module each."""
