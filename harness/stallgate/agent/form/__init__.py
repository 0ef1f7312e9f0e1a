"""The form of an answer: what its text may hold, by its syntax tree, without running it."""
