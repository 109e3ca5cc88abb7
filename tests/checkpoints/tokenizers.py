"""Tokenizers of every kind, of a few dozen tokens each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece

TEXT = (
    "the lighthouse of Arden was built by Mira Solano in 1874 and the keeper who lives there "
    "counts seven grey gulls every morning before he lights the lamp"
)
"""Text whose words the text tokenizers below know."""


def wordpiece_tokenizer(cls: Any) -> Any:
    """Lower-cases; knows the words of `TEXT`, and other words by their letters."""
    letters = sorted({*TEXT.lower(), *"?.,"} - {" "})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(TEXT.lower().split()))]
    tokens += [letter for letter in letters if letter not in tokens]
    tokens += [f"##{letter}" for letter in letters]
    return cls(vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=True)


def byte_level_tokenizer(cls: Any) -> Any:
    """One token for each character of `TEXT` and a few marks."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *characters()]
    return cls(vocab={token: index for index, token in enumerate(tokens)}, merges=[])


def unigram(special: list[str]) -> list[tuple[str, float]]:
    """Pieces with scores: the words of `TEXT`, and other words by their letters."""
    words = sorted({f"▁{word}" for word in TEXT.split()})
    letters = ["▁", *(each for each in characters() if each not in words)]
    return [
        *((token, 0.0) for token in special),
        *((word, -2.0) for word in words),
        *((character, -6.0) for character in letters),
    ]


def characters() -> list[str]:
    return sorted({*TEXT, *"?.,!:"} - {" "})


def sentencepiece_files(folder: Path, before: list[str], after: list[str]) -> tuple[str, str]:
    """The paths of a vocabulary, the pieces between special tokens, and of the model."""
    model, pieces = train_sentencepiece(folder)
    vocabulary = folder / "trained.json"
    tokens = [*before, *pieces, *after]
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    return str(vocabulary), model


def train_sentencepiece(folder: Path) -> tuple[str, list[str]]:
    """The path of a SentencePiece model of `TEXT`, and its pieces without the special ones."""
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 4),
        model_prefix=str(folder / "trained"),
        vocab_size=48,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = str(folder / "trained.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    return model, [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
