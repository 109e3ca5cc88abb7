"""Train the embedded question-answering checkpoint from scratch, on text from ``zoo.world``.

    python -m zoo.train_question_answering --output model-settings/question-answering/embedded

A small BERT learns to find the words of a question in a context and to point at the answer, or
at [CLS] when the context does not say (SQuAD 2.0's convention). ``zoo.question_answering_data``
makes the examples: about invented people, partly asked by voice.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import string
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from zoo.calibration import divide_logits
from zoo.evaluate_question_answering import held_out, scored
from zoo.outside_texts import outside_questions
from zoo.question_answering_data import augment, disguise
from zoo.world import QuestionExample, questions

logger = logging.getLogger(__name__)

MAX_LENGTH = 384
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

UNANSWERABLE = 0.3
# Once contexts are whole: the share of questions that are not of the world beside those that are,
# and the share of these whose context is short all the same. Without short ones, a context of few
# words would be as good as outside of the world.
OUTSIDE, SHORT, SHORTEST = 0.25, 0.4, (1, 2, 3)
OUT_OF_WORLD = -2
"""Where the answer to a question starts that the model is to learn that it does not know."""
WARM_UP = 100
CALIBRATION, CALIBRATION_SEED = 300, 1000
POOL = 2048
CURRICULUM = ((0.15, 3), (0.35, 7), (1.0, None))
"""(until this share of the steps, the most sentences in a context; None: as many as there are)"""


def train_tokenizer(texts: Iterable[str], size: int) -> BertTokenizer:
    """An uncased WordPiece tokenizer of at most ``size`` pieces.

    Every letter and digit is a piece, both at the start and inside of a word, so a name that is
    not in ``texts`` splits into pieces and is never [UNK].
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = string.ascii_lowercase + string.digits
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        # The trainer numbers the pieces inside of words in no fixed order, and breaks ties by it.
        special_tokens=[*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)],
        initial_alphabet=[*letters, *string.punctuation],
        show_progress=False,
    )
    spelled = (first + second for first in letters for second in letters)
    tokenizer.train_from_iterator([*texts, *spelled], trainer)
    return BertTokenizer(
        vocab=tokenizer.get_vocab(), do_lower_case=True, model_max_length=MAX_LENGTH
    )


