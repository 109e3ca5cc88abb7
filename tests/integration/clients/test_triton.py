"""The commands against NVIDIA Triton, which `make triton-env` installs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bench.triton import MISSING, SINGLE, TritonServer
from tests.integration.infer_command import infer
from tests.integration.load.runs import run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(MISSING is not None or sys.platform != "linux", reason=str(MISSING)),
]

_CONFIG = """\
name: "{name}"
max_batch_size: 0
backend: "python"
instance_group [{{ kind: KIND_CPU, count: 1 }}]
input [{{ name: "{input}", data_type: {input_type}, dims: [-1] }}]
output [{{ name: "{output}", data_type: {output_type}, dims: [-1] }}]
model_transaction_policy {{ decoupled: {decoupled} }}
"""
_TEXTS = """\
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            array = utils.get_input_tensor_by_name(request, "text").as_numpy()
            answers.append(utils.InferenceResponse([utils.Tensor("said", array)]))
        return answers
"""
_COUNT = """\
import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            upto = int(utils.get_input_tensor_by_name(request, "upto").as_numpy()[0])
            if upto < 0:
                error = utils.TritonError("it counts up")
                sender.send(utils.InferenceResponse(error=error))
            for number in range(upto):
                tensor = utils.Tensor("number", np.array([number], np.int32))
                sender.send(utils.InferenceResponse([tensor]))
            sender.send(flags=utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def _write(root: Path, name: str, source: str, **tensors: str) -> None:
    version = root / name / "1"
    version.mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(_CONFIG.format(name=name, **tensors))
    (version / "model.py").write_text(source)


class Triton(TritonServer):
    """Triton with a model that echoes texts, and one that answers with a stream of numbers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        text = {"input": "text", "output": "said", "decoupled": "false"}
        _write(
            self._models, "texts", _TEXTS, **text, input_type="TYPE_STRING",
            output_type="TYPE_STRING",
        )  # fmt: skip
        count = {"input": "upto", "output": "number", "decoupled": "true"}
        _write(
            self._models, "count", _COUNT, **count, input_type="TYPE_INT32",
            output_type="TYPE_INT32",
        )  # fmt: skip


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    with Triton(tmp_path_factory.mktemp("triton")) as server:
        yield server


def url(server: Triton, protocol: str) -> str:
    return server.url if protocol == "rest" else server.grpc_url


WAYS = [
    ("rest", ()),
    ("rest", ("--format", "json")),
    ("rest", ("--compression", "gzip")),
    ("rest", ("--compression", "deflate", "--format", "json")),
    ("grpc", ()),
    ("grpc", ("--format", "typed")),
    ("grpc", ("--compression", "gzip")),
]


@pytest.mark.parametrize(("protocol", "options"), WAYS)
def test_numbers_and_texts(
    triton: Triton, tmp_path: Path, protocol: str, options: tuple[str, ...]
) -> None:
    where = ("--url", url(triton, protocol), "--json", *options)
    array = np.array([[0.1, 1e30], [-2.5, 7]], np.float32)
    np.save(tmp_path / "numbers.npy", array)
    done = infer(SINGLE, f"input=@{tmp_path / 'numbers.npy'}", *where)
    assert np.array(done.outputs["output"], np.float32).tolist() == array.ravel().tolist()
    assert done.content["outputs"][0]["shape"] == [2, 2]
    texts = infer("texts", "text=größer", "text=b", *where, "--outputs", "said")
    assert texts.outputs == {"said": ["größer", "b"]}


def test_nan_needs_another_way_than_json(triton: Triton, tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.array([[np.nan]], np.float32))
    given = (SINGLE, f"input=@{tmp_path / 'n.npy'}", "--url", triton.url, "--json")
    # Binary, which Triton announces.
    assert infer(*given).outputs == {"output": [None]}
    refused = infer(*given, "--format", "json")
    assert refused.status == 2
    assert "input 'input' holds NaN, which JSON cannot carry" in refused.error


def test_a_stream(triton: Triton) -> None:
    where = ("count", "upto=[3]", "--url", triton.grpc_url, "--stream")
    done = infer(*where, "--json")
    assert done.outputs == {"number": [0, 1, 2]}
    assert len(done.content["stream"]["gaps_ms"]) == 2
    lines = infer(*where).output.splitlines()
    assert lines[:3] == ["  number  0", "  number  1", "  number  2"]
    assert "; the first of 3 answers after " in lines[3]
    failed = infer("count", "upto=[-1]", "--url", triton.grpc_url, "--stream", "--json")
    assert (failed.status, failed.content["error"]) == (1, "it counts up")


@pytest.mark.parametrize(
    ("protocol", "options"),
    [("rest", ()), ("rest", ("--format", "json")), ("grpc", ()), ("grpc", ("--traceparent",))],
)
def test_load(triton: Triton, tmp_path: Path, protocol: str, options: tuple[str, ...]) -> None:
    file = tmp_path / "request.json"
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 3], "data": [0.5, -1, 2]}
    file.write_text(json.dumps({"inputs": [tensor], "outputs": [{"name": "output"}]}))
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({"outputs": [{**tensor, "name": "output"}]}))
    result = run(
        url(triton, protocol), SINGLE, file, "--rate", "20", "--duration", "2", "--warmup", "0",
        "--expected", str(expected), *options,
    )  # fmt: skip
    outcomes = {name: count for name, count in result.outcomes.items() if count}
    assert set(outcomes) == {"ok"}
    assert outcomes["ok"] >= 20


def test_a_load_of_streams(triton: Triton, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    tensor = {"name": "upto", "datatype": "INT32", "shape": [1], "data": [4]}
    file.write_text(json.dumps({"inputs": [tensor]}))
    result = run(
        triton.grpc_url, "count", file, "--rate", "10", "--duration", "2", "--warmup", "0",
        "--stream",
    )  # fmt: skip
    assert {name for name, count in result.outcomes.items() if count} == {"ok"}
    records = result.records()
    assert set(records["answers"]) == {4}
    for sent, first, end in zip(
        records["sent_ns"], records["first_answer_ns"], records["end_ns"], strict=True
    ):
        assert sent < first <= end
