"""DLRM: from numbers and categories to the probability of a click.

Source: Naumov et al., Deep Learning Recommendation Model for Personalization and Recommendation
Systems (2019). A bottom MLP makes a vector of the numbers, an embedding bag one of each category's
indices, the interaction is the products of all pairs of them, and a top MLP scores these.

A checkpoint is `config.json`, a `DlrmConfig`, and `model.safetensors`: `bottom.<n>.weight` and
`.bias`, `top.<n>.weight` and `.bias`, with n = 0, 2, 4, ... (ReLUs stand between), and `tables`,
the rows of all features below each other. A part's own checkpoint needs no tensors but its own.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from itertools import accumulate, pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from safetensors.torch import save_file
from torch import nn

from ..errors import ConfigurationError
from ..weights import SAFETENSORS, loading

CONFIG = "config.json"
NO_INDEX = -1
"""Fills the columns of a feature that has fewer indices than columns."""

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

Sizes = list[PositiveInt]


class DlrmConfig(BaseModel):
    """The shape of a DLRM.

    Attributes:
        dense_features: Numbers of a row.
        table_rows: Rows of each categorical feature's table.
        hotness: Columns of each categorical feature: the most indices that it has; 1 each unless
            given.
        dimension: Of a table's rows, and of the bottom MLP's output.
        bottom: Widths of the bottom MLP's layers; the last is `dimension`.
        top: Widths of the top MLP's layers; the last is 1.
        interaction: `dot`: the products of all pairs of vectors, behind the bottom MLP's; `cat`:
            all vectors.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    dense_features: PositiveInt
    table_rows: Sizes = Field(min_length=1)
    hotness: Sizes = []
    dimension: PositiveInt
    bottom: Sizes = Field(min_length=1)
    top: Sizes = Field(min_length=1)
    interaction: Literal["dot", "cat"] = "dot"

    @model_validator(mode="after")
    def _fits(self) -> DlrmConfig:
        if self.hotness and len(self.hotness) != len(self.table_rows):
            raise ValueError(
                f"'hotness' has {len(self.hotness)} entries; accepted: {len(self.table_rows)}, one "
                "for each of 'table_rows'"
            )
        if self.bottom[-1] != self.dimension or self.top[-1] != 1:
            raise ValueError(
                f"the MLPs end in {self.bottom[-1]} and {self.top[-1]}; accepted: 'dimension' = "
                f"{self.dimension} and 1"
            )
        return self

    @property
    def feature_of(self) -> list[int]:
        """The feature of each column of indices."""
        hotness = self.hotness or [1] * len(self.table_rows)
        return [feature for feature, columns in enumerate(hotness) for _ in range(columns)]

    @property
    def features(self) -> int:
        """Numbers that the interaction gives."""
        vectors = len(self.table_rows) + 1
        if self.interaction == "cat":
            return vectors * self.dimension
        return self.dimension + vectors * (vectors - 1) // 2


def read_config(folder: str | Path) -> DlrmConfig:
    """The configuration of a checkpoint.

    Raises:
        ConfigurationError: there is none, or it is none of a DLRM.
    """
    file = Path(folder) / CONFIG
    try:
        # As bytes: what is no UTF-8 is no JSON.
        return DlrmConfig.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the checkpoint '{folder}' has no {CONFIG} ({error})") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        raise ConfigurationError(
            f"the checkpoint '{folder}': {CONFIG}: {where}: {problem['msg']}; accepted: the shape "
            "of a DLRM: dense_features, table_rows, dimension, bottom, top"
        ) from None


def mlp(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLUs between them; FP32 [B, inputs] -> [B, widths[-1]]."""
    layers: list[nn.Module] = []
    for taken, given in pairwise([inputs, *widths]):
        layers += [nn.Linear(taken, given), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class EmbeddingBags(nn.Module):
    """Sums of table rows, one for each row and feature.

    Args:
        config: The shape.
        tables: [sum of table_rows, dimension]; they are looked up where and in the format in which
            they are, and are no parameter: a placement neither moves nor converts them.
    """

    def __init__(self, config: DlrmConfig, tables: torch.Tensor) -> None:
        super().__init__()
        self.tables = tables
        columns = config.feature_of
        self.features = len(config.table_rows)
        self.one_hot = len(columns) == self.features
        starts = [0, *accumulate(config.table_rows)]
        where = tables.device
        self._start = torch.tensor([starts[feature] for feature in columns], device=where)
        self._feature = torch.tensor(columns, device=where)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """INT64 [B, columns], each within its table or NO_INDEX -> FP32 [B, features, d]."""
        rows = len(indices)
        there = indices >= 0
        found = indices + self._start
        if self.one_hot and bool(there.all()):
            return F.embedding(found, self.tables).float()
        # A feature's columns stand together, so what is there is in the order of the bags.
        counts = there.new_zeros((rows, self.features), dtype=torch.int64)
        counts.index_add_(1, self._feature, there.long())
        ends = counts.flatten().cumsum(0)
        bags = F.embedding_bag(found[there], self.tables, ends - counts.flatten(), mode="sum")
        return bags.float().view(rows, self.features, -1)


class Interaction(nn.Module):
    """Combines the vectors of a row."""

    def __init__(self, kind: Literal["dot", "cat"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, vector: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """[B, d] and [B, features, d] -> [B, DlrmConfig.features]."""
        every = torch.cat([vector[:, None], vectors], dim=1)
        if self.kind == "cat":
            return every.flatten(1)
        count = every.shape[1]
        products = every @ every.transpose(1, 2)
        row, column = torch.tril_indices(count, count, -1, device=every.device)
        return torch.cat([vector, products[:, row, column]], dim=1)


def load_tensors(folder: str | Path, prefixes: Sequence[str]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint whose names begin with one of the prefixes, on the CPU.

    They are mapped from the file, read-only: what is never looked at is never read, and a table may
    be larger than the memory. safetensors' own mapping may be written to, which systems grant only
    as far as there is memory.

    Raises:
        ConfigurationError: there is no such checkpoint, or it lacks such tensors.
    """
    file = Path(folder) / SAFETENSORS
    with loading("network", folder), file.open("rb") as stream, warnings.catch_warnings():
        # That the memory must not be written to: nothing does.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        content = mmap(stream.fileno(), 0, access=ACCESS_READ)
        tensors = {
            name: torch.frombuffer(
                content,
                dtype=_DTYPES[entry["dtype"]],
                count=math.prod(entry["shape"]),
                offset=8 + length + entry["data_offsets"][0],
            ).view(entry["shape"])
            for name, entry in header.items()
            if name.startswith(tuple(prefixes))
        }
    lacking = [each for each in prefixes if not any(name.startswith(each) for name in tensors)]
    if lacking:
        raise ConfigurationError(
            f"the checkpoint '{folder}' lacks tensors: {', '.join(f'{each}*' for each in lacking)};"
            f" it has: {', '.join(name for name in header if name != '__metadata__')}"
        )
    return tensors


def save(folder: str | Path, config: DlrmConfig, tensors: dict[str, torch.Tensor]) -> None:
    """Writes a checkpoint, or the slice of one; without tensors its configuration alone."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"architectures": ["DLRM"], **config.model_dump()}, indent=2)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    if tensors:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            folder / SAFETENSORS,
            metadata={"format": "pt"},
        )
