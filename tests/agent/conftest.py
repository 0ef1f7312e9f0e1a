"""Answers and cheats are read by tests, and are none themselves, whatever they are called."""

collect_ignore_glob = ["form/answers/*", "check/cheats/*", "loop/recorded_answers/*"]
