"""BYTES tensors whose elements travel as base64 text, which their `content_type` announces."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt

CONTENT_TYPE = "base64"


def announced(content_type: object, datatype: str) -> bool:
    """Whether elements are base64: never guessed, since media may look like base64."""
    return content_type == CONTENT_TYPE and datatype == "BYTES"


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
