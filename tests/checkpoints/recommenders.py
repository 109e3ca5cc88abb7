"""A DLRM of the embedded one's shape."""

from __future__ import annotations

from pathlib import Path

from infergraph.tasks import dlrm as network
from zoo.train_recommendation import SHAPES, Dlrm

from .saving import seeded


def dlrm(folder: Path) -> str:
    made: Dlrm = seeded(lambda: Dlrm(SHAPES["embedded"]))
    network.save(folder, made.config, made.state_dict())
    return str(folder)
