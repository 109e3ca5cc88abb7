"""Echo: a model of no computation for tests and benchmarks.

It answers with its own inputs, or with what its settings say, after a service time of their choice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from ..errors import InfergraphError, InvalidInput, StageFailure
from ..runtime import Item, Outputs, Runtime
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


class Echo(Runtime):
    """Answers with its inputs. While it "serves", it sleeps in its thread, one batch at a time."""

    settings_class = EchoOptions
    options: EchoOptions

    def setup(self) -> None:
        """Turns the constants of the settings into tensors."""
        self.constants = {
            name: np.asarray(source.value) if isinstance(source.value, list) else source.value
            for name, source in self.options.outputs.items()
            if source.input is None
        }
        self.fail_on = None if self.options.fail_on is None else self.options.fail_on.encode()

    @property
    def blocking(self) -> bool:
        return self.options.service_time_ms > 0 or self.options.service_time_per_item_ms > 0

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> list[Outputs | InfergraphError]:
        """Each item's outputs, after the service time."""
        options = self.options
        if self.blocking:
            time.sleep(
                (options.service_time_ms + options.service_time_per_item_ms * len(items)) / 1000
            )
        return [self._answer(item) for item in items]

    def _answer(self, item: Item) -> Outputs | InfergraphError:
        options = self.options
        if options.fail is not None:
            return StageFailure(options.fail)
        if self.fail_on is not None and self.fail_on in _texts(item):
            return InvalidInput(f"the item is {options.fail_on!r}, on which this model must fail")
        if not options.outputs:
            return {name: item[name] for name in item if name not in options.leave_out}
        answer: Outputs = {}
        for name, source in options.outputs.items():
            if name in options.leave_out:
                continue
            if source.input is None:
                answer[name] = self.constants[name]
            elif source.input in item:
                answer[name] = item[source.input]
            else:
                return InvalidInput(
                    f"no input tensor '{source.input}', of which output '{name}' is made; "
                    f"came: {', '.join(item)}"
                )
        return answer


def _texts(item: Item) -> list[bytes]:
    return [value for value in item.values() if isinstance(value, bytes)]
