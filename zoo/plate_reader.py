"""A reader of plates: a small ViT encoder with a TrOCR decoder that writes single characters."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import tokenizers
import transformers as hf

CHARACTERS = string.digits + string.ascii_uppercase + " -"
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def build_reader(
    folder: Path | None,
    *,
    height: int = 32,
    width: int = 96,
    hidden: int = 128,
    encoder_layers: int = 4,
    decoder_layers: int = 2,
    heads: int = 4,
    patch: tuple[int, int] = (32, 4),
    max_characters: int = 16,
) -> tuple[Any, Any, Any]:
    """The network (random), image processor and tokenizer, saved in `folder` unless it is None.

    A text's labels are `tokenizer(text).input_ids`: the characters, then `</s>`. The decoder
    begins with `</s>`, as TrOCR's do; padding is -100 in labels for the loss. Patches are columns
    as high as the plate: with square ones, training learns to read only much later.
    """
    tokenizer = character_tokenizer(max_characters)
    encoder = hf.ViTConfig(
        image_size=(height, width),
        patch_size=patch,
        hidden_size=hidden,
        num_hidden_layers=encoder_layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    decoder = hf.TrOCRConfig(
        vocab_size=len(tokenizer),
        d_model=hidden,
        decoder_layers=decoder_layers,
        decoder_attention_heads=heads,
        decoder_ffn_dim=4 * hidden,
        max_position_embeddings=max_characters + 4,
        cross_attention_hidden_size=hidden,
        is_decoder=True,
        add_cross_attention=True,
        dropout=0.0,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        scale_embedding=False,
        tie_word_embeddings=False,
        use_cache=True,
    )
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id = 2
    config.pad_token_id = 1
    config.eos_token_id = 2
    config.tie_word_embeddings = False
    network = hf.VisionEncoderDecoderModel(config)
    network.generation_config = hf.GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        max_new_tokens=max_characters,
    )
    processor = hf.ViTImageProcessor(
        size={"height": height, "width": width},
        resample=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    if folder is not None:
        for part in (network, processor, tokenizer):
            part.save_pretrained(folder)
    return network, processor, tokenizer


def character_tokenizer(max_characters: int) -> Any:
    """One token for each of `CHARACTERS`; adds `</s>` at the end."""
    vocabulary = {token: index for index, token in enumerate([*_SPECIAL, *CHARACTERS])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=max_characters + 1,
        clean_up_tokenization_spaces=False,
    )
