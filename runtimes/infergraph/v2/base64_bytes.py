"""Tensors that travel as base64 text, which their `content_type` announces.

Of BYTES each element is a text of its own; numbers are one text, that of their raw contents.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import raw
from .values import LargeList

CONTENT_TYPE = "base64"


def announced(content_type: object, datatype: str) -> bool:
    """Whether elements of BYTES are base64: never guessed, since media may look like base64."""
    return content_type == CONTENT_TYPE and datatype == "BYTES"


def without_announcement(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A tensor's parameters without the one that announces base64, for raw contents."""
    return {
        name: value
        for name, value in (parameters or {}).items()
        if (name, value) != ("content_type", CONTENT_TYPE)
    }


def encode(items: list[bytes]) -> list[str]:
    """Base64 text of each element."""
    return [base64.b64encode(item).decode("ascii") for item in items]


def decode(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An object array of the same shape with decoded elements; ValueError if one is not base64."""
    decoded = np.empty(array.size, dtype=object)
    for index, item in enumerate(array.ravel().tolist()):
        try:
            decoded[index] = base64.b64decode(item, validate=True)
        except binascii.Error as error:
            raise ValueError(f"element {index} is not base64 ({error})") from None
    return decoded.reshape(array.shape)


def decode_numbers(datatype: str, shape: Sequence[int], values: Any) -> npt.NDArray[Any]:
    """Numbers that came as a list of one text, the base64 of their little-endian raw contents.

    Raises:
        ValueError: another list, a text that is not base64, or contents that do not fill the shape.
    """
    texts = list(values) if isinstance(values, (list, LargeList)) and len(values) == 1 else []
    if not texts or not isinstance(texts[0], str):
        raise ValueError(
            f"content_type base64 with datatype {datatype} needs data of one string, the base64 "
            "of the tensor's little-endian values"
        )
    try:
        content = base64.b64decode(texts[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not valid base64 ({error})") from None
    return raw.unpack(datatype, shape, content)
