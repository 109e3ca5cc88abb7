"""What drills share: images, and the answers of one local server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.server import REPOSITORY, free_ports
from tests.integration.v2 import Answer, Client, GrpcClient, RestClient

from . import samples
from .container import Container
from .image import KINDS, STAND_INS, Image
from .kinds import one_of_each_kind
from .rendered import PIPELINES

Connect = Callable[[str, str, int], Client]
"""Makes a client of `rest` or `grpc`, of an address and a port."""
LOADS = "infergraph_model_loads_total"
SMALL_QUEUE = {
    "INFERGRAPH_TRANSLATION_EN_DE__MAX_QUEUE_SIZE": "1",
    "INFERGRAPH_TRANSLATION_EN_DE__MAX_BATCH_SIZE": "1",
}
"""With it a few requests at once are more than the model holds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            if "images" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.integration)
                item.add_marker(pytest.mark.slow)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="only Linux has all of 127.0.0.0/8"))


class Images(dict[str, Image]):
    """Images by name, each started when it is first asked for."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        super().__init__()
        self._stack = stack
        self._folder = folder

    def __missing__(self, name: str) -> Image:
        assert name in KINDS, name
        image = self[name] = self._stack.enter_context(Image(name, self._folder / name))
        return image


@pytest.fixture(scope="module")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether tests of the module with this mark are run, so that a target holds all pipelines."""
    of_module = [each for each in request.session.items if each.path == request.path]
    return any(each.get_closest_marker("exhaustive") for each in of_module)


@pytest.fixture(scope="module")
def on_target(exhaustive: bool) -> list[str]:
    """The pipelines that a Seldon target holds."""
    return PIPELINES if exhaustive else one_of_each_kind()


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    with ExitStack() as stack:
        yield Images(stack, tmp_path_factory.mktemp("images"))


class Reference:
    """One local server of all that the repository ships, and its answers."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._answers: dict[str, Answer] = {}

    async def answer(self, model: str, request: samples.Request) -> Answer:
        """The answer over REST; the same request is sent once."""
        key = f"{model} {request}"
        if key not in self._answers:
            client = RestClient(self._container.ports["http"])
            try:
                self._answers[key] = await samples.send(client, model, request)
            finally:
                await client.close()
        answer = self._answers[key]
        assert answer.status == 200, answer.error
        return answer


@contextmanager
def one_server(images: Images) -> Iterator[Reference]:
    """`mlserver start model-settings`, in which all steps run in process or at its own port."""
    http, grpc, metrics = free_ports(3)
    container = Container(
        name="reference",
        image=images["models"],
        address="127.0.0.1",
        environment={
            "MLSERVER_HTTP_PORT": str(http),
            "MLSERVER_GRPC_PORT": str(grpc),
            "MLSERVER_METRICS_PORT": str(metrics),
            "MLSERVER_MODELS_DIR": "model-settings",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(STAND_INS),
            # Their steps are at a server of the stock runtime else, which here is this one.
            **{
                f"INFERGRAPH_{name.replace('-', '_').upper()}__ENDPOINTS": "{}"
                for name in PIPELINES
                if name.startswith("hf-")
            },
        },
        mounts={},
        ports={"http": http, "grpc": grpc, "metrics": metrics},
        folder=str(REPOSITORY),
    )
    container.start()
    try:
        for path in ("/v2/health/ready", *(f"/v2/models/{each}/ready" for each in PIPELINES)):
            container.wait_until_it_answers(path, http, 5)
        yield Reference(container)
        container.terminate()
        assert container.wait_until_ended(30) == 0, container.log()
    finally:
        container.kill()


@pytest.fixture(scope="package")
def reference(images: Images) -> Iterator[Reference]:
    with one_server(images) as reference:
        yield reference


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients, and closes them after the test."""
    async with AsyncExitStack() as stack:

        def make(front_end: str, address: str, port: int) -> Client:
            kind = RestClient if front_end == "rest" else GrpcClient
            client = kind(port, address)
            stack.push_async_callback(client.close)
            return client

        yield make
