"""Trains the embedded speech-to-text checkpoints: a small Wav2Vec2-BERT with a CTC head for each.

    python -m zoo.train_speech_to_text --output model-settings/speech-to-text/embedded
    python -m zoo.train_speech_to_text --output model-settings/speech-to-text-de/embedded \\
        --language de --initial model-settings/speech-to-text/embedded

Needs espeak-ng, flite and Pico, and nothing from the network. An interrupted run goes on from its
last epoch when it is started again with the same arguments.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch

from zoo.speech import development_utterances, training_utterances, varied_utterances
from zoo.speech_augmentation import Features, augment
from zoo.speech_data import (
    DEFAULT_CACHE,
    MEL_BINS,
    STRIDE,
    Example,
    build_processor,
    load_examples,
)
from zoo.speech_language_model import save_language_model

logger = logging.getLogger(__name__)

_DEVELOPMENT_UTTERANCES = 200
_IGNORED_LABEL = -100
_LOG_EVERY = 100
_BASE_LETTERS = {"ä": "a", "ö": "o", "ü": "u", "ß": "s"}


def build_model(tokens: int) -> Any:
    """An untrained model of about 1.9 million parameters, for `tokens` kinds of token."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    return Wav2Vec2BertForCTC(
        Wav2Vec2BertConfig(
            vocab_size=tokens,
            hidden_size=128,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=384,
            feature_projection_input_dim=MEL_BINS * STRIDE,
            conv_depthwise_kernel_size=15,
            position_embeddings_type="rotary",
            # Features are masked here, bands of mel bins too, before the model sees them.
            apply_spec_augment=False,
            layerdrop=0.0,
            # Drawing its random numbers would take a quarter of the training time.
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            conformer_conv_dropout=0.0,
            feat_proj_dropout=0.0,
            final_dropout=0.0,
            ctc_loss_reduction="mean",
            ctc_zero_infinity=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation="eager",
        )
    )


def _batches(
    examples: Sequence[Example],
    rng: random.Random,
    most_steps: int,
    *,
    shortest_first: bool = False,
) -> Iterator[list[Example]]:
    """Batches of similar lengths, in random order unless `shortest_first`; each example once.

    They are of at most `most_steps`, padding included.
    """
    # A little disorder, so that an example meets other ones in each epoch.
    ordered = sorted(examples, key=lambda e: len(e.features) * rng.uniform(0.93, 1.07))
    batches: list[list[Example]] = [[]]
    longest = 0
    for example in ordered:
        longest = max(longest, len(example.features))
        if batches[-1] and longest * (len(batches[-1]) + 1) > most_steps:
            batches.append([])
            longest = len(example.features)
        batches[-1].append(example)
    if not shortest_first:
        rng.shuffle(batches)
    yield from batches


def _collate(
    batch: Sequence[Example], augmented: Callable[[Features], Features] | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """float32 features [batch, steps, 240], int64 mask [batch, steps], int64 labels."""
    clips = [example.features.astype(np.float32) for example in batch]
    if augmented is not None:
        clips = [augmented(clip) for clip in clips]
    steps = max(map(len, clips))
    letters = max(len(example.labels) for example in batch)
    features = np.zeros((len(batch), steps, MEL_BINS * STRIDE), dtype=np.float32)
    mask = np.zeros((len(batch), steps), dtype=np.int64)
    labels = np.full((len(batch), letters), _IGNORED_LABEL, dtype=np.int64)
    for row, (clip, example) in enumerate(zip(clips, batch, strict=True)):
        features[row, : len(clip)] = clip
        mask[row, : len(clip)] = 1
        labels[row, : len(example.labels)] = example.labels
    return torch.from_numpy(features), torch.from_numpy(mask), torch.from_numpy(labels)


# The network keeps its rotary angles: made in inference mode, training could not use them.
@torch.no_grad()
def transcribe(model: Any, processor: Any, examples: Sequence[Example]) -> list[str]:
    """The model's transcripts of the examples, in order."""
    model.eval()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].features))
    texts: dict[int, str] = {}
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        features, mask, _ = _collate([examples[i] for i in rows], None)
        logits = model(input_features=features, attention_mask=mask).logits
        decoded = processor.batch_decode(logits.argmax(-1).masked_fill(mask == 0, 0))
        texts.update(zip(rows, decoded, strict=True))
    return [texts[i] for i in range(len(examples))]


def save(model: Any, processor: Any, folder: Path) -> None:
    """Writes the checkpoint: float16 safetensors and the processor's files."""
    stored = build_model(model.config.vocab_size)
    stored.load_state_dict(model.state_dict())
    # How attention is computed is the reader's choice.
    stored.config._attn_implementation = "sdpa"
    stored.half().save_pretrained(folder)
    processor.save_pretrained(folder)


@dataclass(frozen=True)
class Stage:
    """A part of the training, with its own rise and fall of the learning rate.

    Attributes:
        utterances: How many to learn from; a later stage's include the former's.
        epochs: Passes over them.
        peak: The highest learning rate.
        varied: Whether they are by all engines, and augmented as by yet other speakers.
        batch: Steps of 30 ms in a batch, padding included; 1,600 are about 13 utterances.
    """

    utterances: int
    epochs: int
    peak: float
    varied: bool = False
    batch: int = 1600


STAGES: dict[str, tuple[Stage, ...]] = {
    # Few utterances until letters are found at all, then many.
    "en": (
        Stage(5_000, 11, 1.5e-3),
        Stage(16_000, 1, 1.2e-3),
        Stage(16_000, 1, 9e-4),
        Stage(16_000, 2, 8e-4),
        Stage(10_000, 7, 1e-3, varied=True),
        Stage(10_000, 6, 8e-4, varied=True),
    ),
    # From the English checkpoint, which finds letters already.
    "de": (
        Stage(2_000, 1, 8e-4, varied=True),
        Stage(4_000, 1, 1e-3, varied=True, batch=800),
    ),
}
"""By language."""


