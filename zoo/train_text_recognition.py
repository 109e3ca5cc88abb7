"""Train the embedded checkpoint of text-recognition from scratch, on lines of rendered signs.

    python -m zoo.train_text_recognition --output model-settings/text-recognition/embedded

CTC alone takes long to find where letters are. The renderer knows, so at first each step of the
network also learns the letter in its place; how much that counts goes down to nothing.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers as hf

from infergraph.tasks.text_recognition import TextRecognition
from infergraph.tasks.vision.text_reader import Reading
from zoo import fitting
from zoo.calibration import divide_logits
from zoo.evaluate_text_detection import load
from zoo.evaluate_text_recognition import FOLDER
from zoo.lcnet import backbone, settle, whole, without_branches
from zoo.signs import CHARACTERS, LANGUAGES, wording
from zoo.speech_language_model import write_language_model
from zoo.text_recognition_data import (
    HEIGHT,
    STEP,
    WIDTHS,
    LineExample,
    frames,
    labels,
    lines,
    network_input,
    padded_width,
)
from zoo.world import vocabulary

logger = logging.getLogger(__name__)

CLASSES = ["blank", *CHARACTERS]
PARTS = 11
_ROUNDS = 1.5
"""How often lines have been seen, on average, before more are taken."""
_VALIDATION = PARTS
"""The part of the rendered lines that no training has."""
_SIGNS = 10_000
"""Of which the language model is."""
_WEIGHTS = {"alpha": 0.3, "beta": 1.0, "unk_score_offset": -5.0}
"""Chosen by lines in training fonts."""
_PLACES_UNTIL = 0.4
"""The share of the training in which letters' places count."""


def build_network() -> Any:
    """The network, random, and without the branches that `whole` adds."""
    high, small = [2, 1], 3
    # No squeeze and excitation: it would see the padding of all of a line.
    blocks = [
        [[small, 16, 32, high, False]],
        [[small, 32, 64, 1, False]],
        [[small, 64, 128, high, False]],
        [[small, 128, 128, 1, False]],
        # Wide: all that the head knows of a step passes through an eighth of these channels.
        [[small, 128, 384, 1, False]],
    ]
    config = hf.PPOCRV5MobileRecConfig(
        backbone_config=backbone(16, blocks),
        hidden_size=96,
        depth=2,
        num_attention_heads=4,
        head_out_channels=len(CLASSES),
    )
    return without_branches(hf.PPOCRV5MobileRecForTextRecognition(config))


def processor() -> Any:
    """What the network's input is made with."""
    return hf.PPOCRV5ServerRecImageProcessor(
        size={"height": HEIGHT, "width": 10 * HEIGHT},
        # Lines are filled up to a multiple of this only.
        pad_size={"height": HEIGHT, "width": WIDTHS},
        max_image_width=2048,
        character_list=CLASSES,
    )


