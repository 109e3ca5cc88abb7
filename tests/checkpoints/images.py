"""Image classifiers of transformers, timm and torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import transformers as hf
from timm.models import save_for_hf
from torch import nn

from infergraph.tasks.checkpoints import torchvision_checkpoint
from tests.pictures import pattern

from .saving import save, seeded

KINDS = ["cat", "dog", "bird", "fish", "horse"]

_LABELS = {"id2label": dict(enumerate(KINDS)), "num_labels": len(KINDS)}
_TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}
_SQUASHED = {"size": {"height": 32, "width": 32}}


def vit(folder: Path, **config: Any) -> str:
    processor = hf.ViTImageProcessor(**_SQUASHED)
    return _hugging_face(folder, "ViT", {**_TRANSFORMER, **_LABELS, **config}, processor)


def deit(folder: Path) -> str:
    """DeiT; resized by its shorter side, then cropped."""
    processor = hf.DeiTImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    )
    return _hugging_face(folder, "DeiT", {**_TRANSFORMER, **_LABELS}, processor)


def beit(folder: Path) -> str:
    processor = hf.BeitImageProcessor(**_SQUASHED, do_center_crop=False)
    return _hugging_face(folder, "Beit", {**_TRANSFORMER, **_LABELS}, processor)


def swin(folder: Path) -> str:
    sizes = {
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
        "image_size": 32,
        "patch_size": 4,
        "initializer_range": 0.3,
    }
    return _hugging_face(folder, "Swin", {**sizes, **_LABELS}, hf.ViTImageProcessor(**_SQUASHED))


def resnet(folder: Path) -> str:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    processor = hf.ConvNextImageProcessor(size={"shortest_edge": 40}, crop_pct=0.8)
    return _hugging_face(folder, "ResNet", {**sizes, **_LABELS}, processor, side=40)


def convnext(folder: Path) -> str:
    sizes = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "initializer_range": 0.3}
    processor = hf.ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875)
    return _hugging_face(folder, "ConvNext", {**sizes, **_LABELS}, processor)


def timm_resnet(folder: Path, **preprocessing: Any) -> str:
    arguments = {"channels": [8, 8, 16, 16], "stem_width": 8}
    return _timm(folder, "resnet10t", arguments, preprocessing)


def timm_mobilenet(folder: Path) -> str:
    return _timm(folder, "mobilenetv3_small_050", {}, {"crop_pct": 0.9})


def timm_inception(folder: Path) -> str:
    arguments = {"depths": [1, 1, 1, 1], "dims": [16, 16, 24, 32]}
    return _timm(folder, "inception_next_atto", arguments, {"crop_mode": "squash"})


def torchvision_alexnet(folder: Path) -> str:
    arguments = {"pool": 1, "hidden": 32}
    return _torchvision(folder, "alexnet", arguments, resize_height=64, resize_width=64)


def torchvision_lenet(folder: Path) -> str:
    return _torchvision(folder, "lenet", {}, side=28, resize_height=28, resize_width=28)


def torchvision_resnet(folder: Path) -> str:
    arguments = {"width_per_group": 64}
    return _torchvision(folder, "resnet18", arguments, resize_shorter=72, crop=True)


def torchvision_googlenet(folder: Path) -> str:
    """GoogLeNet as it was trained: with its auxiliary classifiers."""
    arguments = {"aux_logits": True, "init_weights": False}
    return _torchvision(folder, "googlenet", arguments, resize_shorter=64, crop=True)


def torchvision_inception(folder: Path) -> str:
    """Inception v3 as it was trained: with its auxiliary classifier."""
    arguments = {"aux_logits": True, "init_weights": False, "transform_input": True}
    return _torchvision(
        folder, "inception_v3", arguments, side=96, resize_shorter=100, crop=True, cubic=True
    )


@torch.no_grad()
def telling_apart(network: nn.Module, side: int) -> nn.Module:
    """The network, so changed that different images get clearly different labels.

    Of one that was never trained, normalisations know nothing of what they see, and the logits of
    all images are all but equal.
    """
    pictures = np.stack([pattern(side, side, seed=seed) for seed in range(16)])
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 120) / 58
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.train()
    network(pixels)
    output = network.eval()(pixels)
    logits = output if isinstance(output, torch.Tensor) else output.logits
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    scale = 2 / logits.std(dim=0)
    last.bias.sub_(logits.mean(dim=0)).mul_(scale)
    last.weight.mul_(scale[:, None])
    return network


def _hugging_face(
    folder: Path, family: str, config: dict[str, Any], processor: Any, *, side: int = 32
) -> str:
    configuration = getattr(hf, f"{family}Config")(**config)
    build = getattr(hf, f"{family}ForImageClassification")
    return save(folder, seeded(lambda: telling_apart(build(configuration), side)), processor)


def _timm(
    folder: Path, architecture: str, arguments: dict[str, Any], preprocessing: dict[str, Any]
) -> str:
    overlay = {"input_size": (3, 64, 64), "num_classes": len(KINDS), **preprocessing}
    network = seeded(
        lambda: telling_apart(
            timm.create_model(
                architecture,
                num_classes=len(KINDS),
                pretrained_cfg_overlay=overlay,
                **arguments,
            ),
            64,
        )
    )
    config = {"label_names": KINDS, "num_classes": len(KINDS)}
    save_for_hf(network, folder, config, model_args=arguments, safe_serialization=True)
    return str(folder)


def _torchvision(
    folder: Path,
    architecture: str,
    arguments: dict[str, Any],
    *,
    side: int = 64,
    crop: bool = False,
    cubic: bool = False,
    **resize: int,
) -> str:
    config = {
        "architecture": architecture,
        "arguments": arguments,
        "labels": KINDS,
        "preprocessing": {
            "height": side,
            "width": side,
            "resize_height": None,
            "resize_width": None,
            "resize_shorter": None,
            "crop": crop,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "interpolation": "bicubic" if cubic else "bilinear",
            "antialias": True,
            **resize,
        },
    }
    network: torch.nn.Module = seeded(
        lambda: telling_apart(torchvision_checkpoint.build_network(config), side)
    )
    torchvision_checkpoint.save(folder, network, config)
    return str(folder)
