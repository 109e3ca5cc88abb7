"""Servers that many tests share: each starts once, when the first test asks for it."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.exhaustive import only

from . import echo_pipelines
from .echo_pipelines import EchoPipeline
from .repositories import (
    TEXT,
    Gate,
    pipeline_text,
    write_echo,
    write_gated,
    write_pipeline,
    write_server,
    write_shipped_routers,
    write_test_model,
)
from .server import REPOSITORY, ServerProcess, SplitServer, stop_all
from .v2 import Client, GrpcClient, RestClient

MODELS = REPOSITORY / "model-settings"
SAMPLES = REPOSITORY / "tests" / "samples"
TRANSPORTS = ("in-process", "grpc", "rest")
FRONT_ENDS = ("rest", "grpc")
every_way = pytest.mark.parametrize(
    ("transport", "front_end"),
    only(
        [("in-process", "rest"), ("grpc", "grpc"), ("rest", "rest")],
        itertools.product(TRANSPORTS, FRONT_ENDS),
    ),
)
"""Where steps run, and the front end that is called."""
HELD_QUEUE = 4
"""Items that may wait at the model `held`."""
SPENT_MS = 50
"""What the first step of `spend-time` takes."""

SPLIT_PIPELINES = ("audio-qa",)
"""Those that `everywhere` also serves with a process for each model."""

Connect = Callable[[ServerProcess, str], Client]
Servers = dict[str, ServerProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@dataclass(frozen=True)
class Echoes:
    """A repository of echoes and other test models, and routers that reach them in every way.

    Attributes:
        stages: Serves the models, and the pipelines in process.
        servers: The servers of the same pipelines by transport; two of them serve nothing else.
        files: Where gates and ledgers are.
        nothing: By transport, an endpoint at which nothing listens; `through-nothing` leads there.
    """

    stages: ServerProcess
    servers: dict[str, ServerProcess]
    files: Path
    nothing: dict[str, str]

    def gate(self, model: str) -> Gate:
        """The closed gate of a `Gated` model."""
        gate = Gate(self.files, model)
        gate.close()
        return gate


@pytest.fixture(scope="session")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echoes]:
    root = tmp_path_factory.mktemp("echoes")
    files, pipelines = root / "files", root / "pipelines"
    files.mkdir()
    echo_pipelines.write_files(pipelines)
    _write_test_pipelines(pipelines)
    stages_root = write_server(root / "stages")
    echo_pipelines.write_stages(stages_root)
    _write_test_models(stages_root, files)
    _write_routers(stages_root, pipelines, {})
    with ServerProcess(stages_root) as stages, socket.socket() as silent:
        # Bound, so that nobody else takes the port, but never listening.
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        nothing = {"grpc": f"grpc://{address}", "rest": f"http://{address}"}
        servers = {"in-process": stages}
        remote = {"grpc": stages.grpc_url, "rest": stages.url}
        for transport, endpoint in remote.items():
            routers_root = write_server(root / transport)
            _write_routers(routers_root, pipelines, {"endpoints": {"*": endpoint}})
            _write_router(
                routers_root, pipelines, "through-nothing", {"endpoints": {"*": nothing[transport]}}
            )
            servers[transport] = ServerProcess(routers_root).start()
        try:
            for transport in remote:
                servers[transport].wait_until_ready()
            yield Echoes(stages, servers, files, nothing)
        finally:
            stop_all([servers[transport] for transport in remote])


@pytest.fixture(scope="session")
def models() -> Iterator[ServerProcess]:
    """`mlserver start model-settings`: everything that the repository ships, in one server."""
    with ServerProcess(MODELS) as server:
        yield server
    assert server.process.returncode == 0


@pytest.fixture(scope="session")
def everywhere(
    models: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Servers of the repository's pipelines, by where their steps run.

    `in-process` is `models`; steps of `grpc` and `rest` reach it in these ways. `split` serves
    `SPLIT_PIPELINES` alone, each of their models in a process of its own, once it is asked for.
    """
    names = sorted(file.stem for file in (REPOSITORY / "pipelines").glob("*.yaml"))
    started = _WithSplit()
    for transport, endpoint in (("grpc", models.grpc_url), ("rest", models.url)):
        root = write_shipped_routers(tmp_path_factory.mktemp(transport), names, endpoint)
        started[transport] = ServerProcess(root).start()
    try:
        for server in started.values():
            server.wait_until_ready()
        started["in-process"] = models
        yield started
    finally:
        started.pop("in-process", None)
        stop_all([*started.values()])


