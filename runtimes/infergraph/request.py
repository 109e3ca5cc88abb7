"""What accompanies a message through the graph: its deadline, its trace switch, its headers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import DeadlineExceeded, InvalidInput

TIMEOUT_HEADER = "infergraph-timeout-ms"
TRACE_HEADER = "x-infergraph-trace"
TRACE_PARAMETER = "trace"
ERROR_HEADER = "infergraph-error"
"""On an error's answer: the class of the error, which a status alone does not tell."""
KEY_HEADER = "x-api-key"
"""Whose value is a key that opens a server; it is never handed on."""
PROCESS_KEY = secrets.token_hex(32)
"""Opens this process's own servers to its own routers."""
_TRUE = frozenset({"1", "true", "yes"})
_LONGEST_SECONDS = 7 * 24 * 3600.0
"""Longer budgets are cut to this: gRPC deadlines of the far future overflow, and pass at once."""
_CREDENTIALS = ("auth", "key", "token", "secret", "credential", "cookie", "password")
_FORWARDED_EXACTLY = frozenset({"traceparent", "tracestate", "baggage"})


@dataclass(frozen=True, slots=True)
class Deadline:
    """One time budget for a whole request; at most a week is kept of it.

    Attributes:
        at: When it passes, in seconds on the clock of `time.monotonic`.
        budget_ms: The budget as it was given, for error texts.
    """

    at: float
    budget_ms: float

    @classmethod
    def after_ms(cls, budget_ms: float) -> Deadline:
        return cls(time.monotonic() + min(budget_ms / 1000, _LONGEST_SECONDS), budget_ms)

    def remaining(self) -> float:
        """Seconds left; zero or less once it has passed."""
        return self.at - time.monotonic()

    def check(self, where: str) -> None:
        """Raises DeadlineExceeded, naming `where`, when no time is left."""
        if self.remaining() <= 0:
            raise self.exceeded(where)

    def exceeded(self, where: str) -> DeadlineExceeded:
        return DeadlineExceeded(f"{where}: the deadline of {self.budget_ms:g} ms passed")


@dataclass(slots=True)
class RequestContext:
    """Travels beside a `Message`.

    Attributes:
        deadline: The budget of the whole request, or None.
        trace: Whether the answer must carry timings.
        headers: Headers that are handed on to every hop (`x-*` and W3C trace context). Never
            Authorization, cookies, or the caller's other headers.
        caller: Whose request it is, for fair shares of a model's queue; empty when not known. It is
            not handed on to other servers.
    """

    deadline: Deadline | None = None
    trace: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: str = ""


def read_context(headers: Mapping[str, str]) -> RequestContext:
    """What accompanies a request, by its headers, whose names are in lower case.

    Raises:
        InvalidInput: the timeout header is not a time.
    """
    timeout = headers.get(TIMEOUT_HEADER)
    return RequestContext(
        deadline=None if timeout is None else Deadline.after_ms(parse_timeout_ms(timeout)),
        trace=TRACE_HEADER in headers and _is_true(headers[TRACE_HEADER]),
        headers=forwarded_headers(headers),
    )


def take_trace(parameters: dict[str, Any], context: RequestContext) -> None:
    """Moves the request parameter `trace` into the context."""
    if TRACE_PARAMETER in parameters:
        context.trace = _is_true(parameters.pop(TRACE_PARAMETER)) or context.trace


def _is_true(value: object) -> bool:
    return value is True or str(value).lower() in _TRUE


def forwarded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that may go on to other servers: `x-*`, as in Seldon, and W3C trace context.

    Those of `x-*` whose names speak of a credential (`x-api-key`, `x-auth-token`) stay here.
    """
    return {name: value for name, value in headers.items() if _may_go_on(name.lower())}


def _may_go_on(name: str) -> bool:
    if not name.startswith("x-"):
        return name in _FORWARDED_EXACTLY
    return not any(word in name for word in _CREDENTIALS)


def parse_timeout_ms(value: str) -> float:
    """Milliseconds of an `infergraph-timeout-ms` header; InvalidInput if it is not a time."""
    try:
        budget = float(value)
    except ValueError:
        budget = -1.0
    if not 0 < budget < float("inf"):
        raise InvalidInput(
            f"header {TIMEOUT_HEADER}: {value!r} is not a time; "
            "accepted: a number of milliseconds above 0"
        )
    return budget
