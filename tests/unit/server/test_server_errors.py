from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import grpc
import mlserver.grpc.servicers as grpc_servicers
import pytest
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from mlserver.errors import MLServerError, ModelNotFound
from mlserver.grpc.logging import logger as grpc_logger
from mlserver.grpc.utils import handle_mlserver_error

from infergraph.errors import (
    ConfigurationError,
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
    UnknownModel,
)
from infergraph.server import as_mlserver_error, install
from infergraph.server.errors import answer_error, answer_malformed_body

install()


class Aborted(Exception):
    pass


class Context:
    """A gRPC call, as far as MLServer's error handler uses it."""

    code: grpc.StatusCode | None = None
    details: str | None = None

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details
        raise Aborted


async def call(error: Exception) -> Context:
    """The call that a servicer method ends by raising."""

    async def method(self: object, request: object, context: Context) -> None:
        raise error

    context = Context()
    with pytest.raises(Aborted):
        await handle_mlserver_error(method)(None, None, context)
    return context


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (InvalidInput, 400, grpc.StatusCode.INVALID_ARGUMENT),
        (UnknownModel, 404, grpc.StatusCode.NOT_FOUND),
        (MalformedRequest, 422, grpc.StatusCode.INVALID_ARGUMENT),
        (StageFailure, 500, grpc.StatusCode.INTERNAL),
        (ConfigurationError, 500, grpc.StatusCode.INTERNAL),
        (Overloaded, 503, grpc.StatusCode.UNAVAILABLE),
        (StageUnavailable, 503, grpc.StatusCode.UNAVAILABLE),
        (DeadlineExceeded, 504, grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
async def test_each_error_over_rest_and_grpc(
    kind: type[InfergraphError], status: int, code: grpc.StatusCode
) -> None:
    error = as_mlserver_error(kind("model 'asr': what went wrong"))

    assert isinstance(error, MLServerError)
    assert error.kind == kind.__name__
    assert error.status_code == status
    context = await call(error)
    assert (context.code, context.details) == (code, "model 'asr': what went wrong")


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (as_mlserver_error(InvalidInput("bad audio")), logging.INFO),
        (ModelNotFound("asr"), logging.INFO),
        (as_mlserver_error(Overloaded("queue is full")), logging.WARNING),
        (as_mlserver_error(StageFailure("it failed")), logging.WARNING),
    ],
)
async def test_an_answered_error_is_logged_without_its_traceback(
    error: MLServerError, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, grpc_logger.name)

    await call(error)

    assert [(record.levelno, record.message) for record in caplog.records] == [(level, str(error))]
    assert caplog.records[0].levelname == logging.getLevelName(level)
    assert "Traceback" not in caplog.text


async def test_a_clients_fault_is_not_logged_where_only_warnings_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, grpc_logger.name)
    caplog.handler.setLevel(logging.NOTSET)

    await call(as_mlserver_error(InvalidInput("bad audio")))
    await call(as_mlserver_error(Overloaded("queue is full")))

    assert [record.message for record in caplog.records] == ["queue is full"]


async def test_an_unexpected_error_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, grpc_logger.name)

    await call(ValueError("a bug"))

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Traceback" in caplog.text


def test_other_records_pass_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, grpc_logger.name)

    grpc_logger.debug("serving")

    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.DEBUG, "serving")
    ]


# The error's class, beside its status


class GrpcCall:
    """A gRPC call, as far as its headers are read and its trailing metadata written."""

    def __init__(self) -> None:
        self.trailing: tuple[tuple[str, str], ...] = ()

    def invocation_metadata(self) -> tuple[Any, ...]:
        return (SimpleNamespace(key="x-request-id", value="7"),)

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.trailing = metadata


async def test_over_grpc_the_class_of_the_error_is_trailing_metadata() -> None:
    failing, other = GrpcCall(), GrpcCall()

    async def serve(call: GrpcCall) -> dict[str, str]:
        headers = grpc_servicers.to_headers(call)
        await asyncio.sleep(0)
        if call is failing:
            as_mlserver_error(Overloaded("queue is full"))
        return headers

    headers = await asyncio.gather(serve(failing), serve(other))

    assert headers == [{"x-request-id": "7"}] * 2
    assert failing.trailing == (("infergraph-error", "Overloaded"),)
    assert other.trailing == ()


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (as_mlserver_error(DeadlineExceeded("too late")), 504, "DeadlineExceeded"),
        (ModelNotFound("asr"), 404, None),
    ],
)
async def test_over_rest_the_class_of_the_error_is_a_header(
    error: MLServerError, status: int, kind: str | None
) -> None:
    response = await answer_error(Request({"type": "http", "headers": []}), error)

    assert response.status_code == status
    assert json.loads(bytes(response.body)) == {"error": str(error)}
    assert response.headers.get("infergraph-error") == kind


# A REST body that is not V2


async def answer_to(problems: list[dict[str, Any]], content_type: str) -> tuple[int, str]:
    request = Request({"type": "http", "headers": [(b"content-type", content_type.encode())]})
    response = await answer_malformed_body(
        request, RequestValidationError(problems, body={"secret": "of the request"})
    )
    return response.status_code, json.loads(bytes(response.body))["error"]


def missing(*where: str | int) -> dict[str, Any]:
    return {"type": "missing", "loc": ("body", *where), "msg": "Field required", "input": "secret"}


async def test_a_malformed_body_is_answered_with_its_problems_only() -> None:
    assert await answer_to([missing("inputs", 0, "shape")], "application/json") == (
        422,
        "the body is not a V2 inference request: inputs.0.shape: Field required",
    )


async def test_only_the_first_problems_are_listed() -> None:
    _, text = await answer_to([missing("inputs", n) for n in range(100)], "application/json")

    assert text.count("Field required") == 5


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/octet-stream"])
async def test_a_wrong_content_type_is_pointed_out(content_type: str) -> None:
    _, text = await answer_to([missing()], content_type)

    assert text == (
        "the body is not a V2 inference request: Field required; "
        "the header content-type must be application/json"
    )
