"""Train an embedded image classifier from scratch, on rendered objects.

    python -m zoo.train_image_classification --model resnet \\
        --output model-settings/resnet/embedded
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from timm.models import save_for_hf
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from infergraph.tasks.checkpoints.torchvision_checkpoint import build_network
from infergraph.tasks.checkpoints.torchvision_checkpoint import save as save_torchvision
from zoo import fitting, scene_people, scene_vehicles
from zoo.scenes import OBJECTS, SceneObject
from zoo.vision_data import crops_of_scenes, photos

logger = logging.getLogger(__name__)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAFETY = ("safe", "unsafe")

Network = torch.nn.Module
Builder = Callable[[tuple[str, ...], int], tuple[Network, Callable[[Path], None]]]
"""Labels and the pictures' size -> an untrained network, and what saves it."""


@dataclass(frozen=True)
class Task:
    """What one checkpoint learns.

    Attributes:
        labels: The label of each output.
        label: An object's label; None where the object is none of the task's.
        size: The sides of the pictures that the network sees, in pixels.
        builder: Makes the network.
        steps: Of training, with batches of 64.
    """

    labels: tuple[str, ...]
    label: Callable[[SceneObject], str | None]
    size: int
    builder: Builder
    steps: int


def torchvision_builder(architecture: str, **arguments: Any) -> Builder:
    def build(labels: tuple[str, ...], size: int) -> tuple[Network, Callable[[Path], None]]:
        config = {
            "architecture": architecture,
            "arguments": {key: value for key, value in arguments.items() if key != "init_weights"},
            "labels": list(labels),
            "preprocessing": {
                "height": size,
                "width": size,
                "resize_height": size,
                "resize_width": size,
                "resize_shorter": None,
                "crop": False,
                "mean": list(MEAN),
                "std": list(STD),
                "interpolation": "bilinear",
                "antialias": True,
            },
        }
        network = build_network({**config, "arguments": arguments})
        return network, lambda folder: save_torchvision(folder, network, config)

    return build


def timm_builder(architecture: str, **arguments: Any) -> Builder:
    def build(labels: tuple[str, ...], size: int) -> tuple[Network, Callable[[Path], None]]:
        network = timm.create_model(architecture, num_classes=len(labels), **arguments)
        # What of timm's own configuration of this architecture is another here.
        network.pretrained_cfg = {
            **network.pretrained_cfg,
            "input_size": (3, size, size),
            "test_input_size": None,
            "crop_pct": 1.0,
            "test_crop_pct": None,
            "crop_mode": "squash",
            "interpolation": "bilinear",
            "mean": MEAN,
            "std": STD,
            "num_classes": len(labels),
        }

        def save(folder: Path) -> None:
            config = {"label_names": list(labels), "num_classes": len(labels)}
            folder.mkdir(parents=True, exist_ok=True)
            save_for_hf(
                network.half(),
                folder,
                model_config=config,
                model_args=arguments,
                safe_serialization=True,
            )
            network.float()

        return network, save

    return build


def resnet_builder(**arguments: Any) -> Builder:
    """transformers' ResNet with its processor."""

    def build(labels: tuple[str, ...], size: int) -> tuple[Network, Callable[[Path], None]]:
        config = ResNetConfig(
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            **arguments,
        )
        network = ResNetForImageClassification(config)
        processor = ViTImageProcessor(
            size={"height": size, "width": size}, image_mean=list(MEAN), image_std=list(STD)
        )

        def save(folder: Path) -> None:
            network.half().save_pretrained(folder)
            processor.save_pretrained(folder)
            network.float()

        return network, save

    return build


_SMALL = {"channels": (24, 48, 96, 160), "stem_width": 16}

