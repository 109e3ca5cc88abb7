"""Ensemble: combines the probabilities that several classifiers give of the same items.

Its inputs are those declared, one for each member: FP32 [-1, C], the probabilities of the same C
labels in the same order. Its outputs are `label` BYTES [-1, 1], `score` FP32 [-1, 1] from 0 to 1
and, if declared, `probabilities` FP32 [-1, C].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..errors import ConfigurationError, InfergraphError, InvalidInput
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions

# Of rounding: members compute in 16 bits, too.
_ABOVE_ONE = 1.01

Rows = npt.NDArray[np.float32]


class EnsembleCombineOptions(RuntimeOptions):
    """Settings of the ensemble.

    Attributes:
        method: `mean` averages the members' probabilities; `weighted` does so with `weights`;
            `vote` gives each member one vote, for its likeliest label. The probabilities of a vote
            are the shares of votes, and of labels with equally many the one of the higher average
            probability wins.
        weights: Input -> its weight, above 0; each input has one. With `weighted` only. They need
            not add up to 1.
        labels: The names of the columns, in order.
    """

    method: Literal["mean", "vote", "weighted"] = "mean"
    weights: dict[str, float] = Field(default_factory=dict)
    labels: list[str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Members:
    """Whose probabilities are combined, and how.

    Attributes:
        names: The members' inputs, in order.
        weights: FP32 [members], together 1.
        gives_probabilities: Whether `probabilities` is an output.
    """

    names: Sequence[str]
    weights: Rows
    gives_probabilities: bool


class EnsembleCombine(Runtime[Item, None, Members]):
    """Answers with the label that the members agree on best."""

    settings_class = EnsembleCombineOptions
    placed = False
    options: EnsembleCombineOptions

    def setup(self) -> Members:
        """Checks the declarations against the settings.

        Raises:
            ConfigurationError: fewer than two inputs, one that is not a row of probabilities of
                the labels, an output that is none of the model's, or weights that do not fit.
        """
        labels = self.options.labels
        for spec in self._input_specs:
            if (
                spec.datatype != "FP32"
                or not spec.accepts_shape((-1, len(labels)))
                or spec.optional
            ):
                raise ConfigurationError(
                    f"declared input {spec}{' (optional)' if spec.optional else ''}; accepted: "
                    f"FP32 [-1, {len(labels)}], a column for each of the setting 'labels', "
                    "not optional"
                )
        members = [spec.name for spec in self._input_specs]
        if len(members) < 2:
            raise ConfigurationError(
                f"declared inputs: {', '.join(members) or 'none'}; accepted: at least two, "
                "one for each member of the ensemble"
            )
        for spec in self._output_specs:
            if spec.name not in ("label", "score", "probabilities"):
                raise ConfigurationError(
                    f"declared output '{spec.name}' is none of the model's; its outputs: label, "
                    "score, probabilities"
                )
        gives_probabilities = not self._output_specs or any(
            spec.name == "probabilities" for spec in self._output_specs
        )
        return Members(members, self._normalized_weights(members), gives_probabilities)

    @property
    def blocking(self) -> bool:
        return False

    def predict_batch(
        self, items: Sequence[Item], parameters: None
    ) -> list[Outputs | InfergraphError]:
        """The combined answer of each item; of one whose rows are no probabilities an error."""
        return [self._combine(item) for item in items]

    def _combine(self, item: Item) -> Outputs | InfergraphError:
        for name in self.model.names:
            problem = self._problem(item[name])
            if problem:
                return InvalidInput(
                    f"tensor '{name}': {problem}; accepted: {len(self.options.labels)} "
                    "probabilities from 0 to 1"
                )
        rows: Rows = np.stack([item[name] for name in self.model.names])
        combined = self.model.weights @ rows
        if self.options.method == "vote":
            votes = np.bincount(rows.argmax(axis=1), minlength=rows.shape[1])
            tied = np.flatnonzero(votes == votes.max())
            best = int(tied[combined[tied].argmax()])
            combined = (votes / len(rows)).astype(np.float32)
        else:
            best = int(combined.argmax())
        answer: Outputs = {"label": self.options.labels[best], "score": combined[best]}
        if self.model.gives_probabilities:
            answer["probabilities"] = combined
        return answer

    def _problem(self, row: Rows) -> str | None:
        if row.shape != (len(self.options.labels),):
            return f"{row.shape[-1]} columns"
        # Not `row < 0`: comparisons with NaN are false.
        wrong = ~((row >= 0) & (row <= _ABOVE_ONE))
        if wrong.any():
            column = int(wrong.argmax())
            return f"{row[column]} in column {column} ('{self.options.labels[column]}')"
        return None

    def _normalized_weights(self, members: Sequence[str]) -> Rows:
        weights = self.options.weights
        if self.options.method != "weighted":
            if weights:
                raise ConfigurationError(
                    f"setting 'weights' goes with the method 'weighted', not with "
                    f"'{self.options.method}'"
                )
            return np.full(len(members), 1 / len(members), np.float32)
        if weights.keys() != set(members) or not all(
            0 < weight < float("inf") for weight in weights.values()
        ):
            raise ConfigurationError(
                f"setting 'weights' = {weights}; accepted: a number above 0 for each of "
                f"{', '.join(members)}"
            )
        values = np.array([weights[name] for name in members])
        shares: Rows = (values / values.sum()).astype(np.float32)
        return shares
