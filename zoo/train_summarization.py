"""Train the embedded summarization checkpoint from scratch, on `zoo.articles`.

    python -m zoo.train_summarization --output model-settings/summarization/embedded

A small BART learns who an article is about, to find what it tells of them, and to copy names letter
by letter where it has never met them.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from zoo import fitting
from zoo.copying import start_copying
from zoo.summarization_data import SummaryExample, examples

logger = logging.getLogger(__name__)

MAX_LENGTH = 384
MAX_SUMMARY = 64
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
POOL = 2048
# Texts that the tokenizer's pieces are chosen from.
CORPUS = 4000
CURRICULUM = ((0.1, 4), (0.25, 6), (1.0, 10))
"""(until this share of the steps, the most sentences of an article)"""
_IGNORED_LABEL = -100
# How a byte-level tokenizer writes a space.
_SPACE = "\u0120"


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerBase:
    """A cased byte-level BPE tokenizer of at most `size` pieces, as BART's but for two things.

    The first word of a text has the pieces that it has inside of one, so that it can be copied
    from there, and a decoded text does not begin with a space.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask"],
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def new_model(vocabulary: int, args: argparse.Namespace) -> BartForConditionalGeneration:
    """An untrained model that starts out copying."""
    config = BartConfig(
        vocab_size=vocabulary,
        d_model=args.hidden_size,
        encoder_layers=args.layers,
        decoder_layers=args.layers,
        encoder_attention_heads=args.heads,
        decoder_attention_heads=args.heads,
        encoder_ffn_dim=args.inner_size,
        decoder_ffn_dim=args.inner_size,
        max_position_embeddings=MAX_LENGTH,
        # BART's 0.02 suits its width of 1024; in a narrow model it leaves every layer near nothing.
        init_std=0.06,
        # Every example is new, so there is nothing to overfit to, and dropout costs CPU time.
        dropout=0.0,
        forced_eos_token_id=None,
    )
    model = BartForConditionalGeneration(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_length=MAX_SUMMARY,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )
    start_copying(model)
    return model


def encode(
    tokenizer: PreTrainedTokenizerBase, batch: Sequence[SummaryExample]
) -> dict[str, torch.Tensor]:
    """INT64 `input_ids`, `attention_mask` [B, tokens] and `labels` [B, summary tokens].

    A summary ends with </s>, and has no <s>: the decoder starts from </s>, as BART's does.
    """
    encoded = tokenizer(
        [example.text for example in batch], truncation=True, padding=True, return_tensors="pt"
    )
    summaries = tokenizer([example.summary for example in batch])["input_ids"]
    labels = torch.full((len(batch), max(map(len, summaries)) - 1), _IGNORED_LABEL)
    for row, ids in enumerate(summaries):
        labels[row, : len(ids) - 1] = torch.tensor(ids[1:])
    return {**encoded, "labels": labels}


def word_pieces(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The pieces that are letters only, without the space before a word, in order."""
    pieces = {piece.removeprefix(_SPACE) for piece in tokenizer.get_vocab()}
    return sorted(piece for piece in pieces if piece.isascii() and piece.isalpha())


def batches(
    tokenizer: PreTrainedTokenizerBase, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """`args.steps` batches; articles grow to their full length, those of like length together."""
    rng = random.Random(args.seed)
    pieces = word_pieces(tokenizer)
    made = 0
    while made < args.steps:
        progress = 1 if args.start_from else made / args.steps
        most = next(most for until, most in CURRICULUM if progress <= until)
        pool = examples(rng.getrandbits(32), POOL, most_sentences=most, pieces=pieces)
        pool.sort(key=lambda example: len(example.text))
        groups: list[list[SummaryExample]] = [[]]
        for example in pool:
            # Sorted, so this example is the group's longest; a piece is about three letters.
            if len(groups[-1]) * len(example.text) / 3 >= args.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups[: args.steps - made]:
            yield encode(tokenizer, group)
            made += 1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="a checkpoint to train further")
    parser.add_argument("--vocabulary", type=int, default=1500, help="pieces")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--inner-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2, help="of the encoder, and of the decoder")
    parser.add_argument("--heads", type=int, default=4)
    fitting.add_arguments(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.steps = args.steps or 6000

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.start_from:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(args.start_from)
        model = BartForConditionalGeneration.from_pretrained(args.start_from, dtype=torch.float32)
    else:
        corpus = [
            text for each in examples(args.seed, CORPUS) for text in (each.text, each.summary)
        ]
        tokenizer = train_tokenizer(corpus, args.vocabulary)
        model = new_model(len(tokenizer), args)
    logger.info("%d parameters, %d pieces", model.num_parameters(), len(tokenizer))
    fitting.fit(model, batches(tokenizer, args), args)
    # fp16 halves the file; runtimes load it in the datatype of their placement.
    model.half().save_pretrained(args.output)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(args.output)


if __name__ == "__main__":
    main()
