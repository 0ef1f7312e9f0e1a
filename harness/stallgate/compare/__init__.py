"""Two runs side by side, and one measurement through time."""
