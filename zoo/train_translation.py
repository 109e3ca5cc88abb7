"""Train an embedded translation checkpoint from scratch, on `zoo.world`'s parallel sentences.

    python -m zoo.train_translation --source fr --target en \
        --output model-settings/translation-fr-en/embedded

A small Marian learns to translate the world's sentences, written or in the form of a transcript,
into well-written ones, and to copy names that it has never met.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import string
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from zoo import fitting
from zoo.translation_data import Pair, training_pairs
from zoo.world import LANGUAGES

logger = logging.getLogger(__name__)

MAX_LENGTH = 128
STEPS = 3000
POOL = 2048
# Pairs that the tokenizer's pieces are chosen from.
CORPUS = 20_000
END, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"
_IGNORED_LABEL = -100
# What a name or a text may have beside what the corpus has.
_LETTERS = string.ascii_letters + "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœß" + "ÀÁÂÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖØÙÚÛÜŒ"
_OTHERS = string.digits + ".,:;!?¿¡'\"()-&/%€«»„“”\u2013\u2019"


def train_tokenizer(texts: Iterable[str], size: int, source: str, target: str) -> MarianTokenizer:
    """A cased SentencePiece tokenizer of at most `size` pieces, for both languages.

    They share the pieces, so that a name has the same ones in a text and in its translation. Every
    letter of `_LETTERS` is a piece, so a name that is not in `texts` is no unknown.
    """
    spm = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=spm,
        # Besides the end and the padding, which SentencePiece leaves to Marian.
        vocab_size=size - 2,
        hard_vocab_limit=False,
        model_type="bpe",
        character_coverage=1.0,
        required_chars=_LETTERS + _OTHERS,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        # Of several threads, the pieces would depend on which is first.
        num_threads=1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=spm.getvalue())
    names = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size()) if i != pieces.unk_id()]
    vocabulary = {name: i for i, name in enumerate([END, UNKNOWN, *names, PADDING])}
    # The tokenizer takes files only, and keeps what they hold.
    with tempfile.TemporaryDirectory() as folder:
        spm_file, vocabulary_file = Path(folder) / "spm", Path(folder) / "vocab.json"
        spm_file.write_bytes(spm.getvalue())
        vocabulary_file.write_text(json.dumps(vocabulary), encoding="utf-8")
        return MarianTokenizer(
            source_spm=str(spm_file),
            target_spm=str(spm_file),
            vocab=str(vocabulary_file),
            source_lang=source,
            target_lang=target,
            model_max_length=MAX_LENGTH,
        )


def new_model(tokenizer: MarianTokenizer, args: argparse.Namespace) -> MarianMTModel:
    """An untrained model, which generates greedily unless told otherwise."""
    config = MarianConfig(
        vocab_size=len(tokenizer),
        d_model=args.hidden_size,
        encoder_layers=args.layers,
        decoder_layers=args.layers,
        encoder_attention_heads=args.heads,
        decoder_attention_heads=args.heads,
        encoder_ffn_dim=args.inner_size,
        decoder_ffn_dim=args.inner_size,
        max_position_embeddings=MAX_LENGTH,
        activation_function="relu",
        scale_embedding=True,
        # Marian's 0.02 suits its width of 512; here it leaves every layer near nothing.
        init_std=0.06,
        # Every example is new, so there is nothing to overfit to, and dropout costs CPU time.
        dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    model = MarianMTModel(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_length=MAX_LENGTH,
        num_beams=1,
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
        forced_eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        # It starts the decoder, and a model may learn to start again.
        bad_words_ids=[[config.pad_token_id]],
    )
    return model


def encode(tokenizer: MarianTokenizer, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    """INT64 `input_ids`, `attention_mask` [B, source tokens] and `labels` [B, target tokens]."""
    sources, targets = zip(*pairs, strict=True)
    encoded = tokenizer(
        list(sources),
        text_target=list(targets),
        truncation=True,
        padding=True,
        return_tensors="pt",
    )
    labels = encoded["labels"]
    return {
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
        "labels": labels.masked_fill(labels == tokenizer.pad_token_id, _IGNORED_LABEL),
    }


def batches(
    tokenizer: MarianTokenizer, args: argparse.Namespace
) -> Iterator[dict[str, torch.Tensor]]:
    """`args.steps` batches; pairs of like length together, `args.batch_tokens` on both sides."""
    rng = random.Random(args.seed)
    made = 0
    while made < args.steps:
        pool = training_pairs(rng.getrandbits(32), POOL, args.source, args.target)
        pool.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        groups: list[list[Pair]] = [[]]
        for pair in pool:
            # Sorted, so this pair is the group's longest; a piece is about four letters.
            if len(groups[-1]) * (len(pair[0]) + len(pair[1])) / 4 >= args.batch_tokens:
                groups.append([])
            groups[-1].append(pair)
        rng.shuffle(groups)
        for group in groups[: args.steps - made]:
            yield encode(tokenizer, group)
            made += 1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=LANGUAGES, required=True, help="language, to")
    parser.add_argument("--target", choices=LANGUAGES, required=True, help="language")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=2000, help="pieces")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--inner-size", type=int, default=384)
    parser.add_argument("--layers", type=int, default=2, help="of the encoder, and of the decoder")
    parser.add_argument("--heads", type=int, default=4)
    fitting.add_arguments(parser)
    parser.set_defaults(learning_rate=2e-3, warm_up=300)
    args = parser.parse_args(argv)
    if args.source == args.target:
        parser.error(f"source and target are both {args.source}: give two languages")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.steps = args.steps or STEPS

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    corpus = training_pairs(args.seed, CORPUS, args.source, args.target)
    tokenizer = train_tokenizer(
        [text for pair in corpus for text in pair], args.vocabulary, args.source, args.target
    )
    model = new_model(tokenizer, args)
    logger.info("%d parameters, %d pieces", model.num_parameters(), len(tokenizer))
    fitting.fit(model, batches(tokenizer, args), args)
    # fp16 halves the file; runtimes load it in the datatype of their placement.
    model.half().save_pretrained(args.output)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(args.output)


if __name__ == "__main__":
    main()
