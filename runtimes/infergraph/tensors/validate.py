"""Checks a request's tensors, and widens FP16 to FP32.

`check_tensors` holds for every request. That the first dimension is a batch, of one size for all
tensors, holds for models that take batches and for pipelines that run per item: `batch_size`.
"""

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


def check_tensors(message: Message, declared: Sequence[TensorSpec], where: str) -> None:
    """Checks names, datatypes and shapes, each tensor by itself.

    Args:
        message: The request.
        declared: The inputs of the model or pipeline; when empty, any tensors of different names
            are accepted.
        where: Names the model or pipeline in error texts.

    Raises:
        InvalidInput: the text names the tensor, what came and what is accepted.
    """
    seen: set[str] = set()
    for tensor in message.tensors:
        if tensor.name in seen:
            raise InvalidInput(
                f"{where}: tensor '{tensor.name}' came more than once; accepted: one tensor of "
                "a name"
            )
        seen.add(tensor.name)
    if declared:
        _check_declared(message.tensors, declared, where)


def batch_size(message: Message, where: str) -> int:
    """The number of items, at least 1, that all tensors of a batch hold in their first dimension.

    Raises:
        InvalidInput: there is no tensor, one has no dimension, the batch is empty, or the tensors
            disagree on its size; the text starts with `where` and names the tensor.
    """
    tensors = message.tensors
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


def validate(message: Message, declared: Sequence[TensorSpec], where: str) -> int:
    """Checks the request of a model that takes batches, and returns the number of its items.

    It is `check_tensors`, and then `batch_size`.
    """
    check_tensors(message, declared, where)
    return batch_size(message, where)


def _check_declared(tensors: Sequence[Tensor], declared: Sequence[TensorSpec], where: str) -> None:
    specs = {spec.name: spec for spec in declared}
    for tensor in tensors:
        spec = specs.get(tensor.name)
        if spec is None:
            raise InvalidInput(
                f"{where}: no input tensor '{tensor.name}'; accepted: {_listed(declared)}"
            )
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
    came_names = {tensor.name for tensor in tensors}
    missing = [spec for spec in declared if spec.name not in came_names and not spec.optional]
    if missing:
        came = ", ".join(f"'{tensor.name}'" for tensor in tensors) or "none"
        raise InvalidInput(f"{where}: missing input tensor {_listed(missing)}; came: {came}")


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(str(spec) for spec in specs)
