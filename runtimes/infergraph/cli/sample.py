"""A servable's sample request: `request.json` in its folder, the body of a V2 REST request."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from ..catalog import SAMPLE
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, InfergraphError
from ..v2 import NUMPY_DTYPES, Message, Tensor
from ..v2.values import array_from_list


def load_sample(declaration: ModelDeclaration) -> Message:
    """The sample request of a servable.

    Raises:
        ConfigurationError: there is none, or it is no V2 request.
    """
    assert declaration.folder is not None
    file = declaration.folder / SAMPLE
    try:
        request = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"'{declaration.name}' has no sample request: {file}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: cannot be read as JSON: {error}") from None
    try:
        tensors = [_tensor(each) for each in request["inputs"]]
    except (InfergraphError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}: not a V2 request: {error!r}") from None
    if not tensors:
        raise ConfigurationError(f"{file}: it has no inputs")
    return Message(tensors)


def _tensor(entry: dict[str, Any]) -> Tensor:
    name, datatype, shape, data = (entry[key] for key in ("name", "datatype", "shape", "data"))
    if datatype not in NUMPY_DTYPES:
        accepted = ", ".join(NUMPY_DTYPES)
        raise ValueError(f"input '{name}': datatype '{datatype}'; accepted: {accepted}")
    if (entry.get("parameters") or {}).get("content_type") == "base64":
        data = [base64.b64decode(value, validate=True) for value in data]
    array = array_from_list(name, datatype, data, len(shape))
    if array.size != math.prod(shape):
        raise ValueError(f"input '{name}': shape {shape} does not hold {array.size} values")
    return Tensor(name, datatype, array.reshape(shape))
