"""Answers and cheats are read by tests, and are none themselves, whatever they are called."""

collect_ignore_glob = ["answers/*", "cheats/*", "recorded_answers/*"]
