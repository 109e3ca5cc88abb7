"""Text encoders: question answering and text classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf

from .saving import save, seeded
from .tokenizers import byte_level_tokenizer, unigram, wordpiece_tokenizer

_SMALL_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.5,
}


def bert_qa(folder: Path, *, positions: int = 128) -> str:
    return bert(folder, "QuestionAnswering", positions=positions)


def bert(folder: Path, head: str = "SequenceClassification", **config: Any) -> str:
    """BERT; `head` as in the classes' names, `positions` is how many tokens fit (128)."""
    tokenizer = wordpiece_tokenizer(hf.BertTokenizerFast)
    return _text_encoder(folder, "Bert", head, tokenizer, config, **_SMALL_ENCODER)


def distilbert(folder: Path, head: str = "SequenceClassification", **config: Any) -> str:
    tokenizer = wordpiece_tokenizer(hf.DistilBertTokenizerFast)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "initializer_range": 0.5}
    return _text_encoder(folder, "DistilBert", head, tokenizer, config, **sizes)


def roberta(folder: Path, head: str = "SequenceClassification", **config: Any) -> str:
    """RoBERTa; like the real ones, its table of positions has two more rows than tokens fit."""
    sizes = {**_SMALL_ENCODER, "type_vocab_size": 1, "pad_token_id": 1}
    tokenizer = byte_level_tokenizer(hf.RobertaTokenizerFast)
    return _text_encoder(folder, "Roberta", head, tokenizer, config, extra_positions=2, **sizes)


def xlm_roberta(folder: Path, head: str = "SequenceClassification", **config: Any) -> str:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = hf.XLMRobertaTokenizerFast(vocab=[*unigram(special), ("<mask>", 0.0)])
    sizes = {**_SMALL_ENCODER, "type_vocab_size": 1, "pad_token_id": 1}
    return _text_encoder(folder, "XLMRoberta", head, tokenizer, config, extra_positions=2, **sizes)


def _text_encoder(
    folder: Path,
    family: str,
    head: str,
    tokenizer: Any,
    config: dict[str, Any],
    *,
    extra_positions: int = 0,
    **sizes: Any,
) -> str:
    positions = config.pop("positions", 128)
    settings = getattr(hf, f"{family}Config")(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions + extra_positions,
        **sizes,
        **config,
    )
    return save(folder, seeded(lambda: getattr(hf, f"{family}For{head}")(settings)), tokenizer)
