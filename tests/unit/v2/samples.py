"""Values of each datatype, for tests of what carries them."""

from __future__ import annotations

from typing import Any

import numpy as np

from infergraph.v2 import NUMPY_DTYPES, Tensor

SAMPLES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [0.5, -65504.0],
    "FP32": [0.25, -3.0],
    "FP64": [0.1, 1e300],
    "BF16": [0.5, -65536.0],
    "BYTES": ["é", ""],
}
NUMERIC = [datatype for datatype in SAMPLES if datatype != "BYTES"]


def sample(datatype: str, name: str = "x") -> Tensor:
    """A tensor of shape [2, 1] with the datatype's samples."""
    values = [each.encode() if isinstance(each, str) else each for each in SAMPLES[datatype]]
    return Tensor(name, datatype, np.array(values, NUMPY_DTYPES[datatype]).reshape(2, 1))


def extremes(datatype: str) -> np.ndarray[Any, Any]:
    """Numbers at the ends of a datatype's range, with NaN and infinity where it has them."""
    dtype = NUMPY_DTYPES[datatype]
    if datatype == "BF16":
        values: list[Any] = [0.0, -0.0, 1.5, 2.0**127, -(2.0**-126), np.inf, -np.inf, np.nan]
    elif dtype.kind == "f":
        limits = np.finfo(dtype)
        values = [0.0, -0.0, 1.5, limits.max, limits.min, limits.tiny, np.inf, -np.inf, np.nan]
    elif dtype.kind == "b":
        values = [True, False, True]
    else:
        values = [np.iinfo(dtype).min, 0, 1, np.iinfo(dtype).max]
    return np.array(values, dtype)
