"""Which class an HTTP status or a gRPC code falls into."""

from __future__ import annotations

import pytest

from infergraph_clients.transports.outcome import Outcome, of_rpc, of_status


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 204), Outcome.OK),
        ((302, 400, 404, 413, 422), Outcome.CLIENT_ERROR),
        ((500, 501, 502), Outcome.SERVER_ERROR),
        ((503, 429), Outcome.OVERLOAD),
        ((504, 408), Outcome.DEADLINE),
    ],
)
def test_http(statuses: tuple[int, ...], outcome: Outcome) -> None:
    assert {of_status(status) for status in statuses} == {outcome}


@pytest.mark.parametrize(
    ("code", "text", "outcome"),
    [
        ("INVALID_ARGUMENT", "", Outcome.CLIENT_ERROR),
        ("NOT_FOUND", "", Outcome.CLIENT_ERROR),
        ("INTERNAL", "", Outcome.SERVER_ERROR),
        ("UNIMPLEMENTED", "", Outcome.CLIENT_ERROR),
        ("RESOURCE_EXHAUSTED", "", Outcome.OVERLOAD),
        (
            "RESOURCE_EXHAUSTED",
            "SERVER: Received message larger than max (5000019 vs. 4194304)",
            Outcome.CLIENT_ERROR,
        ),
        (
            "RESOURCE_EXHAUSTED",
            "SERVER: Sent message larger than max (5000019 vs. 4194304)",
            Outcome.SERVER_ERROR,
        ),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Outcome.DEADLINE),
        ("UNAVAILABLE", "model 'm': its queue is full", Outcome.OVERLOAD),
        ("UNAVAILABLE", "grpc://b:1 is unavailable: failed to connect", Outcome.OVERLOAD),
        ("UNAVAILABLE", "failed to connect to all addresses; last error", Outcome.REFUSED),
        ("UNAVAILABLE", "Stream removed (Socket closed)", Outcome.LOST),
        ("UNAVAILABLE", "Socket closed", Outcome.LOST),
    ],
)
def test_grpc(code: str, text: str, outcome: Outcome) -> None:
    assert of_rpc(code, text) is outcome
