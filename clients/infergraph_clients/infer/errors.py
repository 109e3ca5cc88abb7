"""Why there is no answer. Each class carries the command's exit status.

InferError
├── UsageError    2: what was asked for makes no sense; nothing was sent
├── Unreachable   2: no server there
└── ServerError   1: the server refused, failed, or did not answer in time
"""

from __future__ import annotations

from typing import ClassVar


class InferError(Exception):
    """The text is one line, for the person who called."""

    exit_status: ClassVar[int]


class UsageError(InferError):
    """An argument, a file or a request body that cannot be sent as it is."""

    exit_status = 2


class Unreachable(InferError):
    """No connection to the server, so nothing was sent."""

    exit_status = 2


class ServerError(InferError):
    """The request got no answer.

    Attributes:
        status: The HTTP status (`400`), the gRPC status (`INVALID_ARGUMENT`), `timeout` when the
            client itself gave up, or `no answer` when what came was none.
    """

    exit_status = 1

    def __init__(self, status: str, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


TIMEOUT = "timeout"
NO_ANSWER = "no answer"
