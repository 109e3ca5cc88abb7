from __future__ import annotations

import pytest

from infergraph_clients.errors import UsageError
from infergraph_clients.transports import Endpoint, Protocol


@pytest.mark.parametrize(
    ("url", "protocol", "text"),
    [
        (None, None, "grpc://127.0.0.1:8081"),
        (None, "grpc", "grpc://127.0.0.1:8081"),
        (None, "rest", "http://127.0.0.1:8080"),
        ("grpc://models.example:9000", None, "grpc://models.example:9000"),
        ("grpcs://models.example:443/", "grpc", "grpcs://models.example:443"),
        ("grpc://[::1]:8081", None, "grpc://[::1]:8081"),
        ("http://localhost", None, "http://localhost:80"),
        ("https://models.example/seldon/a/", None, "https://models.example:443/seldon/a"),
        ("localhost:9000", "grpc", "grpc://localhost:9000"),
        ("localhost:9000", "rest", "http://localhost:9000"),
        ("HTTP://localhost:9000", "rest", "http://localhost:9000"),
    ],
)
def test_scheme_and_protocol_stand_for_each_other(
    url: str | None, protocol: Protocol | None, text: str
) -> None:
    endpoint = Endpoint.parse(url, protocol)
    assert str(endpoint) == text
    assert endpoint.protocol == ("grpc" if text.startswith("grpc") else "rest")
    assert endpoint.is_secure is text.startswith(("grpcs", "https"))


@pytest.mark.parametrize(
    ("url", "protocol", "problem"),
    [
        ("localhost:8081", None, "it has no scheme"),
        ("tcp://localhost:1", None, "unknown scheme 'tcp'"),
        ("grpc://", None, "it has no host"),
        ("http://localhost?a=1", None, "a query or a fragment"),
        ("http://localhost#a", None, "a query or a fragment"),
        ("http://localhost:port", None, "Port could not be cast"),
        ("http://localhost:99999", None, "Port out of range"),
        ("http://[::1", None, "Invalid IPv6 URL"),
        ("grpc://localhost", None, "has no port"),
        ("grpc://localhost:8081/v2", None, "has the path '/v2', which gRPC cannot use"),
        ("grpc://localhost:8081", "rest", "is of grpc, but protocol is rest"),
        ("https://localhost", "grpc", "is of rest, but protocol is grpc"),
    ],
)
def test_what_is_no_endpoint_is_named(url: str, protocol: Protocol | None, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse(url, protocol)
    assert f"url '{url}'" in str(caught.value)
    assert problem in str(caught.value)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse("http://user:secret@localhost:8080", None)
    assert "--header authorization=VALUE" in str(caught.value)
    assert "secret" not in str(caught.value)
