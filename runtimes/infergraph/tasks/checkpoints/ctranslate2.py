"""Whisper checkpoints of CTranslate2, as folders that transformers reads.

CTranslate2's `model.bin` holds numbers only: it is read here without that library, and cannot run
anything. Its weights may be floats, or integers with a scale for each row.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from ...errors import ConfigurationError
from ...weights import loading

Arrays = Mapping[str, npt.NDArray[Any]]

_VERSIONS = range(4, 7)
_DTYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "bf16")
# Vocabularies of Whisper for English alone are one token shorter.
_MULTILINGUAL = 51865
_NORMS = {"self_attn_layer_norm": "self_attention", "final_layer_norm": "ffn"}


def is_ctranslate2(folder: Path) -> bool:
    """Whether a folder holds a model of CTranslate2."""
    return (folder / "model.bin").is_file()


def read_model(file: Path) -> tuple[str, Arrays]:
    """The kind of model in a `model.bin`, for example "WhisperSpec", and its arrays by name.

    Raises:
        ConfigurationError: it is of another format or version, or damaged.
    """
    content = memoryview(np.memmap(file, np.uint8, "r").data)
    position = 0

    def take(form: str) -> Any:
        nonlocal position
        (value,) = struct.unpack_from(f"<{form}", content, position)
        position += struct.calcsize(f"<{form}")
        return value

    def text() -> str:
        # It ends with a zero.
        return str(take(f"{take('H')}s")[:-1].decode())

    try:
        version = take("I")
        if version not in _VERSIONS:
            raise ConfigurationError(
                f"{file}: version {version}; accepted: CTranslate2's binary versions "
                f"{_VERSIONS[0]} to {_VERSIONS[-1]}"
            )
        kind, _ = text(), take("I")
        arrays = {}
        for _ in range(take("I")):
            name = text()
            shape = [take("I") for _ in range(take("B"))]
            dtype, size = _DTYPES[take("B")], take("I")
            arrays[name] = _array(content[position : position + size], dtype).reshape(shape)
            position += size
        for _ in range(take("I")):
            alias, name = text(), text()
            arrays[alias] = arrays[name]
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise ConfigurationError(f"{file} is damaged: {error}") from None
    return kind, arrays


def _array(content: memoryview, dtype: str) -> npt.NDArray[Any]:
    if dtype == "bf16":
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(content, dtype)


def convert_whisper(source: Path, target: Path) -> None:
    """Writes a Whisper checkpoint of CTranslate2 as transformers does, with safetensors in FP16.

    Args:
        source: A folder with `model.bin`, `config.json` and `tokenizer.json`.
        target: The folder to write to; it is made.

    Raises:
        ConfigurationError: it is another kind of model, or incomplete.
    """
    with loading("network", source):
        kind, arrays = read_model(source / "model.bin")
        if kind != "WhisperSpec":
            raise ConfigurationError(f"{source}: a {kind} of CTranslate2; accepted: Whisper")
        tokens = _added_tokens(source / "tokenizer.json")
        config = _config(arrays, tokens)
        network: Any = WhisperForConditionalGeneration(config)
        state = dict(_state(arrays, config))
        unknown = network.load_state_dict(state, strict=False)
        # The last layer is the embedding, and CTranslate2 adds biases of zero.
        missing = sorted({*unknown.missing_keys} - {"proj_out.weight"})
        if missing or any(state[name].any() for name in unknown.unexpected_keys):
            raise ConfigurationError(f"{source}: not as Whisper: {missing or 'other layers'}")
        generation = json.loads((source / "config.json").read_text(encoding="utf-8"))
        network.generation_config = _generation(generation, config, tokens)
        network.half().save_pretrained(target)
        _save_tokenizer(source, target)
        if (source / "preprocessor_config.json").is_file():
            extractor: Any = WhisperFeatureExtractor.from_pretrained(source)
        else:
            kind_of_extractor: Any = WhisperFeatureExtractor
            extractor = kind_of_extractor(feature_size=config.num_mel_bins)
        extractor.save_pretrained(target)


def _weights(arrays: Arrays, name: str) -> torch.Tensor:
    values = arrays[name].astype(np.float32)
    scale = arrays.get(f"{name}_scale")
    if scale is not None:
        values /= scale.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return torch.from_numpy(values)


def _config(arrays: Arrays, tokens: Mapping[str, int]) -> Any:
    vocabulary, width = arrays["decoder/embeddings/weight"].shape
    layers = {
        part: sum(f"{part}/layer_{index}/ffn/layer_norm/beta" in arrays for index in range(99))
        for part in ("encoder", "decoder")
    }
    end = tokens["<|endoftext|>"]
    return WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=arrays["encoder/conv1/weight"].shape[1],
        d_model=width,
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"],
        encoder_attention_heads=int(arrays["encoder/num_heads"]),
        decoder_attention_heads=int(arrays["decoder/num_heads"]),
        encoder_ffn_dim=len(arrays["encoder/layer_0/ffn/linear_0/bias"]),
        decoder_ffn_dim=len(arrays["decoder/layer_0/ffn/linear_0/bias"]),
        max_source_positions=len(arrays["encoder/position_encodings/encodings"]),
        max_target_positions=len(arrays["decoder/position_encodings/encodings"]),
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=tokens["<|startoftranscript|>"],
    )


def _state(arrays: Arrays, config: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights by transformers' names."""

    def both(theirs: str, ours: str, *, norm: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        for ending, name in zip(
            ("weight", "bias"), ("gamma", "beta") if norm else ("weight", "bias"), strict=True
        ):
            yield f"{ours}.{ending}", _weights(arrays, f"{theirs}/{name}")

    def joined(theirs: str, ours: str, parts: str) -> Iterator[tuple[str, torch.Tensor]]:
        for ending in ("weight", "bias"):
            pieces = _weights(arrays, f"{theirs}/{ending}").chunk(len(parts))
            for part, piece in zip(parts, pieces, strict=True):
                yield f"{ours}.{part}_proj.{ending}", piece

    yield "model.decoder.embed_tokens.weight", _weights(arrays, "decoder/embeddings/weight")
    for conv in ("conv1", "conv2"):
        yield from both(f"encoder/{conv}", f"model.encoder.{conv}")
    for part, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        encodings = _weights(arrays, f"{part}/position_encodings/encodings")
        yield f"model.{part}.embed_positions.weight", encodings
        yield from both(f"{part}/layer_norm", f"model.{part}.layer_norm", norm=True)
        for index in range(layers):
            theirs, ours = f"{part}/layer_{index}", f"model.{part}.layers.{index}"
            for name, block in _NORMS.items():
                yield from both(f"{theirs}/{block}/layer_norm", f"{ours}.{name}", norm=True)
            yield from joined(f"{theirs}/self_attention/linear_0", f"{ours}.self_attn", "qkv")
            yield from both(f"{theirs}/self_attention/linear_1", f"{ours}.self_attn.out_proj")
            yield from both(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            yield from both(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
            if part == "decoder":
                cross = f"{theirs}/attention"
                norm = f"{ours}.encoder_attn_layer_norm"
                yield from both(f"{cross}/layer_norm", norm, norm=True)
                yield from joined(f"{cross}/linear_0", f"{ours}.encoder_attn", "q")
                yield from joined(f"{cross}/linear_1", f"{ours}.encoder_attn", "kv")
                yield from both(f"{cross}/linear_2", f"{ours}.encoder_attn.out_proj")


def _added_tokens(file: Path) -> dict[str, int]:
    added = json.loads(file.read_text(encoding="utf-8"))["added_tokens"]
    return {token["content"]: token["id"] for token in added}


def _generation(theirs: Mapping[str, Any], config: Any, tokens: Mapping[str, int]) -> Any:
    ours: dict[str, Any] = {
        "pad_token_id": config.pad_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
        "decoder_start_token_id": config.decoder_start_token_id,
        "no_timestamps_token_id": tokens["<|notimestamps|>"],
        "prev_sot_token_id": tokens.get("<|startofprev|>"),
        "suppress_tokens": theirs.get("suppress_ids"),
        "begin_suppress_tokens": theirs.get("suppress_ids_begin"),
        "alignment_heads": theirs.get("alignment_heads"),
        "max_initial_timestamp_index": 50,
        "max_length": config.max_target_positions,
        "is_multilingual": config.vocab_size >= _MULTILINGUAL,
    }
    if ours["is_multilingual"]:
        languages = set(theirs.get("lang_ids", ()))
        ours["lang_to_id"] = {name: id for name, id in tokens.items() if id in languages}
        ours["task_to_id"] = {task: tokens[f"<|{task}|>"] for task in ("transcribe", "translate")}
    given = {name: value for name, value in ours.items() if value is not None}
    return GenerationConfig(**given)  # type: ignore[no-untyped-call]


def _save_tokenizer(source: Path, target: Path) -> None:
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    kind = {"tokenizer_class": "WhisperTokenizer", "processor_class": "WhisperProcessor"}
    (target / "tokenizer_config.json").write_text(json.dumps(kind), encoding="utf-8")
    tokenizer: Any = AutoTokenizer.from_pretrained(target, local_files_only=True)
    tokenizer.save_pretrained(target)
