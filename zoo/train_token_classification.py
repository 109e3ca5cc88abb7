"""Train the embedded token-classification checkpoint from scratch, on texts of this folder.

    python -m zoo.train_token_classification --output model-settings/token-classification/embedded

A small BERT learns to tag each word of a text: outside of an entity, the first word of one, or
inside of one. `zoo.token_classification_data` makes the texts, with invented names and as
transcripts, so that an entity is known by where it stands and not by its capitals.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    BertTokenizer,
    PreTrainedTokenizerBase,
)

from zoo import fitting
from zoo.calibration import calibrate
from zoo.evaluate_token_classification import token_logits
from zoo.token_classification_data import TAGS, Span, examples
from zoo.train_question_answering import train_tokenizer

logger = logging.getLogger(__name__)

MAX_LENGTH = 128
WINDOW = 48
"""Of a longer text, which training has few of, the most tokens that are read at a time: then more
entities are right."""
POOL = 2048
# Texts that the tokenizer's pieces are chosen from.
CORPUS = 6000
STEPS = 3000
# Held-out texts that scores are calibrated with; others are scored.
CALIBRATION, CALIBRATION_SEED = 1500, 1000
_NO_LABEL = -100
_NUMBERS = {tag: number for number, tag in enumerate(TAGS)}


def new_tokenizer(texts: Sequence[str], size: int) -> BertTokenizer:
    """An uncased WordPiece tokenizer in which no letter or digit is unknown."""
    return BertTokenizer(
        vocab=train_tokenizer(texts, size).get_vocab(),
        do_lower_case=True,
        model_max_length=MAX_LENGTH,
    )


def new_model(
    tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace
) -> BertForTokenClassification:
    """An untrained tagger."""
    return BertForTokenClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=args.hidden_size,
            num_hidden_layers=args.layers,
            num_attention_heads=args.heads,
            intermediate_size=4 * args.hidden_size,
            max_position_embeddings=MAX_LENGTH,
            pad_token_id=tokenizer.pad_token_id,
            # BERT's 0.02 suits its width of 768; it leaves a narrow network near nothing.
            initializer_range=0.06,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.0,
            id2label=dict(enumerate(TAGS)),
            label2id=_NUMBERS,
        )
    )


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[tuple[str, Sequence[Span]]]
) -> dict[str, torch.Tensor]:
    """A batch: INT64 `input_ids`, `token_type_ids`, `attention_mask` and `labels` [B, tokens].

    Of a word, the first piece has its tag; what follows and special tokens have none.
    """
    encoded = tokenizer(
        [text for text, _ in texts], truncation=True, padding=True, return_tensors="pt"
    )
    labels = torch.full_like(encoded["input_ids"], _NO_LABEL)
    for row, (_, spans) in enumerate(texts):
        encoding = encoded.encodings[row]
        seen = None
        for at, (word, (start, _)) in enumerate(
            zip(encoding.word_ids, encoding.offsets, strict=True)
        ):
            if word is not None and word != seen:
                labels[row, at] = _NUMBERS[_tag(start, spans)]
            seen = word
    return {**encoded, "labels": labels}


def _tag(start: int, spans: Sequence[Span]) -> str:
    for span in spans:
        if span.start <= start < span.end:
            return f"{'B' if start == span.start else 'I'}-{span.label}"
    return "O"


def batches(
    tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """`args.steps` batches of fresh examples; texts of like length share one."""
    rng = random.Random(args.seed)
    made = 0
    while made < args.steps:
        pool = examples(rng.getrandbits(32), POOL)
        pool.sort(key=lambda example: len(example[0]))
        groups: list[list[tuple[str, list[Span]]]] = [[]]
        for example in pool:
            # Sorted, so this example is the group's longest; a piece is about three letters.
            if len(groups[-1]) * len(example[0]) / 3 >= args.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups[: args.steps - made]:
            yield encode(tokenizer, group)
            made += 1


def calibrate_on_held_out(
    model: BertForTokenClassification, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Calibrates the tags' probabilities on held-out texts, in place."""
    drawn = examples(CALIBRATION_SEED, CALIBRATION, "held_out")
    rows, tags = [], []
    for (encoded, logits), (_, spans) in zip(
        token_logits(model, tokenizer, [text for text, _ in drawn]), drawn, strict=True
    ):
        rows.append(torch.from_numpy(logits[encoded.words]))
        starts = encoded.offsets[encoded.words, 0].tolist()
        tags += [_NUMBERS[_tag(start, spans)] for start in starts]
    logger.info("temperature %.3f", calibrate(model, torch.cat(rows), torch.tensor(tags)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=1500)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    fitting.add_arguments(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.steps = args.steps or STEPS

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.start is None:
        corpus = [text for text, _ in examples(args.seed, CORPUS)]
        tokenizer: PreTrainedTokenizerBase = new_tokenizer(corpus, args.vocabulary)
    else:
        tokenizer = AutoTokenizer.from_pretrained(args.start)
    model = new_model(tokenizer, args)
    if args.start is not None:
        fitting.go_on_from(model, load_file(args.start / "model.safetensors"))
    logger.info("%d parameters, %d pieces", model.num_parameters(), len(tokenizer))
    # Before it is used, which leaves in it how batches are padded.
    tokenizer.model_max_length = WINDOW
    tokenizer.save_pretrained(args.output)
    tokenizer.model_max_length = MAX_LENGTH
    fitting.fit(model, batches(tokenizer, args), args)
    tokenizer.model_max_length = WINDOW
    calibrate_on_held_out(model, tokenizer)
    # fp16 halves the file; runtimes load it in the datatype of their placement.
    model.half().save_pretrained(args.output)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
