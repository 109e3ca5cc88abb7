"""Echo: a model of no computation for tests and benchmarks.

It answers with its own inputs, or with what its settings say, after a service time of their choice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from ..errors import InfergraphError, InvalidInput, StageFailure
from ..runtime import Arrays, Item, Outputs, Runtime
from ..settings import RuntimeOptions


class EchoOutput(BaseModel):
    """Where an output comes from: exactly one of the two.

    Attributes:
        input: An input tensor, handed on as it came.
        value: A constant for each item: a text, a number, or a nested list of numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | None = None
    value: Any = None

    @model_validator(mode="after")
    def _one(self) -> EchoOutput:
        if len(self.model_fields_set) != 1:
            raise ValueError("give either 'input' (a tensor's name) or 'value' (a constant)")
        return self


class EchoOptions(RuntimeOptions):
    """Settings of the echo.

    Attributes:
        service_time_ms: How long one batch takes, whatever its size.
        service_time_per_item_ms: How much longer it takes for each item.
        outputs: Output name -> its source. When empty, every input is an output of its own name.
        leave_out: Outputs that are left out, as a model does whose condition does not hold.
        fail: When set, every request fails with this text.
        fail_on: An item with this text as one of its BYTES inputs fails; its batchmates do not.
    """

    service_time_ms: NonNegativeFloat = 0.0
    service_time_per_item_ms: NonNegativeFloat = 0.0
    outputs: dict[str, EchoOutput] = Field(default_factory=dict)
    leave_out: list[str] = Field(default_factory=list)
    fail: str | None = None
    fail_on: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the settings say, ready to be answered.

    Attributes:
        constants: Output -> what each item's holds.
        fail_on: The bytes on which an item fails.
    """

    constants: Mapping[str, Any]
    fail_on: bytes | None


class Echo(Runtime[Item, None, Fixed]):
    """Answers with its inputs. While it "serves", it sleeps in its thread, one batch at a time.

    It hands arrays on as they came, and needs no batch axis (`max_batch_size` 0). Only `fail_on`
    looks at items.
    """

    settings_class = EchoOptions
    placed = False
    finite = False
    options: EchoOptions

    def setup(self) -> Fixed:
        """Turns the constants of the settings into what an item's output holds."""
        constants = {
            name: np.asarray(source.value) if isinstance(source.value, list) else source.value
            for name, source in self.options.outputs.items()
            if source.input is None
        }
        fail_on = self.options.fail_on
        return Fixed(constants, None if fail_on is None else fail_on.encode())

    @property
    def blocking(self) -> bool:
        return self.options.service_time_ms > 0 or self.options.service_time_per_item_ms > 0

    @property
    def takes_arrays(self) -> bool:
        return self.options.fail_on is None

    def predict_arrays(self, arrays: Arrays, parameters: None) -> Arrays:
        """The outputs of all rows, after the service time.

        Raises:
            StageFailure: the settings say that every request fails.
            InvalidInput: an output is made of an input that did not come.
        """
        first = next(iter(arrays.values()), np.empty(0))
        whole = self.options.max_batch_size == 0
        rows = 1 if whole else len(first)
        self._serve(rows)
        shape = () if whole else (rows,)
        constants = {name: _repeated(value, shape) for name, value in self.model.constants.items()}
        return self._outputs(arrays, constants)

    def predict_batch(
        self, items: Sequence[Item], parameters: None
    ) -> list[Outputs | InfergraphError]:
        """Each item's outputs, after the service time, or the failure of the one to fail."""
        self._serve(len(items))
        return [self._outputs_or_failure(item) for item in items]

    def _serve(self, items: int) -> None:
        if self.blocking:
            options = self.options
            time.sleep((options.service_time_ms + options.service_time_per_item_ms * items) / 1000)

    def _outputs_or_failure(self, item: Item) -> Outputs | InfergraphError:
        if any(type(value) is bytes and value == self.model.fail_on for value in item.values()):
            return InvalidInput(
                f"the item is {self.options.fail_on!r}, on which this model must fail"
            )
        try:
            return self._outputs(item, self.model.constants)
        except InfergraphError as error:
            return error

    def _outputs(self, inputs: dict[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
        options = self.options
        if options.fail is not None:
            raise StageFailure(options.fail)
        if not options.outputs:
            return {name: inputs[name] for name in inputs if name not in options.leave_out}
        answer = {}
        for name, source in options.outputs.items():
            if name in options.leave_out:
                continue
            if source.input is None:
                answer[name] = constants[name]
            elif source.input in inputs:
                answer[name] = inputs[source.input]
            else:
                raise InvalidInput(
                    f"no input tensor '{source.input}', of which output '{name}' is made; "
                    f"came: {', '.join(inputs)}"
                )
        return answer


def _repeated(value: Any, rows: tuple[int, ...]) -> Any:
    """A constant for each row, a lone value as a row of one column."""
    if isinstance(value, str):
        constant = np.array([value.encode()], dtype=object)
    else:
        constant = np.atleast_1d(np.asarray(value))
    return np.broadcast_to(constant, (*rows, *constant.shape))
