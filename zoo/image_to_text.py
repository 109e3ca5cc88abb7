"""Networks that write what an image shows: an encoder, and a TrOCR decoder of its text."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import transformers as hf

from zoo.captions import WORDS

CHARACTERS = string.digits + string.ascii_uppercase + " -"
"""What a plate has."""
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_NUMBERS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}


def build_captioner(
    folder: Path | None,
    *,
    height: int = 112,
    width: int = 192,
    channels: Sequence[int] = (32, 64, 96, 128),
    stem: int = 16,
    last_blocks: int = 2,
    hidden: int = 128,
    decoder_layers: int = 3,
    heads: int = 4,
    max_tokens: int = 48,
) -> tuple[Any, Any, Any]:
    """The network (random), image processor and tokenizer, saved in `folder` unless it is None.

    The encoder is a narrow ResNet-10 of timm's, whose last map has a stride of 16 pixels. A text's
    labels are `tokenizer(text).input_ids`: its words, then `</s>`, with which the decoder begins,
    too.
    """
    encoder = hf.TimmWrapperConfig(
        architecture="resnet10t",
        model_args={
            "channels": list(channels),
            "stem_width": stem,
            "layers": [1, 1, 1, last_blocks],
            "output_stride": 16,
        },
        do_pooling=False,
        # Not of this configuration's own, but the decoder's is compared with it.
        hidden_size=channels[-1],
    )
    tokenizer = word_tokenizer(WORDS)
    network = _network(encoder, tokenizer, hidden, decoder_layers, heads, max_tokens)
    processor = hf.ViTImageProcessor(
        size={"height": height, "width": width},
        resample=2,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    return _saved(folder, network, processor, tokenizer)


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

    The encoder is a small ViT. A text's labels are `tokenizer(text).input_ids`: the characters,
    then `</s>`. The decoder begins with `</s>`, as TrOCR's do; padding is -100 in labels for the
    loss. Patches are columns as high as the plate: with square ones, training learns to read only
    much later.
    """
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
    tokenizer = character_tokenizer(max_characters)
    network = _network(encoder, tokenizer, hidden, decoder_layers, heads, max_characters)
    processor = hf.ViTImageProcessor(
        size={"height": height, "width": width},
        resample=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return _saved(folder, network, processor, tokenizer)


def _network(encoder: Any, tokenizer: Any, hidden: int, layers: int, heads: int, most: int) -> Any:
    """An encoder, random, with a decoder that writes up to `most` tokens."""
    decoder = hf.TrOCRConfig(
        vocab_size=len(tokenizer),
        d_model=hidden,
        decoder_layers=layers,
        decoder_attention_heads=heads,
        decoder_ffn_dim=4 * hidden,
        max_position_embeddings=most + 4,
        cross_attention_hidden_size=encoder.hidden_size,
        is_decoder=True,
        add_cross_attention=True,
        dropout=0.0,
        scale_embedding=False,
        tie_word_embeddings=False,
        use_cache=True,
        **_NUMBERS,
    )
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    for name, number in _NUMBERS.items():
        setattr(config, name, number)
    config.tie_word_embeddings = False
    network = hf.VisionEncoderDecoderModel(config)
    network.generation_config = hf.GenerationConfig(**_NUMBERS, max_new_tokens=most)
    return network


def _saved(folder: Path | None, *parts: Any) -> Any:
    if folder is not None:
        for part in parts:
            part.save_pretrained(folder)
    return parts


def word_tokenizer(words: Sequence[str]) -> Any:
    """One token for each word with the space before it, and for a comma; adds `</s>` at the end."""
    tokens = [",", *(f" {word}" for word in words)]
    return _tokenizer(tokens, r" [^ ,]+|,", tokenizers.normalizers.Prepend(" "))


def character_tokenizer(max_characters: int) -> Any:
    """One token for each of `CHARACTERS`; adds `</s>` at the end."""
    return _tokenizer(CHARACTERS, ".", model_max_length=max_characters + 1)


def _tokenizer(tokens: Sequence[str], split: str, normalizer: Any = None, **more: Any) -> Any:
    """One that takes the parts that a regular expression finds as tokens."""
    vocabulary = {token: index for index, token in enumerate([*_SPECIAL, *tokens])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(split), "isolated")
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
        clean_up_tokenization_spaces=False,
        **more,
    )