TASKS = {
    "alexnet": Task(
        OBJECTS,
        lambda made: made.name,
        size=96,
        builder=torchvision_builder("alexnet", pool=2, hidden=256),
        steps=4000,
    ),
    "resnet": Task(
        OBJECTS,
        lambda made: made.name,
        size=80,
        builder=timm_builder("resnet10t", channels=(16, 32, 64, 128), stem_width=16),
        steps=3000,
    ),
    "inception": Task(
        OBJECTS,
        lambda made: made.name,
        size=96,
        builder=torchvision_builder("googlenet", aux_logits=False, init_weights=True),
        steps=2000,
    ),
    "vehicle-classification": Task(
        scene_vehicles.LABELS,
        lambda made: made.attribute if made.label in ("car", "truck", "bus") else None,
        size=96,
        builder=timm_builder("resnet10t", **_SMALL),
        steps=3200,
    ),
    "human-classification": Task(
        scene_people.KINDS,
        lambda made: made.attribute if made.label == "person" else None,
        size=80,
        builder=timm_builder("resnet10t", **_SMALL),
        steps=800,
    ),
    "content-safety": Task(
        SAFETY,
        lambda made: SAFETY[made.unsafe],
        size=96,
        builder=resnet_builder(
            embedding_size=24,
            hidden_sizes=[32, 64, 96, 160],
            depths=[1, 1, 1, 1],
            layer_type="basic",
        ),
        steps=1600,
    ),
}
"""Model -> what it learns."""


class _ClassifierLoss(torch.nn.Module):
    """A classifier whose output has the cross entropy as `loss`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        outputs = self.network(pixels)
        logits = getattr(outputs, "logits", outputs)
        return SimpleNamespace(loss=F.cross_entropy(logits, labels, label_smoothing=0.05))


def batches(
    pictures: torch.Tensor, labels: torch.Tensor, size: int, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of pictures (UINT8 [n, 3, side, side]), moved, mirrored and in other light."""
    draws = torch.Generator().manual_seed(args.seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(args.steps):
        if len(order) < args.batch_size:
            order = torch.randperm(len(pictures), generator=draws)
        chosen, order = order[: args.batch_size], order[args.batch_size :]
        pixels = _augmented(pictures[chosen].float() / 255, draws)
        if size != pixels.shape[-1]:
            pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
        yield {"pixels": normalised(pixels), "labels": labels[chosen]}


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels from 0 to 1 as the networks take them."""
    mean, std = (torch.tensor(each)[:, None, None] for each in (MEAN, STD))
    return (pixels - mean) / std


def _augmented(pixels: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    count = len(pixels)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=draws) * (high - low) + low

    affine = torch.zeros(count, 2, 3)
    mirrored = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    affine[:, 0, 0] = uniform(0.85, 1.05) * mirrored
    affine[:, 1, 1] = uniform(0.85, 1.05)
    affine[:, 0, 2], affine[:, 1, 2] = uniform(-0.08, 0.08), uniform(-0.08, 0.08)
    grid = F.affine_grid(affine, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return (moved * uniform(0.85, 1.15)[:, None, None, None]).clamp_(0, 1)


def examples(
    model: str, split: str, scenes: int, close_ups: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures UINT8 [n, 3, side, side] and labels INT64 [n] of a task."""
    task = TASKS[model]
    pictures, labels = [], []
    for picture, made in (*crops_of_scenes(split, scenes), *photos(split, close_ups)):
        label = task.label(made)
        if label is not None:
            pictures.append(picture)
            labels.append(task.labels.index(label))
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return stacked, torch.tensor(labels)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=TASKS)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--close-ups", type=int, default=9000)
    parser.add_argument("--start", type=Path, help="weights to go on from; default: none")
    fitting.add_arguments(parser, batch_size=64)
    parser.set_defaults(learning_rate=2e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    task = TASKS[args.model]
    args.steps = args.steps or task.steps
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network, save = task.builder(task.labels, task.size)
    if args.start is not None:
        network.load_state_dict(load_file(args.start / "model.safetensors"))
    # Convolutions on a CPU are half as fast again this way.
    network.to(memory_format=torch.channels_last)
    pictures, labels = examples(args.model, "train", args.scenes, args.close_ups)
    logger.info(
        "%.2f M parameters, %d pictures",
        sum(each.numel() for each in network.parameters()) / 1e6,
        len(pictures),
    )
    fitting.fit(_ClassifierLoss(network), batches(pictures, labels, task.size, args), args)
    save(args.output)


if __name__ == "__main__":
    main()
