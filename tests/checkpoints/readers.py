"""Readers of text in pictures: ViT or DeiT encoders with a TrOCR decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from zoo.plate_reader import build_reader

from .saving import save, seeded
from .tokenizers import byte_level_tokenizer, unigram

_DECODER = {
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "is_decoder": True,
    "add_cross_attention": True,
    "tie_word_embeddings": False,
    "init_std": 0.4,
}
_ENCODER = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}


def plate_reader(folder: Path) -> str:
    """The architecture of the embedded reader, smaller: single characters, wide pictures."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network, processor, tokenizer = build_reader(
            None, hidden=32, encoder_layers=2, decoder_layers=2, heads=2
        )
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() > 1:
                weights *= 8
    return save(folder, _livelier(network), processor, tokenizer)


def trocr(folder: Path) -> str:
    """As microsoft/trocr-base-printed: ViT, RoBERTa's tokenizer, saved as one processor."""
    tokenizer = byte_level_tokenizer(hf.RobertaTokenizer)
    network = _network(hf.ViTConfig(**_ENCODER), len(tokenizer))
    # Nobody reads its output, and the original has none.
    network.encoder.pooler = None
    # For pages of text it searches, and repeats no three tokens.
    network.generation_config = hf.GenerationConfig(
        **_tokens(), max_length=20, num_beams=4, no_repeat_ngram_size=3, length_penalty=2.0
    )
    processor = hf.ViTImageProcessor(size={"height": 32, "width": 32})
    return save(folder, network, hf.TrOCRProcessor(processor, tokenizer))


def trocr_small(folder: Path) -> str:
    """As microsoft/trocr-small-printed: DeiT, XLM-R's tokenizer, no generation_config.json."""
    tokenizer = hf.XLMRobertaTokenizer(
        vocab=[*unigram(["<s>", "<pad>", "</s>", "<unk>"]), ("<mask>", 0.0)]
    )
    network = _network(hf.DeiTConfig(**_ENCODER), len(tokenizer))
    processor = hf.DeiTImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    path = save(folder, network, processor, tokenizer)
    (folder / "generation_config.json").unlink()
    return path


def _network(encoder: Any, tokens: int) -> Any:
    decoder = hf.TrOCRConfig(
        vocab_size=tokens,
        cross_attention_hidden_size=encoder.hidden_size,
        **_DECODER,
        **_tokens(),
    )
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        encoder, decoder, **_tokens(), tie_word_embeddings=False
    )
    return _livelier(seeded(lambda: hf.VisionEncoderDecoderModel(config)))


def _tokens() -> dict[str, int]:
    return {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}


def _livelier(network: Any) -> Any:
    # A random decoder hardly listens to what the encoder saw, and would mostly say special tokens.
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if name.endswith("encoder_attn.out_proj.weight"):
                weights *= 4
        head = network.decoder.output_projection.weight
        head[[0, 1, 3]] = 0
    return network
