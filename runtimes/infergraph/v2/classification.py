"""V2's classification extension: the largest values of an output, as texts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from .request import quoted
from .tensor import Tensor


def classify(tensor: Tensor, count: int) -> Tensor:
    """The `count` largest values of each item, as `value:index`, the largest first.

    Args:
        tensor: Numbers. Of two or more dimensions the first is the batch, and the rest is taken as
            one list of classes; of one dimension all of it is that list.
        count: As many as wanted; all, where there are fewer.

    Returns:
        BYTES [batch, count], or [count].

    Raises:
        InvalidInput: the tensor holds no numbers.
    """
    if tensor.data.dtype.kind not in "fiu":
        raise InvalidInput(
            f"output tensor {quoted(tensor.name)} is {tensor.datatype}, which has no largest "
            "values; accepted for classification: numbers"
        )
    shape = tensor.data.shape
    batched = len(shape) > 1
    rows: npt.NDArray[Any] = tensor.data.reshape(
        (shape[0], math.prod(shape[1:])) if batched else (1, -1)
    )
    count = min(count, rows.shape[1])
    # Stable, so that of equal values the first class comes first; NaN goes last.
    keys = np.where(np.isnan(rows), -np.inf, rows) if rows.dtype.kind == "f" else rows
    backwards = np.argsort(keys[:, ::-1], axis=1, kind="stable")[:, ::-1]
    best = (rows.shape[1] - 1 - backwards)[:, :count]
    number = "{:f}:{}" if rows.dtype.kind == "f" else "{}:{}"
    texts = [
        number.format(row[index], index).encode()
        for row, order in zip(rows, best.tolist(), strict=True)
        for index in order
    ]
    return Tensor.of_bytes(tensor.name, texts, (len(rows), count) if batched else (count,))
