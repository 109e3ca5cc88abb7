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


@pytest.mark.parametrize(
    ("source", "can_be_fetched"),
    [("owner/name", True), ("timm/name", True), ("torchvision/resnet18", False)],
)
def test_what_is_not_here_is_not_guessed(
    tmp_path: Path, source: str, can_be_fetched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    extra = {"variants": {"hub": source}}

    with pytest.raises(
        ConfigurationError, match=r"not on this machine.*memory: {m: 2Gi}"
    ) as refused:
        model_memory("m", tmp_path, extra, "hub")

    assert ("infergraph fetch" in str(refused.value)) == can_be_fetched


@pytest.mark.parametrize("source", ["owner/name", "timm/name"])
def test_a_checkpoint_that_was_fetched_is_known(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fetched"
    write_weights(folder, [1000])
    asked = []

    def cached_snapshot(id: str, revision: str | None) -> Path:
        asked.append((id, revision))
        return folder

    monkeypatch.setattr("infergraph.hub.cached_snapshot", cached_snapshot)
    extra = {"variants": {"hub": f"{source}@main"}, "max_batch_size": "4"}

    assert model_memory("m", tmp_path, extra, "hub") == 12 * 1000 + 4 * 8 * MIB + 96 * MIB
    assert asked == [(source, "main")]


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\n",
        b"",
        b"\2\0\0\0\0\0\0\0[]",
        b"\7\0\0\0\0\0\0\0{'a': 1}",
        b'\x0a\0\0\0\0\0\0\0{"a": {} }',
    ],
)
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "embedded" / "model.safetensors"
    file.parent.mkdir()
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=rf"model 'm': embedded: {file} is no file of"):
        model_memory("m", tmp_path, EXTRA, None)


def test_a_checkpoint_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "embedded").write_text("")

    with pytest.raises(ConfigurationError, match=r"model 'm': embedded: .*Not a directory"):
        model_memory("m", tmp_path, EXTRA, None)


@pytest.mark.parametrize("given", ["many", -1, [4], None, float("inf")])
def test_a_size_of_batches_that_is_none_is_named(tmp_path: Path, given: object) -> None:
    write_weights(tmp_path / "embedded", [1000])
    extra = {**EXTRA, "max_batch_size": given}

    with pytest.raises(ConfigurationError, match=r"model 'm': setting 'max_batch_size' = "):
        model_memory("m", tmp_path, extra, None)


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "c").write_bytes(b"12")

    assert checkpoint_bytes(tmp_path) == 7
