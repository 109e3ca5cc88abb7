"""Models and pipelines under Seldon's agent: names, folders, reloads, bad requests."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from infergraph.v2 import Message, Tensor
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import METHODS, SERVICE
from tests.integration.repositories import ROUTER, TEXT, pipeline_text, write_model
from tests.integration.seldon.agent import Agent
from tests.integration.server import LOAD_SECONDS, REPOSITORY, ServerProcess, get, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

SENTIMENT = REPOSITORY / "model-settings" / "sentiment"
REQUEST = json.loads((SENTIMENT / "request.json").read_text())
LABELS = ["negative", "positive"]
OUTPUTS = {"label": ("BYTES", [-1, 1]), "score": ("FP32", [-1, 1])}
NAMES = ("near", "far")
"""Pipelines of one step: in the process of its model, and through the server's own port."""


def _pipeline(root: Path, name: str) -> Path:
    """The folder of a router as it is uploaded: with its pipeline file."""
    text = "steps:\n- name: sentiment\noutput:\n  steps: [sentiment]\n"
    write_model(root, name, ROUTER, TEXT, OUTPUTS, uri=Path(f"../../pipelines/{name}.yaml"))
    (root / name / f"{name}.yaml").write_text(pipeline_text(name, text))
    return root / name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without models, as the image and a Server resource have it."""
    root = tmp_path_factory.mktemp("server")
    models = root / "models"
    models.mkdir()
    environment = {
        "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "infergraph.front_door.ModelRepository",
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
        "INFERGRAPH_SELDON": "true",
        "INFERGRAPH_PRELOAD": "infergraph.tasks.*",
    }
    with ServerProcess(models, environment, cwd=root) as server:

        def is_live() -> bool:
            assert server.process.poll() is None, server.log()
            return get(f"{server.url}/v2/health/live") is not None

        wait_for(is_live, LOAD_SECONDS, server.log)
        yield server


@pytest.fixture(scope="module")
def agent(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """It has brought generation 1 of the model, and 2 and 3 of the pipelines."""
    root = tmp_path_factory.mktemp("seldon")
    # Imported before the server listened: nothing of it is left for the first load.
    assert "libtorch" in Path(f"/proc/{server.process.pid}/maps").read_text()
    agent = Agent(server.folder, server)
    agent.bring(SENTIMENT, 1, max_batch_size="16", groups="{}")
    agent.bring(_pipeline(root / "uploads", "near"), 2)
    agent.bring(_pipeline(root / "uploads", "far"), 3, in_process="false")
    yield agent
    agent.close()


def _outputs(answer: Any) -> dict[str, Any]:
    return {each["name"]: each for each in answer["outputs"]}


def _loads(server: ServerProcess) -> float:
    return server.metrics()['infergraph_model_loads_total{model="sentiment"}']


@pytest.mark.parametrize("name", ["sentiment_1", "near_2", "far_3", "near"])
def test_models_and_pipelines_answer(agent: Agent, name: str) -> None:
    status, answer = agent.infer(name, REQUEST)
    assert status == 200, answer
    label = _outputs(answer)["label"]
    assert label["data"] == LABELS
    assert label["parameters"] == {"content_type": "str"}
    assert "parameters" not in _outputs(answer)["score"]


async def test_text_is_text_over_grpc(server: ServerProcess, agent: Agent) -> None:
    texts = [text.encode() for text in REQUEST["inputs"][0]["data"]]
    message = Message([Tensor.of_bytes("text", texts)])
    address = f"127.0.0.1:{server.grpc_port}"
    async with grpc.aio.insecure_channel(address) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        body = await infer(encode_request("near_2", "", message, {}, True))
        answer = METHODS["ModelInfer"].response.FromString(body)
        said = {each.name: each.parameters["content_type"].string_param for each in answer.outputs}
        assert said == {"label": "str", "score": ""}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await infer(encode_request("gone_1", "", message, {}, True))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("name", ["sentiment_1", "near_2", "far_3"])
def test_a_bad_request_loads_nothing(server: ServerProcess, agent: Agent, name: str) -> None:
    before = list(agent.loads), _loads(server)
    empty = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": [""]}
    unknown = {**REQUEST["inputs"][0], "name": "txet"}
    for tensor in (empty, unknown):
        status, answer = agent.infer(name, {"inputs": [tensor]})
        assert (status, set(answer)) == (422, {"error"})
        assert answer["error"].endswith(" (status 400)")
    assert (agent.loads, _loads(server)) == before


def test_a_load_of_what_is_loaded_changes_nothing(server: ServerProcess, agent: Agent) -> None:
    before, log = _loads(server), len(server.log())

    async def load() -> list[tuple[int, Any]]:
        calls = [asyncio.to_thread(agent.infer, NAMES[each % 2], REQUEST) for each in range(40)]
        loads = [
            asyncio.to_thread(agent.load, name) for name in ("sentiment_1", "near_2", "far_3") * 3
        ]
        answers, _ = await asyncio.gather(asyncio.gather(*calls), asyncio.gather(*loads))
        return answers

    for status, answer in asyncio.run(load()):
        assert (status, _outputs(answer)["label"]["data"]) == (200, LABELS)
    assert _loads(server) == before
    said = server.log()[log:]
    assert said.count("is loaded already, and unchanged") == 9
    assert "is loaded anew" not in said


def test_a_new_generation_takes_over_without_loss(
    server: ServerProcess, agent: Agent, tmp_path: Path
) -> None:
    changed = tmp_path / "sentiment"
    shutil.copytree(SENTIMENT, changed, ignore=shutil.ignore_patterns("settings.json"))
    settings = json.loads((changed / "model-settings.json").read_text())
    settings["parameters"]["extra"]["labels"] = {"negative": "bad", "positive": "good"}
    (changed / "model-settings.json").write_text(json.dumps(settings))

    async def replace() -> list[tuple[int, Any]]:
        replaced = asyncio.create_task(asyncio.to_thread(agent.bring, changed, 2))
        answers = []
        while not replaced.done():
            calls = (asyncio.to_thread(agent.infer, name, REQUEST) for name in NAMES)
            answers += await asyncio.gather(*calls)
        await replaced
        return answers

    seen = set()
    for status, answer in asyncio.run(replace()):
        assert status == 200, answer
        seen.add(tuple(_outputs(answer)["label"]["data"]))
    assert seen <= {tuple(LABELS), ("bad", "good")}
    for name in NAMES:
        assert _outputs(agent.infer(name, REQUEST)[1])["label"]["data"] == ["bad", "good"]
    metrics = server.metrics()
    assert not [each for each in metrics if each.startswith("infergraph_") and '_2"' in each]