def start_from(model: Any, processor: Any, folder: Path) -> None:
    """Gives a model the weights of a checkpoint, also of another language's: by letter."""
    trained = type(model).from_pretrained(folder, dtype=torch.float32)
    known = type(processor).from_pretrained(folder).tokenizer.get_vocab()
    weights, own = trained.state_dict(), model.state_dict()
    for name in ("lm_head.weight", "lm_head.bias"):
        for token, number in processor.tokenizer.get_vocab().items():
            # A new letter begins as its base letter, which sounds most like it.
            like = token if token in known else _BASE_LETTERS[token]
            own[name][number] = weights[name][known[like]]
    model.load_state_dict({**weights, **{name: own[name] for name in own if "lm_head" in name}})


def train(
    output: Path,
    *,
    language: str = "en",
    stages: Sequence[Stage] | None = None,
    initial: Path | None = None,
    seed: int = 0,
    cache: Path = DEFAULT_CACHE,
    bfloat16: bool = True,
) -> float:
    """Trains, writes the best checkpoint to `output` and returns its word error rate.

    The rate is that on held-out sentences in training voices; `evaluate_speech_to_text` measures
    held-out voices. With `initial`, a checkpoint of this architecture, training goes on from it;
    it may be another language's. `stages` are those of the language unless given.
    """
    stages = STAGES[language] if stages is None else stages
    torch.manual_seed(seed)
    load = partial(load_examples, cache=cache, processes=torch.get_num_threads())
    development = load(development_utterances(seed, _DEVELOPMENT_UTTERANCES, language))
    processor = build_processor(language)
    model = build_model(len(processor.tokenizer))
    if initial is not None:
        start_from(model, processor, initial)
    logger.info("%d parameters", sum(p.numel() for p in model.parameters()))
    key = hashlib.sha256(repr((seed, language, stages, initial)).encode()).hexdigest()[:12]
    state_file = cache / f"training-{key}.pt"
    state: dict[str, Any] = {"stage": 0, "epoch": 0, "best": float("inf")}
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        logger.info("goes on in stage %d after epoch %d", state["stage"] + 1, state["epoch"])
    for number in range(state["stage"], len(stages)):
        stage = stages[number]
        spoken_as = varied_utterances if stage.varied else training_utterances
        examples = load(spoken_as(seed, stage.utterances, language))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=stage.peak, betas=(0.9, 0.98), weight_decay=0.01
        )
        # An epoch's batches vary by a few with its order.
        batches = sum(1 for _ in _batches(examples, random.Random(seed), stage.batch)) + 5
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, stage.peak, total_steps=stage.epochs * batches, pct_start=0.15
        )
        if state["epoch"]:
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        for epoch in range(state["epoch"], stage.epochs):
            started = time.monotonic()
            rng = random.Random(f"{seed}/{number}/{epoch}")
            # Letters are found in time first in short, whole utterances.
            easy = number == epoch == 0 and initial is None
            batches_of_epoch = _batches(examples, rng, stage.batch, shortest_first=easy)
            augmented = None if easy else partial(augment, rng=rng, speakers=stage.varied)
            loss = _train_epoch(model, batches_of_epoch, augmented, optimizer, schedule, bfloat16)
            transcripts = transcribe(model, processor, development)
            rate = jiwer.wer([example.transcript for example in development], transcripts)
            logger.info(
                "stage %d epoch %d of %d: loss %.3f, development WER %.2f%%, %.0f s",
                *(number + 1, epoch + 1, stage.epochs, loss, 100 * rate),
                time.monotonic() - started,
            )
            if rate <= state["best"]:
                state["best"] = rate
                save(model, processor, output)
            state |= {
                "stage": number,
                "epoch": epoch + 1,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            }
            torch.save(state, state_file)
        state["epoch"] = 0
    save_language_model(output, seed, language)
    best: float = state["best"]
    return best


def _train_epoch(
    model: Any,
    batches: Iterable[Sequence[Example]],
    augmented: Callable[[Features], Features] | None,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    bfloat16: bool,
) -> float:
    """The mean loss of an epoch."""
    model.train()
    losses: list[float] = []
    for batch in batches:
        features, mask, labels = _collate(batch, augmented)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model(input_features=features, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) % _LOG_EVERY == 0:
            logger.info("batch %d: loss %.3f", len(losses), np.mean(losses[-_LOG_EVERY:]))
    return float(np.mean(losses))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--language", choices=sorted(STAGES), default="en")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--utterances", type=int, help="train in one stage, with this many")
    parser.add_argument("--epochs", type=int, default=12, help="of that one stage")
    parser.add_argument(
        "--peak", type=float, default=STAGES["en"][0].peak, help="its learning rate"
    )
    parser.add_argument("--batch", type=int, default=1600, help="its batches' steps of 30 ms")
    parser.add_argument("--varied", action="store_true", help="in that stage, by all engines")
    parser.add_argument("--initial", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder of features")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compute products in bfloat16; faster where the processor has such instructions",
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    stages = None
    if arguments.utterances is not None:
        given = (arguments.epochs, arguments.peak, arguments.varied, arguments.batch)
        stages = (Stage(arguments.utterances, *given),)
    train(
        arguments.output,
        language=arguments.language,
        stages=stages,
        initial=arguments.initial,
        seed=arguments.seed,
        cache=arguments.cache,
        bfloat16=arguments.bfloat16,
    )


if __name__ == "__main__":
    main()
