from __future__ import annotations

import pytest

from infergraph.errors import ConfigurationError
from infergraph.transports import Endpoint


@pytest.mark.parametrize(
    ("url", "text", "is_grpc", "is_secure"),
    [
        ("grpc://127.0.0.1:8081", "grpc://127.0.0.1:8081", True, False),
        ("grpcs://models.example:443/", "grpcs://models.example:443", True, True),
        ("grpc://[::1]:8081", "grpc://[::1]:8081", True, False),
        ("http://localhost:8080/", "http://localhost:8080", False, False),
        ("http://localhost", "http://localhost:80", False, False),
        ("https://models.example/triton/", "https://models.example:443/triton", False, True),
        ("GRPC://Models.Example:1", "grpc://models.example:1", True, False),
    ],
)
def test_urls(url: str, text: str, is_grpc: bool, is_secure: bool) -> None:
    endpoint = Endpoint.parse(url)
    assert str(endpoint) == text
    assert (endpoint.is_grpc, endpoint.is_secure) == (is_grpc, is_secure)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("localhost:8081", "unknown scheme 'localhost'"),
        ("127.0.0.1:8081", "it has no scheme"),
        ("", "it has no scheme"),
        ("tcp://localhost:1", "unknown scheme 'tcp'"),
        ("grpc://localhost", "it has no port"),
        ("grpc://:8081", "it has no host"),
        ("grpc://localhost:0", "it has no port"),
        ("grpc://localhost:99999", "Port out of range"),
        ("grpc://localhost:port", "Port could not be cast"),
        ("grpc://localhost:8081/v2", "it has a path, '/v2'"),
        ("http://localhost:8080/?a=1", "it has a query or fragment"),
    ],
)
def test_what_is_no_endpoint_is_named(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse(url)
    assert f"endpoint '{url}': {problem}" in str(caught.value)
    assert "accepted: grpc://host:port or http://host:port" in str(caught.value)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse("http://user:secret@localhost:8080")
    assert "secret" not in str(caught.value)
    assert "user name or password" in str(caught.value)


def test_headers_are_part_of_it_and_not_shown() -> None:
    plain = Endpoint.parse("grpc://mesh:80")
    routed = Endpoint.parse("grpc://mesh:80", {"Seldon-Model": "resnet", "authorization": "secret"})
    assert dict(routed.headers) == {"seldon-model": "resnet", "authorization": "secret"}
    assert plain != routed
    assert "secret" not in repr(routed) + str(routed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "secret"),
        ("content-length", "secret"),
        ("infergraph-timeout-ms", "secret"),
        ("grpc-timeout", "secret"),
        ("x-data-bin", "secret"),
        ("x name", "secret"),
        ("x-name", "secret\r\nhost: b"),
        ("x-name", "secret\xe9"),
    ],
)
def test_headers_that_cannot_be_set(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse("grpc://mesh:80", {name: value})
    assert f"endpoint 'grpc://mesh:80': header '{name.lower()}' cannot be set" in str(caught.value)
    assert "secret" not in str(caught.value)
