"""JSON Lines: what came of each frame."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from ..annotation import BoxSet, Findings
from ..errors import ClientError, ServerError
from .engine import Result

_BOX_DECIMALS = 2
_DECIMALS = 4


def record(result: Result) -> dict[str, Any]:
    """A frame's line.

    `answer` has each set of boxes as a list of its objects, with `box` and all that is said of it,
    and every other tensor by its name: what is of one element as a value. `error` has `class`,
    `status` where the server gave one, and `text`. One of the two is null.
    """
    frame, findings, error = result.frame, result.findings, result.error
    return {
        "index": frame.index,
        "time": round(frame.seconds, 6),
        "name": frame.name,
        "latency_ms": round(result.seconds * 1000, 3),
        "answer": None if findings is None else answer_json(findings),
        "error": None if error is None else error_json(error),
    }


def answer_json(findings: Findings) -> dict[str, Any]:
    """What was found, without the rows that do not count."""
    rest = {
        name: _value(data.ravel()[0] if data.size == 1 else data)
        for name, data in findings.rest.items()
    }
    return {**rest, **{each.name: _objects(each) for each in findings.sets}}


def error_json(error: ClientError) -> dict[str, Any]:
    """An error's class and text; its status apart from them where there is one."""
    if isinstance(error, ServerError):
        return {"class": type(error).__name__, "status": error.status, "text": error.text}
    return {"class": type(error).__name__, "text": str(error)}


def _objects(boxes: BoxSet) -> list[dict[str, Any]]:
    return [
        {
            "box": _value(corners, _BOX_DECIMALS),
            **{name: _value(data[row]) for name, data in boxes.columns.items()},
        }
        for row, corners in enumerate(boxes.boxes)
    ]


def _value(value: Any, decimals: int = _DECIMALS) -> Any:
    """Something of JSON: bytes that are no text as base64, what is not finite as null."""
    if isinstance(value, np.ndarray):
        return [_value(each, decimals) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, np.generic):
        return _number(value, decimals)
    return value


def _number(value: np.generic, decimals: int) -> Any:
    plain: Any = value.item()
    if not isinstance(plain, float):
        return plain
    return round(plain, decimals) if math.isfinite(plain) else None
