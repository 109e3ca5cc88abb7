from __future__ import annotations

import subprocess
import sys

import pytest

from infergraph import errors
from infergraph.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Forbidden,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    StageUnavailable,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedCoding,
    from_status,
)

STATUSES = {
    InvalidInput: 400,
    Rejected: 400,
    UnknownModel: 404,
    Unauthenticated: 401,
    Forbidden: 403,
    TooLarge: 413,
    UnsupportedCoding: 415,
    MalformedRequest: 422,
    StageFailure: 500,
    ConfigurationError: 500,
    Overloaded: 503,
    StageUnavailable: 503,
    DeadlineExceeded: 504,
}


def test_every_error_has_its_status() -> None:
    found = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, InfergraphError)
    } - {InfergraphError}

    assert {kind: kind.status_code for kind in found} == STATUSES


@pytest.mark.parametrize("kind", STATUSES)
def test_prefixed_keeps_the_kind_and_puts_the_place_before_the_text(
    kind: type[InfergraphError],
) -> None:
    error = kind("tensor 'x' is missing").prefixed("step 'asr' at grpc://asr:8081")

    assert type(error) is kind
    assert str(error) == "step 'asr' at grpc://asr:8081: tensor 'x' is missing"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (404, UnknownModel),
        (422, MalformedRequest),
        (500, StageFailure),
        (503, StageUnavailable),
        (504, DeadlineExceeded),
        (401, InvalidInput),
        (413, TooLarge),
        (501, StageFailure),
        (302, StageFailure),
    ],
)
def test_from_status(status: int, kind: type[InfergraphError]) -> None:
    error = from_status(status, "what the stage said")

    assert type(error) is kind
    assert str(error) == "what the stage said"


def test_an_unexpected_error_is_named_without_its_text() -> None:
    failure = StageFailure.unexpected("model 'asr'", ValueError("secret /weights"))

    assert type(failure) is StageFailure
    assert str(failure) == (
        "model 'asr': it failed with ValueError; the server's log has the details"
    )


def test_the_errors_need_neither_mlserver_nor_torch() -> None:
    code = (
        "import sys, infergraph.errors, infergraph.request\n"
        "print([name for name in ('mlserver', 'torch', 'grpc') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def test_the_cause_of_a_refusal_goes_with_the_error() -> None:
    error = Overloaded("its queue is full", cause="queue_full")

    for same in (error.prefixed("model 'asr'"), error.copy()):
        assert (type(same), same.cause) == (Overloaded, "queue_full")
        assert same is not error
    assert str(error.copy()) == "its queue is full"
    assert (Overloaded("full").cause, StageFailure("broken").cause) == ("overloaded", "")
