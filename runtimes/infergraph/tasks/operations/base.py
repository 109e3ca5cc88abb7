"""`Operation`: a step of an operator, declared in settings; it works on the tensors of one item.

Tensors of several rows stand beside each other, as an object detector gives them: row r of each is
about the same box. A `count` tensor INT64 [1] says how many of the rows are real; the others are
padding. Without it, each row is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from ...errors import ConfigurationError, InvalidInput
from ...tensors import TensorSpec

Values = npt.NDArray[Any]
"""A tensor of one item, without the batch dimension; BYTES are object arrays of `bytes`."""

Known = Mapping[str, TensorSpec]
"""The tensors that an operation finds, by name; optional ones may be absent from an item."""


@dataclass(frozen=True, slots=True)
class Working:
    """One item's tensors while operations work on them.

    Attributes:
        values: Tensor -> its values. An array that came with the request is never written to.
        empty: Tensors of a group of rows of which none is left; they hold padding alone.
    """

    values: dict[str, Values]
    empty: set[str] = field(default_factory=set)


class Operation(BaseModel):
    """A declared operation. Its fields name the tensors that it reads and gives.

    Attributes:
        kind: Which operation it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str

    @property
    def blocking(self) -> bool:
        """Whether it may take long, and so must not run on the event loop."""
        return False

    def reads(self) -> list[str]:
        """The tensors that it reads. It does nothing for an item that lacks one of them."""
        raise NotImplementedError

    def given(self, known: Known) -> list[TensorSpec]:
        """The tensors that it gives, where those of `known` are there.

        Raises:
            ConfigurationError: it cannot work on these.
        """
        raise NotImplementedError

    def apply(self, item: Working) -> None:
        """Works on an item that has all the tensors of `reads`.

        Raises:
            InvalidInput: a tensor's values are not acceptable.
        """
        raise NotImplementedError

    def found(self, known: Known, name: str, datatype: str | None, *sizes: int) -> TensorSpec:
        """The tensor of a name, checked: its datatype, and its shape without the batch.

        Raises:
            ConfigurationError: there is no such tensor, or it is another one.
        """
        spec = known.get(name)
        if spec is None:
            raise self.wrong(
                f"it reads tensor '{name}', which is no declared input and which no operation "
                f"before it gives; there are: {', '.join(known) or 'none'}"
            )
        wanted = (-1, *sizes)
        if datatype not in (None, spec.datatype) or (sizes and not spec.accepts_shape(wanted)):
            raise self.wrong(
                f"tensor {spec}; accepted: {datatype or 'any datatype'}"
                + (f" {list(wanted)}" if sizes else "")
            )
        return spec

    def wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"operation '{self.kind}': {what}")


def real_rows(item: Working, count: str | None, rows: int, tensor: str) -> int:
    """How many of a tensor's rows are real.

    Raises:
        InvalidInput: the count is below 0, or above the number of rows.
    """
    if count is None:
        return rows
    number = int(item.values[count].reshape(-1)[0])
    if not 0 <= number <= rows:
        raise InvalidInput(
            f"tensor '{count}': {number}; accepted: 0 to {rows}, the rows of tensor '{tensor}'"
        )
    return number


def texts_of(values: Values, tensor: str) -> list[str]:
    """The texts of a BYTES tensor, in order.

    Raises:
        InvalidInput: one is not UTF-8.
    """
    texts = []
    for row, value in enumerate(values.ravel()):
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"tensor '{tensor}', row {row}: not valid UTF-8 (byte {error.start} is "
                f"0x{value[error.start]:02x}); accepted: UTF-8 text"
            ) from None
    return texts


def text_array(texts: list[str], shape: tuple[int, ...] | None = None) -> Values:
    """Texts as the values of a BYTES tensor."""
    array = np.empty(len(texts), dtype=object)
    array[:] = [text.encode() for text in texts]
    return array if shape is None else array.reshape(shape)


def padding(values: Values, rows: int) -> Values:
    """`rows` rows of padding for a tensor: empty texts, -1 for integers, else zeros."""
    fill: Any = {"O": b"", "i": -1}.get(values.dtype.kind, 0)
    return np.full((rows, *values.shape[1:]), fill, dtype=values.dtype)
