"""Train an embedded text-classification checkpoint from scratch, on text of this folder.

    python -m zoo.train_text_classification --model sentiment \\
        --output model-settings/sentiment/embedded
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaTokenizer,
)

from zoo import fitting, language_identification_data, sentiment_data
from zoo.calibration import calibrate
from zoo.evaluate_text_classification import text_logits
from zoo.train_question_answering import train_tokenizer

logger = logging.getLogger(__name__)

POOL = 2048
# Texts that the tokenizer's pieces are chosen from.
CORPUS = 6000
# Held-out texts that scores are calibrated with; others are scored.
CALIBRATION = 3000
CALIBRATION_SEED = 1000


@dataclass(frozen=True)
class Task:
    """What one checkpoint learns, and from what.

    Attributes:
        labels: The label of each id.
        examples: A number of fresh (text, label), from a seed; of the training split unless
            another is named.
        tokenizer: A tokenizer from texts and a number of pieces.
        network: An untrained network of a tokenizer, labels and arguments.
        vocabulary: Pieces of the tokenizer.
        steps: Of training.
    """

    labels: tuple[str, ...]
    examples: Callable[..., list[tuple[str, str]]]
    tokenizer: Callable[[Sequence[str], int], PreTrainedTokenizerBase]
    network: Callable[
        [PreTrainedTokenizerBase, tuple[str, ...], argparse.Namespace], PreTrainedModel
    ]
    vocabulary: int
    steps: int


def _numbers(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: number for number, label in enumerate(labels)}


SENTIMENT_LENGTH = 128
LANGUAGE_LENGTH = 384
_XLM_ROBERTA_SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# XLM-RoBERTa numbers positions from the one after its padding token's id.
_FIRST_POSITION = 2


def sentiment_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerBase:
    """An uncased WordPiece tokenizer in which no letter or digit is unknown."""
    return DistilBertTokenizer(
        vocab=train_tokenizer(texts, size).get_vocab(),
        do_lower_case=True,
        model_max_length=SENTIMENT_LENGTH,
    )


def sentiment_network(
    tokenizer: PreTrainedTokenizerBase, labels: tuple[str, ...], args: argparse.Namespace
) -> PreTrainedModel:
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=args.hidden_size,
        n_layers=args.layers,
        n_heads=args.heads,
        hidden_dim=4 * args.hidden_size,
        max_position_embeddings=SENTIMENT_LENGTH,
        pad_token_id=tokenizer.pad_token_id,
        # DistilBERT's 0.02 suits its width of 768; it leaves a narrow network near nothing.
        initializer_range=0.06,
        dropout=0.1,
        attention_dropout=0.0,
        seq_classif_dropout=0.1,
        id2label=dict(enumerate(labels)),
        label2id=_numbers(labels),
    )
    return DistilBertForSequenceClassification(config)


def language_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerBase:
    """A cased Unigram tokenizer in which no letter of `texts` is unknown."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=list(_XLM_ROBERTA_SPECIAL_TOKENS),
        unk_token="<unk>",
        initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    return XLMRobertaTokenizer(
        vocab=[tuple(piece) for piece in pieces], model_max_length=LANGUAGE_LENGTH
    )


def language_network(
    tokenizer: PreTrainedTokenizerBase, labels: tuple[str, ...], args: argparse.Namespace
) -> PreTrainedModel:
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        intermediate_size=4 * args.hidden_size,
        max_position_embeddings=LANGUAGE_LENGTH + _FIRST_POSITION,
        type_vocab_size=1,
        initializer_range=0.06,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(labels)),
        label2id=_numbers(labels),
    )
    return XLMRobertaForSequenceClassification(config)


TASKS = {
    "language-identification": Task(
        labels=language_identification_data.LABELS,
        examples=language_identification_data.examples,
        tokenizer=language_tokenizer,
        network=language_network,
        vocabulary=2000,
        steps=2500,
    ),
    "sentiment": Task(
        labels=sentiment_data.LABELS,
        examples=sentiment_data.examples,
        tokenizer=sentiment_tokenizer,
        network=sentiment_network,
        vocabulary=1500,
        steps=2500,
    ),
}


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], targets: Sequence[int]
) -> dict[str, torch.Tensor]:
    """A batch: INT64 `input_ids` and `attention_mask` [B, tokens] and `labels` [B]."""
    encoded = tokenizer(list(texts), truncation=True, padding=True, return_tensors="pt")
    return {**encoded, "labels": torch.tensor(targets)}


def batches(
    task: Task, tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """`args.steps` batches of fresh examples; texts of like length share one."""
    rng = random.Random(args.seed)
    numbers = _numbers(task.labels)
    made = 0
    while made < args.steps:
        pool = task.examples(rng.getrandbits(32), POOL)
        pool.sort(key=lambda example: len(example[0]))
        groups: list[list[tuple[str, str]]] = [[]]
        for example in pool:
            # Sorted, so this example is the group's longest; a piece is about three letters.
            if len(groups[-1]) * len(example[0]) / 3 >= args.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups[: args.steps - made]:
            texts, labels = zip(*group, strict=True)
            yield encode(tokenizer, texts, [numbers[label] for label in labels])
            made += 1


def calibrate_on_held_out(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task
) -> None:
    """Calibrates the scores of a model on held-out examples, in place."""
    texts, labels = zip(*task.examples(CALIBRATION_SEED, CALIBRATION, "held_out"), strict=True)
    numbers = _numbers(task.labels)
    logits = text_logits(model, tokenizer, texts)
    right = torch.tensor([numbers[label] for label in labels])
    logger.info("temperature %.3f", calibrate(model, logits, right))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(TASKS), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=None, help="default: the model's own")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    fitting.add_arguments(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    task = TASKS[args.model]
    args.steps = args.steps or task.steps

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.start is None:
        corpus = [text for text, _ in task.examples(args.seed, CORPUS)]
        tokenizer = task.tokenizer(corpus, args.vocabulary or task.vocabulary)
    else:
        tokenizer = AutoTokenizer.from_pretrained(args.start)
    model = task.network(tokenizer, task.labels, args)
    if args.start is not None:
        fitting.go_on_from(model, load_file(args.start / "model.safetensors"))
    logger.info("%d parameters, %d pieces", model.num_parameters(), len(tokenizer))
    fitting.fit(model, batches(task, tokenizer, args), args)
    calibrate_on_held_out(model, tokenizer, task)
    # fp16 halves the file; runtimes load it in the datatype of their placement.
    model.half().save_pretrained(args.output)  # type: ignore[no-untyped-call]
    if args.start is None:
        tokenizer.save_pretrained(args.output)
    else:
        for file in args.start.glob("tokenizer*"):
            shutil.copy(file, args.output)


if __name__ == "__main__":
    main()