class _WithSplit(Servers):
    def __missing__(self, where: str) -> ServerProcess:
        if where != "split":
            raise KeyError(where)
        server = self[where] = SplitServer(MODELS, SPLIT_PIPELINES).start()
        server.wait_until_ready()
        return server


@pytest.fixture(scope="session")
def samples() -> list[dict[str, Any]]:
    """The entries of samples.json; `audio` is the bytes of the file, `name` its name's stem."""
    entries: list[dict[str, Any]] = json.loads((SAMPLES / "samples.json").read_text())
    for entry in entries:
        file = SAMPLES / entry["audio"]
        entry |= {"audio": file.read_bytes(), "name": file.stem}
    return entries


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients (of `rest` or `grpc`), and closes them after the test."""
    async with AsyncExitStack() as stack:

        def make(server: ServerProcess, front_end: str) -> Client:
            client: Client = (
                RestClient(server.http_port)
                if front_end == "rest"
                else GrpcClient(server.grpc_port)
            )
            stack.push_async_callback(client.close)
            return client

        yield make


def _write_test_models(root: Path, files: Path) -> None:
    text, numbers = ("BYTES", [-1, 1]), ("FP32", [-1, 3])
    write_gated(root, "held", files, max_batch_size=1, max_queue_size=HELD_QUEUE)
    write_test_model(root, "headers", "HeadersSeen", TEXT, {"headers": text})
    write_test_model(root, "broken", "Broken", TEXT, TEXT)
    write_test_model(root, "reverse", "Reverse", {}, {})
    write_test_model(root, "scale", "Scale", {}, {})
    write_test_model(root, "wait", "Wait", TEXT, TEXT)
    write_echo(
        root,
        "typed",
        {"numbers": numbers, "text": text},
        {"numbers": numbers},
        {"outputs": {"numbers": {"input": "numbers"}}},
    )
    write_echo(root, "picky", TEXT, TEXT, {"service_time_ms": 5, "fail_on": "poison"})
    for name, time in (("quick", 1), ("slow", 3), ("waste", SPENT_MS)):
        write_echo(root, name, TEXT, TEXT, {"service_time_ms": time, "max_queue_size": 1000})


_SINGLE = """
steps:
- name: MODEL
  inputs: [NAME.inputs.text]
output:
  steps: [MODEL]
"""
_TEST_PIPELINES = {
    "through-held": EchoPipeline(_SINGLE.replace("MODEL", "held"), TEXT, TEXT, []),
    "through-broken": EchoPipeline(_SINGLE.replace("MODEL", "broken"), TEXT, TEXT, []),
    "through-headers": EchoPipeline(
        _SINGLE.replace("MODEL", "headers"), TEXT, {"headers": ("BYTES", [-1, 1])}, []
    ),
    "through-wait": EchoPipeline(_SINGLE.replace("MODEL", "wait"), TEXT, TEXT, []),
    "through-nothing": EchoPipeline(_SINGLE.replace("MODEL", "left"), TEXT, TEXT, []),
    "impatient": EchoPipeline(
        _SINGLE.replace("MODEL", "held"),
        TEXT,
        TEXT,
        [],
        annotations=['infergraph.io/timeout-ms: "300"'],
    ),
    "spend-time": EchoPipeline(
        """
steps:
- name: waste
  inputs: [NAME.inputs.text]
- name: headers
  inputs: [waste.outputs.text]
output:
  steps: [headers]
""",
        TEXT,
        {"headers": ("BYTES", [-1, 1])},
        [],
    ),
    "two-batched": EchoPipeline(
        """
steps:
- name: quick
  inputs: [NAME.inputs.text]
- name: slow
  inputs: [quick.outputs.text]
output:
  steps: [slow.outputs.text]
""",
        TEXT,
        TEXT,
        [],
    ),
}


def _write_test_pipelines(folder: Path) -> None:
    for name, pipeline in _TEST_PIPELINES.items():
        body = pipeline.body.replace("NAME", name)
        text = pipeline_text(name, body, pipeline.annotations)
        (folder / f"{name}.yaml").write_text(text)


def _write_routers(root: Path, files: Path, extra: dict[str, Any]) -> None:
    echo_pipelines.write_routers(root, files, **extra)
    for name in _TEST_PIPELINES:
        if name != "through-nothing":
            _write_router(root, files, name, extra)


def _write_router(root: Path, files: Path, name: str, extra: dict[str, Any]) -> None:
    pipeline = _TEST_PIPELINES[name]
    write_pipeline(root, name, files / f"{name}.yaml", pipeline.inputs, pipeline.outputs, extra)
