"""Fit how far pictures may be from a classifier's own before it calls them unknown.

What is fitted goes into a file beside the weights, see `infergraph.tasks.vision.familiarity`.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import torch.nn.functional as F

from infergraph.tasks.vision.familiarity import FamiliarLinear, last_layer, log_distance, save

logger = logging.getLogger(__name__)

DIRECTIONS = 64
"""In which features vary most."""
SPARED = 0.005
"""How much of the world may be called unknown for its distance."""
SLOPES = (1.0, 2.0, 4.0, 8.0, 16.0)
_SHRINK = 0.01
_BATCH = 128

Examples = tuple[torch.Tensor, torch.Tensor]
"""What a network takes, FP32 [n, 3, h, w], and labels INT64 [n], of which the last is `unknown`."""


@torch.inference_mode()
def features_of(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """What a network's last layer reads, FP32 [n, features]."""
    read: list[torch.Tensor] = []
    _, layer = last_layer(network)
    handle = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        for some in pixels.split(_BATCH):
            network(some)
    finally:
        handle.remove()
    return torch.cat(read)


def whitened(
    features: torch.Tensor, labels: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres [count, K] and whitening [features, K] of features of `count` labels' pictures.

    Raises:
        ValueError: a label has no picture.
    """
    if missing := sorted(set(range(count)) - set(labels.tolist())):
        raise ValueError(f"no picture of the labels {missing}; accepted: some of each")
    features = features.double()
    means = torch.stack([features[labels == label].mean(dim=0) for label in range(count)])
    apart = features - means[labels]
    covariance = apart.T @ apart / len(apart)
    covariance += _SHRINK * covariance.diagonal().mean() * torch.eye(len(covariance))
    variances, directions = torch.linalg.eigh(covariance)
    whitening = directions[:, -DIRECTIONS:] / variances[-DIRECTIONS:].sqrt()
    # As they are kept.
    return (means @ whitening).half().float(), whitening.half().float()


@torch.inference_mode()
def fit(network: torch.nn.Module, train: Examples, validation: Examples, folder: Path) -> None:
    """Fits a checkpoint's file.

    Centres and directions are those of the training's pictures. Of the validation's, `near` spares
    all but `SPARED` of the world's, and `slope` is the one of `SLOPES` that fits all of them best.

    Args:
        network: In evaluation mode; its last layer gives the logits.
        train: Pictures of the world only are looked at.
        validation: Of the world and not.
        folder: The checkpoint's.
    """
    _, layer = last_layer(network)
    unknown = layer.out_features - 1
    pixels, labels = train
    of_world = labels < unknown
    features = features_of(network, pixels[of_world])
    centres, whitening = whitened(features, labels[of_world], unknown)
    pixels, labels = validation
    features = features_of(network, pixels)
    distances = log_distance(features, centres, whitening)
    near = distances[labels < unknown].quantile(1 - SPARED)

    def loss(slope: float) -> float:
        familiar = FamiliarLinear(layer, centres, whitening, near, torch.tensor(slope))
        return F.cross_entropy(familiar(features), labels).item()

    slope = min(SLOPES, key=loss)
    logger.info("near %.3f, slope %g, loss %.4f", float(near), slope, loss(slope))
    save(folder, centres, whitening, float(near), slope)
