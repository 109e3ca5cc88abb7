"""Detectors of torchvision (Faster R-CNN, RetinaNet, FCOS, SSD, SSDlite), and others made alike."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torchvision.models import detection, list_models
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes

from ...checkpoints import TORCHVISION
from ...devices import Placement, moved
from ...errors import ConfigurationError
from ...finite import check_answers
from ..checkpoints.stoppable import stoppable
from ..checkpoints.torchvision_checkpoint import load_network, load_published, read_config
from .detections import Detector, DetectorInput
from .folded import folded
from .on_device import resized_on_device

_SCORING = ("head", "rpn.head", "roi_heads.box_predictor")
"""What scores in these networks, and places boxes."""

_PASSES = ("backbone", "head", "rpn.head", "roi_heads.box_head")
"""What of them is one forward pass, and takes time."""

_FOLDED_SIZE = (128, 128)
"""Of an image that any backbone can look at; it is not worth more."""


class TorchvisionDetector(Detector):
    """A detector with torchvision's interface: float images of any size in, boxes out.

    In bf16 and fp16 its backbone runs in that format (torch's autocast); the heads and the boxes
    stay in fp32, because a corner at pixel 1000 is good to 4 pixels in bf16. The engine openvino
    computes the backbone and the heads; boxes are made of what they say in fp32.

    How many candidates an architecture considers at all (1000 proposals of Faster R-CNN, 1000 a
    level of RetinaNet and FCOS, 400 a class of SSD) is its own; how many of them are answered is
    not limited here.
    """

    def __init__(
        self,
        network: Any,
        labels: Mapping[int, str],
        placement: Placement,
        threshold: float,
        max_batch_size: int,
        *,
        on_device: bool = False,
    ) -> None:
        """Places the network.

        Args:
            network: A detector of torchvision, or one with the same attributes.
            labels: The name of each class.
            placement: Device and dtype.
            threshold: Objects with a higher score are found.
            max_batch_size: Most images of one network call.
            on_device: Whether images are resized on the device.

        Raises:
            ConfigurationError: the network is no detector.
        """
        head = getattr(network, "roi_heads", network)
        if not all(hasattr(head, name) for name in ("score_thresh", "detections_per_img")):
            raise ConfigurationError(
                f"{type(network).__name__} does not detect objects; accepted: compact-fcos and "
                f"torchvision's {', '.join(detector_names())}"
            )
        head.score_thresh = threshold
        head.detections_per_img = sys.maxsize
        network.backbone = folded(network.backbone, _FOLDED_SIZE)
        whole = replace(placement, dtype=torch.float32, compile=False)
        self._network = stoppable(whole.place(network, of_images=True))
        # Before the network drops what has no score above the threshold: a NaN never has.
        for name, part in network.named_modules():
            if name in _SCORING:
                check_answers(part, placement.format)
        backbone: Any = self._network.backbone
        if placement.compile:
            backbone = torch.compile(backbone)
        if placement.dtype != torch.float32:
            backbone = _Autocast(backbone, placement)
        self._network.backbone = backbone
        self._transform: Any = self._network.transform
        self._network.transform = _Stacking(self._transform)
        # It takes ten times as long as the image's own copy, and frames of a video are alike.
        self._scaled_shape = functools.lru_cache(maxsize=1024)(self._scale)
        super().__init__(labels, placement, threshold, max_batch_size, on_device=on_device)
        parts = [part for name, part in network.named_modules() if name in _PASSES]
        placement.finish(parts, self.try_out)

    def _shape(self, height: int, width: int) -> tuple[int, ...]:
        return self._scaled_shape(height, width)

    def _scale(self, height: int, width: int) -> tuple[int, ...]:
        """The shape in which an image reaches the network, which scales images itself."""
        scaled, _ = self._transform.resize(torch.empty(3, height, width, device="meta"))
        if not scaled.numel():
            raise ValueError(f"no pixels in {list(scaled.shape)}")
        return tuple(scaled.shape)

    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        shape = self._scaled_shape(*pixels.shape[1:])
        # Of the image and what the network takes, the smaller waits; the former is scaled later.
        if pixels.numel() < math.prod(shape) * torch.float32.itemsize:
            return {"pixels": pixels.clone()}, shape
        return {"scaled": self._scaled(pixels, shape)}, shape

    def _scaled(self, pixels: torch.Tensor, shape: Any) -> torch.Tensor:
        """UINT8 [..., 3, H, W] as the network takes it: as its own transform, in less time."""
        mean, std = (
            moved(torch.tensor(values)[:, None, None] * 255, pixels.device)
            for values in (self._transform.image_mean, self._transform.image_std)
        )
        return _interpolated(pixels, *shape[1:]).sub_(mean).div_(std)

    def _detect(
        self, batch: Sequence[DetectorInput]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        if self.on_device:
            images = resized_on_device(
                [image.inputs for image in batch if isinstance(image.inputs, np.ndarray)],
                self._placement.device,
                lambda pixels: self._scaled(pixels, batch[0].shape),
            )
        else:
            images = [
                self._on_cpu(image.inputs, image.shape)
                for image in batch
                if not isinstance(image.inputs, np.ndarray)
            ]
        return [
            (
                resize_boxes(found["boxes"], scaled.shape[-2:], (image.height, image.width)),
                found["scores"],
                found["labels"],
            )
            for found, scaled, image in zip(self._network(images), images, batch, strict=True)
        ]

    def _on_cpu(self, inputs: Mapping[str, torch.Tensor], shape: Any) -> torch.Tensor:
        """What `_prepare` gave, as the network takes it."""
        device = self._placement.device
        if "scaled" in inputs:
            return moved(inputs["scaled"], device)
        return self._scaled(moved(inputs["pixels"], device), shape)


class _Stacking(torch.nn.Module):
    """What is left of a network's own transform, for images that were scaled to one shape."""

    def __init__(self, transform: Any) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, images: Sequence[torch.Tensor], targets: None = None) -> Any:
        height, width = images[0].shape[1:]
        below, beside = (-side % self.transform.size_divisible for side in (height, width))
        stacked = torch.nn.functional.pad(torch.stack(list(images)), (0, beside, 0, below))
        return ImageList(stacked, [(height, width)] * len(images)), targets

    def postprocess(self, *arguments: Any) -> Any:
        return self.transform.postprocess(*arguments)


