"""Recommendation: the probability that a user clicks, by a DLRM, whole or one of its parts.

`dense` FP32 [-1, D] are a row's numbers, as the network was trained with them (of counts usually
their logarithm). `indices` INT64 [-1, N] are its categories: the columns of a feature stand
together, as many as the checkpoint's `hotness` says, one each for most. -1 in a column is no index.
So rows of several requests can be put below each other, which lists with offsets cannot. What is
computed is the setting `part`:

| part | inputs | output |
|---|---|---|
| all | dense, indices | `probability` FP32 [-1, 1] |
| bottom-mlp | dense | `vector` FP32 [-1, d] |
| embedding-bags | indices | `vectors` FP32 [-1, features, d] |
| interaction | vector, vectors | `features` FP32 [-1, n] |
| top-mlp | features | `probability` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..batching import check_wanted
from ..devices import moved
from ..errors import ConfigurationError, InvalidInput
from ..runtime import Arrays, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from ..tensors.image import writable
from .checkpoints.stoppable import stoppable
from .declared_outputs import check_declared
from .dlrm import NO_INDEX, DlrmConfig, EmbeddingBags, Interaction, load_tensors, mlp, read_config

Part = Literal["all", "bottom-mlp", "embedding-bags", "interaction", "top-mlp"]

_INPUTS: Mapping[Part, tuple[str, ...]] = {
    "all": ("dense", "indices"),
    "bottom-mlp": ("dense",),
    "embedding-bags": ("indices",),
    "interaction": ("vector", "vectors"),
    "top-mlp": ("features",),
}
_OUTPUT: Mapping[Part, str] = {
    "all": "probability",
    "bottom-mlp": "vector",
    "embedding-bags": "vectors",
    "interaction": "features",
    "top-mlp": "probability",
}


class RecommendationOptions(RuntimeOptions):
    """Settings of recommendation.

    Attributes:
        part: What of the network is computed.
        tables: Where embedding tables are on a GPU: `device` is its memory; `host` leaves them in
            the checkpoint's file, mapped into the process's memory, where they are on a CPU too.
    """

    part: Part = "all"
    tables: Literal["device", "host"] = "device"


@dataclass(frozen=True, slots=True)
class Recommender:
    """The network, or what of it a part needs.

    Attributes:
        config: Its shape.
        bottom: FP32 [B, D] -> [B, d].
        bags: INT64 [B, N] -> FP32 [B, features, d].
        interaction: [B, d], [B, features, d] -> [B, n].
        top: [B, n] -> [B, 1], a logit.
        last_rows: The largest index of each column.
    """

    config: DlrmConfig
    bottom: nn.Module | None
    bags: EmbeddingBags | None
    interaction: nn.Module | None
    top: nn.Module | None
    last_rows: npt.NDArray[np.int64]


class Recommendation(Runtime[None, None, Recommender]):
    """Scores rows with a DLRM; batches are arrays."""

    settings_class = RecommendationOptions
    options: RecommendationOptions

    def setup(self) -> Recommender:
        """Loads what the part needs.

        Raises:
            ConfigurationError: the checkpoint is none of a DLRM or incomplete, or the declared
                tensors are not the part's.
        """
        config = read_config(self.checkpoint)
        part = self.options.part
        self._check_ports(config, part)
        shapes = {
            "bottom": (config.dense_features, config.bottom),
            "top": (config.features, config.top),
        }
        wanted = {
            "all": ("bottom.", "tables", "top."),
            "bottom-mlp": ("bottom.",),
            "embedding-bags": ("tables",),
            "interaction": (),
            "top-mlp": ("top.",),
        }[part]
        tensors = load_tensors(self.checkpoint, wanted) if wanted else {}

        def placed(name: str) -> nn.Module | None:
            if f"{name}." not in wanted:
                return None
            network = mlp(*shapes[name])
            own = {
                key.removeprefix(f"{name}."): value.float()
                for key, value in tensors.items()
                if key.startswith(f"{name}.")
            }
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise ConfigurationError(
                    f"the checkpoint '{self.checkpoint}': its {name} MLP is not as config.json "
                    f"says: {reason}"
                ) from None
            return stoppable(self.placement.place(network))

        networks = {name: placed(name) for name in shapes}
        model = Recommender(
            config,
            networks["bottom"],
            self._bags(config, tensors["tables"]) if "tables" in wanted else None,
            Interaction(config.interaction) if part in ("all", "interaction") else None,
            networks["top"],
            np.array(config.table_rows)[config.feature_of] - 1,
        )
        given = [each for each in networks.values() if each is not None]
        self.placement.finish(given, lambda: self._try_out(model))
        return model

    def predict_arrays(self, arrays: Arrays, parameters: None) -> Arrays:
        """The part's output for all rows.

        Raises:
            InvalidInput: an index is outside its table, or a number is none; names the row, the
                feature and the value.
        """
        model, part = self.model, self.options.part
        self._check(arrays)
        values = {name: torch.from_numpy(writable(array)) for name, array in arrays.items()}
        with torch.inference_mode():
            output = self._computed(model, part, values)
        check_wanted()
        return {_OUTPUT[part]: output.float().cpu().numpy()}

    def _computed(
        self, model: Recommender, part: Part, values: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        placement = self.placement

        def number(name: str) -> torch.Tensor:
            return moved(values[name], placement.device).to(placement.dtype)

        vector = vectors = features = None
        if model.bottom is not None:
            vector = model.bottom(number("dense"))
        if model.bags is not None:
            looked_up = model.bags(values["indices"].to(model.bags.tables.device))
            vectors = looked_up.to(placement.device)
        if model.interaction is not None:
            vector = number("vector") if vector is None else vector
            vectors = number("vectors") if vectors is None else vectors.to(placement.dtype)
            features = model.interaction(vector, vectors)
        if model.top is not None:
            scores: torch.Tensor = model.top(number("features") if features is None else features)
            return scores.float().sigmoid()
        outputs: list[torch.Tensor | None] = [features, vectors, vector]
        return next(each for each in outputs if each is not None)

    def _check(self, arrays: Arrays) -> None:
        for name, array in arrays.items():
            if array.dtype.kind != "f":
                continue
            finite = np.isfinite(array)
            if not finite.all():
                row = int(np.argwhere(~finite)[0, 0])
                column = int(np.argmin(finite[row]))
                raise InvalidInput(
                    f"tensor '{name}', row {row}: {array[row].flat[column]} in column {column}; "
                    "accepted: finite numbers"
                )
        indices = arrays.get("indices")
        if indices is None:
            return
        wrong = (indices < NO_INDEX) | (indices > self.model.last_rows)
        if wrong.any():
            row, column = map(int, np.argwhere(wrong)[0])
            feature = self.model.config.feature_of[column]
            raise InvalidInput(
                f"tensor 'indices', row {row}: {indices[row, column]} for feature {feature} "
                f"(column {column}); accepted: 0 to {self.model.last_rows[column]}, or -1 for none"
            )

    def _bags(self, config: DlrmConfig, tables: torch.Tensor) -> EmbeddingBags:
        wanted = [sum(config.table_rows), config.dimension]
        if list(tables.shape) != wanted:
            raise ConfigurationError(
                f"the checkpoint '{self.checkpoint}': 'tables' is {list(tables.shape)}; accepted: "
                f"{wanted}, the rows of all features below each other"
            )
        if self.options.tables == "device":
            tables = tables.to(self.placement.device)
        return EmbeddingBags(config, tables)

    def _check_ports(self, config: DlrmConfig, part: Part) -> None:
        count, width = len(config.table_rows), config.dimension
        known = {
            "dense": TensorSpec("dense", "FP32", (-1, config.dense_features)),
            "indices": TensorSpec("indices", "INT64", (-1, len(config.feature_of))),
            "vector": TensorSpec("vector", "FP32", (-1, width)),
            "vectors": TensorSpec("vectors", "FP32", (-1, count, width)),
            "features": TensorSpec("features", "FP32", (-1, config.features)),
            "probability": TensorSpec("probability", "FP32", (-1, 1)),
        }
        wanted = [known[name] for name in _INPUTS[part]]
        declared = {spec.name: spec for spec in self._input_specs}
        # Of just these sizes: a request with others is refused before it reaches the network.
        if declared != {spec.name: spec for spec in wanted}:
            raise ConfigurationError(
                f"declared inputs: {', '.join(map(str, self._input_specs)) or 'none'}; accepted "
                f"for part '{part}' of this checkpoint: {', '.join(map(str, wanted))}"
            )
        check_declared([known[_OUTPUT[part]]], self._output_specs)

    def _try_out(self, model: Recommender) -> None:
        """Computes one row and two, with every index -1."""
        for rows in (1, 2):
            values = {
                spec.name: torch.full((rows, *spec.shape[1:]), -1, dtype=torch.int64)
                if spec.datatype == "INT64"
                else torch.zeros(rows, *spec.shape[1:])
                for spec in self._input_specs
            }
            self._computed(model, self.options.part, values)
