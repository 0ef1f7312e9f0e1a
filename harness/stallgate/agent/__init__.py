"""For programs that write kernels: the prompt that they get, the check of their answer, and the loop around both."""
