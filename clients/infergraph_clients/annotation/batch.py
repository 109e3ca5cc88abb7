"""An answer to a batch of pictures, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infergraph.v2 import Tensor

from ..infer.items import by_item
from ..transports import Answer

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
    items = by_item(Answer([_tensor(name, data) for name, data in tensors.items()]), count)
    if items is None:
        shapes = ", ".join(f"{name} {list(data.shape)}" for name, data in tensors.items())
        raise ValueError(f"the answer to {count} pictures has rows that are none: {shapes}")
    return [PictureAnswer(dict(item.values), item.errors) for item in items]


def _tensor(name: str, data: npt.NDArray[Any]) -> Tensor:
    try:
        return Tensor.of(name, np.asarray(data))
    except ValueError as error:
        raise ValueError(f"tensor {name!r}: {error}") from None
