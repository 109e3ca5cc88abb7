"""Tensors and declared tensors."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UsageError

BYTES, BF16 = "BYTES", "BF16"
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    BF16: np.dtype("f4"),
    BYTES: np.dtype(object),
}
"""Little-endian wherever it is sent raw. numpy lacks BF16: see `infergraph_clients.bfloat16`."""
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items() if datatype != BF16}

Parameter = bool | int | float | str
"""The value of a V2 parameter."""


@dataclass(frozen=True)
class Tensor:
    """A named V2 tensor.

    Attributes:
        data: Of the numpy type in `DTYPES`; BYTES elements are `bytes`.
        parameters: Its V2 parameters, without those that only say how it travels.
    """

    name: str
    datatype: str
    data: npt.NDArray[Any]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as a model's metadata declare it; -1 in the shape is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor may have this shape."""
        return len(shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Metadata:
    """What a server says of itself and of one model.

    Attributes:
        inputs, outputs: The declared tensors; empty where the model declares none.
        extensions: The protocol extensions that the server names.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    extensions: frozenset[str] = frozenset()


def find_spec(name: str, specs: Sequence[TensorSpec], kind: str) -> TensorSpec:
    """The declared tensor of a name; UsageError, with the accepted names, if there is none."""
    for spec in specs:
        if spec.name == name:
            return spec
    names = [spec.name for spec in specs]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"no {kind} {name!r}; {hint}accepted: {', '.join(names)}")


def check_inputs(tensors: Sequence[Tensor], specs: Sequence[TensorSpec]) -> None:
    """Checks names, datatypes, shapes and the batch of tensors; a model without specs takes any.

    Inputs that are not there are the server's to miss: its metadata do not say which it needs.

    Raises:
        UsageError: names the tensor, what it is, and what is accepted.
    """
    if not specs:
        return
    batched = []
    for tensor in tensors:
        spec = find_spec(tensor.name, specs, "input")
        if tensor.datatype != spec.datatype:
            raise UsageError(
                f"input {tensor.name!r} is {tensor.datatype}; accepted: {spec.datatype}"
            )
        if not spec.fits(tensor.shape):
            raise UsageError(
                f"input {tensor.name!r} has shape {list(tensor.shape)}; "
                f"accepted: {list(spec.shape)}, where -1 is any size"
            )
        if spec.shape[:1] == (-1,):
            batched.append(tensor)
    if len({tensor.shape[0] for tensor in batched}) > 1:
        shown = ", ".join(f"{tensor.name!r} {tensor.shape[0]}" for tensor in batched)
        raise UsageError(f"the inputs hold different numbers of items: {shown}")


def bytes_tensor_data(values: Sequence[bytes], shape: Sequence[int]) -> npt.NDArray[Any]:
    """The data of a BYTES tensor. numpy would make strings of fixed width of a list of bytes."""
    data = np.empty(len(values), dtype=object)
    data[:] = list(values)
    return data.reshape(shape)


def numbers(value: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array of JSON numbers or booleans; ValueError if the type cannot hold them as they are.

    A null is NaN for floats: JSON has no other way to say it.
    """
    if dtype.kind == "f" and isinstance(value, list) and any(each is None for each in value):
        value = [math.nan if each is None else each for each in value]
    array = np.array(value)
    kind = array.dtype.kind
    if dtype.kind in "iu" and kind in "fO":
        # What numpy makes of integers that are not all of one type of its own.
        exact = np.array(value, dtype=object)
        if all(type(each) is int for each in exact.flat):
            array, kind = exact, "i"
    accepted = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    if array.size and kind not in accepted:
        raise ValueError(f"{dtype} cannot hold {array.dtype}")
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise ValueError(f"a value is out of the range of {dtype}")
    return array.astype(dtype)
