"""Train the embedded checkpoint of text-detection from scratch, on scenes with rendered signs.

    python -m zoo.train_text_detection --output model-settings/text-detection/embedded

The network gives a map of how probably each pixel is in the kernel of a line of text. It learns
with the losses of differentiable binarisation (DB): cross entropy, on all pixels of kernels and on
the hardest of the others, and the dice of the whole map.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers as hf

from infergraph.tasks.vision.text_map import LineRules, find_lines
from zoo import fitting
from zoo.evaluate_text_detection import is_unread, matches
from zoo.lcnet import backbone, begun, settle, whole, without_branches
from zoo.signs import SignScene, sign_scene
from zoo.text_detection_data import UNCLIP_RATIO, WindowExample, windows

logger = logging.getLogger(__name__)

PARTS = 8
LONGEST_SIDE = 640
_ROUNDS = 2.0
"""How often windows have been seen, on average, before more are taken."""
_VALIDATION = 1_000_000
"""The first seed of scenes that no training has."""
_SHIFTS = (-2.0, -1.0, -0.5, 0.0, 0.5)
_SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)
_OVERLAPS = (0.5, 0.7)
"""Where lines count as found when the map is calibrated: at 0.5 alone they may be much too large
for a reader."""
RULES = LineRules(
    map_threshold=0.3, threshold=0.6, unclip_ratio=UNCLIP_RATIO, min_side=3.0, max_candidates=1000
)
"""Those of text detection's settings."""
_HARD = 3
"""How many pixels outside of kernels count for each one inside."""


def build_network() -> Any:
    """The network, random, and without the branches that `whole` adds."""
    blocks = [
        [[3, 8, 16, 1, False]],
        [[3, 16, 32, 2, False]],
        [[3, 32, 64, 2, False]],
        [[3, 64, 128, 2, False], [5, 128, 128, 1, False]],
        [[5, 128, 192, 2, True], [5, 192, 192, 1, True]],
    ]
    config = hf.PPOCRV5MobileDetConfig(
        backbone_config=backbone(8, blocks),
        neck_out_channels=48,
        layer_list_out_channels=[16, 24, 32, 64],
    )
    return begun(without_branches(hf.PPOCRV5MobileDetForObjectDetection(config)))


def processor() -> Any:
    """What the network's input is made with."""
    return hf.PPOCRV5ServerDetImageProcessor(limit_side_len=LONGEST_SIDE, limit_type="max")


def network_input(pixels: torch.Tensor) -> torch.Tensor:
    """RGB UINT8 [batch, height, width, 3] as the processor gives it: FP32 [batch, 3, ...]."""
    mean = torch.tensor(hf.PPOCRV5ServerDetImageProcessor.image_mean)
    std = torch.tensor(hf.PPOCRV5ServerDetImageProcessor.image_std)
    return ((pixels.float() / 255 - mean) / std).flip(3).permute(0, 3, 1, 2)


class DetectionLoss(torch.nn.Module):
    """A detector whose call gives DB's losses."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, pixels: torch.Tensor, kernels: torch.Tensor, unknown: torch.Tensor
    ) -> SimpleNamespace:
        found = self.network(pixels).last_hidden_state[:, 0].clamp(1e-4, 1 - 1e-4)
        counts = (~unknown).float()
        each = F.binary_cross_entropy(found, kernels, reduction="none") * counts
        inside, outside = each[kernels > 0], (each * (1 - kernels)).flatten()
        hardest = outside.topk(min(len(outside), max(_HARD * len(inside), 2000))).values
        entropy = (inside.sum() + hardest.sum()) / (len(inside) + len(hardest))
        common = (found * kernels * counts).sum()
        dice = 1 - 2 * common / ((found * counts).sum() + (kernels * counts).sum() + 1e-3)
        return SimpleNamespace(loss=2 * entropy + dice)


def batch_of(
    examples: Sequence[WindowExample], draws: np.random.Generator
) -> dict[str, torch.Tensor]:
    """A batch of windows, some of them mirrored, in other colours and light."""
    pixels = np.stack([pixels for pixels, _, _ in examples])[..., draws.permutation(3)]
    count = len(examples)
    negative = draws.random((count, 1, 1, 1)) < 0.3
    light = draws.uniform(0.6, 1.3, (count, 1, 1, 1)).astype(np.float32)
    pixels = (np.where(negative, 255 - pixels, pixels) * light).clip(0, 255).astype(np.uint8)
    maps = np.stack([kernels for _, kernels, _ in examples]).astype(np.float32)
    unknown = np.stack([unknown for _, _, unknown in examples])
    axes = tuple(axis for axis in (1, 2) if draws.random() < 0.3)
    return {
        "pixels": network_input(torch.from_numpy(np.flip(pixels, axes).copy())),
        "kernels": torch.from_numpy(np.flip(maps, axes).copy()),
        "unknown": torch.from_numpy(np.flip(unknown, axes).copy()),
    }


def batches(
    network: Any, args: argparse.Namespace, output: Path
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of windows; saves the network every so many steps."""
    rng, draws = random.Random(args.seed), np.random.default_rng(args.seed)
    known: list[WindowExample] = []
    order: list[WindowExample] = []
    seen, part = 0, 0
    for step in range(args.steps):
        if len(order) < args.batch_size:
            if part < args.parts and seen >= _ROUNDS * len(known):
                known += windows("train", part)
                part += 1
            order = rng.sample(known, len(known))
        examples = [order.pop() for _ in range(args.batch_size)]
        seen += len(examples)
        yield batch_of(examples, draws)
        if (step + 1) % args.save_every == 0:
            save(network, output)


