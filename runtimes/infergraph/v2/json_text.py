"""JSON of any size, read and written without holding the interpreter lock for long.

`loads` accepts what orjson accepts, and gives what it gives, save that a key may not come twice,
that arrays of a large text are `LargeList`s, and that there are bounds for what no request of
tensors has.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from .json_keys import parse
from .json_reader import SLICE, Reader

_WRITTEN = 65_536  # elements at once


def loads(body: bytes, *, slice_size: int = SLICE) -> Any:
    """The value of a JSON text.

    Args:
        body: The text, in UTF-8.
        slice_size: How many bytes are parsed at once, at least 16. A text that is not larger has no
            LargeList.

    Raises:
        ValueError: the text is not JSON, or an object has a key twice; or, in a text larger than a
            slice, it is nested more than 64 deep, a number has more than 131,072 characters, a
            string outside of arrays more than 16 MiB, or the members of objects, without their
            large arrays and strings, take more than 1 MiB.
    """
    if len(body) <= slice_size:
        return parse(body)
    return Reader(body, slice_size).document()


def array_to_json(array: npt.NDArray[Any]) -> Iterator[bytes]:
    """The values of an array in row-major order as one flat JSON list, in pieces of bounded size.

    NaN is null. Elements of object arrays are `bytes` of UTF-8.

    Raises:
        ValueError: infinity, which JSON does not have.
        UnicodeDecodeError: an element is not UTF-8.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    yield b"["
    yield from _texts_to_json(flat) if flat.dtype == object else _numbers_to_json(flat)
    yield b"]"


def _numbers_to_json(flat: npt.NDArray[Any]) -> Iterator[bytes]:
    flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    for start in range(0, flat.size, _WRITTEN):
        numbers = flat[start : start + _WRITTEN]
        if numbers.dtype.kind == "f" and np.isinf(numbers).any():
            raise ValueError("an infinite value, which JSON cannot carry")
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
        yield (b"," if start else b"") + text[1:-1]


def _texts_to_json(flat: npt.NDArray[Any]) -> Iterator[bytes]:
    separator = b""
    for start in range(0, flat.size, _WRITTEN):
        group: list[str] = []
        size = 0
        for item in flat[start : start + _WRITTEN].tolist():
            if group and size + len(item) > SLICE:
                yield separator + orjson.dumps(group)[1:-1]
                group, size, separator = [], 0, b","
            if len(item) <= SLICE:
                group.append(item.decode())
                size += len(item)
                continue
            yield separator + b'"'
            yield from _long_text_to_json(item)
            yield b'"'
            separator = b","
        if group:
            yield separator + orjson.dumps(group)[1:-1]
            separator = b","


def _long_text_to_json(item: bytes) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(item), SLICE):
        text = decoder.decode(item[start : start + SLICE], start + SLICE >= len(item))
        yield orjson.dumps(text)[1:-1]
