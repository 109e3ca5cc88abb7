"""Writers of texts of pictures: readers with a TrOCR decoder, and captioners of every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from zoo.image_to_text import build_captioner, build_reader

from .saving import save, seeded
from .tokenizers import byte_level_tokenizer, unigram, wordpiece_tokenizer

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


def captioner(folder: Path) -> str:
    """The architecture of the embedded captioner, smaller: convolutions that give maps."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network, processor, tokenizer = build_captioner(
            None,
            height=64,
            width=96,
            channels=(8, 8, 16, 32),
            stem=8,
            last_blocks=1,
            hidden=32,
            decoder_layers=2,
            heads=2,
        )
        # Batch norms that know no pictures make next to nothing of any.
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        network.train()
        with torch.no_grad():
            network.encoder(torch.randn(8, 3, 64, 96) + torch.randn(8, 3, 1, 1))
        network.eval()
    with torch.no_grad():
        for weights in network.decoder.parameters():
            if weights.dim() > 1:
                weights *= 8
    return save(folder, _livelier(network), processor, tokenizer)


def vit_gpt2(folder: Path) -> str:
    """As nlpconnect/vit-gpt2-image-captioning: begins, ends and pads with one token."""
    tokenizer = byte_level_tokenizer(hf.GPT2Tokenizer)
    end = tokenizer.eos_token_id
    tokens = dict.fromkeys(_tokens(), end)
    decoder = hf.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=40,
        add_cross_attention=True,
        initializer_range=0.4,
        **tokens,
    )
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        hf.ViTConfig(**_ENCODER), decoder, **tokens
    )
    network = seeded(lambda: hf.VisionEncoderDecoderModel(config))
    network.generation_config = hf.GenerationConfig(**tokens, max_length=16, num_beams=4)
    return save(folder, network, hf.ViTImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def blip(folder: Path) -> str:
    """As Salesforce/blip-image-captioning-base: its text decoder begins with a token of its own."""
    tokenizer = wordpiece_tokenizer(hf.BertTokenizer)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "encoder_hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "initializer_range": 0.4,
        "bos_token_id": tokenizer.bos_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = hf.BlipConfig(text_config=text, vision_config=_ENCODER, projection_dim=16)
    network = seeded(lambda: hf.BlipForConditionalGeneration(config))
    processor = hf.BlipImageProcessor(size={"height": 32, "width": 32})
    return save(folder, network, hf.BlipProcessor(processor, tokenizer))


def git(folder: Path) -> str:
    """As microsoft/git-base-coco: one decoder reads the picture's patches before the text."""
    tokenizer = wordpiece_tokenizer(hf.BertTokenizer)
    config = hf.GitConfig(
        vision_config=_ENCODER,
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
        initializer_range=0.4,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    network = seeded(lambda: hf.GitForCausalLM(config))
    processor = hf.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return save(folder, network, processor, tokenizer)


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
