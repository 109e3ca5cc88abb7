"""`TensorSpec`: a tensor as a model declares it, and what two declarations must share to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A declared tensor.

    Attributes:
        name: The tensor's name.
        datatype: A V2 datatype.
        shape: Sizes; -1 stands for any size. The first dimension is the batch.
        optional: As an input: may be absent. As an output: may be left out (a condition).
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"

    def accepts_datatype(self, datatype: str) -> bool:
        """Whether tensors of a datatype fit: the declared one, and FP16 for FP32.

        FP16 is widened where it arrives (`validate.widened`), which changes no value.
        """
        return datatype == self.datatype or (datatype, self.datatype) == ("FP16", "FP32")

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        """Whether a concrete or declared shape fits; -1 fits any size, on either side."""
        return len(shape) == len(self.shape) and all(
            -1 in (wanted, size) or wanted == size
            for wanted, size in zip(self.shape, shape, strict=True)
        )