def logits_of(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    """FP32 [batch, steps, classes], what the softmax of the network is of."""
    hidden = network.model(pixels).last_hidden_state
    logits: torch.Tensor = network.head.head(network.head.encoder(hidden).last_hidden_state)
    return logits


class RecognitionLoss(torch.nn.Module):
    """A recogniser whose call gives the CTC loss, and that of the letters' places."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        pixels: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor,
        places: torch.Tensor,
        share: float,
    ) -> SimpleNamespace:
        logits = logits_of(self.network, pixels)
        steps = torch.full_like(lengths, logits.shape[1])
        scores = logits.log_softmax(dim=2).transpose(0, 1)
        loss = F.ctc_loss(scores, targets, steps, lengths, zero_infinity=True)
        if share > 0:
            weight = torch.ones(logits.shape[2])
            weight[0] = 0.3
            loss = loss + share * F.cross_entropy(logits.flatten(0, 1), places.flatten(), weight)
        return SimpleNamespace(loss=loss)


def batch_of(examples: Sequence[LineExample], draws: np.random.Generator) -> dict[str, Any]:
    """A batch of lines of one padded width, in other colours and light."""
    pixels = np.stack([network_input(pixels) for pixels, _, _ in examples])
    count = len(examples)
    pixels = pixels[:, draws.permutation(3)]
    pixels *= np.where(draws.random((count, 1, 1, 1)) < 0.4, -1, 1).astype(np.float32)
    pixels *= draws.uniform(0.6, 1.2, (count, 1, 1, 1)).astype(np.float32)
    pixels += draws.uniform(-0.25, 0.25, (count, 1, 1, 1)).astype(np.float32)
    steps = pixels.shape[3] // STEP
    wanted = [labels(text) for _, text, _ in examples]
    return {
        "pixels": torch.from_numpy(pixels).clamp_(-1, 1),
        "targets": torch.tensor([label for some in wanted for label in some]),
        "lengths": torch.tensor([len(some) for some in wanted]),
        "places": torch.from_numpy(
            np.stack([frames(text, middles, steps) for _, text, middles in examples])
        ),
    }


def batches(network: Any, args: argparse.Namespace, output: Path) -> Iterator[dict[str, Any]]:
    """Batches of lines of like width; saves the network every so many steps."""
    rng, draws = random.Random(args.seed), np.random.default_rng(args.seed)
    known: list[LineExample] = []
    queue: list[list[LineExample]] = []
    seen, part = 0, 0
    for step in range(args.steps):
        if not queue:
            if part < args.parts and seen >= _ROUNDS * len(known):
                known += lines("train", args.first_part + part)
                part += 1
            by_width: dict[int, list[LineExample]] = {}
            for each in rng.sample(known, len(known)):
                by_width.setdefault(padded_width(each[0].shape[1]), []).append(each)
            for width, some in by_width.items():
                # As many pixels in every batch, about.
                size = max(4, args.batch_size * 160 // width)
                queue += [some[start : start + size] for start in range(0, len(some), size)]
            rng.shuffle(queue)
        examples = queue.pop()
        seen += len(examples)
        share = 0.0 if args.start else max(0.0, 1 - step / (_PLACES_UNTIL * args.steps))
        yield {**batch_of(examples, draws), "share": share}
        if (step + 1) % args.save_every == 0:
            save(network, output)


def save(network: Any, output: Path) -> None:
    """Writes the checkpoint that a servable loads, with all branches, in half precision."""
    fresh = hf.PPOCRV5MobileRecForTextRecognition(network.config)
    whole(fresh, network.state_dict()).half().save_pretrained(output)
    processor().save_pretrained(output)


def save_language_model(checkpoint: Path, signs: int = _SIGNS) -> None:
    """Writes the language model of what training signs say into a checkpoint's folder.

    Its words are the world's, in small letters, and what stands beside numbers.
    """
    known = " ".join(word for language in LANGUAGES for word in vocabulary(language))
    words = {*_letters_of(known), *_letters_of(known.replace("ß", "ss")), "no", "km", "h"}
    rng = random.Random(0)
    told = (line for _ in range(signs) for line in wording(rng, "train"))
    texts = [" ".join(word for word in _letters_of(line) if word in words) for line in told]
    write_language_model(checkpoint, texts, sorted(words), _WEIGHTS)


def _letters_of(text: str) -> list[str]:
    """A text's words as the search for them has them: they end at digits and marks, too."""
    return re.findall(r"[^\W\d_]+", text.lower())


Read = Callable[[torch.Tensor], Reading]
"""What is read in a line of which a network says this, FP32 [steps, classes] of probabilities."""


def score_temperature(logits: Sequence[torch.Tensor], wanted: Sequence[str], read: Read) -> float:
    """The number that logits are divided by for lines' scores to fit best the share that is right.

    Args:
        logits: Of each line FP32 [steps, classes].
        wanted: What is written in it.
        read: Reads it. What it reads and the score follow from the temperature.
    """

    def loss(temperature: float) -> float:
        readings = [read((each / temperature).softmax(dim=1)) for each in logits]
        pairs = [
            (each.score, float(each.text == text))
            for each, text in zip(readings, wanted, strict=True)
            if each.text
        ]
        scores, hits = torch.tensor(pairs).unbind(dim=1)
        return F.binary_cross_entropy(scores.clamp(1e-4, 1 - 1e-4), hits).item()

    return min((1.25**power for power in range(-5, 9)), key=loss)


@torch.inference_mode()
def calibrate(network: Any, examples: Sequence[LineExample], read: Read) -> tuple[float, float]:
    """Divides the logits by the temperature that fits lines best, in place.

    Returns:
        The temperature, and the share of the lines that is read right.
    """
    network.train(False)
    pixels = (torch.from_numpy(network_input(pixels))[None] for pixels, _, _ in examples)
    logits = [logits_of(network, each)[0] for each in pixels]
    wanted = [text for _, text, _ in examples]
    temperature = score_temperature(logits, wanted, read)
    divide_logits(network.head.head, temperature)
    found = [read((each / temperature).softmax(dim=1)).text for each in logits]
    return temperature, sum(map(str.__eq__, found, wanted)) / len(wanted)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    parser.add_argument("--parts", type=int, default=PARTS, help="of the rendered lines")
    parser.add_argument("--first-part", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=200, help="steps")
    parser.add_argument("--settle", type=int, default=40, help="batches for normalisation")
    parser.add_argument("--validation", type=int, default=400, help="lines to calibrate scores on")
    fitting.add_arguments(parser, batch_size=24)
    parser.set_defaults(learning_rate=2.5e-3)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    args.steps = 14_000 if args.steps is None else args.steps
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    network = build_network()
    if args.start is not None:
        trained = hf.PPOCRV5MobileRecForTextRecognition.from_pretrained(
            args.start, dtype=torch.float32
        )
        network.load_state_dict(without_branches(trained).state_dict())
    network.to(memory_format=torch.channels_last)
    if args.steps:
        fitting.fit(RecognitionLoss(network), batches(network, args, args.output), args)
    further = {"steps": args.settle, "save_every": args.settle + 1, "seed": args.seed + 1}
    last = batches(network, argparse.Namespace(**{**vars(args), **further}), args.output)
    settle(network, (batch["pixels"] for batch in last))
    validation = lines("train", _VALIDATION)[: args.validation]
    save(network, args.output)
    save_language_model(args.output)
    read = load(TextRecognition, FOLDER, args.output).model.reading_of
    logger.info("temperature %.2f, lines right %.3f", *calibrate(network, validation, read))
    save(network, args.output)


if __name__ == "__main__":
    main()
