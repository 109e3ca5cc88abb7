"""Train the two parts of plate reading from scratch: what finds a plate, and what reads it.

    python -m zoo.train_plate_reading --output model-settings/plate-reading/embedded

The reader goes to the output folder, the locator to the folder `locator` beside it.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from infergraph.tasks.checkpoints.torchvision_checkpoint import build_network, save
from zoo import fitting
from zoo.image_to_text import build_reader
from zoo.plate_data import (
    PLATE_HEIGHT,
    PLATE_WIDTH,
    VEHICLE_HEIGHT,
    VEHICLE_WIDTH,
    PlateExample,
    bystanders,
    drawn_plates,
    vehicles,
)
from zoo.train_object_detection import DetectorLoss, outside_examples
from zoo.train_object_detection import batches as detector_batches

logger = logging.getLogger(__name__)

LOCATOR: dict[str, Any] = {
    "architecture": "compact-fcos",
    "arguments": {
        "backbone": "resnet10t",
        "backbone_arguments": {"channels": [16, 24, 32, 48], "stem_width": 16},
        "channels": 32,
        "head_convs": 1,
        "min_size": VEHICLE_HEIGHT,
        "max_size": VEHICLE_WIDTH,
        "fixed_size": [VEHICLE_WIDTH, VEHICLE_HEIGHT],
    },
    "labels": ["plate"],
}
PARTS = ("locator", "reader")
LOCATOR_STEPS, LOCATOR_BATCH = 700, 32
# How many more pictures than vehicles are not of the world, and have no plate.
OUTSIDE = 0.3


def reader_batches(
    plates: Sequence[PlateExample], tokenizer: Any, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of plates, in other light; they recur in a new order."""
    rng = random.Random(args.seed)
    order: list[int] = []
    for _ in range(args.steps):
        if len(order) < args.batch_size:
            order = rng.sample(range(len(plates)), len(plates))
        chosen = [plates[order.pop()] for _ in range(args.batch_size)]
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in chosen])).permute(0, 3, 1, 2)
        light = torch.tensor([rng.uniform(0.8, 1.2) for _ in chosen])[:, None, None, None]
        labels = tokenizer([text for _, text in chosen], padding=True, return_tensors="pt")
        yield {
            "pixel_values": (pixels * (light / 127.5) - 1).clamp_(-1, 1),
            "labels": labels.input_ids.masked_fill(labels.attention_mask == 0, -100),
        }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a locator to go on from; default: none")
    parser.add_argument("--shift", type=float, default=0.0, help="added to the locator's logits")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--close-ups", type=int, default=4000)
    parser.add_argument("--plates", type=int, default=60_000, help="drawn by themselves")
    fitting.add_arguments(parser, batch_size=64)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    args.steps = args.steps or 6000
    torch.set_num_threads(args.threads)
    examples = vehicles("train", args.scenes, args.close_ups)
    if "locator" in args.parts:
        torch.manual_seed(args.seed)
        network = build_network(LOCATOR)
        if args.start is not None:
            network.load_state_dict(load_file(args.start / "model.safetensors"))
        steps = min(args.steps, LOCATOR_STEPS)
        searched = [each for each, _ in examples]
        searched += outside_examples(int(OUTSIDE * len(examples)), VEHICLE_WIDTH, VEHICLE_HEIGHT)
        searched += bystanders("train", args.scenes)
        data = detector_batches(searched, args.seed, LOCATOR_BATCH, steps)
        rate = {"learning_rate": 2 * args.learning_rate}
        locator_args = argparse.Namespace(**{**vars(args), "steps": steps, **rate})
        fitting.fit(DetectorLoss(network), data, locator_args)
        with torch.no_grad():
            network.head.classification_head.cls_logits.bias += args.shift
        save(args.output.parent / "locator", network, LOCATOR)
    if "reader" in args.parts:
        torch.manual_seed(args.seed)
        plates = [plate for _, plate in examples if plate is not None]
        plates += drawn_plates("train", args.plates)
        reader, processor, tokenizer = build_reader(None, height=PLATE_HEIGHT, width=PLATE_WIDTH)
        logger.info("%d plates", len(plates))
        fitting.fit(reader, reader_batches(plates, tokenizer, args), args)
        for part in (reader.half(), processor, tokenizer):
            part.save_pretrained(args.output)


if __name__ == "__main__":
    main()
