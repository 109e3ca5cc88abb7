"""The image of routers: what its Dockerfile installs, run as a container would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.build import STRANGER, Image, build
from tests.integration.repositories import ECHO, ROUTER, TEXT, pipeline_text, write_model
from tests.integration.server import ANSWER_SECONDS, COMMAND_SECONDS, free_ports, get, wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.exhaustive,
    pytest.mark.skipif(sys.platform != "linux", reason="an image of Linux"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="not the Python of the image"),
]

_PIPELINE = """
steps:
- name: stage
output:
  steps: [stage]
"""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="infergraph-image-") as folder:
        # The folders of pytest are closed to other users.
        Path(folder).chmod(0o755)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder]
        if subprocess.run([*pip, "hatchling"], capture_output=True, check=False).returncode:
            pytest.skip("no package index can be reached")
        made = build("router", Path(folder) / "router")
        _write_models(made.root / "mnt" / "models")
        yield made


def _write_models(root: Path) -> None:
    """A pipeline and its model, as Seldon's agent lays them out."""
    for name, implementation in (("chain", ROUTER), ("stage", ECHO)):
        folder = root / f"{name}_2"
        write_model(folder, "2", implementation, TEXT, TEXT)
        file = folder / "2" / "model-settings.json"
        settings = {**json.loads(file.read_text()), "name": f"{name}_2"}
        file.write_text(json.dumps(settings))
    (root / "chain_2" / "2" / "pipeline.yaml").write_text(pipeline_text("chain", _PIPELINE))


def _infer(port: int, model: str) -> Any:
    text = {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["hello"]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/models/{model}/infer",
        json.dumps({"inputs": [text]}).encode(),
        {"content-type": "application/json"},
    )
    with _DIRECT.open(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def _files(image: Image) -> dict[str, int]:
    places = (image.root / "opt", image.root / "mnt")
    return {str(each): each.lstat().st_mtime_ns for place in places for each in place.rglob("*")}


def _ports() -> dict[str, str]:
    names = ("HTTP", "GRPC", "METRICS")
    ports = dict(zip(names, map(str, free_ports(3)), strict=True))
    return {"MLSERVER_HOST": "127.0.0.1"} | {f"MLSERVER_{n}_PORT": p for n, p in ports.items()}


def test_it_serves_a_pipeline_as_a_stranger_and_ends_when_it_is_told_to(image: Image) -> None:
    assert image.user == "1000:0"
    before = _files(image)
    environment = _ports()
    port = int(environment["MLSERVER_HTTP_PORT"])
    process = image.start(image.command, **environment)
    try:

        def ready() -> bool:
            assert process.poll() is None, process.communicate()[0].decode()
            return get(f"http://127.0.0.1:{port}/v2/models/chain_2/ready") is not None

        wait_for(ready)
        assert _infer(port, "chain_2")["outputs"][0]["data"] == ["hello"]
        health = image.start(image.health, **environment)
        assert (health.wait(60), health.communicate()[0]) == (0, b"")
        # It is the server itself that a signal reaches, and no shell before it.
        name = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert name[1].endswith(b"/mlserver")
        assert Path(f"/proc/{process.pid}").stat().st_uid == (os.geteuid() or STRANGER)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        health = image.start(image.health, **environment)
        assert health.wait(60) != 0
        health.communicate()
    finally:
        process.kill()
        process.communicate()
    assert _files(image) == before


def test_it_has_no_torch_and_says_so(image: Image, tmp_path: Path) -> None:
    write_model(image.root / "mnt" / "others", "sentiment",
                "infergraph.tasks.text_classification.TextClassification", TEXT, TEXT)  # fmt: skip
    others = str(image.root / "mnt" / "others")
    process = image.start(image.command, MLSERVER_MODELS_DIR=others, **_ports())
    try:
        log = process.communicate(timeout=COMMAND_SECONDS)[0].decode()
    finally:
        process.kill()
    assert (
        "model 'sentiment': its runtime 'infergraph.tasks.text_classification.TextClassification' "
        "needs the package 'torch', which is not installed in this environment"
    ) in log
