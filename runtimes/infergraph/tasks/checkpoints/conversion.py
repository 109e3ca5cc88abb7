"""Rewrites checkpoints in other forms as folders with safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from safetensors.torch import save_file
from transformers.utils import logging as transformers_logging

from ...errors import ConfigurationError
from ...weights import BIN, SAFETENSORS, is_index, loading, weights_in
from ..text import language_model
from .ctranslate2 import convert_whisper, is_ctranslate2
from .image_library import timm_config
from .pretrained import check_whole

_UNUSED = ("encoder.pooler.",)
"""Of encoders of images in front of a decoder, which does not look at it."""


def convert(source: Path, target: Path) -> Path:
    """Writes a checkpoint into a new folder, with its weights as safetensors.

    Args:
        source: A folder of transformers or timm with `.bin` weights, which are read as tensors
            only, or of a Whisper of CTranslate2.
        target: The folder to write to. It appears when all of it is there.

    Returns:
        `target`, absolute.

    Raises:
        ConfigurationError: `target` exists, or `source` is no such checkpoint or incomplete.
    """
    target = target.resolve()
    if target.exists():
        raise ConfigurationError(f"'{target}' exists; accepted: a folder that does not")
    if not source.is_dir():
        raise ConfigurationError(f"'{source}' is no folder")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        if is_ctranslate2(source):
            convert_whisper(source, part)
        else:
            _convert_bin(source, part)
        for file in part.iterdir():
            # Some are written for their owner alone; a server may be another user.
            file.chmod(0o644)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _convert_bin(source: Path, target: Path) -> None:
    weights = weights_in(source)
    if weights.startswith(SAFETENSORS):
        raise ConfigurationError(f"'{source}' has {weights}; there is nothing to convert")
    for file in source.iterdir():
        # Configurations and vocabularies; no weights, and no code.
        if file.suffix in (".json", ".txt", ".model", ".spm", ".jinja") and not is_index(file.name):
            shutil.copyfile(file, target / file.name)
    if (source / language_model.FOLDER).is_dir():
        shutil.copytree(source / language_model.FOLDER, target / language_model.FOLDER)
    if timm_config(str(source)) is not None:
        with loading("network", source):
            network: Any = timm.create_model(f"local-dir:{source}", pretrained=True)
        state = {name: values.contiguous() for name, values in network.state_dict().items()}
        save_file(state, target / SAFETENSORS, metadata={"format": "pt"})
        return
    network = _read(source, use_safetensors=False)
    _to_stored_dtype(network, source / weights)
    for parameter in network.parameters():
        # Two that share memory without being tied would be taken for one.
        parameter.data = parameter.data.clone()
    network.save_pretrained(target)
    written = _read(target, use_safetensors=True).state_dict()
    for name, values in network.state_dict().items():
        if not torch.equal(written[name], values.to(written[name].dtype)):
            raise ConfigurationError(f"'{source}': '{name}' could not be written as it is")


def _read(folder: Path, *, use_safetensors: bool) -> Any:
    """A network of transformers, in FP32."""
    architecture = _architecture(folder)
    with loading("network", folder):
        network, found = architecture.from_pretrained(
            folder,
            use_safetensors=use_safetensors,
            weights_only=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    check_whole(network, found["missing_keys"], folder, _UNUSED)
    return network


def _architecture(source: Path) -> Any:
    """The class that a checkpoint's `config.json` names."""
    try:
        names = json.loads((source / "config.json").read_text(encoding="utf-8"))["architectures"]
        return getattr(transformers, names[0])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"'{source}': config.json names no class of transformers in 'architectures' ({error})"
        ) from None


def _to_stored_dtype(network: Any, weights: Path) -> None:
    """Gives a network back the format in which it was stored, if all of it was in a half one."""
    if weights.name != BIN:
        return
    stored = torch.load(weights, map_location="meta", weights_only=True)
    found = {each.dtype for each in stored.values() if each.is_floating_point()}
    if len(found) == 1:
        network.to(found.pop())
