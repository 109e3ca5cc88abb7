"""Which class an answer, a gRPC code or an address falls into."""

from __future__ import annotations

import grpc
import pytest

from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.outcome import Outcome
from infergraph_clients.transports.endpoint import Endpoint
from infergraph_clients.transports.status import of_rpc, of_status


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
        ("UNIMPLEMENTED", "", Outcome.SERVER_ERROR),
        ("RESOURCE_EXHAUSTED", "", Outcome.OVERLOAD),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Outcome.DEADLINE),
        ("UNAVAILABLE", "model 'm': its queue is full", Outcome.OVERLOAD),
        ("UNAVAILABLE", "grpc://b:1 is unavailable: failed to connect", Outcome.OVERLOAD),
        ("UNAVAILABLE", "failed to connect to all addresses; last error", Outcome.REFUSED),
        ("UNAVAILABLE", "Stream removed (Socket closed)", Outcome.LOST),
        ("UNAVAILABLE", "Socket closed", Outcome.LOST),
    ],
)
def test_grpc(code: str, text: str, outcome: Outcome) -> None:
    assert of_rpc(grpc.StatusCode[code], text) is outcome


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://host", "host:80", ""),
        ("https://host/mesh/", "host:443", "/mesh"),
        ("grpc://[::1]:8081", "[::1]:8081", ""),
        ("grpcs://host:9000", "host:9000", ""),
    ],
)
def test_endpoints(url: str, authority: str, path: str) -> None:
    found = Endpoint.parse(url)
    assert (found.authority, found.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("host:80", "unknown scheme 'host'"),
        ("ftp://host", "unknown scheme 'ftp'"),
        ("http://", "no host"),
        ("grpc://host", "no port"),
        ("http://host:x", "accepted: http://host:port"),
        ("http://user:secret@host", "user name or password"),
    ],
)
def test_bad_endpoints(url: str, problem: str) -> None:
    with pytest.raises(LoadError, match=problem) as caught:
        Endpoint.parse(url)
    assert "secret" not in str(caught.value)
