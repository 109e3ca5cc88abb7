"""`RequestParameters`: what a request may say, beside its tensors, to the task that answers it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import InvalidInput

_PROTOCOL = frozenset(
    {
        "binary_data_output",
        "content_type",
        "priority",
        "sequence_end",
        "sequence_id",
        "sequence_start",
        "timeout",
    }
)
"""Parameters that clients and servers of V2 add by themselves; no task is asked for them."""


class RequestParameters(BaseModel):
    """Parameters that a task accepts; a task's own class adds fields, all with a default.

    Frozen, and its fields must be hashable: only items of equal parameters run together. A number
    may come as text, since gRPC's parameters have no fractions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


Kind = TypeVar("Kind", bound=RequestParameters)


def parse_parameters(cls: type[Kind], given: Mapping[str, Any]) -> Kind:
    """A request's parameters; those of the protocol itself are left out.

    Raises:
        InvalidInput: a parameter is unknown, or its value is not accepted; names each one.
    """
    values = {name: value for name, value in given.items() if name not in _PROTOCOL}
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise InvalidInput("; ".join(_explain(cls, each) for each in error.errors())) from None


def _explain(cls: type[RequestParameters], problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, cls.model_fields, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        return f"unknown parameter '{name}'; {hint}accepted: {', '.join(sorted(cls.model_fields))}"
    message = problem["msg"].removeprefix("Value error, ")
    text = f"{message[:1].lower()}{message[1:]}"
    return f"parameter '{name}' = {problem['input']!r}: {text}" if name else text
