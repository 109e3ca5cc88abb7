from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infergraph.catalog import ROUTER, load_catalog, locate_pipeline
from infergraph.errors import ConfigurationError
from infergraph.tensors import TensorSpec

MODEL = {
    "name": "tagger",
    "implementation": "tasks.Tagger",
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
    "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "scores", "datatype": "FP32", "shape": [-1, 4]},
    ],
}


def write(root: Path, folder: str, settings: Any) -> Path:
    file = root / folder / "model-settings.json"
    file.parent.mkdir(parents=True)
    file.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return file


def changed(**changes: Any) -> dict[str, Any]:
    return {**MODEL, **changes}


def test_declared_tensors(tmp_path: Path) -> None:
    write(tmp_path, "tagger", MODEL)
    declaration = load_catalog(tmp_path)["tagger"]
    assert declaration.inputs == (TensorSpec("text", "BYTES", (-1, 1)),)
    assert declaration.outputs == (
        TensorSpec("label", "BYTES", (-1, 1)),
        TensorSpec("scores", "FP32", (-1, 4)),
    )
    assert declaration.implementation == "tasks.Tagger"
    assert declaration.folder == tmp_path / "tagger"
    assert declaration.pipeline is None


def test_models_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "a", changed(name="zebra"))
    write(tmp_path, "b", changed(name="ant"))
    assert list(load_catalog(tmp_path)) == ["ant", "zebra"]


def test_name_defaults_to_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "parser", {"implementation": "tasks.Parser"})
    declaration = load_catalog(tmp_path)["parser"]
    assert (declaration.inputs, declaration.outputs) == ((), ())


def test_only_direct_subfolders_count(tmp_path: Path) -> None:
    write(tmp_path, "deep/er", MODEL)
    (tmp_path / "settings.json").write_text("{}")
    assert load_catalog(tmp_path) == {}


@pytest.mark.parametrize("names", [["label"], '["label"]'])
def test_optional_outputs_as_list_or_json(tmp_path: Path, names: Any) -> None:
    write(tmp_path, "tagger", changed(parameters={"extra": {"optional_outputs": names}}))
    declaration = load_catalog(tmp_path)["tagger"]
    assert [spec.optional for spec in declaration.outputs] == [True, False]
    assert [spec.optional for spec in declaration.inputs] == [False]


def test_optional_inputs(tmp_path: Path) -> None:
    write(tmp_path, "tagger", changed(parameters={"extra": {"optional_inputs": ["text"]}}))
    assert load_catalog(tmp_path)["tagger"].inputs[0].optional


def test_router_has_its_pipeline_file(tmp_path: Path) -> None:
    settings = changed(implementation=ROUTER, parameters={"uri": "../../pipelines/tags.yaml"})
    write(tmp_path / "models", "tags", settings)
    declaration = load_catalog(tmp_path / "models")["tagger"]
    assert declaration.pipeline == tmp_path.resolve() / "pipelines" / "tags.yaml"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list; accepted: a JSON object"),
        ({"name": "x"}, "key 'implementation' is missing"),
        (changed(name=3), "key 'name' is a number; accepted: a string"),
        (changed(inputs={}), "key 'inputs' is an object; accepted: a list"),
        (changed(inputs=["text"]), "key 'inputs[0]' is a string; accepted: an object"),
        (changed(inputs=[{"name": "t", "shape": [1]}]), "key 'inputs[0].datatype' is missing"),
        (
            changed(outputs=[{"name": "t", "datatype": "FLOAT", "shape": [1]}]),
            "key 'outputs[0].datatype' is 'FLOAT'; accepted: BOOL, UINT8",
        ),
        (
            changed(outputs=[{"name": "t", "datatype": "FP32", "shape": [1, -2]}]),
            "key 'outputs[0].shape' is [1, -2]; accepted: a list of sizes, -1 for any",
        ),
        (changed(inputs=MODEL["inputs"] * 2), "key 'inputs[1].name': 'text' is declared twice"),
        (changed(parameters=[]), "key 'parameters' is a list; accepted: an object"),
        (
            changed(parameters={"extra": {"optional_inputs": "text"}}),
            "key 'parameters.extra.optional_inputs' is 'text'; accepted: a list of tensor names",
        ),
        (
            changed(parameters={"extra": {"optional_outputs": ["lable"]}}),
            "'parameters.extra.optional_outputs' names lable, not among the declared outputs: "
            "label, scores",
        ),
        (
            changed(implementation=ROUTER),
            "holds no pipeline file; accepted names: pipeline.yaml, pipeline.yml, tagger.yaml, ",
        ),
        (
            changed(implementation=ROUTER, parameters={"uri": "s3://bucket/tagger.yaml"}),
            "parameters.uri 's3://bucket/tagger.yaml' is not local",
        ),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, settings: Any, text: str) -> None:
    file = write(tmp_path, "tagger", settings)
    with pytest.raises(ConfigurationError) as error:
        load_catalog(tmp_path)
    assert str(error.value).startswith(f"{file}: ")
    assert text in str(error.value)


def test_two_folders_with_one_name(tmp_path: Path) -> None:
    write(tmp_path, "one", MODEL)
    second = write(tmp_path, "two", MODEL)
    with pytest.raises(ConfigurationError, match="'tagger' is already the name") as error:
        load_catalog(tmp_path)
    assert str(second) in str(error.value)
    assert str(tmp_path / "one") in str(error.value)


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere' is not a folder"):
        load_catalog(tmp_path / "nowhere")


def test_mlserver_is_not_imported() -> None:
    code = "import infergraph.catalog, sys; sys.exit('mlserver' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_a_router_s_pipeline_file_is(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "chain_2" / "2"
    folder.mkdir(parents=True)
    there, here = tmp_path / "pipelines" / "chain.yaml", folder / "chain.yaml"
    uri = "../../../pipelines/chain.yaml"

    # Nowhere: the path that the settings name.
    assert locate_pipeline("chain_2", uri, folder) == there
    # Only the model's folder arrived.
    here.touch()
    for each in (uri, "", ".", str(folder), f"file://{here}"):
        assert locate_pipeline("chain_2", each, folder) == here
    (folder / "pipeline.yaml").touch()
    assert locate_pipeline("chain_2", uri, folder) == here
    assert locate_pipeline("chain_2", "", folder) == folder / "pipeline.yaml"
    there.parent.mkdir()
    there.touch()
    assert locate_pipeline("chain_2", uri, folder) == there
