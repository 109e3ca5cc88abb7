"""Whisper of CTranslate2 becomes the network that it was made of."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

from infergraph.errors import ConfigurationError
from infergraph.tasks.checkpoints.conversion import convert
from infergraph.tasks.checkpoints.ctranslate2 import read_model

IDS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
SUPPRESSED = {"suppress_ids": [1, 2], "suppress_ids_begin": [3]}
Array = npt.NDArray[Any]


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def model_bin(
    arrays: dict[str, Array], aliases: dict[str, str], kind: str = "WhisperSpec"
) -> bytes:
    """What CTranslate2 stores, binary version 6."""
    parts = [struct.pack("<I", 6), text(kind), struct.pack("<II", 3, len(arrays))]
    for name, values in arrays.items():
        parts += [text(name), struct.pack("<B", values.ndim)]
        parts += [struct.pack("<I", size) for size in values.shape]
        parts += [struct.pack("<BI", IDS[str(values.dtype)], values.nbytes), values.tobytes()]
    parts.append(struct.pack("<I", len(aliases)))
    parts += [text(alias) + text(name) for alias, name in aliases.items()]
    return b"".join(parts)


def arrays_of(state: dict[str, torch.Tensor], heads: int) -> dict[str, Array]:
    """A Whisper network's weights by CTranslate2's names."""
    found: dict[str, Array] = {}

    def put(theirs: str, *ours: str, norm: bool = False) -> None:
        for ending, name in (("weight", "gamma"), ("bias", "beta")):
            rows = [state[f"{each}.weight"].shape[0] for each in ours]
            pieces = [
                state.get(f"{each}.{ending}", torch.zeros(size))
                for each, size in zip(ours, rows, strict=True)
            ]
            found[f"{theirs}/{name if norm else ending}"] = torch.cat(pieces).numpy()

    for part in ("encoder", "decoder"):
        model, layer = f"model.{part}", f"model.{part}.layers.0"
        at = f"{part}/layer_0"
        found[f"{part}/num_heads"] = np.array(heads, np.int16)
        found[f"{part}/position_encodings/encodings"] = state[
            f"{model}.embed_positions.weight"
        ].numpy()
        put(f"{part}/layer_norm", f"{model}.layer_norm", norm=True)
        put(f"{at}/self_attention/layer_norm", f"{layer}.self_attn_layer_norm", norm=True)
        put(f"{at}/ffn/layer_norm", f"{layer}.final_layer_norm", norm=True)
        names = [f"{layer}.self_attn.{each}_proj" for each in "qkv"]
        put(f"{at}/self_attention/linear_0", *names)
        put(f"{at}/self_attention/linear_1", f"{layer}.self_attn.out_proj")
        put(f"{at}/ffn/linear_0", f"{layer}.fc1")
        put(f"{at}/ffn/linear_1", f"{layer}.fc2")
        if part == "decoder":
            cross = f"{layer}.encoder_attn"
            put(f"{at}/attention/layer_norm", f"{cross}_layer_norm", norm=True)
            put(f"{at}/attention/linear_0", f"{cross}.q_proj")
            put(f"{at}/attention/linear_1", f"{cross}.k_proj", f"{cross}.v_proj")
            put(f"{at}/attention/linear_2", f"{cross}.out_proj")
            found["decoder/embeddings/weight"] = state[f"{model}.embed_tokens.weight"].numpy()
        else:
            put("encoder/conv1", f"{model}.conv1")
            put("encoder/conv2", f"{model}.conv2")
    return found


def stored(arrays: dict[str, Array], form: str) -> dict[str, Array]:
    """The arrays as floats of another size, or matrices as integers with a scale for each row."""
    found: dict[str, Array] = {}
    for name, values in arrays.items():
        if values.dtype != np.float32:
            found[name] = values
        elif form == "int8" and values.ndim == 2 and "position" not in name:
            scale = 127 / np.abs(values).max(axis=1).clip(1e-9)
            found[name] = np.round(values * scale[:, None]).astype(np.int8)
            found[f"{name}_scale"] = scale.astype(np.float32)
        else:
            found[name] = values.astype(np.float16 if form == "float16" else np.float32)
    return found


def made(folder: str, target: Path, form: str) -> Path:
    """A checkpoint of transformers as a folder of CTranslate2's."""
    network: Any = WhisperForConditionalGeneration.from_pretrained(folder)
    arrays = arrays_of(network.state_dict(), network.config.encoder_attention_heads)
    target.mkdir()
    (target / "model.bin").write_bytes(
        model_bin(stored(arrays, form), {"decoder/projection/weight": "decoder/embeddings/weight"})
    )
    (target / "config.json").write_text(json.dumps(SUPPRESSED))
    tokenizer = json.loads((Path(folder) / "tokenizer.json").read_text())
    (target / "tokenizer.json").write_text(json.dumps(tokenizer))
    return target


@pytest.mark.parametrize(("form", "close"), [("float32", 1e-3), ("float16", 1e-3), ("int8", 2e-2)])
def test_the_network_is_the_one_that_was_stored(
    checkpoint: Callable[[str], str], tmp_path: Path, form: str, close: float
) -> None:
    folder = checkpoint("whisper-en")
    expected: Any = WhisperForConditionalGeneration.from_pretrained(folder)

    target = convert(made(folder, tmp_path / "theirs", form), tmp_path / "ours")

    network: Any = WhisperForConditionalGeneration.from_pretrained(target, dtype=torch.float32)
    state = network.state_dict()
    for name, values in expected.state_dict().items():
        error = (state[name] - values).norm() / values.norm().clamp_min(1e-9)
        assert error < close, name
    for name in ("d_model", "encoder_layers", "decoder_ffn_dim", "vocab_size", "num_mel_bins"):
        assert getattr(network.config, name) == getattr(expected.config, name)
    generation = network.generation_config
    for name in ("decoder_start_token_id", "eos_token_id", "no_timestamps_token_id"):
        assert getattr(generation, name) == getattr(expected.generation_config, name)
    assert (generation.suppress_tokens, generation.begin_suppress_tokens) == ([1, 2], [3])
    assert generation.is_multilingual is False
    assert AutoFeatureExtractor.from_pretrained(target).feature_size == 80
    ids = [5, 6, 7, generation.eos_token_id]
    tokenizers = [AutoTokenizer.from_pretrained(each) for each in (folder, target)]
    ours, theirs = (each.decode(ids, skip_special_tokens=True) for each in tokenizers)
    assert ours == theirs != ""


def test_another_model_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "model.bin").write_bytes(model_bin({}, {}, "TransformerSpec"))

    with pytest.raises(ConfigurationError, match="a TransformerSpec of CTranslate2; accepted: Whi"):
        convert(theirs, tmp_path / "ours")

    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]


def test_an_incomplete_model_is_refused(checkpoint: Callable[[str], str], tmp_path: Path) -> None:
    theirs = made(checkpoint("whisper-en"), tmp_path / "theirs", "float32")
    (theirs / "tokenizer.json").unlink()

    with pytest.raises(ConfigurationError, match=r"tokenizer\.json"):
        convert(theirs, tmp_path / "ours")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (struct.pack("<I", 3), r"version 3; accepted: .* 4 to 6"),
        (model_bin({"a": np.ones(3, np.float32)}, {})[:-9], "is damaged"),
        (b"PK", "is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        read_model(file)
