"""The inputs of a workload as a project's file writes them: ``dtype[shape]``, with the distribution of the elements."""

from __future__ import annotations

import math
import re

from stallgate.formatting import shortened

INPUT_DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "complex128"),
)
"""The dtypes of inputs, as torch names them."""

_SPEC = re.compile(
    r"(?P<dtype>\w+)\[(?P<shape>[\d\s,_]*)\](?:\s+(?P<distribution>\w+)(?:\((?P<numbers>[^()]*)\))?)?", re.ASCII
)
_NUMBERS_OF = {"normal": 2, "uniform": 2, "integers": 2, "zeros": 0, "ones": 0}
_HINT = 'write dtype[shape], as in "float32[8192,4096]", "float16[512] uniform(0,1)" or "int64[128] integers(0,4096)"'


class BadInput(ValueError):
    """An input that is not what a workload can have; ``hint`` says what would be."""

    hint = _HINT


def tensor_input(written: str) -> dict[str, object]:
    """The tensor that a text describes: ``dtype``, ``shape``, ``distribution`` and its ``numbers``.

    Raises:
        BadInput: it describes none.
    """
    found = _SPEC.fullmatch(written.strip())
    if found is None:
        raise BadInput(f"'{shortened(written, 60)}' is not an input")
    if found["dtype"] not in INPUT_DTYPES:
        raise BadInput(f"there is no dtype {found['dtype']}: there are {', '.join(INPUT_DTYPES)}")
    is_float = found["dtype"].startswith(("float", "bfloat", "complex"))
    distribution = found["distribution"] or ("normal" if is_float else "integers")
    numbers = _numbers(written, found["numbers"])
    if found["distribution"] is None:
        numbers = [0.0, 1.0] if is_float else [0.0, 2.0 if found["dtype"] == "bool" else 100.0]
    _check_distribution(written, distribution, numbers, is_float=is_float)
    shape = [int(part) for part in found["shape"].replace("_", "").split(",") if part.strip()]
    return {"dtype": found["dtype"], "shape": shape, "distribution": distribution, "numbers": numbers}


def _numbers(written: str, text: str | None) -> list[float]:
    try:
        return [float(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        raise BadInput(f"'{shortened(written, 60)}' is not an input: its distribution has no numbers") from None


def _check_distribution(written: str, distribution: str, numbers: list[float], *, is_float: bool) -> None:
    wanted = _NUMBERS_OF.get(distribution)
    if wanted is None:
        raise BadInput(f"there is no distribution {distribution}: there are {', '.join(_NUMBERS_OF)}")
    if len(numbers) != wanted or not all(map(math.isfinite, numbers)):
        raise BadInput(f"'{shortened(written, 60)}': {distribution} takes {wanted} finite numbers")
    if distribution in ("normal", "uniform") and not is_float:
        raise BadInput(f"'{shortened(written, 60)}': {distribution} is a distribution of floating-point numbers")
    if distribution in ("uniform", "integers") and not numbers[0] < numbers[1]:
        raise BadInput(f"'{shortened(written, 60)}': the first number has to be below the second")
