"""Detectors of torchvision (Faster R-CNN, RetinaNet, FCOS, SSD, SSDlite), and others made alike."""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torchvision.models import detection, get_model, get_model_weights, list_models

from ..devices import Placement
from ..errors import ConfigurationError
from .detections import Detector, DetectorInput
from .stoppable import stoppable
from .torchvision_checkpoint import load_network, read_config

PREFIX = "torchvision/"

_UNLOADABLE = (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError)


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
        backbone: Any = self._network.backbone
        if placement.compile:
            backbone = torch.compile(backbone)
        if placement.dtype != torch.float32:
            backbone = _Autocast(backbone, placement)
        self._network.backbone = backbone
        self._transform: Any = self._network.transform
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
        return {"pixels": pixels}, self._scaled_shape(pixels.shape)

    def _detect(
        self, batch: Sequence[DetectorInput]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        images = [
            image.inputs["pixels"].to(self._placement.device).float().div(255) for image in batch
        ]
        return [(each["boxes"], each["scores"], each["labels"]) for each in self._network(images)]


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

    torchvision publishes no safetensors. Its files are read as plain tensors (weights_only) before
    anything else is done with them, and their checksum is part of their name.

    Raises:
        ConfigurationError: no detector of that name, or its weights cannot be had or read.
    """
    config = read_config(checkpoint)
    if config is not None:
        network, config = load_network(checkpoint)
        labels = dict(enumerate(config["labels"]))
    elif checkpoint.startswith(PREFIX):
        network, labels = _published(checkpoint)
    else:
        return None
    return TorchvisionDetector(network, labels, placement, threshold, max_batch_size)


def detector_names() -> list[str]:
    """The names of torchvision's detectors."""
    names: list[str] = list_models(module=detection)
    return names


def _published(checkpoint: str) -> tuple[Any, dict[int, str]]:
    name = checkpoint.removeprefix(PREFIX)
    if name not in detector_names():
        raise ConfigurationError(
            f"checkpoint '{checkpoint}': torchvision has no detector '{name}'; accepted: "
            f"{', '.join(detector_names())}"
        )
    weights: Any = get_model_weights(name).DEFAULT
    try:
        # Downloads them. The builder reads the file again, no longer in a way that is safe with
        # any file; built without it, some networks differ (the epsilon of their batch norms).
        weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        network = get_model(name, weights=weights, progress=False)
    except _UNLOADABLE as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"cannot load the weights of the checkpoint '{checkpoint}': {reason}"
        ) from error
    return network, dict(enumerate(weights.meta["categories"]))
