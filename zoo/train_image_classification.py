"""Train an embedded image classifier from scratch, on rendered objects.

    python -m zoo.train_image_classification --model resnet \\
        --output model-settings/resnet/embedded

What is none of a task's objects, and pictures that are not of the world, have the label `unknown`.
"""

from __future__ import annotations

import argparse
import copy
import functools
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
from infergraph.tasks.vision.familiarity import last_layer
from zoo import familiarity, fitting, scene_people, scene_vehicles
from zoo.calibration import calibrate
from zoo.outside_texts import UNKNOWN
from zoo.scenes import OBJECTS, SceneObject
from zoo.vision_data import (
    CROP,
    PHOTOGRAPHED,
    add_photographs,
    crops_of_scenes,
    outside_crops,
    photograph_parts,
    photos,
)

logger = logging.getLogger(__name__)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAFETY = ("safe", "unsafe")

# Of a task's pictures: how many more are not of the world, and are objects that are not the task's.
OUTSIDE, OTHERS = 1.0, 0.25
# The weight of what a teacher says.
TAUGHT = 2.0
# How much of the world may be called unknown.
SPARED = 0.003
CALIBRATION_SCENES, CALIBRATION_CLOSE_UPS = 200, 900
_FIRST_OUTSIDE = {"train": 0, "validation": 1_000_000}

Network = torch.nn.Module
Builder = Callable[[tuple[str, ...], int], tuple[Network, Callable[[Path], None]]]
"""Labels and the pictures' size -> an untrained network, and what saves it."""


@dataclass(frozen=True)
class Task:
    """What one checkpoint learns.

    Attributes:
        labels: The label of each output; one more is `unknown`.
        label: An object's label; None where the object is none of the task's.
        size: The sides of the pictures that the network sees, in pixels.
        builder: Makes the network.
        steps: Of training, with batches of 64.
        familiar: Whether what is far from its pictures is unknown, see `familiarity`: where that
            finds more than it costs.
    """

    labels: tuple[str, ...]
    label: Callable[[SceneObject], str | None]
    size: int
    builder: Builder
    steps: int
    familiar: bool = True


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
        # Of what is unsafe, twice as much would be missed.
        familiar=False,
    ),
}
"""Model -> what it learns."""


class ClassifierLoss(torch.nn.Module):
    """A classifier whose output has the cross entropy as `loss`.

    A teacher's probabilities of the labels of the world are learnt along with the world's pictures:
    so what it knows is kept, although there are fewer pictures than it was trained with.
    """

    def __init__(self, network: Network, teacher: Network | None = None) -> None:
        super().__init__()
        self.network = network
        # Hidden from the training, which is not to change it.
        self.teacher = None if teacher is None else functools.partial(logits_of, teacher)

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        logits = logits_of(self.network, pixels)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
        if self.teacher is not None:
            unknown = logits.shape[1] - 1
            of_world = labels < unknown
            with torch.no_grad():
                taught = self.teacher(pixels[of_world])[:, :unknown].softmax(dim=1)
            learnt = logits[of_world, :unknown].log_softmax(dim=1)
            apart = F.kl_div(learnt, taught, reduction="sum") / max(len(taught), 1)
            loss = loss + TAUGHT * apart
        return SimpleNamespace(loss=loss)


def logits_of(network: Network, pixels: torch.Tensor) -> torch.Tensor:
    """FP32 [n, labels] of a network of any of the libraries."""
    outputs = network(pixels)
    logits: torch.Tensor = getattr(outputs, "logits", outputs)
    return logits


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
        yield {"pixels": network_input(pixels, size), "labels": labels[chosen]}


