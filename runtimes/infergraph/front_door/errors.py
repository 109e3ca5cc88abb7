"""What went wrong, as a status and a text that are fit for the caller, over REST and gRPC."""

from __future__ import annotations

import logging

import grpc
import orjson
from mlserver.errors import MLServerError, ModelNotFound

from ..errors import (
    InfergraphError,
    InvalidInput,
    Overloaded,
    StageFailure,
    TooLarge,
    UnknownModel,
    from_status,
)
from ..request import ERROR_HEADER
from . import metrics

logger = logging.getLogger(__name__)

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_UNDER_SELDON = {
    grpc.StatusCode.NOT_FOUND: grpc.StatusCode.INVALID_ARGUMENT,
    # The agent repeats both, with pauses that grow; only on UNAVAILABLE it then loads the model.
    grpc.StatusCode.UNAVAILABLE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
NOT_LOADED = "not_loaded"
"""The cause of an UnknownModel that this server raises for a model that it could load."""
_RETRY_AFTER_SECONDS = b"1"
_LONGEST_DETAILS = 2000
"""UTF-8 bytes of a gRPC error's text. Each may take three in the trailers, whose limit is 8 KB."""
JSON = (b"content-type", b"application/json")


def as_ours(error: Exception, where: str) -> InfergraphError:
    """Any error as one of ours; one that nobody raised on purpose is logged, and told by its class.

    Args:
        error: What was raised.
        where: What failed, for example a model.
    """
    if isinstance(error, InfergraphError):
        if isinstance(error, TooLarge) and error.cause:
            # Of the limits of the codecs, which know no metrics.
            metrics.refusals.labels(error.cause).inc()
        return error
    if isinstance(error, ModelNotFound):
        return UnknownModel(str(error), cause=NOT_LOADED)
    if isinstance(error, MLServerError):
        text = str(error)
        kind = from_status(error.status_code, text)
        if kind.status_code == error.status_code:
            return kind
        return _of_status(error.status_code, text)
    if isinstance(error, MemoryError):
        return Overloaded(f"{where}: not enough memory for this request now; try again later")
    logger.exception("%s failed", where, exc_info=error)
    return StageFailure.unexpected(where, error)


def _of_status(status: int, text: str) -> InfergraphError:
    """An error of a status that none of our classes has, as a stock model may choose it."""
    base = InvalidInput if status < 500 else StageFailure
    kind = type(base.__name__, (base,), {"status_code": status})
    error: InfergraphError = kind(text)
    return error


class ErrorAnswers:
    """How errors are told, over REST and gRPC.

    Seldon Core v2's agent takes 400 and 404 over REST, and NOT_FOUND and UNAVAILABLE over gRPC, for
    a model that is gone: it loads the model again and repeats the request. Under it these statuses
    are kept for a model that is not loaded, and others have one that it lets pass; their texts end
    with the real status.

    Args:
        under_seldon: Whether it is Seldon's agent that the answers go through.
    """

    def __init__(self, under_seldon: bool = False) -> None:
        self._under_seldon = under_seldon
        self.not_ready = 503 if under_seldon else 400
        """REST's status for a model or server that is not ready: MLServer's and Triton's is 400."""

    def rest(self, error: InfergraphError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of an error over REST."""
        status = self.rest_status(error)
        text = _with_status(str(error), error, status != error.status_code)
        body = orjson.dumps({"error": text.encode("utf-8", "replace").decode()})
        headers = [JSON, (ERROR_HEADER.encode(), type(error).__name__.encode())]
        if error.status_code == 503:
            headers.append((b"retry-after", _RETRY_AFTER_SECONDS))
        elif error.status_code == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return status, headers, body

    def rest_status(self, error: InfergraphError) -> int:
        """The HTTP status of an error."""
        if self._under_seldon and error.cause != NOT_LOADED:
            if error.status_code in (400, 404):
                return 422
            if isinstance(error, Overloaded):
                # Envoy repeats what is 5xx.
                return 429
        return error.status_code

    def grpc(self, error: InfergraphError) -> tuple[grpc.StatusCode, str]:
        """The gRPC status of an error, and its text, cut to what gRPC's trailers can hold."""
        real = _CODES.get(error.status_code)
        if real is None:
            caller = error.status_code < 500
            real = grpc.StatusCode.INVALID_ARGUMENT if caller else grpc.StatusCode.INTERNAL
        code = real
        if self._under_seldon and error.cause != NOT_LOADED:
            code = _UNDER_SELDON.get(real, real)
        encoded = str(error).encode("utf-8", "replace")
        text = encoded.decode()
        if len(encoded) > _LONGEST_DETAILS:
            text = encoded[:_LONGEST_DETAILS].decode("utf-8", "ignore") + "..."
        return code, _with_status(text, error, code is not real)


def _with_status(text: str, error: InfergraphError, is_hidden: bool) -> str:
    told = f" (status {error.status_code})"
    return text + told if is_hidden and not text.endswith(told) else text
