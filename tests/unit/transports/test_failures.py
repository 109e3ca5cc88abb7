"""Errors of answers: whose deadline they name."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from infergraph.errors import DeadlineExceeded, InfergraphError
from infergraph.request import Deadline
from infergraph.transports.failures import from_http, from_rpc

ENDPOINT = "http://127.0.0.1:1"
Answered = Callable[[Deadline | None], InfergraphError]

TEXT = "model 'held': the deadline of 249.72 ms passed"


def over_rest(deadline: Deadline | None) -> InfergraphError:
    body = b'{"error": "%s"}' % TEXT.encode()
    return from_http(504, {}, body, ENDPOINT, deadline)


def over_grpc(deadline: Deadline | None) -> InfergraphError:
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    return from_rpc(AioRpcError(code, Metadata(), Metadata(), TEXT), ENDPOINT, deadline)


@pytest.mark.parametrize("answered", [over_rest, over_grpc])
@pytest.mark.parametrize(
    ("seconds_left", "text"),
    [
        pytest.param(-0.1, f"{ENDPOINT}: the deadline of 250 ms passed", id="passed"),
        # The server's timer ended a little before the caller's.
        pytest.param(0.001, f"{ENDPOINT}: the deadline of 250 ms passed", id="as good as passed"),
        pytest.param(60, TEXT, id="a shorter one of the server's"),
        pytest.param(None, TEXT, id="none of the caller's"),
    ],
)
def test_the_deadline_that_passed_is_named(
    answered: Answered, seconds_left: float | None, text: str
) -> None:
    deadline = None if seconds_left is None else Deadline(time.monotonic() + seconds_left, 250)
    error = answered(deadline)
    assert (type(error), str(error)) == (DeadlineExceeded, text)
