"""Keys of a server: who is let in, and how its routers reach servers that ask for one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from ..conftest import Connect
from ..repositories import TEXT, pipeline_text, write_echo, write_pipeline, write_server
from ..server import ServerProcess

KEY, CONTROL_KEY = "a key for inference", "a key that controls"
BODY = "steps:\n- name: stage\n  inputs: [NAME.inputs.text]\noutput:\n  steps: [stage]"
ENVIRONMENT = {
    "INFERGRAPH_INFERENCE_KEYS": KEY,
    "INFERGRAPH_CONTROL_KEYS": CONTROL_KEY,
    "INFERGRAPH_ELSEWHERE__ENDPOINT_KEY": KEY,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A stage, and two pipelines that call it: at the server's own port, and at an endpoint."""
    root = tmp_path_factory.mktemp("keys")
    models = write_server(root / "models")
    write_echo(models, "stage", TEXT, TEXT, {})
    server = ServerProcess(models, ENVIRONMENT)
    for name, extra in (
        ("own-port", {"in_process": False}),
        ("elsewhere", {"in_process": False, "endpoints": {"*": server.url}}),
    ):
        file = root / f"{name}.yaml"
        file.write_text(pipeline_text(name, BODY.replace("NAME", name)))
        write_pipeline(models, name, file, TEXT, TEXT, extra)
    with server:
        yield server


@pytest.mark.parametrize("front_end", ["rest", "grpc"])
@pytest.mark.parametrize("model", ["stage", "own-port", "elsewhere"])
async def test_a_key_opens_models_and_the_pipelines_that_call_them(
    server: ServerProcess, connect: Connect, model: str, front_end: str
) -> None:
    client = connect(server, front_end)
    for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}):
        answer = await client.infer(model, {"text": ["a"]}, headers=headers)
        assert answer.texts("text") == ["a"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"x-api-key": "another long key"}, 401), ({"x-api-key": CONTROL_KEY}, 403)],
)
async def test_nothing_else_does(
    server: ServerProcess, connect: Connect, headers: dict[str, str], status: int
) -> None:
    answer = await connect(server, "rest").infer("stage", {"text": ["a"]}, headers=headers)
    assert answer.status == status
    assert "key" in answer.error
    assert not any(key in answer.body for key in (KEY, CONTROL_KEY))


def test_control_needs_its_own_key_and_probes_none(server: ServerProcess) -> None:
    def status(method: str, path: str, key: str = "") -> int:
        request = urllib.request.Request(server.url + path, method=method)
        if key:
            request.add_header("x-api-key", key)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code if "error" in json.loads(error.read()) else 0

    assert status("GET", "/v2/health/live") == 200
    assert status("GET", "/v2/health/ready") == 200
    assert status("GET", "/v2/models/stage/ready") == 200
    assert status("GET", "/v2/models/stage") == 401
    assert status("GET", "/v2/models/stage", KEY) == 200
    assert status("POST", "/v2/repository/index") == 401
    assert status("POST", "/v2/repository/index", KEY) == 403
    assert status("POST", "/v2/repository/index", CONTROL_KEY) == 200