@torch.inference_mode()
def calibrate(network: Any, scenes: Sequence[SignScene]) -> tuple[float, float, float]:
    """Shifts and scales the map's logits for DB's usual thresholds to find lines best, in place.

    Returns:
        What is added to the logits, by what they are then multiplied, and the harmonic mean of
        recall and precision of lines that this gives, over `_OVERLAPS` together.
    """
    network.train(False)
    logits = [
        network(network_input(torch.from_numpy(np.array(made.image))[None]))
        .last_hidden_state[0, 0]
        .logit(1e-6)
        for made in scenes
    ]
    tried = [(_hmean(logits, scenes, *each), *each) for each in itertools.product(_SHIFTS, _SCALES)]
    hmean, shift, scale = max(tried)
    last = network.head.conv_final
    last.bias.copy_((last.bias + shift) * scale)
    last.weight.mul_(scale)
    return shift, scale, hmean


def _hmean(
    logits: Sequence[torch.Tensor], scenes: Sequence[SignScene], shift: float, scale: float
) -> float:
    right, found, wanted = 0, 0, 0
    for each, made in zip(logits, scenes, strict=True):
        quads, _ = find_lines(((each + shift) * scale).sigmoid().numpy(), RULES)
        for least in _OVERLAPS:
            matched = matches(quads, [line.quad for line in made.lines], least)
            right += len(matched)
            wanted += len(made.lines)
            found += sum(
                number in matched or not is_unread(quad, made.unread)
                for number, quad in enumerate(quads)
            )
    return 2 * right / max(found + wanted, 1)


def save(network: Any, output: Path) -> None:
    """Writes the checkpoint that a servable loads, with all branches, in half precision."""
    fresh = hf.PPOCRV5MobileDetForObjectDetection(network.config)
    down = whole(fresh, network.state_dict()).head.conv_down
    with torch.no_grad():
        # Its variances are beyond half precision; the same, in smaller numbers.
        scale = down.norm.running_var.mean().rsqrt()
        for values, factor in (
            (down.convolution.weight, scale),
            (down.norm.running_mean, scale),
            (down.norm.running_var, scale**2),
        ):
            values.mul_(factor)
    fresh.half().save_pretrained(output)
    processor().save_pretrained(output)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    parser.add_argument("--parts", type=int, default=PARTS, help="of the rendered windows")
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument(
        "--validation", type=int, default=48, help="scenes to settle and calibrate on"
    )
    fitting.add_arguments(parser, batch_size=8)
    parser.set_defaults(learning_rate=3e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    args.steps = 9000 if args.steps is None else args.steps
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network = build_network()
    if args.start is not None:
        trained = hf.PPOCRV5MobileDetForObjectDetection.from_pretrained(
            args.start, dtype=torch.float32
        )
        network.load_state_dict(without_branches(trained).state_dict())
    network.to(memory_format=torch.channels_last)
    if args.steps:
        fitting.fit(DetectionLoss(network), batches(network, args, args.output), args)
    first = _VALIDATION
    scenes = [sign_scene(seed, "train") for seed in range(first, first + args.validation)]
    images = torch.from_numpy(np.stack([np.array(made.image) for made in scenes]))
    # Scenes are less full of text than windows.
    settle(network, map(network_input, torch.split(images, args.batch_size)))
    logger.info("logits + %.1f, x %.1f: hmean %.3f", *calibrate(network, scenes))
    save(network, args.output)


if __name__ == "__main__":
    main()
