"""What a server declares of a model, and whether tensors are what it declares."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infergraph.v2 import Tensor

from ..errors import UsageError


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
        parameters: Of the model. Infergraph's models say `variant`, `device`, `dtype` and
            `max_batch_size`.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    extensions: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)


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
