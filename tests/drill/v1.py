"""`Installation`: SeldonDeployments as the operator of Seldon Core 1 runs them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mlserver.grpc import dataplane_pb2 as pb

from tests.integration.v2 import GrpcClient, RestClient

from .conftest import Images
from .kubernetes import Cluster
from .node import NAMESPACE, ON_KUBERNETES, Node, applied
from .pod import Pod
from .rendered import Object
from .samples import CONTENTS, Request
from .v1_executor import Executor

_FIRST = {"http": 9000, "grpc": 9500, "metrics": 6000}
"""Ports that the operator gives to containers which name none."""


class Installation(Cluster):
    """The pods of all SeldonDeployments, and what Kubernetes itself runs beside them.

    Args:
        node: Where they run, and what was applied.
        extra: Container -> variables on top of the manifest's, as a user may add them.
    """

    def __init__(self, node: Node, extra: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(node, extra)
        self._executors: dict[str, Executor] = {}
        self._stack = ExitStack()
        for deployment in node.rendered.objects("SeldonDeployment"):
            (predictor,) = deployment["spec"]["predictors"]
            assert deployment["spec"]["protocol"] == "v2"
            pods = list(_pods(node, deployment, predictor, extra))
            self.pods += pods
            endpoints = {
                name: (pod.address, container.ports["http"], container.ports["grpc"])
                for pod in pods
                for name, container in pod.containers.items()
            }
            name = deployment["metadata"]["name"]
            self._executors[name] = Executor(predictor["graph"], endpoints)

    def __enter__(self) -> Installation:
        super().__enter__()
        for each in self._executors.values():
            self._stack.enter_context(each.serving())
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        super().__exit__(*exception)

    def executor(self, name: str) -> Executor:
        return self._executors[name]


def _pods(
    node: Node, deployment: Object, predictor: Object, extra: Mapping[str, Mapping[str, str]]
) -> Iterator[Pod]:
    name = deployment["metadata"]["name"]
    for number, component in enumerate(predictor["componentSpecs"]):
        assert component["replicas"] == 1
        (spec,) = component["spec"]["containers"]
        told = _operators(deployment, predictor, spec)
        given = {spec["name"]: {**told, **extra.get(spec["name"], {})}}
        yield Pod(node, f"{name}-{predictor['name']}-{number}-{spec['name']}", component, given)


def _operators(deployment: Object, predictor: Object, container: Object) -> dict[str, str]:
    """The variables that the operator sets."""
    named = {each["name"]: str(each["containerPort"]) for each in container.get("ports") or ()}
    http, grpc, metrics = (named.get(name, str(first)) for name, first in _FIRST.items())
    return {
        "PREDICTIVE_UNIT_ID": container["name"],
        "PREDICTIVE_UNIT_SERVICE_PORT": http,
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": http,
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": grpc,
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": metrics,
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/metrics",
        "PREDICTIVE_UNIT_PARAMETERS": "[]",
        "SELDON_DEPLOYMENT_ID": deployment["metadata"]["name"],
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": json.dumps({"version": predictor["name"]}),
        "MLSERVER_HTTP_PORT": http,
        "MLSERVER_GRPC_PORT": grpc,
        "MLSERVER_METRICS_PORT": metrics,
        "MLSERVER_MODEL_NAME": container["name"],
    }


@contextmanager
def installed(
    images: Images,
    root: Path,
    pipelines: Sequence[str],
    *options: str,
    extra: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Installation]:
    """Pipelines that were rendered and applied."""
    with (
        applied(images, root, "seldon-v1", pipelines, *ON_KUBERNETES, *options) as node,
        Installation(node, extra or {}) as installation,
    ):
        yield installation


class Ingress(RestClient):
    """Calls a SeldonDeployment by its path, which names no model unless `model` says one."""

    def __init__(self, executor: Executor, deployment: str) -> None:
        super().__init__(executor.port)
        self._base = f"http://127.0.0.1:{executor.port}/seldon/{NAMESPACE}/{deployment}/v2"

    async def ask(self, request: Request, model: str = "", **headers: str) -> Any:
        """The answer to a request."""
        self._url = f"{self._base}/models" if model else self._base
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.post(model or "models", json.dumps(request), named)


def typed(request: Request) -> pb.ModelInferRequest:
    """A request of typed contents that names no model."""
    message = pb.ModelInferRequest()
    for each in request["inputs"]:
        values = each["data"]
        if each["datatype"] == "BYTES":
            is_base64 = (each.get("parameters") or {}).get("content_type") == "base64"
            values = [base64.b64decode(one) if is_base64 else one.encode() for one in values]
        tensor = message.inputs.add(
            name=each["name"], datatype=each["datatype"], shape=each["shape"]
        )
        getattr(tensor.contents, CONTENTS[each["datatype"]]).extend(values)
    return message


async def ask_grpc(executor: Executor, request: Request) -> Any:
    """The answer over gRPC to a request of typed contents that names no model."""
    message = typed(request)
    client = GrpcClient(executor.grpc_port)
    try:
        return await client.send(message)
    finally:
        await client.close()
