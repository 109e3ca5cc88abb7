"""Reads the body of a REST request in bounded memory."""

from __future__ import annotations

import logging
import os
import zlib

from mlserver.errors import MLServerError
from starlette.requests import Request

from .compression import TooLarge, gunzip_aside, is_gzip

logger = logging.getLogger(__name__)

LIMIT_VARIABLE = "INFERGRAPH_MAX_BODY_BYTES"
DEFAULT_MAX_BODY_BYTES = 256 << 20
"""As large as a gRPC message may be by `model-settings/settings.json`."""


def max_body_bytes() -> int:
    """The largest body, from the environment; the default when it is unset or not a number."""
    value = os.environ.get(LIMIT_VARIABLE)
    if value is None:
        return DEFAULT_MAX_BODY_BYTES
    if value.isdecimal() and int(value) > 0:
        return int(value)
    logger.warning(
        "%s=%r is not a number of bytes from 1; using %d",
        LIMIT_VARIABLE,
        value,
        DEFAULT_MAX_BODY_BYTES,
    )
    return DEFAULT_MAX_BODY_BYTES


async def read_body(request: Request, limit: int) -> bytes:
    """The body, without the gzip that its content-encoding announces.

    Args:
        request: Nothing of it may have been read.
        limit: The largest body in bytes, as it came and as it is without gzip. No more than that is
            held of either, whatever the client sends.

    Raises:
        MLServerError: 413, the body is larger; 400, it is not what its content-encoding says.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(f"{announced} bytes", limit)
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise _too_large("more", limit)
        pieces.append(piece)
    body = b"".join(pieces)
    if not any(is_gzip(each) for each in request.headers.getlist("content-encoding")):
        return body
    try:
        return await gunzip_aside(body, limit)
    except TooLarge:
        raise _too_large(f"{size} bytes of gzip that hold more", limit) from None
    except (zlib.error, EOFError) as error:
        raise MLServerError(
            f"the body is not gzip, as content-encoding says: {error}", 400
        ) from None


def _too_large(found: str, limit: int) -> MLServerError:
    return MLServerError(
        f"the body is too large: {found}; accepted: at most {limit} bytes "
        f"(environment variable {LIMIT_VARIABLE})",
        413,
    )
