"""Train an embedded detector from scratch on rendered scenes: a small FCOS of torchvision's.

python -m zoo.train_object_detection --output model-settings/object-detection/embedded
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from infergraph.tasks.checkpoints.torchvision_checkpoint import build_network, save
from zoo import fitting
from zoo.outside_pictures import outside_picture
from zoo.scenes import CLASSES
from zoo.vision_data import PHOTOGRAPHED, add_photographs, detection_examples, photograph_parts

logger = logging.getLogger(__name__)

Example = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""image UINT8 [height, width, 3], boxes FP32 [n, 4], classes INT64 [n]"""

WIDTH, HEIGHT = 320, 192
STEPS = 2400

CONFIG: dict[str, Any] = {
    "architecture": "compact-fcos",
    "arguments": {
        "backbone": "resnet10t",
        "backbone_arguments": {"channels": [32, 64, 96, 128], "stem_width": 16},
        "channels": 64,
        "head_convs": 2,
        "min_size": HEIGHT,
        "max_size": WIDTH,
        "nms_threshold": 0.5,
    },
    "labels": list(CLASSES),
}


def outside_examples(
    count: int, width: int, height: int, photographs: Sequence[Path] = ()
) -> list[Example]:
    """`count` pictures of the training split in which there is nothing to find.

    `PHOTOGRAPHED` of them are out of the folders `photographs`, if any.
    """
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    pictures = []
    if photographs:
        share = int(PHOTOGRAPHED * count)
        pictures = photograph_parts(photographs, "train", share, width, height)
    drawn = range(count - len(pictures))
    pictures += [outside_picture(seed, "train", width, height) for seed in drawn]
    return [(picture, *nothing) for picture in pictures]


class DetectorLoss(torch.nn.Module):
    """A torchvision detector whose output has the sum of its losses as `loss`."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: list[torch.Tensor], targets: list[dict[str, torch.Tensor]]
    ) -> SimpleNamespace:
        return SimpleNamespace(loss=sum(self.network(images, targets).values()))


def batches(
    examples: Sequence[Example], seed: int, size: int, steps: int
) -> Iterator[dict[str, Any]]:
    """Batches of examples, half of them mirrored, in other light; all recur, in a new order."""
    rng = random.Random(seed)
    order: list[int] = []
    for _ in range(steps):
        if len(order) < size:
            order = rng.sample(range(len(examples)), len(examples))
        chosen = [_augmented(rng, examples[order.pop()]) for _ in range(size)]
        yield {
            "images": [image for image, _ in chosen],
            "targets": [target for _, target in chosen],
        }


def _augmented(
    rng: random.Random, example: Example
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    pixels, boxes, classes = example
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255
    image = (image * rng.uniform(0.8, 1.2)).clamp_(0, 1)
    placed = torch.from_numpy(boxes.copy())
    if rng.random() < 0.5:
        image = image.flip(2)
        placed[:, [0, 2]] = image.shape[2] - placed[:, [2, 0]]
    return image, {"boxes": placed, "labels": torch.from_numpy(classes)}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=5000)
    parser.add_argument("--outside", type=int, default=2000, help="pictures of nothing")
    add_photographs(parser)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    parser.add_argument("--shift", type=float, default=0.0, help="added to all classes' logits")
    parser.add_argument("--output", type=Path, required=True)
    fitting.add_arguments(parser, batch_size=16)
    parser.set_defaults(learning_rate=2e-3, log_every=50)
    args = parser.parse_args(argv)
    args.steps = args.steps or STEPS
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network = build_network(CONFIG)
    if args.start is not None:
        network.load_state_dict(load_file(args.start / "model.safetensors"))
    examples = detection_examples("train", args.scenes, WIDTH, HEIGHT)
    examples += outside_examples(args.outside, WIDTH, HEIGHT, args.photographs)
    logger.info(
        "%.2f M parameters, %d pictures",
        sum(each.numel() for each in network.parameters()) / 1e6,
        len(examples),
    )
    data = batches(examples, args.seed, args.batch_size, args.steps)
    fitting.fit(DetectorLoss(network), data, args)
    with torch.no_grad():
        network.head.classification_head.cls_logits.bias += args.shift
    save(args.output, network, CONFIG)


if __name__ == "__main__":
    main()
