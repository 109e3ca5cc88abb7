from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.manifests.memory import PLAIN, checkpoint_bytes, model_memory
from infergraph.manifests.quantity import MIB


def write_weights(folder: Path, *shapes: list[int], name: str = "model.safetensors") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entries = {f"t{i}": {"dtype": "F16", "shape": shape} for i, shape in enumerate(shapes)}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    (folder / name).write_bytes(len(header).to_bytes(8, "little") + header)


EXTRA = {"variants": {"embedded": "./embedded", "hub": "owner/name"}, "max_batch_size": 4}


def test_weights_count_as_fp32_twice_and_once_more_for_a_batch(tmp_path: Path) -> None:
    write_weights(tmp_path / "embedded", [1000, 100], [100])

    assert model_memory("m", tmp_path, EXTRA, None) == 12 * 100_100 + 4 * 8 * MIB + 96 * MIB


def test_all_checkpoints_of_a_variant_count(tmp_path: Path) -> None:
    write_weights(tmp_path / "embedded", [1000])
    write_weights(tmp_path / "locator", [500])
    extra = {**EXTRA, "locator": {"embedded": "./locator", "*": "owner/other"}}

    assert model_memory("m", tmp_path, extra, None) == 12 * 1500 + 4 * 8 * MIB + 96 * MIB


def test_weights_in_parts_are_summed(tmp_path: Path) -> None:
    folder = tmp_path / "embedded"
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for part in parts:
        write_weights(folder, [300], name=part)
    index = {"weight_map": {f"w{i}": part for i, part in enumerate(parts)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    assert model_memory("m", tmp_path, EXTRA, None) == 12 * 600 + 4 * 8 * MIB + 96 * MIB


@pytest.mark.parametrize("extra", [{}, {"variants": {"embedded": "./embedded"}}])
def test_a_model_without_weights_is_plain(tmp_path: Path, extra: dict[str, object]) -> None:
    (tmp_path / "embedded").mkdir()

    assert model_memory("m", tmp_path, extra, None) == PLAIN


@pytest.mark.parametrize("source", ["owner/name", "torchvision/resnet18"])
def test_what_is_not_here_is_not_guessed(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    extra = {"variants": {"hub": source}}

    with pytest.raises(ConfigurationError, match=r"not on this machine.*memory: {m: 2Gi}"):
        model_memory("m", tmp_path, extra, "hub")


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "c").write_bytes(b"12")

    assert checkpoint_bytes(tmp_path) == 7
