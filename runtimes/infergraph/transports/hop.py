"""What every hop to another server carries beside its tensors, and what the server announces."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..errors import DeadlineExceeded, InfergraphError, Overloaded, StageUnavailable
from ..request import TIMEOUT_HEADER, TRACE_PARAMETER, RequestContext
from ..v2 import Message
from .endpoint import can_travel

logger = logging.getLogger(__name__)

SELDON_MODEL_HEADER = "seldon-model"
PARAMETERS_EXTENSION = "parameters"
"""What a server's metadata lists when it knows parameters of all kinds."""
METADATA_SECONDS = 3.0
"""How long another server may take to tell of itself or of a model."""

_LONGEST_SECONDS = 1e9
"""Some 30 years. gRPC counts nanoseconds in 64 bits, and takes what is beyond for no time."""

_NOT_PARAMETERS = frozenset({"headers", "content_type"})


class Extensions:
    """What another server announces, asked once, when it is first called.

    Args:
        ask: Asks it, within so many seconds; raises an InfergraphError.
        where: The server's URL.
    """

    def __init__(self, ask: Callable[[float], Awaitable[Iterable[str]]], where: str) -> None:
        self._ask = ask
        self._where = where
        self._known: frozenset[str] | None = None

    async def get(self, context: RequestContext) -> frozenset[str]:
        """What it announces; nothing as long as it cannot be asked, which its call will tell.

        Raises:
            DeadlineExceeded: nothing is left of the deadline.
        """
        if self._known is None:
            remaining = seconds_left(context, self._where)
            try:
                asked = await self._ask(min(METADATA_SECONDS, remaining or METADATA_SECONDS))
            except (StageUnavailable, Overloaded, DeadlineExceeded):
                return frozenset()
            except InfergraphError:
                # A gateway, or a server that does not tell: it would not the next time either.
                asked = ()
            self._known = frozenset(asked)
        return self._known


def seconds_left(context: RequestContext, where: str) -> float | None:
    """What is left of the deadline, at most 1e9 s, or None without one.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    deadline = context.deadline
    if deadline is None:
        return None
    remaining = deadline.remaining()
    if remaining <= 0:
        raise deadline.exceeded(where)
    return min(remaining, _LONGEST_SECONDS)


def headers(
    model: str,
    context: RequestContext,
    remaining: float | None,
    own: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of one hop: Seldon's routing header, those handed on, the endpoint's own.

    With them goes the time left. A header that gRPC or HTTP cannot carry stays behind.
    """
    result = {
        name: value
        for given, value in context.headers.items()
        if can_travel(name := given.lower(), value)
    }
    result[SELDON_MODEL_HEADER] = model
    if own:
        result.update(own)
    if remaining is not None:
        result[TIMEOUT_HEADER] = f"{remaining * 1000:.3f}"
    return result


def request_parameters(message: Message, trace: bool) -> dict[str, Any]:
    """The V2 request parameters of a message; a trace is asked for by one of them."""
    parameters: dict[str, Any] = {
        name: value for name, value in message.parameters.items() if value is not None
    }
    if trace:
        parameters[TRACE_PARAMETER] = True
    return parameters


def answer_parameters(
    parameters: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A V2 answer's own parameters and its trace, without what MLServer puts beside them."""
    kept = {
        name: value
        for name, value in parameters.items()
        if value is not None and name not in _NOT_PARAMETERS and not name.lower().startswith("ce-")
    }
    trace = kept.pop(TRACE_PARAMETER, None)
    return kept, None if trace is None else _parse_trace(trace)


def optional_tensors(parameters: Mapping[str, Any], name: str) -> frozenset[str]:
    """Names that a model's metadata lists under `optional_inputs` or `optional_outputs`.

    Over gRPC such a list comes as JSON text, since MLServer drops lists there.
    """
    value = parameters.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return frozenset()
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()


def _parse_trace(text: object) -> dict[str, Any] | None:
    # Another server may use the name for something else; a missing timing is no reason to fail.
    try:
        trace = json.loads(text) if isinstance(text, str) else None
    except json.JSONDecodeError:
        trace = None
    if not isinstance(trace, dict):
        logger.debug("an answer's parameter %r is not a trace", TRACE_PARAMETER)
        return None
    return trace
