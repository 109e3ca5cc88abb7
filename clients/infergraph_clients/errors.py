"""What ends a command. Each class carries the command's exit status.

ClientError
├── UsageError    2: what was asked for makes no sense; nothing was sent
├── Unreachable   2: no server there
└── ServerError   1: the server refused, failed, or did not answer in time
"""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """The text is one line, for the person who called.

    Attributes:
        text: What was said, without the status.
        status: As of `ServerError`; None where no server said anything.
    """

    exit_status: ClassVar[int]

    def __init__(self, text: str, status: str | None = None) -> None:
        super().__init__(text if status is None else f"{status}: {text}")
        self.text, self.status = text, status


class UsageError(ClientError):
    """An argument, a file or a request cannot be sent as it is; the text says what is accepted."""

    exit_status = 2


class Unreachable(ClientError):
    """There is no connection to the server, so nothing was sent."""

    exit_status = 2


class ServerError(ClientError):
    """The request got no answer.

    Args:
        status: The HTTP status (`400`), the gRPC status (`INVALID_ARGUMENT`), `timeout` when the
            client itself gave up, or `no answer` when what came was none.
        text: What was said.
    """

    exit_status = 1
    status: str

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text, status)


TIMEOUT = "timeout"
NO_ANSWER = "no answer"
