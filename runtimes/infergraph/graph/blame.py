"""`blame`: whose fault it is when a step refuses what it was sent.

A step's refusal (status 400, 413 or 422) is the caller's fault when it is about what the caller
sent, and the pipeline's when it is about what another step made. In question are the tensors that
the refusal names; all that the step was sent when it names none. A tensor is the caller's

* when it came straight from the pipeline's inputs, or
* when each of its rows is one that the caller sent, such as a text that a classifier passes on to
  the branch of its language.

A parameter that the refusal names is the caller's unless it came with another step's answer.

`Rejected` is about what the caller sent, whichever step made the tensor: a model whose task is to
judge refused it, or there was nothing in it, as no speech in silent audio.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping

import numpy as np

from ..errors import InfergraphError, Rejected, StageFailure
from ..v2 import Message, Tensor
from .plan import PIPELINE_INPUTS, Consumer, Plan

_REFUSALS = frozenset({400, 413, 422})
_PARAMETER = re.compile(r"\bparameter '([^']+)'")


def blame(
    plan: Plan,
    values: Mapping[int, Message | None],
    step: Consumer,
    request: Message,
    error: InfergraphError,
) -> InfergraphError:
    """A StageFailure that names both steps for a refusal that is the pipeline's fault.

    A Rejected that names a tensor which a step made names that step too. Any other error is
    returned as it is.

    Args:
        plan: The plan that is executed.
        values: The message of each settled slot.
        step: The step that failed.
        request: What it was sent.
        error: Its error.
    """
    sent = values.get(PIPELINE_INPUTS)
    if error.status_code not in _REFUSALS or sent is None:
        return error
    rejected = isinstance(error, Rejected)
    # The text is all that a refusal is, once it has come over a hop.
    text = str(error)
    named = [tensor for tensor in request.tensors if _names(text, tensor)]
    parameter = None if named else _PARAMETER.search(text)
    # Parameters of `<step>.<parameter>` are in neither message; the caller sent them.
    if parameter and (parameter[1] in sent.parameters or parameter[1] not in request.parameters):
        return error
    for tensor in named or (() if rejected else request.tensors):
        maker = None if _is_callers(tensor, sent) else _maker(plan, values, step, tensor)
        if maker is not None:
            kind = Rejected if rejected else StageFailure
            return kind(f"{text}; step '{maker}' made tensor '{tensor.name}'")
    return error


def _names(text: str, tensor: Tensor) -> bool:
    return re.search(rf"\b(?:tensors?|inputs?|and) '{re.escape(tensor.name)}'", text) is not None


def _is_callers(tensor: Tensor, sent: Message) -> bool:
    if any(each.data is tensor.data for each in sent.tensors):
        return True
    like = [
        each
        for each in sent.tensors
        if (each.datatype, each.shape[1:]) == (tensor.datatype, tensor.shape[1:])
    ]
    rows = _rows(tensor) if like else set()
    return bool(rows) and rows <= set[Hashable]().union(*map(_rows, like))


def _rows(tensor: Tensor) -> set[Hashable]:
    """The values along the first dimension, as bytes or tuples, so that NaN is equal to NaN."""
    rows = np.atleast_1d(tensor.data)
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    if tensor.datatype == "BYTES":
        return set(map(tuple, rows.tolist()))
    return {row.tobytes() for row in rows}


def _maker(
    plan: Plan, values: Mapping[int, Message | None], step: Consumer, tensor: Tensor
) -> str | None:
    """The step whose answer holds a tensor; None when no step of the pipeline made it."""
    for each in plan.steps:
        answer = values.get(each.outputs_slot)
        if answer is not None and any(one.data is tensor.data for one in answer.tensors):
            return each.name
    # What a batching step has gathered is in none of them.
    return next((one.name for one in step.data.sources if one.port == "outputs"), None)
