"""Architectures of which it is not known that they do not see padding."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from infergraph.tasks.text.encoder import Ids

from .test_running import GREEDY, Bench, written


class Plain:
    """Batches of texts of equal length."""

    def batch(self, texts: Sequence[Ids], device: torch.device) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(np.stack(texts))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


BART_LIKE = {
    "vocab_size": 60,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "init_std": 0.4,
}
T5_LIKE = {
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "initializer_factor": 3.0,
}
OTHERS: dict[str, Callable[[], Any]] = {
    "blenderbot": lambda: hf.BlenderbotForConditionalGeneration(
        hf.BlenderbotConfig(max_position_embeddings=64, **BART_LIKE)
    ),
    "fsmt": lambda: hf.FSMTForConditionalGeneration(
        hf.FSMTConfig(langs=["a", "b"], src_vocab_size=60, tgt_vocab_size=60, **BART_LIKE)
    ),
    "umt5": lambda: hf.UMT5ForConditionalGeneration(hf.UMT5Config(**T5_LIKE)),
    "switch": lambda: hf.SwitchTransformersForConditionalGeneration(
        hf.SwitchTransformersConfig(
            num_experts=2, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, **T5_LIKE
        )
    ),
}


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", OTHERS)
def test_where_padding_may_be_seen_only_equal_lengths_run_together(kind: str, beams: int) -> None:
    torch.manual_seed(0)
    network = OTHERS[kind]()
    network.generation_config = hf.GenerationConfig(
        decoder_start_token_id=2, eos_token_id=1, pad_token_id=0
    )
    made = Bench(network, Plain())
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 60, size) for size in (5, 8, 8, 5, 8)]
    searches = [replace(GREEDY, num_beams=beams, max_new_tokens=most) for most in (9, 4, 12, 7, 2)]
    expected = [made.alone(*each) for each in zip(texts, searches, strict=True)]

    answers = written(made, texts, searches, random.Random(1))

    assert answers == expected
    assert all(real == padded for real, padded in made.seen.read)
    assert max(made.seen.rows) == (1 if kind == "switch" else 2) * beams