class _Autocast(torch.nn.Module):
    """A backbone in another format, its features in fp32 again."""

    def __init__(self, backbone: torch.nn.Module, placement: Placement) -> None:
        super().__init__()
        self.backbone = backbone
        self._placement = placement

    def forward(self, images: torch.Tensor) -> Any:
        with torch.autocast(self._placement.device.type, self._placement.dtype):
            features = self.backbone(images)
        if isinstance(features, torch.Tensor):
            return features.float()
        return type(features)((name, values.float()) for name, values in features.items())


def _interpolated(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """UINT8 [..., 3, H, W] -> FP32 [..., 3, height, width], as `interpolate`, without averaging.

    It looks at two rows and two columns for each of the result. Of a large image the others are not
    even converted.
    """
    sides = tuple(pixels.shape[-2:])
    if sides[0] * sides[1] <= 4 * height * width:
        images = pixels.reshape(-1, 3, *sides).float()
        scaled = torch.nn.functional.interpolate(
            images, (height, width), mode="bilinear", align_corners=False
        )
        return scaled.view(*pixels.shape[:-2], height, width)
    (top, bottom, down), (left, right, across) = (
        _neighbours(length, wanted, pixels.device)
        for length, wanted in zip(sides, (height, width), strict=True)
    )
    columns = torch.cat([left, right])
    # Rows first: each lies in one piece.
    upper, lower = (
        pixels.movedim(-3, -1).index_select(-3, rows).index_select(-2, columns).float()
        for rows in (top, bottom)
    )
    mixed = upper.lerp_(lower, down[:, None, None])
    across = across[:, None]
    return mixed[..., :width, :].lerp(mixed[..., width:, :], across).movedim(-1, -3)


def _neighbours(
    length: int, wanted: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each of the wanted pixels the two that it lies between, and its way from the first."""
    scale = torch.tensor(length / wanted, dtype=torch.float32)
    places = (scale * (torch.arange(wanted, device=device) + 0.5) - 0.5).clamp_(min=0)
    first = places.long()
    return first, (first + 1).clamp_(max=length - 1), places - first


def load_torchvision(
    checkpoint: str,
    placement: Placement,
    threshold: float,
    max_batch_size: int,
    *,
    on_device: bool = False,
) -> TorchvisionDetector | None:
    """The detector of an id `torchvision/<name>` or of a folder of torchvision's, else None.

    Raises:
        ConfigurationError: no detector of that name, or its weights cannot be had or read.
    """
    config = read_config(checkpoint)
    if config is not None:
        network, config = load_network(checkpoint)
        labels = dict(enumerate(config["labels"]))
    elif checkpoint.startswith(TORCHVISION):
        name = checkpoint.removeprefix(TORCHVISION).partition("@")[0]
        if name not in detector_names():
            raise ConfigurationError(
                f"checkpoint '{checkpoint}': torchvision has no detector '{name}'; accepted: "
                f"{', '.join(detector_names())}"
            )
        network, names = load_published(checkpoint)
        labels = dict(enumerate(names))
    else:
        return None
    return TorchvisionDetector(
        network, labels, placement, threshold, max_batch_size, on_device=on_device
    )


def detector_names() -> list[str]:
    """The names of torchvision's detectors."""
    names: list[str] = list_models(module=detection)
    return names
