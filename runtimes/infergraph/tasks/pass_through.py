"""Pass-through: a model whose outputs are its inputs, where branches of a pipeline meet."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..runtime import Arrays, Runtime


class PassThrough(Runtime):
    """Answers with its inputs as they came: every input is an output of the same name."""

    placed = False
    finite = False

    def setup(self) -> None:
        """Checks the declarations.

        Raises:
            ConfigurationError: the declared outputs are not the declared inputs.
        """
        inputs = {spec.name: spec for spec in self._input_specs}
        outputs = {spec.name: spec for spec in self._output_specs}
        for name in sorted(inputs.keys() | outputs.keys()):
            taken, given = inputs.get(name), outputs.get(name)
            if taken != given:
                raise ConfigurationError(
                    f"tensor '{name}' is declared as input {taken or 'not at all'} and as output "
                    f"{given or 'not at all'}; accepted: the same tensors as inputs and outputs, "
                    "optional as both or as neither"
                )

    @property
    def blocking(self) -> bool:
        return False

    def predict_arrays(self, arrays: Arrays, parameters: None) -> Arrays:
        """The arrays as they came."""
        return arrays
