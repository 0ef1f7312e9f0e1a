"""A judged run, drawn: figures as PNG, and one self-contained page."""
