"""What each library itself makes of an image: pixels and probabilities, one image at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification as Preset
from torchvision.transforms.v2 import functional
from transformers import AutoImageProcessor, AutoModelForImageClassification

from infergraph.tasks.checkpoints import torchvision_checkpoint
from tests.pictures import Pixels

TRANSFORMERS = ["vit", "deit", "beit", "swin", "resnet", "convnext"]
TIMM = ["timm-resnet", "timm-mobilenet", "timm-inception"]
TORCHVISION = [
    "torchvision-alexnet",
    "torchvision-lenet",
    "torchvision-resnet",
    "torchvision-googlenet",
    "torchvision-inception",
]
FAMILIES = [*TRANSFORMERS, *TIMM, *TORCHVISION]


def reference_pixels(folder: str, image: Pixels) -> torch.Tensor:
    """FP32 [1, 3, h, w] of the library's own preprocessing."""
    config = json.loads((Path(folder) / "config.json").read_text())
    if "pretrained_cfg" in config:
        network = timm.create_model(f"local-dir:{folder}", pretrained=False)
        transform = create_transform(**resolve_model_data_config(network), is_training=False)
        pixels: torch.Tensor = transform(Image.fromarray(image))[None]
    elif "library" in config:
        pixels = _torchvision_pixels(config["preprocessing"], image)[None]
    else:
        processor = AutoImageProcessor.from_pretrained(folder)
        pixels = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    return pixels


@torch.inference_mode()
def reference_logits(folder: str, pixels: torch.Tensor) -> torch.Tensor:
    """Logits [n, labels] of the library's own network."""
    config = json.loads((Path(folder) / "config.json").read_text())
    if "pretrained_cfg" in config:
        network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        logits: torch.Tensor = network(pixels)
    elif "library" in config:
        logits = torchvision_checkpoint.load_network(folder)[0](pixels)
    else:
        classifier = AutoModelForImageClassification.from_pretrained(folder).eval()
        logits = classifier(pixel_values=pixels).logits
    return logits


def _torchvision_pixels(config: dict[str, Any], image: Pixels) -> torch.Tensor:
    picture = Image.fromarray(image)
    interpolation = InterpolationMode(config["interpolation"])
    if config["resize_height"]:
        sides = [config["resize_height"], config["resize_width"]]
        picture = functional.resize(picture, sides, interpolation, antialias=True)
        resize = config["resize_height"]
    else:
        resize = config["resize_shorter"]
    preset = Preset(
        crop_size=config["height"],
        resize_size=resize,
        mean=config["mean"],
        std=config["std"],
        interpolation=interpolation,
    )
    prepared: torch.Tensor = preset(picture)
    return prepared
