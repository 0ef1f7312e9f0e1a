"""From a plan to the files of a run: ncu, the child process under it, and what became of each case."""
