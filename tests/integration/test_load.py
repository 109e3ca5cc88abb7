"""What is wrong with a model or a pipeline is said when it loads, with what is accepted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .repositories import TEXT, pipeline_text, write_echo, write_model, write_pipeline, write_server
from .server import LOAD_SECONDS, REPOSITORY, ServerProcess, wait_for

SPEECH_TO_TEXT = "infergraph.tasks.speech_to_text.SpeechToText"
NUMBERS = {"numbers": ("FP32", [-1, 1])}

WRONG_MODELS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "unknown-setting": (
        {"max_batch_sise": 4},
        ("unknown setting 'max_batch_sise'", "did you mean 'max_batch_size'?", "fail_on"),
    ),
    "wrong-value": ({"max_batch_size": "many"}, ("'max_batch_size'", "'many'", "integer")),
    "absent-gpu": (
        {"device": "cuda:9"},
        ("'device'", "'cuda:9'", "it computes without a device", "auto, cpu"),
    ),
    "unknown-device": ({"device": "tpu"}, ("'device'", "'tpu'", "auto, cpu, cuda, cuda:N, mps")),
    "missing-checkpoint": (
        {"variants": {"embedded": "./embedded", "other": "./other"}},
        ("'embedded'", "no checkpoint at './embedded'", "choose one of: embedded, other"),
    ),
    "unknown-variant": (
        {"variant": "huge", "variants": {"embedded": "./embedded"}},
        ("'variant' = 'huge'", "accepted: embedded"),
    ),
}
ENVIRONMENT = {"INFERGRAPH_FROM_OUTSIDE__MAX_QUEUE_SIZE": "-3"}

PIPELINE = """
steps:
- name: first
  inputs: [NAME.inputs.text]
- name: second
  inputs: [first.outputs.TENSOR]
  tensorMap: {first.outputs.TENSOR: numbers}
output:
  steps: [second]
"""
WRONG_PIPELINES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "wrong-datatype": (
        PIPELINE.replace("TENSOR", "text"),
        "datatype-mismatch",
        ("text", "BYTES", "numbers", "FP32"),
    ),
    "no-such-output": (
        PIPELINE.replace("TENSOR", "txet"),
        "unknown-tensor",
        ("txet", "did you mean 'text'?"),
    ),
    "no-such-step": (
        PIPELINE.replace("TENSOR", "text").replace("steps: [second]", "steps: [third]"),
        "unknown-step",
        ("third", "second"),
    ),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one right model, and wrong models and pipelines beside it."""
    root = write_server(tmp_path_factory.mktemp("wrong") / "models", load_models_at_startup=False)
    write_echo(root, "right", TEXT, TEXT, {})
    write_echo(root, "first", TEXT, TEXT, {})
    write_echo(root, "second", NUMBERS, NUMBERS, {})
    write_echo(root, "from-outside", TEXT, TEXT, {})
    for name, (extra, _) in WRONG_MODELS.items():
        write_echo(root, name, TEXT, TEXT, extra)
    (root / "pipelines").mkdir()
    for name, (body, _, _) in WRONG_PIPELINES.items():
        file = root / "pipelines" / f"{name}.yaml"
        file.write_text(pipeline_text(name, body.replace("NAME", name)))
        write_pipeline(root, name, file, TEXT, NUMBERS)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[ServerProcess]:
    """Serves nothing at first; the tests load models through the V2 repository API."""
    server = ServerProcess(root, ENVIRONMENT).start()
    try:
        wait_for(lambda: load(server, "right")[0] == 200, LOAD_SECONDS, server.log)
        yield server
    finally:
        server.stop()


def load(server: ServerProcess, model: str) -> tuple[int, str]:
    """Status and body of a load request; 0 while the server does not listen."""
    url = f"{server.url}/v2/repository/models/{model}/load"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrong_model_is_refused_with_what_is_accepted(server: ServerProcess, name: str) -> None:
    _, fragments = WRONG_MODELS[name]
    before = len(server.log())
    status, body = load(server, name)
    assert status == 500
    error, log = json.loads(body)["error"], server.log()[before:]
    for fragment in (f"model '{name}'", *fragments):
        assert fragment in error
        assert fragment in log
    assert load(server, "right")[0] == 200


@pytest.mark.parametrize("name", WRONG_PIPELINES)
def test_an_edge_that_does_not_fit_is_found_at_load(server: ServerProcess, name: str) -> None:
    _, rule, fragments = WRONG_PIPELINES[name]
    before = len(server.log())
    status, body = load(server, name)
    assert status == 500
    error, log = json.loads(body)["error"], server.log()[before:]
    for fragment in (f"{name}.yaml:", f": {rule}: ", "; fix: ", *fragments):
        assert fragment in error
        assert fragment in log


@pytest.mark.parametrize("name", WRONG_PIPELINES)
def test_an_edge_that_does_not_fit_is_found_by_lint(root: Path, name: str) -> None:
    _, rule, fragments = WRONG_PIPELINES[name]
    file = root / "pipelines" / f"{name}.yaml"
    result = lint(file, root)
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    for line in lines:
        assert re.fullmatch(r"\S+\.yaml:\d+: [a-z-]+: .+; fix: .+", line)
    (line,) = (line for line in lines if f": {rule}: " in line)
    for fragment in fragments:
        assert fragment in line
    where = line.partition(": ")[0]
    named, _, number = where.rpartition(":")
    assert Path(named).name == file.name
    assert fragments[0] in file.read_text().splitlines()[int(number) - 1]


def test_lint_has_nothing_to_say_of_the_repository_own_pipelines() -> None:
    result = lint()
    assert result.returncode == 0, result.stdout + result.stderr


def lint(*arguments: Path) -> subprocess.CompletedProcess[str]:
    """`infergraph lint [FILE MODELS_DIR]` at the repository root."""
    command = [sys.executable, "-m", "infergraph.cli", "lint"]
    if arguments:
        file, models = arguments
        command += [str(file), "--models-dir", str(models)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_server_whose_model_does_not_load_says_why_and_ends(tmp_path: Path) -> None:
    write_server(tmp_path)
    write_model(
        tmp_path, "stt", SPEECH_TO_TEXT, {"audio": TEXT["text"]}, TEXT, {"device": "cuda:9"}
    )
    server = ServerProcess(tmp_path).start()
    try:
        server.wait_until_ended(LOAD_SECONDS)
        assert "model 'stt': setting 'device' = 'cuda:9': no such device" in server.log()
        assert "available: cpu" in server.log()
    finally:
        server.stop()


def test_a_wrong_setting_of_the_environment_is_named(server: ServerProcess) -> None:
    before = len(server.log())
    assert load(server, "from-outside")[0] >= 400
    log = server.log()[before:]
    for fragment in ("'from-outside'", *ENVIRONMENT, "'max_queue_size'", "'-3'"):
        assert fragment in log
