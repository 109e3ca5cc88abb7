from __future__ import annotations

import threading
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.weights import find_weights, loading, parts_of, weights_in


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["pytorch_model.bin", "model.safetensors"], "model.safetensors"),
        (["pytorch_model.bin", "model.safetensors.index.json"], "model.safetensors.index.json"),
        (["pytorch_model.bin", "model.fp16.safetensors"], "pytorch_model.bin"),
        (["tf_model.h5", "config.json"], None),
    ],
)
def test_safetensors_go_before_bin(names: list[str], found: str | None) -> None:
    assert find_weights(names) == found


def test_parts_are_those_of_their_index() -> None:
    names = ["model-00001-of-00002.safetensors", "model-00001-of-00002.bin", "model.safetensors"]

    assert parts_of("model.safetensors.index.json", names) == names[:1]


def test_a_folder_whose_weights_are_missing_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigurationError, match=f"checkpoint '{folder}' has no weights"):
            weights_in(folder)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"a": "one.bin", "b": "two.bin"}}')
    (tmp_path / "one.bin").touch()
    with pytest.raises(ConfigurationError, match=r"lacks two\.bin"):
        weights_in(tmp_path)
    (tmp_path / "two.bin").touch()
    assert weights_in(tmp_path) == index.name
    index.write_text("[]")
    with pytest.raises(ConfigurationError, match="names no parts"):
        weights_in(tmp_path)


def test_one_thread_loads_at_a_time() -> None:
    inside = threading.Event()

    def load() -> None:
        with loading("network", "other"):
            inside.set()

    other = threading.Thread(target=load)
    with loading("network", "one"), loading("tokenizer", "one"):
        other.start()
        assert not inside.wait(0.05)
    other.join()
    assert inside.is_set()


@pytest.mark.parametrize(
    "error", [AttributeError("no items"), EOFError("no items"), MemoryError("no items")]
)
def test_any_error_of_a_library_is_one_of_the_checkpoint(error: Exception) -> None:
    with pytest.raises(ConfigurationError) as caught, loading("network", "one"):
        raise error
    assert str(caught.value) == "cannot load the network of the checkpoint 'one': no items"
    assert caught.value.__cause__ is error


def test_what_was_said_of_a_checkpoint_stays_as_it_is() -> None:
    said = ConfigurationError("it is of another kind")
    with pytest.raises(ConfigurationError) as caught, loading("network", "one"):
        raise said
    assert caught.value is said


def test_an_error_of_a_library_becomes_one_line() -> None:
    with pytest.raises(ConfigurationError) as caught, loading("network", "one"):
        raise KeyError("several\nlines")
    assert str(caught.value) == (
        "cannot load the network of the checkpoint 'one': 'several\\nlines'"
    )
