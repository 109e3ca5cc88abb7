"""Loading checkpoints from several threads, as a server does with its models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
)

from infergraph.devices import Placement
from infergraph.tasks.pretrained import load_network
from tests.checkpoints import bert_qa

CPU = Placement(torch.device("cpu"), torch.float32, compile=False)


def tied(folder: Path) -> str:
    """An encoder-decoder whose words have one embedding in encoder, decoder and output."""
    sizes = {f"{part}_layers": 1 for part in ("encoder", "decoder")}
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    widths = {f"{part}_ffn_dim": 16 for part in ("encoder", "decoder")}
    config = BartConfig(
        vocab_size=32, d_model=16, max_position_embeddings=16, **sizes, **heads, **widths
    )
    assert config.tie_word_embeddings
    BartForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def test_networks_that_are_loaded_at_the_same_time_are_whole(tmp_path: Path) -> None:
    jobs = [
        (AutoModelForSeq2SeqLM, tied(tmp_path / "tied")),
        (AutoModelForQuestionAnswering, bert_qa(tmp_path / "bert")),
    ] * 8
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda job: load_network(*job, CPU), jobs))
    for writer in networks[::2]:
        # Tied weights are not in the file; one of them lost is a network of random words.
        assert writer.lm_head.weight.data_ptr() == writer.model.shared.weight.data_ptr()
    for first, other in zip(networks[:2], networks[2:4], strict=True):
        expected = first.state_dict()
        for name, values in other.state_dict().items():
            torch.testing.assert_close(values, expected[name], rtol=0, atol=0)