def network_input(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels from 0 to 1, FP32 [n, 3, side, side], as a network of `size` takes them."""
    if size != pixels.shape[-1]:
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
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
    model: str, split: str, scenes: int, close_ups: int, photographs: Sequence[Path] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures UINT8 [n, 3, side, side] and labels INT64 [n] of a task, `unknown` ones last.

    Of what is not of the world, `PHOTOGRAPHED` is out of the folders `photographs`, if any.
    """
    task = TASKS[model]
    pictures, labels, others = [], [], []
    for picture, made in (*crops_of_scenes(split, scenes), *photos(split, close_ups)):
        label = task.label(made)
        if label is None:
            others.append(picture)
        else:
            pictures.append(picture)
            labels.append(task.labels.index(label))
    known = len(pictures)
    pictures += others[:: -(-len(others) // int(OTHERS * known))] if others else []
    outside, first = int(OUTSIDE * known), _FIRST_OUTSIDE[split]
    if photographs:
        parts = photograph_parts(photographs, split, int(PHOTOGRAPHED * outside), CROP, CROP)
        pictures += parts
        outside -= len(parts)
    pictures += outside_crops(range(first, first + outside))
    labels += [len(task.labels)] * (len(pictures) - known)
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return stacked, torch.tensor(labels)


@torch.inference_mode()
def calibrate_on_validation(network: Network, model: str) -> float:
    """Calibrates a network on the validation split's pictures of the world, in place.

    `unknown` is made as likely as it may be for `SPARED` of the world's pictures to get it.

    Returns:
        The temperature.
    """
    pictures, labels = examples(model, "validation", CALIBRATION_SCENES, CALIBRATION_CLOSE_UPS)
    size, unknown = TASKS[model].size, len(TASKS[model].labels)
    logits = torch.cat(
        [
            logits_of(network, network_input(some.float() / 255, size))
            for some in pictures.split(256)
        ]
    )
    of_world = logits[labels < unknown]
    shift = (of_world[:, unknown] - of_world[:, :unknown].amax(dim=1)).quantile(1 - SPARED)
    last_layer(network)[1].bias[unknown] -= shift
    # Of the others there may be any number: what a score says is of the world.
    of_world[:, unknown] -= shift
    return calibrate(network, of_world, labels[labels < unknown])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=TASKS)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--close-ups", type=int, default=9000)
    add_photographs(parser)
    parser.add_argument("--start", type=Path, help="weights to go on from; default: none")
    parser.add_argument(
        "--only-familiarity",
        action="store_true",
        help="leave the weights of --output as they are, and fit what is beside them",
    )
    fitting.add_arguments(parser, batch_size=64)
    parser.set_defaults(learning_rate=2e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    task = TASKS[args.model]
    args.steps = args.steps or task.steps
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network, save = task.builder((*task.labels, UNKNOWN), task.size)
    if args.only_familiarity:
        fitting.go_on_from(network, load_file(args.output / "model.safetensors"))
        fit_familiarity(network.eval(), args)
        return
    teacher = None
    if args.start is not None:
        fitting.go_on_from(network, load_file(args.start / "model.safetensors"))
        teacher = copy.deepcopy(network).eval()
    # Convolutions on a CPU are half as fast again this way.
    network.to(memory_format=torch.channels_last)
    pictures, labels = examples(args.model, "train", args.scenes, args.close_ups, args.photographs)
    logger.info(
        "%.2f M parameters, %d pictures",
        sum(each.numel() for each in network.parameters()) / 1e6,
        len(pictures),
    )
    loss = ClassifierLoss(network, teacher)
    fitting.fit(loss, batches(pictures, labels, task.size, args), args)
    logger.info("temperature %.3f", calibrate_on_validation(network, args.model))
    # timm saves no others.
    network.to(memory_format=torch.contiguous_format)
    save(args.output)
    if task.familiar:
        fit_familiarity(network, args)


def fit_familiarity(network: Network, args: argparse.Namespace) -> None:
    """Writes how far pictures may be from the network's own, see `familiarity.fit`."""
    size = TASKS[args.model].size
    of_training = examples(args.model, "train", args.scenes, args.close_ups)
    held_back = examples(
        args.model,
        "validation",
        CALIBRATION_SCENES,
        CALIBRATION_CLOSE_UPS,
        args.photographs,
    )
    train, validation = (
        (network_input(pictures.float() / 255, size), labels)
        for pictures, labels in (of_training, held_back)
    )
    familiarity.fit(network, train, validation, args.output)


if __name__ == "__main__":
    main()
