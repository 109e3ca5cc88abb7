"""V2 REST: request bodies and answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from .payload import Answer, Payload, Tensor, packed_numbers, tensor_from_json


def encode_json(
    payload: Payload,
    request_id: str,
    *,
    all_base64: bool,
    trace: bool,
    base64_numbers: bool = False,
) -> bytes:
    """The body of a request.

    BYTES travel as text if all elements of a tensor are UTF-8 without control characters of
    binary media, else, or with `all_base64`, as base64 with `content_type: base64`. With
    `base64_numbers`, which not every server takes, a tensor of numbers is one text, the base64 of
    its raw contents.
    """
    document: dict[str, Any] = {
        "id": request_id,
        "inputs": [_tensor(each, all_base64, base64_numbers) for each in payload.tensors],
    }
    parameters = {**payload.parameters, "trace": True} if trace else dict(payload.parameters)
    if parameters:
        document["parameters"] = parameters
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_json(body: bytes) -> Answer:
    """An answer; ValueError if it is not a V2 answer with outputs."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the answer is not JSON: {error}") from None
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if not isinstance(outputs, list) or not outputs:
        raise ValueError("the answer has no outputs")
    tensors = [tensor_from_json(output) for output in outputs]
    trace = (document.get("parameters") or {}).get("trace")
    return Answer({tensor.name: tensor for tensor in tensors}, parse_trace(trace))


def error_text(body: bytes) -> str:
    """What the body of an error says, shortened."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        for key in ("error", "detail"):
            if document.get(key):
                return str(document[key])[:300]
    return body[:300].decode(errors="replace")


def parse_trace(text: object) -> Mapping[str, Any] | None:
    """The object that the response parameter `trace` holds as JSON text; None if it holds none."""
    if not isinstance(text, str):
        return None
    try:
        trace = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return trace if isinstance(trace, dict) else None


def _tensor(tensor: Tensor, all_base64: bool, base64_numbers: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
    }
    if not isinstance(tensor.values, list) and base64_numbers:
        raw = packed_numbers(tensor.datatype, tensor.values)
        document["data"] = [base64.b64encode(raw).decode()]
        document["parameters"] = {"content_type": "base64"}
        return document
    if not isinstance(tensor.values, list):
        # orjson has no half-precision numbers; their float values are exact.
        values = tensor.values
        document["data"] = values.astype("f4") if tensor.datatype == "FP16" else values
        return document
    texts = None if all_base64 else _texts(tensor.values)
    if texts is None:
        document["data"] = [base64.b64encode(each).decode() for each in tensor.values]
        document["parameters"] = {"content_type": "base64"}
    else:
        document["data"] = texts
    return document


def _texts(values: list[bytes]) -> list[str] | None:
    try:
        texts = [each.decode() for each in values]
    except UnicodeDecodeError:
        return None
    return None if any("\0" in each for each in texts) else texts
