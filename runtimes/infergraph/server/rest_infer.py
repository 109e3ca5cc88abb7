"""REST inference without FastAPI's resolution of dependencies, which costs more than a small model.

The routes answer like MLServer's own, byte for byte, and stand before them. Beyond MLServer's, they
bound the body, and answer gzip with gzip where the client takes it.
"""

from __future__ import annotations

from email.message import Message as MimeMessage
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.handlers import DataPlane
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import extract_headers, insert_headers
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .body import max_body_bytes, read_body
from .compression import GZIP, accepts_gzip, gzip_aside, is_gzip

_JSON = "application/json"
_PATHS = (
    "/v2/models/{model_name}/infer",
    "/v2/models/{model_name}/versions/{model_version}/infer",
    "/v2/models/{model_name}/generate",
    "/v2/models/{model_name}/versions/{model_version}/generate",
)


def routes(data_plane: DataPlane) -> list[Route]:
    """Routes of V2 inference that hand requests to MLServer's data plane."""
    limit = max_body_bytes()

    async def infer(request: Request) -> Response:
        payload = await _read(request, limit)
        insert_headers(payload, dict(request.headers))
        answer = await data_plane.infer(
            payload, request.path_params["model_name"], request.path_params.get("model_version")
        )
        headers = extract_headers(answer)
        body = _write(answer)
        if _wants_gzip(request):
            packed = await gzip_aside(body)
            if packed is not None:
                body = packed
                headers = {**(headers or {}), "content-encoding": GZIP, "vary": "accept-encoding"}
        return Response(body, 200, headers, media_type=_JSON)

    return [Route(path, infer, methods=["POST"]) for path in _PATHS]


def _wants_gzip(request: Request) -> bool:
    coding = request.headers.get("content-encoding")
    return (
        coding is not None
        and is_gzip(coding)
        and accepts_gzip(request.headers.get("accept-encoding", ""))
    )


async def _read(request: Request, limit: int) -> InferenceRequest:
    """The request of a body.

    Raises:
        RequestValidationError: the body is not JSON, or not a V2 inference request.
        MLServerError: the body is too large, or not what its content-encoding says.
    """
    body = await read_body(request, limit)
    content: Any = body
    if body and _is_json(request.headers.get("content-type")):
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            problem = {"type": "json_invalid", "loc": ("body",), "msg": f"not JSON: {error}"}
            raise RequestValidationError([problem]) from None
    try:
        return InferenceRequest.model_validate(content)
    except ValidationError as error:
        problems = [
            {"type": each["type"], "loc": ("body", *each["loc"]), "msg": _named(each, content)}
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise RequestValidationError(problems) from None


def _named(problem: Any, content: Any) -> str:
    """A problem's text, with the name of the tensor that it is about where it has one."""
    try:
        field, index, *_ = problem["loc"]
        name = content[field][index]["name"]
    except (KeyError, TypeError, ValueError, IndexError):
        return str(problem["msg"])
    return f"tensor '{name}': {problem['msg']}" if isinstance(name, str) else str(problem["msg"])


def _is_json(content_type: str | None) -> bool:
    if content_type is None or content_type == _JSON:
        return True
    message = MimeMessage()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )


def _write(answer: InferenceResponse) -> bytes:
    content = answer.model_dump()  # type: ignore[no-untyped-call]
    body: bytes = encode_to_json_bytes(content)
    return body
