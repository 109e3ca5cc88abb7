"""Image classifiers of torchvision, timm and transformers behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import timm
import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from transformers import AutoModelForImageClassification

from ...devices import Placement
from ...errors import ConfigurationError
from ...tensors.image import Pixels
from ...weights import loading, weights_in
from ..checkpoints.image_library import library_of
from ..checkpoints.pretrained import load_network as load_transformers_network
from ..checkpoints.stoppable import stoppable
from ..checkpoints.torchvision_checkpoint import load_network as load_torchvision_network
from ..checkpoints.torchvision_checkpoint import load_published, read_config
from .familiarity import make_familiar
from .folded import folded
from .on_device import WHOLE, Place, ResizeOptions, kept_parts, resized_on_device
from .transform import ImageTransform, Size, load_transform, of_timm

Piece = torch.Tensor | Pixels
"""An image or a part of it: resized, UINT8 or FP [3, h, w]; or as it came, UINT8 [H, W, 3]."""
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
        placement: The network's device and dtype.
        on_device: Whether images are resized on the device, rather than where they are prepared.
    """

    network: Network
    labels: list[str]
    independent: bool
    transform: ImageTransform
    placement: Placement
    on_device: bool = False

    def prepare(self, image: Pixels, places: Sequence[Place] = (WHOLE,)) -> list[Piece]:
        """Parts of an image as they wait: resized, or as they are where the device resizes them.

        Raises:
            Overloaded: too much of other images waits.
        """
        transform = self.transform
        if not self.on_device:
            return [transform.resized(image[place]) for place in places]
        return [transform.taken(part) for part in kept_parts(image, places, self.placement.device)]

    def shape(self, piece: Piece) -> Size:
        """Height and width of a piece as it reaches the network; equal ones run together."""
        if isinstance(piece, torch.Tensor):
            return piece.shape[1], piece.shape[2]
        return self.transform.shape(*piece.shape[:2])

    def pixels(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """What the network takes of pieces of one shape, FP [pieces, 3, h, w] on the device."""
        transform, device = self.transform, self.placement.device
        prepared = [piece for piece in pieces if isinstance(piece, torch.Tensor)]
        if prepared:
            made = transform.normalized(prepared, device)
        else:
            images = [piece for piece in pieces if not isinstance(piece, torch.Tensor)]
            made = torch.stack(resized_on_device(images, device, transform.on_device))
        return made.to(self.placement.dtype)


def load_classifier(
    checkpoint: str, placement: Placement, options: ResizeOptions | None = None
) -> ImageClassifier:
    """The classifier of a checkpoint of any of the three libraries.

    torchvision publishes no safetensors: its files are read as tensors only, as is `.bin` of a
    folder without safetensors, and no code of theirs is run.

    Args:
        checkpoint: A folder's path, or an id `torchvision/...`.
        placement: The device and dtype.
        options: Where images are resized; None is where they are prepared.

    Raises:
        ConfigurationError: there is no such checkpoint, it is damaged or incomplete, is no
            classifier, its labels are not as many as its logits, or its images cannot be resized
            where the settings say.
    """
    load = {"torchvision": _of_torchvision, "timm": _of_timm, "transformers": _of_transformers}
    classifier, network = load[library_of(checkpoint)](checkpoint, placement)
    make_familiar(network, checkpoint, placement.device)
    if options is not None:
        on_device = options.resizes_on_device(
            placement, can=classifier.transform.anywhere, checkpoint=checkpoint
        )
        classifier = replace(classifier, on_device=on_device)
    _check(classifier, checkpoint)
    placement.finish([network], lambda: _try_out(classifier))
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
    return ImageClassifier(network, labels, len(labels) == 1, transform, placement), network


def _folded(network: torch.nn.Module, transform: ImageTransform) -> torch.nn.Module:
    return folded(network, transform.size or (224, 224))


def _of_timm(checkpoint: str, placement: Placement) -> tuple[ImageClassifier, torch.nn.Module]:
    weights_in(checkpoint)
    with loading("network", checkpoint):
        network: Any = timm.create_model(f"local-dir:{checkpoint}", pretrained=True)
    labels = _timm_labels(network.pretrained_cfg, network.num_classes)
    transform = of_timm(network.pretrained_cfg)
    network = stoppable(placement.place(_folded(network, transform), of_images=True))
    return ImageClassifier(network, labels, len(labels) == 1, transform, placement), network


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
    transform = load_transform(checkpoint)
    return ImageClassifier(logits, labels, independent, transform, placement), network


@torch.inference_mode()
def _check(classifier: ImageClassifier, checkpoint: str) -> None:
    """Classifies one black image."""
    pixels = classifier.pixels(classifier.prepare(np.zeros((64, 64, 3), np.uint8)))
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


def _try_out(classifier: ImageClassifier) -> None:
    """Has it classify noise of different shapes."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for image, count in ((noise, 2), (noise.swapaxes(0, 1), 1)):
        classifier.network(classifier.pixels(classifier.prepare(image) * count))
