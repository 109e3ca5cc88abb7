"""`AccessLog`: a line for each request that was answered."""

from __future__ import annotations

import logging
from typing import Literal

import orjson

logger = logging.getLogger(__name__)

_LONGEST = 200
"""Characters of a text that a caller chose."""
_OF_CALLERS = frozenset({"method", "model", "id", "error"})
"""Fields that hold such texts: in quotes none of them can look like another field or line."""


class AccessLog:
    """Logs method, model, status, time, size and id of each request; nothing when it is off."""

    def __init__(self, style: Literal["off", "text", "json"]) -> None:
        self._style = style

    @property
    def is_on(self) -> bool:
        return self._style != "off"

    def request(
        self,
        protocol: str,
        method: str,
        model: str,
        status: int | str,
        seconds: float,
        request_id: str = "",
        error: str = "",
    ) -> None:
        """Logs one request.

        Args:
            protocol: rest or grpc.
            method: A REST method and path, or the name of a gRPC call.
            model: The model's name, as the caller wrote it; empty where there is none.
            status: An HTTP status, or the name of a gRPC status.
            seconds: From the first byte of the request to the last of the answer.
            request_id: V2's id.
            error: The text of a refusal or failure.
        """
        if not self.is_on:
            return
        fields = {
            "protocol": protocol,
            "method": method[:_LONGEST],
            "model": model[:_LONGEST],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "id": request_id[:_LONGEST],
            "error": error[:_LONGEST],
        }
        if self._style == "json":
            logger.info("%s", _json({name: value for name, value in fields.items() if value != ""}))
            return
        shown = " ".join(
            f"{name}={_json(value) if name in _OF_CALLERS else value}"
            for name, value in fields.items()
            if value != ""
        )
        logger.info("%s", shown)


def _json(value: object) -> str:
    if isinstance(value, dict):
        value = {name: _clean(each) for name, each in value.items()}
    return orjson.dumps(_clean(value)).decode()


def _clean(value: object) -> object:
    """Without lone surrogates, which have no UTF-8 form."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
