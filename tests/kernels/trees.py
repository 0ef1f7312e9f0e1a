"""Products as a GPU forms them, as a tree: segments on their own, which can leave a type where no prefix does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def tree_products(y: NDArray[Any]) -> NDArray[Any]:
    """Cumulative products down the first dimension."""
    reach = 1
    while reach < y.shape[0]:
        y = np.concatenate([y[:reach], y[:-reach] * y[reach:]])
        reach *= 2
    return y
