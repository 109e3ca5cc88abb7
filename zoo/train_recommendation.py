"""Train the embedded recommendation checkpoint from scratch, on the clicks of `zoo.clicks`.

    python -m zoo.train_recommendation --output model-settings/dlrm/embedded

With `--part` the slice of a trained checkpoint that one part needs is written instead. With
`--shape` a random checkpoint of a published shape is, to measure with:

    python -m zoo.train_recommendation --shape criteo-kaggle --most-rows 100000 --output DIR
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from infergraph.tasks.dlrm import (
    DlrmConfig,
    EmbeddingBags,
    Interaction,
    load_tensors,
    mlp,
    read_config,
    save,
)
from zoo import fitting
from zoo.clicks import DENSE, HOTNESS, TABLE_ROWS, Clicks

logger = logging.getLogger(__name__)

TRAINED = Path("model-settings/dlrm/embedded")
PARTS = {
    "bottom-mlp": ("bottom.",),
    "embedding-bags": ("tables",),
    "interaction": (),
    "top-mlp": ("top.",),
}
"""Part -> what the names of its tensors begin with."""

_KAGGLE_ROWS = [
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
]
_TERABYTE_ROWS = [
    *(40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10),
    *(2209, 11938, 155, 4, 976, 14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36),
]
_MLPERF_HOTNESS = [
    *(3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1),
]

SHAPES = {
    "embedded": DlrmConfig(
        dense_features=DENSE,
        table_rows=TABLE_ROWS,
        hotness=HOTNESS,
        dimension=16,
        bottom=[64, 32, 16],
        top=[128, 64, 1],
    ),
    # Of facebookresearch/dlrm's scripts for Criteo's two sets of data.
    "criteo-kaggle": DlrmConfig(
        dense_features=13,
        table_rows=_KAGGLE_ROWS,
        dimension=16,
        bottom=[512, 256, 64, 16],
        top=[512, 256, 1],
    ),
    "criteo-terabyte": DlrmConfig(
        dense_features=13,
        table_rows=[min(rows, 10_000_000) for rows in _TERABYTE_ROWS],
        dimension=64,
        bottom=[512, 256, 64],
        top=[512, 512, 256, 1],
    ),
    # MLPerf's: one index for each feature, as until 2022, and several, as since. There the
    # interaction is a cross network since then; here it is the product of pairs in both.
    "mlperf": DlrmConfig(
        dense_features=13,
        table_rows=_TERABYTE_ROWS,
        dimension=128,
        bottom=[512, 256, 128],
        top=[1024, 1024, 512, 256, 1],
    ),
    "mlperf-multi-hot": DlrmConfig(
        dense_features=13,
        table_rows=_TERABYTE_ROWS,
        hotness=_MLPERF_HOTNESS,
        dimension=128,
        bottom=[512, 256, 128],
        top=[1024, 1024, 512, 256, 1],
    ),
}
"""Shapes by name; `embedded` is the one that is trained here."""


class Dlrm(nn.Module):
    """The whole network, to train; its output has the cross entropy as `loss`."""

    def __init__(self, config: DlrmConfig) -> None:
        super().__init__()
        self.config = config
        self.bottom = mlp(config.dense_features, config.bottom)
        self.top = mlp(config.features, config.top)
        rows = torch.tensor(config.table_rows)
        # As DLRM draws them: small tables may start larger.
        width = rows.repeat_interleave(rows).rsqrt()[:, None]
        tables = (2 * torch.rand(len(width), config.dimension) - 1) * width
        self.tables = nn.Parameter(tables)
        self._interaction = Interaction(config.interaction)

    def forward(
        self, dense: torch.Tensor, indices: torch.Tensor, labels: torch.Tensor
    ) -> SimpleNamespace:
        logits = self.logits(dense, indices)
        loss = F.binary_cross_entropy_with_logits(logits.squeeze(1), labels)
        return SimpleNamespace(loss=loss)

    def logits(self, dense: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """FP32 [B, D] and INT64 [B, N] -> FP32 [B, 1]."""
        bags = EmbeddingBags(self.config, self.tables)
        scores: torch.Tensor = self.top(self._interaction(self.bottom(dense), bags(indices)))
        return scores


def batches(args: argparse.Namespace) -> Iterator[dict[str, torch.Tensor]]:
    """`args.steps` batches of rows that never come again."""
    for rows in Clicks().batches(args.seed, args.steps, args.batch_size):
        yield {
            "dense": torch.from_numpy(rows.dense),
            "indices": torch.from_numpy(rows.indices),
            "labels": torch.from_numpy(rows.clicked),
        }


def with_tables_of(config: DlrmConfig, most: int | None) -> DlrmConfig:
    """The same shape with tables of at most so many rows."""
    if most is None:
        return config
    return config.model_copy(update={"table_rows": [min(each, most) for each in config.table_rows]})


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="a checkpoint to train further")
    parser.add_argument("--part", choices=PARTS, help="write this part's slice, and train nothing")
    parser.add_argument("--trained", type=Path, default=TRAINED, help="what it is a slice of")
    parser.add_argument("--shape", choices=SHAPES, help="write random weights, and train nothing")
    parser.add_argument("--most-rows", type=int, help="of a table of the shape")
    fitting.add_arguments(parser, batch_size=1024)
    parser.set_defaults(learning_rate=4e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    if args.part:
        prefixes = PARTS[args.part]
        tensors = load_tensors(args.trained, prefixes) if prefixes else {}
        save(args.output, read_config(args.trained), tensors)
        return
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network = Dlrm(with_tables_of(SHAPES[args.shape or "embedded"], args.most_rows))
    if args.start_from:
        network.load_state_dict(load_tensors(args.start_from, ("bottom.", "tables", "top.")))
    if not args.shape:
        args.steps = args.steps or 10_000
        fitting.fit(network, batches(args), args)
    save(args.output, network.config, network.state_dict())


if __name__ == "__main__":
    main()
