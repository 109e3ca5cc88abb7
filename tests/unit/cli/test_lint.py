"""`infergraph lint` of folders, and of pipelines whose models are elsewhere."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from infergraph.cli import main
from tests.unit.cli.workspaces import CHAIN, TEXT, write_model
from tests.unit.transports.peers import RestPeer

NUMBER = {"name": "text", "datatype": "FP32", "shape": [-1, 1]}
OTHER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
"""


class Elsewhere(RestPeer):
    """A V2 server that has some models."""

    def __init__(self, **models: dict[str, Any]) -> None:
        super().__init__()
        self.models = models

    async def _get(self, request: web.Request) -> web.StreamResponse:
        name = request.raw_path.rpartition("/")[2]
        if name not in self.models:
            return web.json_response({"error": "no such model"}, status=404)
        return web.json_response({"name": name, **self.models[name]})


@pytest.fixture
async def reply() -> AsyncIterator[Elsewhere]:
    """It has the model of the chain's second step alone."""
    peer = Elsewhere(reply={"inputs": [TEXT], "outputs": [TEXT]})
    await peer.start()
    yield peer
    await peer.stop()


async def lint(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["lint", *arguments])


def test_a_folder_stands_for_the_pipelines_in_it(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rendered"
    for name, text in (
        ("1-server.yaml", OTHER),
        ("deeper/2-chain.yml", CHAIN.replace("kind: Pipeline", 'kind: "Pipeline"  # ours')),
        (".hidden/chain.yaml", CHAIN.replace("hear.outputs", "heer.outputs")),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    assert main(["lint", "rendered", "pipelines/outer.yaml"]) == 0
    assert capsys.readouterr().out == "2 pipelines checked: no findings\n"

    (folder / "deeper" / "2-chain.yml").write_text(CHAIN.replace("hear.outputs", "heer.outputs"))
    assert main(["lint", "rendered"]) == 1
    assert "rendered/deeper/2-chain.yml:10: unknown-step" in capsys.readouterr().out


def test_the_models_of_a_folder_go_before_others(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rendered"
    write_model(folder / "models", "hear", "infergraph.tasks.echo.Echo", outputs=[NUMBER])
    (folder / "chain.yaml").write_text(CHAIN)

    assert main(["lint", "pipelines/chain.yaml"]) == 0
    assert main(["lint", "rendered"]) == 1
    assert "rendered/chain.yaml:10: datatype-mismatch" in capsys.readouterr().out

    # They are enough where there are no others.
    for each in (models, folder / "models"):
        shutil.rmtree(each)
    for name in ("hear", "reply"):
        write_model(folder / "models", name, "infergraph.tasks.echo.Echo")
    assert main(["lint", "rendered"]) == 0


def test_a_folder_without_pipelines_is_an_error(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rendered").mkdir()
    (tmp_path / "rendered" / "server.yaml").write_text(OTHER)
    assert main(["lint", "rendered"]) == 2
    assert "folder rendered holds no pipeline; accepted: " in capsys.readouterr().err


async def test_an_endpoint_is_asked_for_the_tensors(
    models: Path, reply: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await lint("--endpoint", reply.url) == 0
    reply.models["reply"]["inputs"] = [NUMBER]
    # Before the folder is, which knows better of text.
    assert await lint("--endpoint", reply.url) == 1
    assert "pipelines/chain.yaml:10: datatype-mismatch" in capsys.readouterr().out

    # What neither has is a finding.
    shutil.rmtree(models)
    assert await lint("--endpoint", reply.url, "pipelines/chain.yaml") == 1
    assert "pipelines/chain.yaml:7: unknown-model" in capsys.readouterr().out


async def test_several_endpoints_have_the_models_together(
    models: Path, reply: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    hear = Elsewhere(hear={"inputs": [TEXT], "outputs": [TEXT]})
    await hear.start()
    shutil.rmtree(models)
    assert await lint("--endpoint", reply.url, "--endpoint", hear.url, "pipelines/chain.yaml") == 0
    await hear.stop()
    assert await lint("--endpoint", hear.url, "pipelines/chain.yaml") == 2
    assert f"infergraph lint: {hear.url} cannot be reached" in capsys.readouterr().err


def test_without_models_the_graph_alone_is_judged(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(models)
    assert main(["lint", "--without-models"]) == 0
    file = tmp_path / "pipelines" / "chain.yaml"
    file.write_text(CHAIN.replace("[hear.outputs.text]", "[hear.outputs.txt]"))
    assert main(["lint", "--without-models", "pipelines"]) == 0
    file.write_text(CHAIN.replace("[hear.outputs.text]", "[heer.outputs.text]"))
    assert main(["lint", "--without-models", "pipelines"]) == 1
    assert "pipelines/chain.yaml:10: unknown-step" in capsys.readouterr().out


def test_models_cannot_be_both_elsewhere_and_nowhere(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["lint", "--without-models", "--endpoint", "http://127.0.0.1:1"])
    assert "not allowed with argument" in capsys.readouterr().err
