"""`Seldon`: Servers, Models and Pipelines of a folder, as Seldon Core 2 runs them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.integration.seldon.agent import Agent

from .container import Container
from .dataflow import Dataflow
from .mesh import Mesh
from .node import Node
from .rendered import Object

_MODELS = "/mnt/agent/models"
_PORTS = {"http": 9000, "grpc": 9500, "metrics": 8082}
_SERVER_CONFIG = {
    "MLSERVER_HTTP_PORT": str(_PORTS["http"]),
    "MLSERVER_GRPC_PORT": str(_PORTS["grpc"]),
    "MLSERVER_METRICS_PORT": str(_PORTS["metrics"]),
    "MLSERVER_MODELS_DIR": _MODELS,
    "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
    "MLSERVER_GRPC_MAX_MESSAGE_LENGTH": "1048576000",
    "MLSERVER_HOST": "0.0.0.0",
}
"""What the ServerConfig `mlserver` says of its container, before a Server's podSpec is merged."""
_STOCK_SERVER: Object = {
    "metadata": {"name": "mlserver"},
    "spec": {
        "capabilities": ["mlserver", "huggingface"],
        "podSpec": {
            "containers": [
                {
                    "name": "mlserver",
                    "image": "seldonio/mlserver:1.7.1-huggingface",
                    "env": [{"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"}],
                }
            ]
        },
    },
}
"""Seldon's own Server, which its installation has."""
_MESH = "seldon-mesh"


class Server(Container):
    """A Server's container `mlserver`."""

    @property
    def grpc_url(self) -> str:
        return f"grpc://{self.address}:{self.ports['grpc']}"


class Seldon:
    """As a context manager it has scheduled and loaded all Models; the mesh can be called.

    Args:
        node: Where they run; rclone copies its models.
        parameters: Model -> parameters on top of the manifest's, as a user may add them.

    Attributes:
        servers: By name.
        agents: Of each server.
        mesh: It.
        models: The Models by name.
        pipelines: By name.
    """

    def __init__(self, node: Node, parameters: Mapping[str, Mapping[str, str]]) -> None:
        self._node = node
        self._parameters = parameters
        self.rendered = rendered = node.rendered
        self.models = {each["metadata"]["name"]: each for each in rendered.objects("Model")}
        self.pipelines = {
            each["metadata"]["name"]: Dataflow(each) for each in rendered.objects("Pipeline")
        }
        self._capabilities: dict[str, set[str]] = {}
        self.servers: dict[str, Server] = {}
        self.agents: dict[str, Agent] = {}
        needed = {each for one in self.models.values() for each in one["spec"]["requirements"]}
        for server in (*rendered.objects("Server"), _STOCK_SERVER):
            if needed & set(server["spec"]["capabilities"]):
                self._add(server)

    def _add(self, server: Object) -> None:
        name, spec = server["metadata"]["name"], server["spec"]
        containers = {each["name"]: each for each in spec["podSpec"]["containers"]}
        changed = containers["mlserver"]
        models, scratch = (self._node.scratch / name / each for each in ("models", "tmp"))
        for each in (models, scratch):
            each.mkdir(parents=True)
        environment = {each["name"]: each["value"] for each in changed["env"]}
        self._capabilities[name] = set(spec["capabilities"])
        self._check_memory(name, containers.get("agent"))
        self.servers[name] = Server(
            name=name,
            image=self._node.image(changed["image"]),
            address=self._node.network.address(),
            # Of a variable that is there twice the last one counts.
            environment={**_SERVER_CONFIG, **environment},
            mounts={_MODELS: models, "/tmp": scratch},
            ports=_PORTS,
            hosts=self._node.network.file(name),
        )

    def _check_memory(self, server: str, agent: Object | None) -> None:
        """The scheduler puts no more on a Server than its agent says is free."""
        if agent is None:
            return
        free = next(each["value"] for each in agent["env"] if each["name"] == "MEMORY_REQUEST")
        taken = sum(
            int(each["spec"]["memory"])
            for each in self.models.values()
            if set(each["spec"]["requirements"]) <= self._capabilities[server]
        )
        assert taken <= int(free), f"{server}: ScheduleFailed, {taken} bytes of {free}"

    def __enter__(self) -> Seldon:
        with ExitStack() as stack:
            for server in self.servers.values():
                server.start()
                stack.callback(server.kill)
            for name, server in self.servers.items():
                server.wait_until_it_answers("/v2/health/live", _PORTS["http"], 1)
                models = server.mounts[_MODELS]
                self.agents[name] = agent = Agent(models, server)
                stack.callback(agent.close)
            mesh = Mesh(self._node.network.address(), list(self.agents.values()), self.pipelines)
            self.mesh = stack.enter_context(mesh)
            for name in self.servers:
                self._node.network.write(name, {_MESH: [self.mesh.address]})
            for model in self.models:
                self.bring(model, 1)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def bring(self, model: str, generation: int, source: Path | None = None) -> None:
        """Loads a generation of a Model, and then unloads the one before."""
        spec = self.models[model]["spec"]
        given = {each["name"]: each["value"] for each in spec.get("parameters", [])}
        # The mesh listens at port 80 there.
        port = f"{_MESH}:{self.mesh.http_port}"
        parameters = {name: value.replace(f"{_MESH}:80", port) for name, value in given.items()}
        folder = source or self.rendered.storage / spec["storageUri"].rpartition("/")[2]
        self.agent_of(model).bring(
            folder, generation, model, **parameters, **self._parameters.get(model, {})
        )

    def agent_of(self, model: str) -> Agent:
        """The agent of the server that a Model is on."""
        return self.agents[self._place(model)]

    def server_of(self, model: str) -> Server:
        return self.servers[self._place(model)]

    def _place(self, model: str) -> str:
        """The first server that has what a Model requires."""
        required = set(self.models[model]["spec"]["requirements"])
        return next(name for name, has in self._capabilities.items() if required <= has)

    def most_items(self, pipeline: str) -> int | None:
        """How many items the models of a pipeline take, or None where they do not say."""
        steps = self.pipelines[pipeline].resource["spec"]["steps"]
        for step in steps:
            for each in self.models[step["name"]]["spec"].get("parameters", []):
                if each["name"] == "max_items":
                    return int(each["value"])
        return None
