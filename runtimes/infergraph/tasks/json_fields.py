"""JSON fields: input `json`, an output for each field that the model declares.

It lets a pipeline go on with the answer of a model that speaks JSON, as MLServer's stock Hugging
Face runtime does. All tensors are [-1, 1]: `json` BYTES, a JSON object; an output is BYTES (UTF-8)
for a string, FP32 or FP64 for a number, INT32 or INT64 for an integer, BOOL for true or false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from pydantic import Field

from ..errors import ConfigurationError, InfergraphError, InvalidInput
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from ..v2 import NUMPY_DTYPES

_KINDS = {
    "BYTES": "a string",
    "FP32": "a number",
    "FP64": "a number",
    "INT32": "an integer",
    "INT64": "an integer",
    "BOOL": "true or false",
}


class JsonFieldsOptions(RuntimeOptions):
    """Settings of JSON fields.

    Attributes:
        fields: Output -> the field that it is read from; its own name unless given.
    """

    fields: dict[str, str] = Field(default_factory=dict)


Fields = list[tuple[str, TensorSpec]]
"""The field of each output."""


class JsonFields(Runtime[Item, None, Fields]):
    """Reads tensors from the fields of JSON objects."""

    settings_class = JsonFieldsOptions
    placed = False
    options: JsonFieldsOptions

    def setup(self) -> Fields:
        """Checks the declared outputs, and says which field each is read from.

        Raises:
            ConfigurationError: there is none, one is not [-1, 1] of an accepted datatype, or
                setting 'fields' names an output that is not declared.
        """
        if not self._output_specs:
            raise ConfigurationError("no outputs are declared; accepted: one for each field wanted")
        for spec in self._output_specs:
            if spec.datatype not in _KINDS or not spec.accepts_shape((1, 1)):
                raise ConfigurationError(
                    f"declared output '{spec}'; accepted: shape [-1, 1] and datatype "
                    f"{', '.join(_KINDS)}"
                )
        names = [spec.name for spec in self._output_specs]
        for name in self.options.fields:
            if name not in names:
                raise ConfigurationError(
                    f"setting 'fields' names '{name}', no declared output; accepted: "
                    f"{', '.join(names)}"
                )
        return [
            (self.options.fields.get(spec.name, spec.name), spec) for spec in self._output_specs
        ]

    @property
    def blocking(self) -> bool:
        return False

    def predict_batch(
        self, items: Sequence[Item], parameters: None
    ) -> list[Outputs | InfergraphError]:
        """Each item's fields. An optional output is left out where its field is absent or null."""
        return [self._read(item["json"]) for item in items]

    def _read(self, text: bytes) -> Outputs | InfergraphError:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return InvalidInput(f"tensor 'json': not JSON ({error}); accepted: a JSON object")
        if not isinstance(document, dict):
            return InvalidInput(
                f"tensor 'json': a {type(document).__name__}; accepted: a JSON object"
            )
        outputs: Outputs = {}
        for field, spec in self.model:
            value = document.get(field)
            if value is not None:
                if not _fits(value, spec):
                    return InvalidInput(
                        f"tensor 'json': field '{field}' is {_shown(value)}; accepted: "
                        f"{_KINDS[spec.datatype]} ({spec.datatype})"
                    )
                outputs[spec.name] = value
            elif not spec.optional:
                return InvalidInput(
                    f"tensor 'json': no field '{field}'; it has: {_shown(list(document))}"
                )
        return outputs


def _fits(value: Any, spec: TensorSpec) -> bool:
    if spec.datatype == "BYTES":
        return isinstance(value, str)
    if spec.datatype == "BOOL" or isinstance(value, bool):
        return spec.datatype == "BOOL" and isinstance(value, bool)
    dtype = NUMPY_DTYPES[spec.datatype]
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return isinstance(value, (int, float)) and -limit <= value <= limit
    limits = np.iinfo(dtype)
    return isinstance(value, int) and limits.min <= value <= limits.max


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 100 else f"{text[:100]}..."
