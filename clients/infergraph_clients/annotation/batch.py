"""An answer to a batch of pictures, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..infer.items import by_item
from ..infer.message import Answer
from ..infer.tensors import DATATYPES, Tensor

Tensors = Mapping[str, npt.NDArray[Any]]
"""The tensors of an answer in its order; elements of BYTES tensors are `bytes`."""


@dataclass(frozen=True)
class PictureAnswer:
    """What an answer says of one picture.

    Attributes:
        tensors: Those that the picture has, as a batch of one.
        errors: Status and text, where the picture failed and others did not.
    """

    tensors: dict[str, npt.NDArray[Any]]
    errors: list[tuple[int, str]]


def by_picture(tensors: Tensors, count: int) -> list[PictureAnswer]:
    """Splits the answer to a batch of `count` pictures.

    A tensor `<name>_item` tells of which pictures the rows of `<name>` are, and is left out.

    Raises:
        ValueError: the rows of a tensor are no pictures, or its datatype is none of V2's.
    """
    answer = Answer("", [_tensor(name, data) for name, data in tensors.items()])
    items = by_item(answer, count)
    if items is None:
        shapes = ", ".join(f"{name} {list(data.shape)}" for name, data in tensors.items())
        raise ValueError(f"the answer to {count} pictures has rows that are none: {shapes}")
    return [PictureAnswer(dict(item.values), item.errors) for item in items]


def _tensor(name: str, data: npt.NDArray[Any]) -> Tensor:
    native = data.dtype.newbyteorder("=")
    if native not in DATATYPES:
        accepted = ", ".join(str(dtype) for dtype in DATATYPES)
        raise ValueError(f"tensor {name!r} is {data.dtype}; accepted: {accepted}")
    return Tensor(name, DATATYPES[native], np.asarray(data))
