"""Train the embedded captioner on scenes, their objects in boxes, close-ups and outside pictures.

    python -m zoo.train_image_captioning --output model-settings/image-captioning/embedded

The encoder begins as the embedded detector's. All but its last stage stays so for `--steps` steps,
for which what it makes of pictures is computed once; `--fine-tune` steps of the whole network
follow.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from zoo import caption_data, fitting
from zoo.calibration import divide_logits, fit_temperature
from zoo.caption_data import COLUMNS, ROWS, Example
from zoo.captions import KINDS
from zoo.image_to_text import build_captioner
from zoo.vision_data import CACHE

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 192, 112
VALIDATION = 200
"""Scenes on which scores are calibrated."""
DETECTOR = Path("model-settings/object-detection/embedded/model.safetensors")
_BODY = "backbone.body."
_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
_DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


class CaptionLoss(nn.Module):
    """A captioner whose output has the `loss` of captions, and of what is where.

    The second is a detector's, of a layer that is not kept: it has the encoder's cells say which
    kinds have their middle in them, from which the decoder learns to count much sooner.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        body = network.encoder.timm_model
        self.stem = nn.Sequential(
            body.conv1, body.bn1, body.act1, body.maxpool, body.layer1, body.layer2, body.layer3
        )
        self.last = body.layer4
        self.where = nn.Linear(network.config.encoder.hidden_size, len(KINDS))
        nn.init.constant_(self.where.bias, -4.6)

    def forward(
        self,
        labels: torch.Tensor,
        kinds: torch.Tensor,
        maps: torch.Tensor | None = None,
        pixels: torch.Tensor | None = None,
    ) -> SimpleNamespace:
        """Of pictures as `pixels`, or as the `maps` that `stem` makes of them.

        Args:
            labels: INT64 [n, tokens], -100 past the end.
            kinds: FP32 [n, cells, kinds]: 1 where one has its middle.
            maps: FP32 [n, channels, HEIGHT / 16, WIDTH / 16].
            pixels: FP32 [n, 3, HEIGHT, WIDTH].
        """
        last = self.last(self.stem(pixels) if maps is None else maps)
        said = nn.functional.cross_entropy(
            self.logits(last, labels).flatten(0, 1), labels.flatten()
        )
        cells = nn.functional.adaptive_avg_pool2d(last, (ROWS, COLUMNS)).flatten(2).transpose(1, 2)
        found = sigmoid_focal_loss(self.where(cells), kinds, reduction="sum")
        return SimpleNamespace(loss=said + found / kinds.sum().clamp_min(1))

    def logits(self, last: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """FP32 [n, tokens, words]: each token after the true ones before it.

        Args:
            last: The encoder's last map, FP32 [n, channels, rows, columns].
            labels: INT64 [n, tokens], -100 past the end.
        """
        starts = torch.full_like(labels[:, :1], self.network.config.decoder_start_token_id)
        read = torch.cat([starts, labels[:, :-1]], dim=1).clamp_min(0)
        seen = last.flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.network.decoder(
            input_ids=read, encoder_hidden_states=seen, use_cache=False
        ).logits
        return logits

    @torch.inference_mode()
    def calibrate(self, examples: Sequence[Example], tokenizer: Any) -> float:
        """Divides the decoder's logits by the temperature that fits examples best, and gives it."""
        self.eval()
        rng, logits, labels = random.Random(0), [], []
        for first in range(0, len(examples), 32):
            some = examples[first : first + 32]
            plain = [False] * len(some)
            true = targets(some, tokenizer, plain)["labels"]
            last = self.last(self.stem(network_input(some, rng, plain)))
            logits.append(self.logits(last, true)[true >= 0])
            labels.append(true[true >= 0])
        temperature = fit_temperature(torch.cat(logits), torch.cat(labels))
        divide_logits(self.network.decoder.output_projection, temperature)
        return temperature


def start_from_detector(network: Any, detector: Path = DETECTOR) -> None:
    """Has the encoder begin with the weights that a detector's has, in place."""
    weights = {
        name.removeprefix(_BODY): value.float() if value.is_floating_point() else value
        for name, value in load_file(detector).items()
        if name.startswith(_BODY)
    }
    missing, unexpected = network.encoder.timm_model.load_state_dict(weights, strict=False)
    strange = [name for name in missing if not name.startswith("layer4.")]
    if unexpected or strange:
        raise ValueError(f"'{detector}' is of another network: {[*unexpected, *strange][:3]}")


def network_input(
    some: Sequence[Example], rng: random.Random, mirrored: Sequence[bool]
) -> torch.Tensor:
    """FP32 [n, 3, HEIGHT, WIDTH] of pictures, mirrored or not, in other light."""
    pixels = torch.from_numpy(np.stack([each.pixels for each in some])).permute(0, 3, 1, 2) / 255
    pixels = nn.functional.interpolate(pixels, (HEIGHT, WIDTH), mode="bilinear", antialias=True)
    light = torch.tensor([rng.uniform(0.8, 1.2) for _ in some])[:, None, None, None]
    pixels = ((pixels * light).clamp_(0, 1) - _MEAN) / _DEVIATION
    return torch.where(torch.tensor(mirrored)[:, None, None, None], pixels.flip(3), pixels)


def targets(
    some: Sequence[Example], tokenizer: Any, mirrored: Sequence[bool]
) -> dict[str, torch.Tensor]:
    """`labels` and `kinds` of examples."""
    kinds = torch.zeros(len(some), ROWS, COLUMNS, len(KINDS))
    for index, (each, mirror) in enumerate(zip(some, mirrored, strict=True)):
        for number, row, column in each.cells.tolist():
            kinds[index, row, COLUMNS - 1 - column if mirror else column, number] = 1
    texts = tokenizer([each.caption for each in some], padding=True, return_tensors="pt")
    labels = texts.input_ids.masked_fill(texts.attention_mask == 0, -100)
    return {"labels": labels, "kinds": kinds.flatten(1, 2)}


def batches(
    examples: Sequence[Example],
    tokenizer: Any,
    args: argparse.Namespace,
    save: Callable[[], None],
    maps: torch.Tensor | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of examples, half of them mirrored; all recur, in a new order.

    Args:
        examples: What is shown.
        tokenizer: Of captions.
        args: The arguments of the training.
        save: Called every `--save-every` steps.
        maps: FP16 [2 * n, ...] of the examples and then of their mirrored copies, to be given
            instead of pixels.
    """
    rng = random.Random(args.seed)
    choices = [(index, mirror) for mirror in (False, True) for index in range(len(examples))]
    order: list[int] = []
    for step in range(args.steps):
        if len(order) < args.batch_size:
            order = rng.sample(range(len(choices)), len(choices))
        chosen = [order.pop() for _ in range(args.batch_size)]
        some = [examples[choices[each][0]] for each in chosen]
        mirrored = [choices[each][1] for each in chosen]
        batch = targets(some, tokenizer, mirrored)
        if maps is None:
            yield batch | {"pixels": network_input(some, rng, mirrored)}
        else:
            yield batch | {"maps": maps[chosen].float()}
        if args.save_every and (step + 1) % args.save_every == 0:
            save()


@torch.inference_mode()
def stem_maps(stem: nn.Module, examples: Sequence[Example], seed: int = 0) -> torch.Tensor:
    """What the frozen stages make of examples, and then of their mirrored copies.

    Kept in `zoo/.cache`: it takes longer than some hundreds of steps.

    Args:
        stem: The frozen stages.
        examples: n of them.
        seed: Of the light.

    Returns:
        FP16 [2, n, channels, HEIGHT / 16, WIDTH / 16]
    """
    digest = hashlib.sha256(f"{seed}".encode())
    for value in (*(each.pixels for each in examples), *map(_numbers, stem.state_dict().values())):
        digest.update(value.tobytes())
    path = CACHE / f"caption-maps-{digest.hexdigest()[:12]}.safetensors"
    if not path.exists():
        stem.eval()
        rng = random.Random(seed)
        copies = []
        for mirrored in (False, True):
            parts = [examples[first : first + 32] for first in range(0, len(examples), 32)]
            inputs = (network_input(part, rng, [mirrored] * len(part)) for part in parts)
            copies.append(torch.cat([stem(pixels).half().contiguous() for pixels in inputs]))
        partial = path.with_suffix(f".{os.getpid()}")
        save_file({"maps": torch.stack(copies)}, partial)
        partial.rename(path)
    return load_file(path)["maps"]


def _numbers(value: torch.Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = value.numpy()
    return array


def save(network: Any, folder: Path) -> None:
    """Writes a checkpoint's weights and configuration, in FP16."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    network.save_pretrained(folder, state_dict=state)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a captioner to go on from; default: none")
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--close-ups", type=int, default=300)
    parser.add_argument("--outside", type=int, default=300)
    parser.add_argument("--fine-tune", type=int, default=0, help="steps of the whole network")
    parser.add_argument("--save-every", type=int, default=0, help="steps; default: at the end")
    fitting.add_arguments(parser, batch_size=32)
    parser.set_defaults(learning_rate=2e-3, log_every=50)
    args = parser.parse_args(argv)
    args.steps = 2000 if args.steps is None else args.steps
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network, processor, tokenizer = build_captioner(None, height=HEIGHT, width=WIDTH)
    if args.start is None:
        start_from_detector(network)
    else:
        weights = load_file(args.start / "model.safetensors")
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    for part in (processor, tokenizer):
        part.save_pretrained(args.output)
    parts = caption_data.parts("train", args.scenes)
    parts += [caption_data.close_ups("train", args.close_ups)]
    parts += [caption_data.outside_examples(args.outside)]
    parts = [part for part in parts if part]
    examples = [each for part in parts for each in part]
    parameters = sum(each.numel() for each in network.parameters())
    logger.info("%.2f M parameters, %d pictures", parameters / 1e6, len(examples))
    model = CaptionLoss(network)
    keep = functools.partial(save, network, args.output)
    if args.steps:
        model.stem.requires_grad_(False)
        maps = torch.cat([stem_maps(model.stem, part) for part in parts], dim=1).flatten(0, 1)
        fitting.fit(model, batches(examples, tokenizer, args, keep, maps), args)
    if args.fine_tune:
        model.requires_grad_(True)
        args.steps, args.learning_rate = args.fine_tune, args.learning_rate / 4
        fitting.fit(model, batches(examples, tokenizer, args, keep), args)
    validation = [each for part in caption_data.parts("validation", VALIDATION) for each in part]
    logger.info("temperature %.3f", model.calibrate(validation, tokenizer))
    keep()


if __name__ == "__main__":
    main()
