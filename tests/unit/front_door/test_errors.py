"""What went wrong, as statuses and texts over REST and gRPC."""

from __future__ import annotations

import json
import logging

import grpc
import pytest
from mlserver.errors import MLServerError, ModelNotFound, ModelNotReady

from infergraph.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Forbidden,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    StageFailure,
    StageUnavailable,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedCoding,
)
from infergraph.front_door.errors import NOT_LOADED, ErrorAnswers, as_ours

Code = grpc.StatusCode
ANSWERS = ErrorAnswers()
UNDER_SELDON = ErrorAnswers(under_seldon=True)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (InvalidInput, 400, Code.INVALID_ARGUMENT),
        (Unauthenticated, 401, Code.UNAUTHENTICATED),
        (Forbidden, 403, Code.PERMISSION_DENIED),
        (UnknownModel, 404, Code.NOT_FOUND),
        (TooLarge, 413, Code.INVALID_ARGUMENT),
        (UnsupportedCoding, 415, Code.INVALID_ARGUMENT),
        (MalformedRequest, 422, Code.INVALID_ARGUMENT),
        (StageFailure, 500, Code.INTERNAL),
        (ConfigurationError, 500, Code.INTERNAL),
        (Overloaded, 503, Code.UNAVAILABLE),
        (StageUnavailable, 503, Code.UNAVAILABLE),
        (DeadlineExceeded, 504, Code.DEADLINE_EXCEEDED),
    ],
)
def test_each_error_over_rest_and_grpc(
    kind: type[InfergraphError], status: int, code: grpc.StatusCode
) -> None:
    error = kind("model 'asr': what went wrong")

    got, headers, body = ANSWERS.rest(error)

    assert got == status
    assert json.loads(body) == {"error": "model 'asr': what went wrong"}
    named = dict(headers)
    assert named[b"infergraph-error"] == kind.__name__.encode()
    assert named[b"content-type"] == b"application/json"
    assert (b"retry-after" in named) is (status == 503)
    assert (b"www-authenticate" in named) is (status == 401)
    assert ANSWERS.grpc(error) == (code, "model 'asr': what went wrong")


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (MLServerError("bad", 400), InvalidInput, 400),
        (ModelNotFound("asr"), UnknownModel, 404),
        (ModelNotReady("asr"), InvalidInput, 400),
        (MLServerError("bad", 422), MalformedRequest, 422),
        (MLServerError("broken", 500), StageFailure, 500),
        (MLServerError("later", 503), StageUnavailable, 503),
        (MLServerError("refused", 418), InvalidInput, 418),
        (MLServerError("not here", 501), StageFailure, 501),
        (MLServerError("bad gateway", 502), StageFailure, 502),
    ],
)
def test_mlservers_errors_keep_status_and_text(
    error: MLServerError, kind: type[InfergraphError], status: int
) -> None:
    ours = as_ours(error, "model 'asr'")

    assert isinstance(ours, kind)
    assert type(ours).__name__ == kind.__name__
    assert (ours.status_code, str(ours)) == (status, str(error))


def test_ours_stay_as_they_are() -> None:
    error = Overloaded("queue full")
    assert as_ours(error, "model 'asr'") is error


def test_an_unexpected_error_is_logged_with_its_traceback_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = as_ours(ValueError("secret"), "model 'asr'")

    assert type(error) is StageFailure
    assert str(error) == (
        "model 'asr': it failed with ValueError; the server's log has the details"
    )
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "model 'asr' failed")
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


@pytest.mark.parametrize("error", [InvalidInput("bad audio"), ModelNotFound("a"), MemoryError()])
def test_an_expected_error_is_not_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    as_ours(error, "model 'asr'")

    assert caplog.records == []


def test_no_memory_is_overload() -> None:
    error = as_ours(MemoryError(), "model 'asr'")

    assert type(error) is Overloaded
    assert str(error) == "model 'asr': not enough memory for this request now; try again later"


@pytest.mark.parametrize("text", ["a" * 100_000, "é" * 100_000, "\U0001f600" * 5000])
def test_long_texts_fit_the_trailers_of_grpc(text: str) -> None:
    _, details = ANSWERS.grpc(InvalidInput(text))

    assert len(details.encode()) <= 2010
    assert details.endswith("...")
    assert text.startswith(details[:-3])


def test_a_text_without_utf8_is_told_all_the_same() -> None:
    error = InvalidInput("name '\ud800'")

    assert ANSWERS.grpc(error)[1] == "name '?'"
    assert json.loads(ANSWERS.rest(error)[2]) == {"error": "name '?'"}


@pytest.mark.parametrize(
    ("error", "status", "code", "hidden"),
    [
        (InvalidInput("bad"), 422, Code.INVALID_ARGUMENT, (True, False)),
        (UnknownModel("bad"), 422, Code.INVALID_ARGUMENT, (True, True)),
        # The agent is to load this one.
        (UnknownModel("bad", cause=NOT_LOADED), 404, Code.NOT_FOUND, (False, False)),
        (MalformedRequest("bad"), 422, Code.INVALID_ARGUMENT, (False, False)),
        (TooLarge("bad"), 413, Code.INVALID_ARGUMENT, (False, False)),
        (StageFailure("bad"), 500, Code.INTERNAL, (False, False)),
        (Overloaded("bad"), 429, Code.RESOURCE_EXHAUSTED, (True, True)),
        (StageUnavailable("bad"), 503, Code.RESOURCE_EXHAUSTED, (False, True)),
        (DeadlineExceeded("bad"), 504, Code.DEADLINE_EXCEEDED, (False, False)),
    ],
)
def test_statuses_that_do_not_make_seldons_agent_load_a_model(
    error: InfergraphError, status: int, code: grpc.StatusCode, hidden: tuple[bool, bool]
) -> None:
    told = f"bad (status {error.status_code})"

    got, headers, body = UNDER_SELDON.rest(error)

    assert got == status
    assert json.loads(body) == {"error": told if hidden[0] else "bad"}
    assert dict(headers)[b"infergraph-error"] == type(error).__name__.encode()
    assert (b"retry-after" in dict(headers)) is (error.status_code == 503)
    assert UNDER_SELDON.grpc(error) == (code, told if hidden[1] else "bad")


def test_the_real_status_is_told_once() -> None:
    error = InvalidInput("step 'a': bad (status 400)")
    assert json.loads(UNDER_SELDON.rest(error)[2])["error"] == str(error)


def test_a_model_that_mlserver_does_not_find_is_not_loaded() -> None:
    error = as_ours(ModelNotFound("asr"), "model 'asr'")
    assert UNDER_SELDON.rest_status(error) == 404


def test_a_long_text_keeps_its_real_status() -> None:
    _, details = UNDER_SELDON.grpc(Overloaded("a" * 100_000))
    assert details.endswith("a... (status 503)")
