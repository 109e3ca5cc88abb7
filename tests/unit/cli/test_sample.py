from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph.catalog import load_catalog
from infergraph.cli.sample import SAMPLE, load_sample
from infergraph.declaration import ModelDeclaration
from infergraph.errors import ConfigurationError
from infergraph.v2 import Message

MODELS = Path(__file__).parents[3] / "model-settings"


def load(folder: Path, inputs: Any) -> Message:
    (folder / "request.json").write_text(json.dumps({"inputs": inputs}))
    return load_sample(ModelDeclaration("listener", (), (), folder=folder))


def entry(datatype: str, shape: list[int], data: Any, **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data, **more}


def test_texts_and_numbers(tmp_path: Path) -> None:
    inputs = [
        entry("BYTES", [2, 1], ["né", "b"]),
        {**entry("FP32", [1, 2], [[1, 2.5]]), "name": "y"},
    ]
    text, number = load(tmp_path, inputs).tensors
    assert (text.name, text.shape, text.data.ravel().tolist()) == (
        "x", (2, 1), ["né".encode(), b"b"],
    )  # fmt: skip
    assert number.data.dtype == np.float32
    assert number.data.tolist() == [[1.0, 2.5]]


def test_base64_only_where_announced(tmp_path: Path) -> None:
    data = [base64.b64encode(b"\x00\xff").decode()]
    announced = entry("BYTES", [1, 1], data, parameters={"content_type": "base64"})
    assert load(tmp_path, [announced]).tensors[0].data[0, 0] == b"\x00\xff"
    plain = load(tmp_path, [entry("BYTES", [1, 1], data)])
    assert plain.tensors[0].data[0, 0] == data[0].encode()


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "it has no inputs"),
        ([{"name": "x"}], "not a V2 request: KeyError('datatype')"),
        ([entry("TEXT", [1], ["a"])], "input 'x': datatype 'TEXT'; accepted: BOOL"),
        ([entry("FP32", [3], [1, 2])], "input 'x': shape [3] does not hold 2 values"),
        ([entry("FP32", [1], ["a"])], "tensor 'x' has datatype FP32"),
        (
            [entry("BYTES", [1, 1], ["ab"], parameters={"content_type": "base64"})],
            "Incorrect padding",
        ),
    ],
)
def test_errors_name_the_file(tmp_path: Path, inputs: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, inputs)
    assert str(error.value).startswith(str(tmp_path / "request.json"))
    assert text in str(error.value)


def test_no_sample(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'listener' has no sample request"):
        load_sample(ModelDeclaration("listener", (), (), folder=tmp_path))


@pytest.mark.parametrize("name", [file.parent.name for file in sorted(MODELS.glob(f"*/{SAMPLE}"))])
def test_sample_of_the_repository_fits_its_model(name: str) -> None:
    declaration = load_catalog(MODELS)[name]
    for tensor in load_sample(declaration).tensors:
        spec = declaration.input(tensor.name)
        if declaration.inputs:
            assert spec is not None, tensor.name
            assert (tensor.datatype, spec.accepts_shape(tensor.shape)) == (spec.datatype, True)
