"""What the distribution needs, and what its images are made of."""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image import lock
from tests.image.dockerfile import Instruction, pairs, read
from tests.unit.front_door.certificates import Authority

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "mlserver" / "Dockerfile").read_text()
STAGES = read(TEXT)
IMAGES = ("router", "models")
_MODULES = {"Pillow": "PIL", "huggingface_hub": "huggingface_hub"}
_SERVE = """
import asyncio, importlib, json, pkgutil, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None  # as if it were not installed
import infergraph.cli, infergraph.front_door, infergraph.graph, infergraph.transports
for package in (infergraph.cli, infergraph.front_door, infergraph.graph, infergraph.transports):
    for each in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not each.name.endswith("__main__"):
            importlib.import_module(each.name)
from infergraph.request import RequestContext
from infergraph.router import PipelineRouter
from infergraph.tasks.echo import Echo
from infergraph.v2 import Message, Tensor
from mlserver.repository.load import load_model_settings

async def main():
    stage = Echo(load_model_settings(sys.argv[2] + "/stage/model-settings.json"))
    router = PipelineRouter(load_model_settings(sys.argv[2] + "/chain/model-settings.json"))
    for model in (stage, router):
        await model.load()
    answer = await router.infer(Message([Tensor.of_bytes("text", [b"hello"])]), RequestContext())
    print(answer.tensors[0].data.tolist())

asyncio.run(main())
"""


def _shell_free(instruction: Instruction) -> list[str]:
    assert instruction.listed is not None, f"{instruction.word} begins a shell"
    return instruction.listed


def test_a_router_and_models_without_a_network_need_nothing_of_the_extra(tmp_path: Path) -> None:
    tensors = [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}]
    for name, kind in (("stage", "tasks.echo.Echo"), ("chain", "router.PipelineRouter")):
        folder = tmp_path / name
        folder.mkdir()
        settings = {"name": name, "implementation": f"infergraph.{kind}"}
        tensor_settings = {"inputs": tensors, "outputs": tensors}
        (folder / "model-settings.json").write_text(json.dumps(settings | tensor_settings))
    (tmp_path / "chain" / "pipeline.yaml").write_text(
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\nmetadata: {name: chain}\n"
        "spec: {steps: [{name: stage}], output: {steps: [stage]}}\n"
    )
    absent = [_MODULES.get(each.name, each.name) for each in lock.requirements("models")]
    assert "torch" in absent

    done = subprocess.run(
        [sys.executable, "-c", _SERVE, json.dumps(absent), str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[[b'hello']]"


@pytest.mark.parametrize(("key", "lists"), [("router", ["dependencies"]), ("models", ["models"])])
def test_the_images_packages_are_what_the_project_asks_for(key: str, lists: list[str]) -> None:
    locked: dict[str, str] = {}
    for file in (lock.FILES["router"], lock.FILES["torch"], lock.FILES[key]):
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        locked |= dict(line.split("==") for line in lines)
    for each in lists:
        for wanted in lock.requirements(each):
            version = locked[canonicalize_name(wanted.name)]
            assert wanted.specifier.contains(version), f"{wanted}, but {version} is locked"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="not the Python of the images")
def test_the_lock_holds_all_that_its_packages_need() -> None:
    """By the packages of this environment: `python -m tests.image.lock` adds what is missing."""
    for key, versions in lock.locks().items():
        names = {line.split("==")[0] for line in lock.FILES[key].read_text().splitlines()}
        assert set(versions) <= names, key


def test_requirements_of_other_platforms_and_extras_are_left_out() -> None:
    found = lock.closure([Requirement("uvloop<0.22; sys_platform == 'nowhere'")])
    assert found == {}
    found = lock.closure([Requirement("fastapi")], without=["anyio"])
    assert {"fastapi", "starlette"} <= set(found)
    assert "anyio" not in found


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_a_user_of_its_own_and_begins_with_no_shell(name: str) -> None:
    assert [each.text for each in STAGES[name].instructions if each.word == "USER"] == ["1000:0"]
    chain = [STAGES["python"], STAGES[STAGES[name].base], STAGES[name]]
    words = [each for stage in chain for each in stage.instructions]
    (command,) = [_shell_free(each) for each in words if each.word == "CMD"]
    assert command[:2] == ["sh", "-c"]
    assert command[2].startswith("exec mlserver start ")
    (health,) = [_shell_free(each) for each in words if each.word == "HEALTHCHECK"]
    compile(health[-1], "HEALTHCHECK", "exec")
    assert [each.text for each in words if each.word == "STOPSIGNAL"] == ["SIGTERM"]


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_the_health_check_asks_as_the_server_speaks(
    secured: bool, status: int, tmp_path: Path
) -> None:
    (health,) = [
        _shell_free(each) for each in STAGES["python"].instructions if each.word == "HEALTHCHECK"
    ]
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        environment = {**os.environ, "MLSERVER_HTTP_PORT": str(server.server_address[1])}
        if secured:
            own = Authority(tmp_path).own
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(own.certificate, own.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            environment["INFERGRAPH_TLS_CERTIFICATE"] = str(own.certificate)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = subprocess.run(
            [sys.executable, *health[1:]], env=environment, capture_output=True, check=False
        )
        thread.join()

    assert asked == ["/v2/health/ready"]
    assert (done.returncode == 0) == (status == 200)


def test_what_is_written_is_below_tmp() -> None:
    environment: dict[str, str] = {}
    for each in STAGES["python"].instructions:
        if each.word == "ENV":
            environment |= pairs(each)
    folders = {name: each for name, each in environment.items() if each.startswith("/")}
    written = {name for name in folders if name not in ("PATH", "MLSERVER_MODELS_DIR")}
    assert {"HOME", "HF_HOME", "MLSERVER_METRICS_DIR", "MLSERVER_ENVIRONMENTS_DIR"} <= written
    assert {folders[name].split("/")[1] for name in written} == {"tmp"}
    assert "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION" in environment
    # MLServer imports from there.
    (folder,) = [each.text for each in STAGES["python"].instructions if each.word == "WORKDIR"]
    assert folder == "/opt/infergraph"


@pytest.mark.parametrize("name", IMAGES)
def test_a_commit_makes_only_the_last_layer_anew(name: str) -> None:
    """Below it is copied only what lists packages."""
    below = [*STAGES["python"].instructions, *STAGES[STAGES[name].base].instructions]
    copied = [source for each in below if each.word == "COPY" for source in each.text.split()[:-1]]
    assert copied
    assert all(re.fullmatch(r"mlserver/\w+-requirements\.txt", each) for each in copied)
    assert [each.word for each in STAGES[name].instructions] == ["RUN", "USER"]


def test_the_builder_gets_what_is_copied_and_little_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        "mlserver/*-requirements.txt" if source.startswith("mlserver/") else source
        for stage in STAGES.values()
        for each in stage.instructions
        if each.word == "COPY"
        for source in each.text.split()[:-1]
    }
    assert sent == copied


def test_no_package_index_is_named() -> None:
    assert "://" not in TEXT
    assert pairs(next(e for e in STAGES["models-packages"].instructions if e.word == "ARG")) == {
        "TORCH_INDEX": ""
    }
    assert shlex.split(TEXT.split("FROM python:")[0].splitlines()[-2]) == ["ARG", "PYTHON=3.11"]
