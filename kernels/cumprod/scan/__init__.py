"""Cumulative product near the speed of a copy in every shape: the form of the work follows the shape.

| form | for | how |
| --- | --- | --- |
| rows | many long sequences, side by side in memory | one program a sequence, tile by tile, loading ahead |
| short | sequences of 5 to 1024, or up to 4096 if there are few | one program some that follow each other |
| lines | many short sequences, or many of few neighbours | one thread a sequence, or several side by side |
| whole_lines | sequences of 1, 2, 4 or 8 elements, side by side | one thread a vector of whole sequences |
| strips | many sequences whose elements lie apart | one program a strip of columns, row by row |
| tiles | few long sequences | one program a tile, which tells what it is a factor of, and finds its carry |

`choose.py` says when each is taken. All give the same bits call after call.
"""

from .dropin import ModelNew, cumprod
from .forms import products
from .gradient import gradient, recurrence

__all__ = ["ModelNew", "cumprod", "gradient", "products", "recurrence"]
