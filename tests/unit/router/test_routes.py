from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlserver.settings import Settings

from infergraph.errors import ConfigurationError
from infergraph.router.routes import Routes, own_grpc_endpoint
from infergraph.router.settings import RouterSettings
from tests.unit.router.world import Answer, Model, mapping

OWN = "grpc://127.0.0.1:8081"
HERE = mapping(lambda data: data)


async def endpoint_of(step: str, **settings: Any) -> str:
    routes = Routes("p", ["a", "b"], RouterSettings(**settings), OWN)
    try:
        transport = routes.transport(step)
        return transport.endpoint or transport.kind
    finally:
        await routes.close()


async def test_the_order_of_precedence(serve: Callable[[str, Answer], Model]) -> None:
    named = {"a": "grpc://localhost:1"}
    both = {**named, "*": "http://localhost:2"}
    serve("a", HERE)

    assert await endpoint_of("a", endpoints=both) == "grpc://localhost:1"
    assert await endpoint_of("a", endpoints={"*": "http://localhost:2"}) == "in-process"
    assert await endpoint_of("b", endpoints=both) == "http://localhost:2"
    assert await endpoint_of("b", endpoints=named) == OWN


async def test_never_in_process_when_told_so(serve: Callable[[str, Answer], Model]) -> None:
    serve("a", HERE)
    assert await endpoint_of("a") == "in-process"
    assert await endpoint_of("a", in_process=False) == OWN
    assert (
        await endpoint_of("a", in_process=False, endpoints={"*": "http://localhost:2"})
        == "http://localhost:2"
    )


async def test_models_come_and_go(serve: Callable[[str, Answer], Model]) -> None:
    routes = Routes("p", ["a"], RouterSettings(), OWN)
    assert routes.transport("a").endpoint == OWN
    serve("a", HERE)
    assert routes.transport("a").kind == "in-process"
    await routes.close()


async def test_endpoints_of_unknown_steps_are_refused() -> None:
    settings = RouterSettings(endpoints={"c": "grpc://localhost:1"})
    with pytest.raises(ConfigurationError) as caught:
        Routes("p", ["a", "b"], settings, OWN)
    assert "pipeline 'p': setting 'endpoints' names 'c', no step of it" in str(caught.value)
    assert "accepted: 'a', 'b', '*'" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("0.0.0.0", "grpc://127.0.0.1:9000"),
        ("127.0.0.1", "grpc://127.0.0.1:9000"),
        ("::", "grpc://[::1]:9000"),
        ("node.example", "grpc://node.example:9000"),
    ],
)
def test_the_server_s_own_port(host: str, endpoint: str) -> None:
    assert own_grpc_endpoint(Settings(host=host, grpc_port=9000)) == endpoint


def test_the_own_port_where_the_server_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_grpc_endpoint(None) == "grpc://127.0.0.1:8081"
    monkeypatch.setenv("MLSERVER_GRPC_PORT", "9001")
    assert own_grpc_endpoint(None) == "grpc://127.0.0.1:9001"
