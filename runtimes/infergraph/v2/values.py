"""Python lists of values, as JSON and typed gRPC contents give them, as arrays. Nothing is cast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MalformedRequest
from .tensor import NUMPY_DTYPES

_ACCEPTED_KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
_WORDS = {"f": "numbers", "i": "integers", "u": "integers from 0", "b": "true or false"}


def array_from_list(name: str, datatype: str, values: list[Any], rank: int) -> npt.NDArray[Any]:
    """A flat or nested list as a flat array of its datatype.

    Args:
        name: The tensor's name, for error texts.
        datatype: A V2 datatype.
        values: Flat, or nested to at most `rank` levels.
        rank: The number of dimensions of the tensor's shape.

    JSON has no NaN: in a floating-point tensor null stands for it, as in answers.

    Raises:
        MalformedRequest: a value is not of the datatype, or out of its range, or the nesting is
            ragged.
    """
    if datatype == "BYTES":
        return _bytes_from_list(name, values, rank)
    dtype = NUMPY_DTYPES[datatype]
    if not values:
        return np.empty(0, dtype)
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        raise MalformedRequest(f"tensor '{name}': data is nested unevenly") from None
    if array.ndim > max(rank, 1):
        raise MalformedRequest(
            f"tensor '{name}': data is nested {array.ndim} deep, "
            f"but its shape has {rank} dimensions"
        )
    if array.size == 0:
        return np.empty(0, dtype)
    kind = dtype.kind
    if kind == "f" and array.dtype == object:
        array = _nulls_as_nan(array)
    exact = _large_integers(values, array, kind)
    if exact is not None:
        array = exact
    elif array.dtype.kind not in _ACCEPTED_KINDS[kind]:
        raise MalformedRequest(
            f"tensor '{name}' has datatype {datatype}, but data holds {_sample(array, kind)}; "
            f"accepted: {_WORDS[kind]}"
        )
    if kind in "iu":
        limits = np.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise MalformedRequest(
                f"tensor '{name}': {low if low < limits.min else high} is out of the range of "
                f"{datatype}, {limits.min} to {limits.max}"
            )
    try:
        with np.errstate(over="ignore"):
            cast = array.astype(dtype).ravel()
    except OverflowError:
        raise MalformedRequest(
            f"tensor '{name}': an integer is out of the range of {datatype}"
        ) from None
    if kind == "f" and dtype.itemsize < 8:
        overflow = np.isinf(cast) & np.isfinite(array.ravel().astype(np.float64, copy=False))
        if overflow.any():
            raise MalformedRequest(
                f"tensor '{name}': {array.ravel()[overflow][0]!s} is out of the range of {datatype}"
            )
    return cast


def _nulls_as_nan(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of numbers and nulls with NaN for null; any other array as it is."""
    flat = array.ravel().tolist()
    if None not in flat or any(type(value) not in (float, int, type(None)) for value in flat):
        return array
    return np.array([math.nan if value is None else value for value in flat]).reshape(array.shape)


def _large_integers(
    values: list[Any], array: npt.NDArray[Any], wanted: str
) -> npt.NDArray[Any] | None:
    """The values as Python integers where numpy made floats or objects of them, else None.

    numpy reads [2**63, 1] as floats, which cannot hold every UINT64, and [2**64] as objects.
    """
    if array.dtype.kind == "O" and wanted in "iuf":
        accepted: tuple[type, ...] = (int, float) if wanted == "f" else (int,)
    elif array.dtype.kind == "f" and wanted in "iu":
        accepted = (int,)
    else:
        return None
    exact = np.array(values, dtype=object)
    return exact if all(type(value) in accepted for value in exact.flat) else None


def _bytes_from_list(name: str, values: list[Any], rank: int) -> npt.NDArray[Any]:
    for _ in range(rank - 1):
        if not values or not all(isinstance(value, list) for value in values):
            break
        if len({len(value) for value in values}) > 1:
            raise MalformedRequest(f"tensor '{name}': data is nested unevenly")
        values = [inner for value in values for inner in value]
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        if isinstance(value, str):
            try:
                array[index] = value.encode()
            except UnicodeEncodeError:
                raise MalformedRequest(
                    f"tensor '{name}': a string holds a lone surrogate, which has no UTF-8 form"
                ) from None
        elif isinstance(value, bytes):
            array[index] = value
        else:
            raise MalformedRequest(
                f"tensor '{name}' has datatype BYTES, but data holds "
                f"{type(value).__name__}; accepted: strings"
            )
    return array


def _sample(array: npt.NDArray[Any], wanted: str) -> str:
    if array.dtype == object or array.dtype.kind in "US":
        return "values that are not numbers" if wanted != "b" else "values that are not booleans"
    return f"{array.ravel()[0]!s} ({array.dtype})"


def check_nesting(name: str, values: Any, shape: Sequence[int]) -> None:
    """Checks that nested lists are nested as the shape says; flat ones fit any shape.

    Raises:
        MalformedRequest: another nesting.
    """
    nested = []
    inner: Any = values
    while isinstance(inner, list):
        nested.append(len(inner))
        inner = inner[0] if inner else None
    if len(nested) > 1 and nested != list(shape):
        raise MalformedRequest(
            f"tensor '{name}': data is nested as {nested}, but its shape is {list(shape)}; "
            "accepted: that nesting, or a flat list"
        )
