from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.settings import Settings

from infergraph import registry
from infergraph.errors import ConfigurationError
from infergraph.request import RequestContext
from infergraph.router import PipelineRouter
from infergraph.transports import pool
from tests.unit.router.world import (
    CHAIN,
    Answer,
    Model,
    Workspace,
    mapping,
    request,
    router_in,
    tensor,
    values,
)
from tests.unit.transports.peers import GrpcPeer

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]


def refused(router: PipelineRouter) -> Awaitable[str]:
    async def load() -> str:
        with pytest.raises(ConfigurationError) as caught:
            await router.load()
        assert registry.find(router.name) is None
        return str(caught.value)

    return load()


async def test_a_loaded_pipeline_is_registered_until_it_is_unloaded(workspace: Workspace) -> None:
    router = workspace.router("chain", CHAIN, endpoints={"double": "grpc://127.0.0.1:1"})
    await router.load()
    assert registry.find("chain") is router
    assert len(pool._pools[asyncio.get_running_loop()]) == 1

    assert await router.unload()
    assert registry.find("chain") is None
    assert pool._pools[asyncio.get_running_loop()] == {}


async def test_a_reload_keeps_the_newer_router(workspace: Workspace) -> None:
    old, new = workspace.router("chain", CHAIN), workspace.router("chain", CHAIN)
    await old.load()
    await new.load()
    await old.unload()
    assert registry.find("chain") is new
    await new.unload()


async def test_the_file_may_be_given_as_its_folder(workspace: Workspace) -> None:
    for name in ("pipeline.yaml", "chain.yaml", "chain.yml"):
        folder = workspace.add_model(
            "chain", implementation="infergraph.router.PipelineRouter", parameters={"uri": "."}
        )
        (folder / name).write_text(CHAIN)
        router = router_in(folder)
        await router.load()
        assert [step.name for step in router.pipeline.spec.steps] == ["double", "negate"]
        await router.unload()
        (folder / name).unlink()


async def test_files_that_are_not_there(workspace: Workspace) -> None:
    folder = workspace.add_model(
        "chain", implementation="infergraph.router.PipelineRouter", parameters={"uri": "."}
    )
    text = await refused(router_in(folder))
    assert "holds no pipeline file; accepted names: pipeline.yaml, pipeline.yml, chain.yaml" in text

    folder = workspace.add_model("chain", parameters={"uri": "absent.yaml"})
    assert "parameters.uri 'absent.yaml' names no file" in await refused(router_in(folder))

    folder = workspace.add_model("chain", parameters={"uri": "s3://bucket/chain.yaml"})
    assert "'s3://bucket/chain.yaml' is not local" in await refused(router_in(folder))


async def test_findings_stop_the_load_with_file_and_line(workspace: Workspace) -> None:
    router = workspace.router("chain", CHAIN.replace("double.outputs.x", "dubble.outputs.x"))
    text = await refused(router)
    assert "chain.yaml:10: unknown-step" in text
    assert "did you mean 'double'?" in text


