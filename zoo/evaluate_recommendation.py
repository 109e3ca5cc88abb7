"""Score a recommendation checkpoint on held-out rows, beside the model that drew the clicks.

python -m zoo.evaluate_recommendation --rows 200000
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from infergraph.tasks.dlrm import load_tensors, read_config
from zoo.clicks import Rows, auc, held_out, log_loss
from zoo.train_recommendation import TRAINED, Dlrm

_AT_ONCE = 4096


@torch.inference_mode()
def probabilities(checkpoint: Path, rows: Rows) -> npt.NDArray[np.float32]:
    """What a checkpoint gives rows, FP32 [n]."""
    network = Dlrm(read_config(checkpoint))
    network.load_state_dict(load_tensors(checkpoint, ("bottom.", "tables", "top.")))
    dense, indices = torch.from_numpy(rows.dense), torch.from_numpy(rows.indices)
    given = [
        network.logits(*some).sigmoid().squeeze(1)
        for some in zip(dense.split(_AT_ONCE), indices.split(_AT_ONCE), strict=True)
    ]
    values: npt.NDArray[np.float32] = torch.cat(given).numpy()
    return values


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=TRAINED)
    parser.add_argument("--rows", type=int, default=200_000)
    args = parser.parse_args(argv)
    rows = held_out(args.rows)
    print(f"{args.rows} rows, {rows.clicked.mean():.1%} clicked")
    models = {
        "planted model": rows.probability,
        "checkpoint": probabilities(args.checkpoint, rows),
        "always the mean": np.full(args.rows, rows.clicked.mean()),
    }
    for name, given in models.items():
        print(
            f"{name:16}  AUC {auc(given, rows.clicked):.4f}  "
            f"log-loss {log_loss(given, rows.clicked):.4f}"
        )


if __name__ == "__main__":
    main()
