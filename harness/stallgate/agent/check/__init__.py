"""Is an answer acceptable? By its form, the stage's rules, its results, its time and its counters."""
