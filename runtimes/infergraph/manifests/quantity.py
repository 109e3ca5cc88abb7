"""Quantities of bytes as Kubernetes writes them."""

from __future__ import annotations

import re

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)},
}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(|[kMGT]|[KMGT]i)")
MIB = 2**20
GIB = 2**30


def parse_quantity(value: object) -> int:
    """The bytes of a quantity; ValueError unless it is a whole number of them, above 0."""
    found = _QUANTITY.fullmatch(str(value))
    size = float(found[1]) * _UNITS[found[2]] if found is not None else 0.0
    if not size or not size.is_integer():
        raise ValueError(f"{value!r} is no size; accepted: bytes, or a quantity such as 512Mi")
    return int(size)


def quantity(size: int) -> str:
    """A size in Mi, rounded up."""
    return f"{-(-size // MIB)}Mi"
