"""Detectors of torchvision (Faster R-CNN, RetinaNet, FCOS, SSD, SSDlite), and others made alike."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torchvision.models import detection, list_models
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes

from ..checkpoints import TORCHVISION
from ..devices import Placement
from ..errors import ConfigurationError
from ..finite import check_answers
from .detections import Detector, DetectorInput
from .stoppable import stoppable
from .torchvision_checkpoint import load_network, load_published, read_config

_SCORING = ("head", "rpn.head", "roi_heads.box_predictor")
"""What scores in these networks, and places boxes."""


class TorchvisionDetector(Detector):
    """A detector with torchvision's interface: float images of any size in, boxes out.

    In bf16 and fp16 its backbone runs in that format (torch's autocast); the heads and the boxes
    stay in fp32, because a corner at pixel 1000 is good to 4 pixels in bf16.

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
    ) -> None:
        """Places the network.

        Args:
            network: A detector of torchvision, or one with the same attributes.
            labels: The name of each class.
            placement: Device and dtype.
            threshold: Objects with a higher score are found.
            max_batch_size: Most images of one network call.

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
        self._placement = placement
        # It takes ten times as long as the image's own copy, and frames of a video are alike.
        self._scaled_shape = functools.lru_cache(maxsize=1024)(self._scale)
        super().__init__(labels, threshold, max_batch_size)

    def _scale(self, shape: torch.Size) -> tuple[int, ...]:
        """The shape in which an image reaches the network, which scales images itself."""
        scaled, _ = self._transform.resize(torch.empty(shape, device="meta"))
        if not scaled.numel():
            raise ValueError(f"no pixels in {list(scaled.shape)}")
        return tuple(scaled.shape)

    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        shape = self._scaled_shape(pixels.shape)
        # Of the image and what the network takes, the smaller waits. Large images are scaled here,
        # one channel at a time: as a whole, in FP32, they are four times as large as they came.
        if pixels.numel() <= math.prod(shape) * torch.float32.itemsize:
            return {"pixels": pixels.contiguous()}, shape
        channels = [
            self._scaled(pixels[channel : channel + 1], slice(channel, channel + 1))
            for channel in range(len(pixels))
        ]
        return {"scaled": torch.cat(channels)}, shape

    def _scaled(self, pixels: torch.Tensor, channels: slice = slice(None)) -> torch.Tensor:
        """UINT8 [C, H, W] as the network takes it; `channels` are those of the image's."""
        scaled = pixels.float().div_(255)
        mean, std = (
            torch.tensor(values, device=pixels.device)[channels, None, None]
            for values in (self._transform.image_mean, self._transform.image_std)
        )
        image: torch.Tensor = self._transform.resize(scaled.sub_(mean).div_(std))[0]
        return image

    def _detect(
        self, batch: Sequence[DetectorInput]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        device = self._placement.device
        images = [
            image.inputs["scaled"].to(device)
            if "scaled" in image.inputs
            else self._scaled(image.inputs["pixels"].to(device))
            for image in batch
        ]
        return [
            (
                resize_boxes(found["boxes"], scaled.shape[-2:], (image.height, image.width)),
                found["scores"],
                found["labels"],
            )
            for found, scaled, image in zip(self._network(images), images, batch, strict=True)
        ]


class _Stacking(torch.nn.Module):
    """What is left of a network's own transform, for images that were scaled before."""

    def __init__(self, transform: Any) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, images: Sequence[torch.Tensor], targets: None = None) -> Any:
        stacked = self.transform.batch_images(images, size_divisible=self.transform.size_divisible)
        return ImageList(stacked, [tuple(image.shape[-2:]) for image in images]), targets

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


def load_torchvision(
    checkpoint: str, placement: Placement, threshold: float, max_batch_size: int
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
    return TorchvisionDetector(network, labels, placement, threshold, max_batch_size)


def detector_names() -> list[str]:
    """The names of torchvision's detectors."""
    names: list[str] = list_models(module=detection)
    return names