async def test_a_pipeline_that_others_feed_does_not_load(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    fed = CHAIN.replace("spec:\n", "spec:\n  input: {externalInputs: [q.outputs.x]}\n")
    router = workspace.router("chain", fed)
    with caplog.at_level(logging.WARNING, "infergraph"):
        text = await refused(router)
    assert "pipeline 'chain': spec.input lets q.outputs.x start it" in text
    assert "remove spec.input" in text
    assert "external-input" in caplog.text


async def test_the_pipeline_s_name_is_the_model_s(workspace: Workspace) -> None:
    text = await refused(workspace.router("other", CHAIN))
    assert "metadata.name is 'chain'; accepted: 'other'" in text


async def test_wrong_settings_stop_the_load(workspace: Workspace) -> None:
    text = await refused(workspace.router("chain", CHAIN, retries=3))
    assert "model 'chain': unknown setting 'retries'" in text

    text = await refused(workspace.router("chain", CHAIN, endpoints={"tripple": "grpc://a:1"}))
    assert "names 'tripple', no step of it; accepted: 'double', 'negate', '*'" in text
    assert pool._pools.get(asyncio.get_running_loop(), {}) == {}


async def test_edges_are_checked_against_the_folders_beside(workspace: Workspace) -> None:
    workspace.add_model("double", inputs=[tensor("x")], outputs=[tensor("x")])
    workspace.add_model("negate", inputs=[tensor("x", "INT32")], outputs=[tensor("x", "INT32")])
    text = await refused(workspace.router("chain", CHAIN))
    assert text.startswith("pipeline 'chain' does not load:\n")
    assert "chain.yaml:10: datatype-mismatch: double.outputs.x" in text


async def test_a_broken_folder_beside_stops_nothing(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace.add_model("broken") / "model-settings.json").write_text("{")
    router = workspace.router("chain", CHAIN)
    with caplog.at_level(logging.WARNING, "infergraph"):
        assert await router.load()
    assert "model 'chain': its edges are not checked" in caplog.text
    await router.unload()


async def test_edges_are_checked_against_endpoints(
    workspace: Workspace, grpc_peer: GrpcPeer
) -> None:
    declared = pb.ModelMetadataResponse.TensorMetadata(name="x", datatype="BYTES", shape=[-1, 1])
    grpc_peer.metadata = pb.ModelMetadataResponse(inputs=[declared], outputs=[declared])
    workspace.add_model("double", inputs=[tensor("x")], outputs=[tensor("x")])
    router = workspace.router("chain", CHAIN, endpoints={"negate": grpc_peer.url})
    assert "declares x BYTES [-1, 1]" in await refused(router)
    assert pool._pools[asyncio.get_running_loop()] == {}


async def test_an_endpoint_that_cannot_be_reached_is_a_warning(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    router = workspace.router("chain", CHAIN, endpoints={"*": url})
    with caplog.at_level(logging.WARNING, "infergraph"):
        assert await router.load()
    for step in ("double", "negate"):
        assert f"pipeline 'chain': the edges of step '{step}' are not checked: {url}" in caplog.text
    await router.unload()


async def test_a_pipeline_that_calls_itself_is_refused(workspace: Workspace) -> None:
    other = CHAIN.replace("chain", "other").replace("double", "chain")
    workspace.add_pipeline("other", other, {})
    router = workspace.router("chain", CHAIN.replace("negate", "other"))
    text = await refused(router)
    assert text == "pipeline 'chain' calls itself without end: chain -> other -> chain"


async def test_the_server_tells_its_own_address(workspace: Workspace) -> None:
    router = workspace.router("chain", CHAIN)
    router.attach_server(Settings(host="127.0.0.1", grpc_port=1))
    await router.load()
    assert router._routes is not None
    assert router._routes.transport("double").endpoint == "grpc://127.0.0.1:1"
    await router.unload()


async def test_metadata_says_what_is_optional(workspace: Workspace) -> None:
    folder = workspace.add_pipeline(
        "chain", CHAIN, {"optional_outputs": ["x"]}, inputs=[tensor("x")], outputs=[tensor("x")]
    )
    router = router_in(folder)
    await router.load()
    metadata = await router.metadata()
    assert metadata.inputs is not None
    assert [each.name for each in metadata.inputs] == ["x"]
    assert metadata.parameters is not None
    assert metadata.parameters.model_extra == {
        "steps": '["double", "negate"]',
        "optional_outputs": '["x"]',
    }
    await router.unload()


async def test_only_its_folder_arrives_under_a_name_with_a_generation(
    workspace: Workspace, serve: Serve
) -> None:
    serve("double_3", mapping(lambda data: data * 2))
    serve("negate_1", mapping(np.negative))
    folder = workspace.models / "chain_2" / "2"
    folder.mkdir(parents=True)
    (folder / "chain.yaml").write_text(CHAIN)
    settings = {
        "name": "chain_2",
        "implementation": "infergraph.router.PipelineRouter",
        "parameters": {"version": "2", "uri": "../../pipelines/chain.yaml"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    router = router_in(folder)
    await router.load()
    answer = await router.infer(request(3), RequestContext(trace=True))
    assert values(answer) == {"x": [-6]}
    assert answer.trace is not None
    assert answer.trace["pipeline"] == "chain"
    assert [step["transport"] for step in answer.trace["steps"]] == ["in-process"] * 2
    assert registry.find("chain") is router
    await router.unload()
    assert registry.find("chain") is None