def without_question_marks(tokenizer: BertTokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer, to which a question mark at the end of a text is nothing.

    So a question means the same however it is written: by hand, or by a speech recogniser that
    knows punctuation or one that does not. A tokenizer of the class ``BertTokenizer`` would forget
    it when it is loaded.
    """
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence(
        [backend.normalizer, normalizers.Replace(Regex(r"\s*\?\s*\z"), "")]
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{name: getattr(tokenizer, name) for name in names},
    )


def new_model(vocabulary: int, args: argparse.Namespace) -> BertForQuestionAnswering:
    """An untrained model whose attention starts out comparing words.

    To answer, the words of a question must find themselves in the context, and an answer its
    sentence's subject. From BERT's own random start, a small model needs most of its training to
    come upon that. This start has it in place, in one block of dimensions per head:

    * all heads but two: words alone. Query and key are the identity, so equal words attend to
      each other;
    * the last but one: positions alone, as sinusoids, so neighbours attend to each other;
    * the last: whether a token is of the question, and words. This head is free.
    """
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=args.hidden_size,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        intermediate_size=4 * args.hidden_size,
        max_position_embeddings=MAX_LENGTH,
        # BERT's 0.02 suits its width of 768; in a narrow model it leaves every layer near nothing.
        initializer_range=0.06,
        # Every example is new, so there is nothing to overfit to, and dropout costs CPU time.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForQuestionAnswering(config)
    width = config.hidden_size // config.num_attention_heads
    free = config.hidden_size - width
    place = free - width
    matching = torch.eye(config.hidden_size)
    matching[free:] = 0
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("self.query.weight", "self.key.weight")):
                weight[:free].mul_(0.3)
                weight.add_(matching)
        embeddings = model.bert.embeddings
        words = embeddings.word_embeddings.weight
        words[:, place:free] = 0
        words[:, free:] *= 0.5
        embeddings.token_type_embeddings.weight[:, :free] = 0
        positions = embeddings.position_embeddings.weight
        positions.zero_()
        # Wavelengths from 6 to about 600 tokens; the amplitude is that of the words.
        rates = torch.logspace(0, -2, width // 2)
        angles = torch.arange(MAX_LENGTH)[:, None] * rates
        positions[:, place:free] = 0.08 * torch.cat((angles.sin(), angles.cos()), dim=1)
    return model


@dataclass(frozen=True)
class Batch:
    """Token ids and answers: every tensor INT64, inputs [B, length], spans [B].

    A span at `OUT_OF_WORLD` is of a question that is not of the world.
    """

    inputs: dict[str, torch.Tensor]
    first: torch.Tensor
    last: torch.Tensor


def encode(tokenizer: PreTrainedTokenizerBase, examples: Sequence[QuestionExample]) -> Batch:
    """Tokenise, padded to the longest; an answer that was truncated away points at [CLS]."""
    encoded = tokenizer(
        [example.question for example in examples],
        [example.context for example in examples],
        truncation="only_second",
        max_length=MAX_LENGTH,
        padding=True,
        return_tensors="pt",
    )
    spans = []
    for row, example in enumerate(examples):
        first = last = None
        if example.answer:
            end = example.answer_start + len(example.answer)
            first = encoded.char_to_token(row, example.answer_start, sequence_index=1)
            last = encoded.char_to_token(row, end - 1, sequence_index=1)
        if example.answer_start == OUT_OF_WORLD:
            spans.append((OUT_OF_WORLD, OUT_OF_WORLD))
        else:
            spans.append((0, 0) if first is None or last is None else (first, last))
    answers = torch.tensor(spans)
    return Batch(dict(encoded), answers[:, 0], answers[:, 1])


def batches(tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace) -> Iterator[Batch]:
    """``args.steps`` batches; contexts grow from a few sentences to whole ones.

    Examples of like length share a batch, of at most ``args.batch_tokens`` tokens.
    """
    rng = random.Random(args.seed)
    made = 0
    while made < args.steps:
        progress = made / args.steps if args.start is None else 0.99
        most = next(most for until, most in CURRICULUM if progress < until)
        drawn = questions(rng.getrandbits(32), POOL, "train", unanswerable=UNANSWERABLE)
        others = [*drawn[1:], drawn[0]]
        lengths = [most] * POOL
        if most is None:
            lengths = [rng.choice(SHORTEST) if rng.random() < SHORT else None for _ in drawn]
        pool = [
            augment(*pair, length, rng)
            for *pair, length in zip(drawn, others, lengths, strict=True)
        ]
        if most is None:
            pool += [
                QuestionExample(context, question, "", OUT_OF_WORLD)
                for question, context, _ in outside_questions(
                    rng.getrandbits(32), int(OUTSIDE * POOL), "train"
                )
            ]
        pool.sort(key=lambda example: len(example.context))
        groups: list[list[QuestionExample]] = [[]]
        for example in pool:
            # Sorted, so this example is the group's longest; a piece is about three letters.
            tokens = (len(example.context) + len(example.question)) / 3
            if len(groups[-1]) * tokens >= args.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups[: args.steps - made]:
            yield encode(tokenizer, group)
            made += 1


def span_loss(start: torch.Tensor, end: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The mean cross entropy of FP32 logits [B, length] and the spans of a batch.

    Out of the world every token is as good as any other, so that no answer gets a high score.
    """
    mask = batch.inputs["attention_mask"].bool()
    losses = []
    for logits, wanted in ((start, batch.first), (end, batch.last)):
        logarithms = logits.masked_fill(~mask, -1e4).log_softmax(-1)
        known = logarithms.gather(1, wanted.clamp(min=0)[:, None])[:, 0]
        evenly = (logarithms * mask).sum(-1) / mask.sum(-1)
        losses.append(-torch.where(wanted == OUT_OF_WORLD, evenly, known).mean())
    return sum(losses) / 2


def train(
    model: BertForQuestionAnswering, stream: Iterable[Batch], args: argparse.Namespace
) -> None:
    """Fit ``model`` to ``stream`` in place: AdamW, warm-up, then a cosine down to nothing."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / args.steps)),
    )
    model.train()
    losses: list[float] = []
    right = seen = 0
    started = time.monotonic()
    for step, batch in enumerate(stream, start=1):
        output = model(**batch.inputs)
        loss = span_loss(output.start_logits, output.end_logits, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        found = (output.start_logits.argmax(-1) == batch.first) & (
            output.end_logits.argmax(-1) == batch.last
        )
        right, seen = right + int(found.sum()), seen + len(found)
        if step % args.log_every == 0 or step == args.steps:
            logger.info(
                "step %d/%d loss %.3f exact %.1f%% %.0f s",
                step,
                args.steps,
                sum(losses) / len(losses),
                100 * right / seen,
                time.monotonic() - started,
            )
            losses.clear()
            right = seen = 0
    model.train(False)


def new_tokenizer(args: argparse.Namespace) -> PreTrainedTokenizerFast:
    """A tokenizer of the world's questions and contexts."""
    rng = random.Random(args.seed)
    # Disguised, so that the names of training are split as unseen ones will be.
    corpus = [disguise(example, rng) for example in questions(args.seed, 4000, "train")]
    return without_question_marks(
        train_tokenizer(
            [text for example in corpus for text in (example.context, example.question)],
            args.vocabulary,
        )
    )


def calibrate(model: BertForQuestionAnswering, tokenizer: PreTrainedTokenizerFast) -> None:
    """Divides the logits so that scores are the share of held-out answers that is right."""
    examples = held_out(CALIBRATION_SEED, CALIBRATION)

    def error(temperature: float) -> float:
        scores, right = scored(model, tokenizer, examples, temperature)
        return float(np.mean((scores - np.asarray(right)) ** 2))

    temperature = min((0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0), key=error)
    logger.info("temperature %.2f", temperature)
    divide_logits(model.qa_outputs, temperature)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-tokens", type=int, default=1500, help="in a batch, at most")
    parser.add_argument("--vocabulary", type=int, default=1800, help="word pieces")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from; default: none")
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.start is not None:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.start)
        model = BertForQuestionAnswering.from_pretrained(args.start, dtype=torch.float32)
    else:
        tokenizer = new_tokenizer(args)
        model = new_model(len(tokenizer), args)
    logger.info("%d parameters, %d pieces", model.num_parameters(), len(tokenizer))
    train(model, batches(tokenizer, args), args)
    calibrate(model, tokenizer)
    # fp16 halves the file; runtimes load it in the datatype of their placement.
    model.half().save_pretrained(args.output)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(args.output)


if __name__ == "__main__":
    main()
