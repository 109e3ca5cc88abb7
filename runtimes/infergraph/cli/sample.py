"""A servable's sample request: `request.json` in its folder, in the form of a V2 REST request::

    {"inputs": [{"name": "audio", "datatype": "BYTES", "shape": [1, 1], "data": [{"file": "q.wav"}]}]}

Beyond V2, an element of a BYTES tensor may name a file, relative to the sample, whose bytes it is.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, InfergraphError
from ..tensors import NUMPY_DTYPES, Message, Tensor
from ..tensors.values import array_from_list

SAMPLE = "request.json"


@dataclass(frozen=True)
class Sample:
    """A sample request.

    Attributes:
        message: Its tensors.
        files: The files that elements of a tensor came from, by the tensor's name.
    """

    message: Message
    files: dict[str, list[Path]] = field(default_factory=dict)


def load_sample(declaration: ModelDeclaration) -> Sample:
    """The sample request of a servable; raises ConfigurationError."""
    assert declaration.folder is not None
    file = declaration.folder / SAMPLE
    try:
        request = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"'{declaration.name}' has no sample request: {file}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: cannot be read as JSON: {error}") from None
    files: dict[str, list[Path]] = {}
    try:
        tensors = [_tensor(each, file.parent, files) for each in request["inputs"]]
    except (InfergraphError, OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}: not a V2 request: {error!r}") from None
    if not tensors:
        raise ConfigurationError(f"{file}: it has no inputs")
    return Sample(Message(tensors), files)


def _tensor(entry: dict[str, Any], folder: Path, files: dict[str, list[Path]]) -> Tensor:
    name, datatype, shape, data = (entry[key] for key in ("name", "datatype", "shape", "data"))
    if datatype not in NUMPY_DTYPES:
        accepted = ", ".join(NUMPY_DTYPES)
        raise ValueError(f"input '{name}': datatype '{datatype}'; accepted: {accepted}")
    if datatype == "BYTES":
        is_base64 = (entry.get("parameters") or {}).get("content_type") == "base64"
        named = files.setdefault(name, [])
        data = [_element(value, folder, is_base64, named) for value in _flat(data)]
    array = array_from_list(name, datatype, data, len(shape))
    if array.size != math.prod(shape):
        raise ValueError(f"input '{name}': shape {shape} does not hold {array.size} values")
    return Tensor(name, datatype, array.reshape(shape))


def _element(value: Any, folder: Path, is_base64: bool, named: list[Path]) -> Any:
    if isinstance(value, dict):
        path = folder / value["file"]
        named.append(path)
        return path.read_bytes()
    return base64.b64decode(value, validate=True) if is_base64 else value


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
