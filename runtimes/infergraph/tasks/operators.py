"""Operators: small operations on tensors, declared in settings and run one after the other.

They stand between models in a pipeline: keep boxes of a score, count objects by label, rename
labels, let a text pass by its words. A model declares the tensors that it takes and gives; the
setting `operations` says what happens to them. Each item is worked on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from ..errors import ConfigurationError, InfergraphError
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from .operations import AnyOperation
from .operations.base import Values, Working


class OperatorsOptions(RuntimeOptions):
    """Settings of operators.

    Attributes:
        operations: What is done to each item's tensors, in order. Each has the field `kind`.
    """

    operations: list[AnyOperation] = Field(min_length=1)


class Operators(Runtime[Item, None, None]):
    """Runs the operations of its settings. Its outputs are those of inputs and results declared."""

    settings_class = OperatorsOptions
    placed = False
    finite = False
    options: OperatorsOptions

    def setup(self) -> None:
        """Checks that each operation finds its tensors, and that all declared outputs come about.

        Raises:
            ConfigurationError: a tensor is missing or another one than an operation takes or the
                model declares, or may be absent and is not declared as optional.
        """
        if not self._input_specs or not self._output_specs:
            raise ConfigurationError(
                "no inputs or no outputs are declared; accepted: at least one of each"
            )
        known = {spec.name: spec for spec in self._input_specs}
        for operation in self.options.operations:
            known |= {spec.name: spec for spec in operation.given(known)}
        for declared in self._output_specs:
            _check_output(declared, known.get(declared.name), list(known))

    @property
    def blocking(self) -> bool:
        return any(operation.blocking for operation in self.options.operations)

    def predict_batch(
        self, items: Sequence[Item], parameters: None
    ) -> list[Outputs | InfergraphError]:
        """The outputs of each item; of one that an operation refuses its error."""
        return [self._outputs_or_error(item) for item in items]

    def _outputs_or_error(self, item: Item) -> Outputs | InfergraphError:
        working = Working({name: _as_array(value) for name, value in item.items()})
        try:
            for operation in self.options.operations:
                if all(name in working.values for name in operation.reads()):
                    operation.apply(working)
        except InfergraphError as error:
            return error
        return {
            spec.name: working.values[spec.name]
            for spec in self._output_specs
            if spec.name in working.values and not (spec.optional and spec.name in working.empty)
        }


def _as_array(value: Any) -> Values:
    """A tensor of an item; a lone BYTES element as one row."""
    if isinstance(value, np.ndarray):
        return value
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


def _check_output(declared: TensorSpec, given: TensorSpec | None, known: Sequence[str]) -> None:
    if given is None:
        raise ConfigurationError(
            f"declared output '{declared.name}' is no input and no operation gives it; there are: "
            f"{', '.join(known)}"
        )
    if declared.datatype != given.datatype or not declared.accepts_shape(given.shape):
        raise ConfigurationError(
            f"declared output '{declared}': the operations give it as {given.datatype} "
            f"{list(given.shape)}"
        )
    if given.optional and not declared.optional:
        raise ConfigurationError(
            f"declared output '{declared.name}' may be absent; name it in the setting "
            "'optional_outputs'"
        )
