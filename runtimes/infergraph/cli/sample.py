"""A servable's sample request, `sample.json` in its folder::

    {"inputs": {"audio": {"file": "question.wav"}, "context": "Marie lives in Paris."}}

An input is one item or a list of items. An item of a BYTES input is a text, or a file whose bytes
are sent; paths are relative to the sample. Other inputs are numbers, nested as their shape is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..declaration import ModelDeclaration
from ..errors import ConfigurationError
from ..tensors import NUMPY_DTYPES, Message, Tensor, TensorSpec

SAMPLE = "sample.json"


def load_sample(declaration: ModelDeclaration) -> Message:
    """The sample request of a servable.

    Raises:
        ConfigurationError: there is none, or it does not fit the declared inputs.
    """
    assert declaration.folder is not None
    file = declaration.folder / SAMPLE
    try:
        sample = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"'{declaration.name}' has no sample request: {file}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: cannot be read as JSON: {error}") from None
    inputs = sample.get("inputs") if isinstance(sample, dict) else None
    if not isinstance(inputs, dict) or not inputs:
        raise ConfigurationError(f"{file}: key 'inputs' is missing or not an object")
    tensors = []
    for name, value in inputs.items():
        spec = declaration.input(name)
        if spec is None:
            declared = ", ".join(each.name for each in declaration.inputs)
            raise ConfigurationError(
                f"{file}: '{declaration.name}' has no input '{name}'; accepted: {declared}"
            )
        try:
            tensors.append(_tensor(spec, value, file.parent))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{file}: input '{name}': {error}") from None
    return Message(tensors)


def _tensor(spec: TensorSpec, value: Any, folder: Path) -> Tensor:
    if spec.datatype != "BYTES":
        return Tensor(spec.name, spec.datatype, np.array(value, dtype=NUMPY_DTYPES[spec.datatype]))
    items = value if isinstance(value, list) else [value]
    return Tensor.of_bytes(spec.name, [_item(item, folder) for item in items])


def _item(item: Any, folder: Path) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, dict) and isinstance(item.get("file"), str) and len(item) == 1:
        return (folder / item["file"]).read_bytes()
    raise ValueError(f'{item!r} is no item; accepted: a text, or {{"file": "path"}}')
