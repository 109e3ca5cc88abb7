"""Checks a message against the tensors that a model declares, and widens FP16 to FP32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import InvalidInput
from ..v2 import Message, Tensor
from .spec import TensorSpec


def widened(message: Message, declared: Sequence[TensorSpec]) -> Message:
    """The message with FP32 where FP16 came for a declared FP32; each value is the same number.

    FP16 halves what raw contents take on the wire. Models need not know of it, and its items run in
    one batch with those that came as FP32. Other tensors are shared, not copied.
    """
    wide = {spec.name for spec in declared if spec.datatype == "FP32"}
    if not any(each.datatype == "FP16" and each.name in wide for each in message.tensors):
        return message
    tensors = [
        _as_fp32(each) if each.datatype == "FP16" and each.name in wide else each
        for each in message.tensors
    ]
    return replace(message, tensors=tensors)


def _as_fp32(tensor: Tensor) -> Tensor:
    data = tensor.data.astype(np.float32)
    # As with raw contents: a task that changes its inputs would change other steps' too.
    data.flags.writeable = False
    return Tensor(tensor.name, "FP32", data)


def validate(message: Message, declared: Sequence[TensorSpec], where: str) -> int:
    """Checks names, datatypes and shapes, and that all tensors hold the same number of items.

    Args:
        message: The request.
        declared: The model's inputs; when empty, any tensors are accepted.
        where: Names the model or pipeline in error texts.

    Returns:
        The number of items in the batch, at least 1.

    Raises:
        InvalidInput: the text names the tensor, what came and what is accepted.
    """
    tensors = message.tensors
    if declared:
        _check_declared(tensors, declared, where)
    if not tensors:
        raise InvalidInput(f"{where}: the request has no input tensors")
    first = tensors[0]
    for tensor in tensors:
        shape = tensor.data.shape
        if not shape:
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' has shape []; accepted: a shape whose first "
                "dimension is the batch"
            )
        if shape[0] == 0:
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' has shape {list(shape)}, an empty batch; "
                "accepted: at least 1 item"
            )
        if shape[0] != first.data.shape[0]:
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' holds {shape[0]} items and tensor "
                f"'{first.name}' {first.data.shape[0]}; all inputs must hold the same number"
            )
    return int(first.data.shape[0])


def _check_declared(tensors: Sequence[Tensor], declared: Sequence[TensorSpec], where: str) -> None:
    specs = {spec.name: spec for spec in declared}
    seen: set[str] = set()
    for tensor in tensors:
        spec = specs.get(tensor.name)
        if spec is None:
            raise InvalidInput(
                f"{where}: no input tensor '{tensor.name}'; accepted: {_listed(declared)}"
            )
        if tensor.name in seen:
            raise InvalidInput(f"{where}: tensor '{tensor.name}' came more than once")
        seen.add(tensor.name)
        if not spec.accepts_datatype(tensor.datatype):
            also = " or FP16" if spec.accepts_datatype("FP16") and spec.datatype != "FP16" else ""
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' has datatype {tensor.datatype}; "
                f"accepted: {spec.datatype}{also}"
            )
        if not spec.accepts_shape(tensor.data.shape):
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' has shape {list(tensor.data.shape)}; "
                f"accepted: {list(spec.shape)}, where -1 is any size"
            )
    missing = [spec for spec in declared if spec.name not in seen and not spec.optional]
    if missing:
        came = ", ".join(f"'{tensor.name}'" for tensor in tensors) or "none"
        raise InvalidInput(f"{where}: missing input tensor {_listed(missing)}; came: {came}")


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(str(spec) for spec in specs)
