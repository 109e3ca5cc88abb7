"""Image classifiers of torchvision, timm and transformers behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from transformers import AutoModelForImageClassification

from ...devices import Placement
from ...errors import ConfigurationError
from ...weights import loading, weights_in
from ..checkpoints.image_library import library_of
from ..checkpoints.pretrained import load_network as load_transformers_network
from ..checkpoints.stoppable import stoppable
from ..checkpoints.torchvision_checkpoint import load_network as load_torchvision_network
from ..checkpoints.torchvision_checkpoint import load_published, read_config
from .folded import folded
from .transform import ImageTransform, load_transform, of_timm

Network = Callable[[torch.Tensor], torch.Tensor]
"""Pixels [n, 3, h, w] on the placement's device in its dtype -> logits [n, labels]."""


@dataclass(frozen=True, slots=True)
class ImageClassifier:
    """A classifier, placed, in evaluation mode and stoppable.

    Attributes:
        network: From pixels to logits.
        labels: The logits' names, in order.
        independent: Whether labels do not exclude each other: each logit stands for itself.
        transform: From an image to pixels.
    """

    network: Network
    labels: list[str]
    independent: bool
    transform: ImageTransform


def load_classifier(checkpoint: str, placement: Placement) -> ImageClassifier:
    """The classifier of a checkpoint of any of the three libraries.

    torchvision publishes no safetensors: its files are read as tensors only, as is `.bin` of a
    folder without safetensors, and no code of theirs is run.

    Args:
        checkpoint: A folder's path, or an id `torchvision/...`.
        placement: The device and dtype.

    Raises:
        ConfigurationError: there is no such checkpoint, it is damaged or incomplete, is no
            classifier, or its labels are not as many as its logits.
    """
    load = {"torchvision": _of_torchvision, "timm": _of_timm, "transformers": _of_transformers}
    classifier, network = load[library_of(checkpoint)](checkpoint, placement)
    _check(classifier, checkpoint, placement)
    placement.finish([network], lambda: _try_out(classifier, placement))
    return classifier


def _of_torchvision(
    checkpoint: str, placement: Placement
) -> tuple[ImageClassifier, torch.nn.Module]:
    if read_config(checkpoint) is not None:
        network, config = load_torchvision_network(checkpoint)
        labels = list(config["labels"])
    else:
        network, labels = load_published(checkpoint)
    transform = load_transform(checkpoint)
    network = stoppable(placement.place(_folded(network, transform), of_images=True))
    return ImageClassifier(network, labels, len(labels) == 1, transform), network


def _folded(network: torch.nn.Module, transform: ImageTransform) -> torch.nn.Module:
    return folded(network, transform.size or (224, 224))


def _of_timm(checkpoint: str, placement: Placement) -> tuple[ImageClassifier, torch.nn.Module]:
    weights_in(checkpoint)
    with loading("network", checkpoint):
        network: Any = timm.create_model(f"local-dir:{checkpoint}", pretrained=True)
    labels = _timm_labels(network.pretrained_cfg, network.num_classes)
    transform = of_timm(network.pretrained_cfg)
    network = stoppable(placement.place(_folded(network, transform), of_images=True))
    return ImageClassifier(network, labels, len(labels) == 1, transform), network


def _timm_labels(config: dict[str, Any], count: int) -> list[str]:
    """The checkpoint's own names; of the known ImageNet sets, theirs; else the numbers."""
    if names := config.get("label_names"):
        return [str(name) for name in names]
    subset = infer_imagenet_subset({"num_classes": count, **config})
    if subset is None:
        return [str(index) for index in range(count)]
    info = ImageNetInfo(subset)
    return [info.index_to_description(index) for index in range(count)]


def _of_transformers(
    checkpoint: str, placement: Placement
) -> tuple[ImageClassifier, torch.nn.Module]:
    network = load_transformers_network(
        AutoModelForImageClassification, checkpoint, placement, of_images=True
    )
    config = network.config
    if config.problem_type == "regression":
        raise ConfigurationError(
            f"the checkpoint '{checkpoint}' predicts a number (problem_type 'regression'); "
            "accepted: a classifier"
        )

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = network(pixel_values=pixels).logits
        return found

    labels = [config.id2label[index] for index in range(config.num_labels)]
    independent = len(labels) == 1 or config.problem_type == "multi_label_classification"
    return ImageClassifier(logits, labels, independent, load_transform(checkpoint)), network


@torch.inference_mode()
def _check(classifier: ImageClassifier, checkpoint: str, placement: Placement) -> None:
    """Classifies one black image."""
    pixels = _pixels(classifier, placement, np.zeros((1, 64, 64, 3), np.uint8))
    try:
        shape = list(classifier.network(pixels).shape)
    except (RuntimeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"the checkpoint '{checkpoint}' does not classify an image that is prepared as it "
            f"says ({list(pixels.shape[1:])}): {reason}"
        ) from error
    if shape != [1, len(classifier.labels)]:
        raise ConfigurationError(
            f"the checkpoint '{checkpoint}' gives logits of shape {shape} and has "
            f"{len(classifier.labels)} labels; accepted: a classifier, one logit for each label"
        )


def _try_out(classifier: ImageClassifier, placement: Placement) -> None:
    """Has it classify noise of different shapes."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 48, 64, 3), np.uint8)
    classifier.network(_pixels(classifier, placement, noise))
    classifier.network(_pixels(classifier, placement, noise[:1].swapaxes(1, 2)))


def _pixels(
    classifier: ImageClassifier, placement: Placement, images: npt.NDArray[np.uint8]
) -> torch.Tensor:
    transform = classifier.transform
    resized = [transform.resized(image) for image in images]
    return transform.normalized(resized, placement.device).to(placement.dtype)
