"""The errors that a caller can meet, and the status each one has over REST and gRPC.

::

    InfergraphError       HTTP  gRPC
      InvalidInput        400   INVALID_ARGUMENT   well-formed, but not what the model accepts
        Rejected          400   INVALID_ARGUMENT   judged and refused, or nothing in it
      Unauthenticated     401   UNAUTHENTICATED    no key, or one that is not known
      Forbidden           403   PERMISSION_DENIED  a key that does not open this
      UnknownModel        404   NOT_FOUND          no model, pipeline or version of that name
      TooLarge            413   INVALID_ARGUMENT   more than the server takes in one request
      UnsupportedCoding   415   INVALID_ARGUMENT   a content coding that the server cannot undo
      MalformedRequest    422   INVALID_ARGUMENT   contradicts itself or the V2 protocol
      StageFailure        500   INTERNAL           a model failed; not the caller's fault
      Overloaded          503   UNAVAILABLE        a queue is full: try again later
      StageUnavailable    503   UNAVAILABLE        a stage cannot be reached
      DeadlineExceeded    504   DEADLINE_EXCEEDED  the time budget ran out
      ConfigurationError  500   INTERNAL           at load: a setting, device, checkpoint or
                                                   pipeline file is wrong

The text of an error is written for its reader: it names the tensor, setting or stage, what came
and what is accepted. It never carries a traceback or another request's data. This module imports
neither MLServer nor a transport, so that the graph and the command line can use it alone.
"""

from __future__ import annotations

from typing import ClassVar


class InfergraphError(Exception):
    """Base of all errors raised on purpose; ``status_code`` is the HTTP status.

    Attributes:
        cause: Why a request was refused, one of a few words that metrics count by; empty when it
            was not refused but failed.
    """

    status_code: ClassVar[int] = 500
    cause: str = ""

    def __init__(self, text: str = "", *, cause: str | None = None) -> None:
        super().__init__(text)
        if cause is not None:
            self.cause = cause

    def prefixed(self, where: str) -> InfergraphError:
        """The same error, its text after `where` (for example a step and its endpoint)."""
        return type(self)(f"{where}: {self}", cause=self.cause)

    def copy(self) -> InfergraphError:
        """The same error for another request: raising one object twice mixes their tracebacks."""
        return type(self)(str(self), cause=self.cause)


class InvalidInput(InfergraphError):
    """The request is well-formed, but the model does not accept it."""

    status_code = 400
    cause = "invalid"


class Rejected(InvalidInput):
    """A model whose task is to judge what a caller sent refused it; or there is nothing in it.

    A pipeline answers it to its caller even where the step was sent what another step made, such as
    the empty transcript of silent audio; any other refusal of what a step made is the pipeline's
    own failure.
    """


class Unauthenticated(InfergraphError):
    """The request has no key, or one that nobody was given."""

    status_code = 401


class Forbidden(InfergraphError):
    """The request's key is known, but not for what it asks."""

    status_code = 403


class UnknownModel(InfergraphError):
    """No model, pipeline or version of that name is served."""

    status_code = 404
    cause = "unknown"


class TooLarge(InfergraphError):
    """The request is larger than the server takes, however idle it is."""

    status_code = 413


class UnsupportedCoding(InfergraphError):
    """The body is coded in a way that the server cannot undo."""

    status_code = 415


class MalformedRequest(InfergraphError):
    """The request contradicts itself or the V2 protocol (data that does not fill its shape)."""

    status_code = 422
    cause = "invalid"


class StageFailure(InfergraphError):
    """A model raised an unexpected error."""

    status_code = 500

    @classmethod
    def unexpected(cls, where: str, error: Exception) -> StageFailure:
        """What a caller sees of an error that nobody raised on purpose; the log has the rest."""
        return cls(
            f"{where}: it failed with {type(error).__name__}; the server's log has the details"
        )


class ConfigurationError(InfergraphError):
    """A setting, device, checkpoint or pipeline file is wrong; raised when a model loads."""

    status_code = 500


class Overloaded(InfergraphError):
    """A bounded queue is full, or there is not enough memory now: try again later."""

    status_code = 503
    cause = "overloaded"


class StageUnavailable(InfergraphError):
    """A stage cannot be reached (connection refused, reset, or the model is not ready)."""

    status_code = 503
    cause = "unavailable"


class DeadlineExceeded(InfergraphError):
    """The time budget of the request ran out."""

    status_code = 504
    cause = "deadline"


_BY_STATUS: dict[int, type[InfergraphError]] = {
    400: InvalidInput,
    404: UnknownModel,
    413: TooLarge,
    422: MalformedRequest,
    429: Overloaded,
    500: StageFailure,
    503: StageUnavailable,
    504: DeadlineExceeded,
}


def from_status(status_code: int, text: str) -> InfergraphError:
    """The error of a stage that answered with an HTTP status; other codes fall to 400 or 500."""
    kind = _BY_STATUS.get(status_code)
    if kind is None:
        kind = InvalidInput if 400 <= status_code < 500 else StageFailure
    return kind(text)
