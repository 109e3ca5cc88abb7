"""Train the embedded checkpoint of digit-reading from scratch, on the score of `zoo.game_frames`.

    python -m zoo.train_digit_reading --output model-settings/digit-reading/embedded

A LeNet-5 learns the digit in a cell; one more label, `unknown`, is of cells that show none.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from zoo import fitting
from zoo.calibration import calibrate
from zoo.game_frames import DIGIT_BOXES, LABELS, frame
from zoo.outside_texts import UNKNOWN
from zoo.train_image_classification import (
    ClassifierLoss,
    logits_of,
    network_input,
    torchvision_builder,
)

logger = logging.getLogger(__name__)

SIZE = 28
FRAMES = 3000
VALIDATION_FRAMES = 200
_BLANK_FRAMES = 3
"""Every so many frames has cells without digits."""


def cells(split: str, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The cells of frames, UINT8 [6 * frames, 3, h, w], and their labels INT64."""
    pictures, labels = [], []
    for seed in range(frames):
        made = frame(seed, split, blanks=seed % _BLANK_FRAMES == 0, icons=False)
        pixels = np.asarray(made.image)
        for sign, (x1, y1, x2, y2) in zip(made.number, DIGIT_BOXES, strict=True):
            pictures.append(pixels[y1:y2, x1:x2])
            labels.append(LABELS.index(sign) if sign in LABELS else len(LABELS))
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return stacked, torch.tensor(labels)


def batches(
    pictures: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of cells in other light, some of them as a negative."""
    draws = torch.Generator().manual_seed(args.seed)
    # Resized once: that takes longer than a step of so small a network.
    resized = torch.cat([_network_input(some) for some in pictures.split(512)])
    for _ in range(args.steps):
        chosen = torch.randint(len(resized), (args.batch_size,), generator=draws)
        pixels = resized[chosen]
        light = torch.rand(args.batch_size, 1, 1, 1, generator=draws)
        negative = torch.rand(args.batch_size, 1, 1, 1, generator=draws) < 0.3
        pixels = torch.where(negative, -pixels, pixels) * (0.7 + 0.6 * light)
        yield {"pixels": pixels, "labels": labels[chosen]}


def _network_input(pictures: torch.Tensor) -> torch.Tensor:
    return network_input(pictures.float() / 255, SIZE)


@torch.inference_mode()
def logits(network: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """FP32 [n, labels] of cells."""
    return torch.cat([logits_of(network, _network_input(some)) for some in pictures.split(512)])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=FRAMES)
    fitting.add_arguments(parser, batch_size=128)
    parser.set_defaults(learning_rate=2e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    args.steps = args.steps or 4000
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network, save = torchvision_builder("lenet")((*LABELS, UNKNOWN), SIZE)
    pictures, labels = cells("train", args.frames)
    logger.info("%d cells", len(pictures))
    fitting.fit(ClassifierLoss(network), batches(pictures, labels, args), args)
    pictures, labels = cells("validation", VALIDATION_FRAMES)
    logger.info("temperature %.3f", calibrate(network, logits(network, pictures), labels))
    save(args.output)


if __name__ == "__main__":
    main()
