"""What a server says of a model, asked over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from infergraph_clients.load.configuration import Target
from infergraph_clients.load.v2.messages import (
    SERVICE,
    ModelMetadataRequest,
    ModelMetadataResponse,
)
from infergraph_clients.transports.metadata import model_parameters


@pytest.fixture
def url() -> Iterator[str]:
    """Of a server whose model `m` is of the variant `small`."""

    def metadata(request: Any, context: grpc.ServicerContext) -> Any:
        answer = ModelMetadataResponse(name=request.name)
        answer.parameters["variant"].string_param = "small"
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        metadata,
        request_deserializer=ModelMetadataRequest.FromString,
        response_serializer=ModelMetadataResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"ModelMetadata": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()


def test_a_proxy_of_the_environment_is_not_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    target = Target(url=url, model="m")
    assert model_parameters(target) == {"variant": "small"}
