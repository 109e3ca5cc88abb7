"""A captioner: a narrow ResNet-10 of timm's as encoder, and a TrOCR decoder that writes words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import transformers as hf

from zoo.captions import WORDS

_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


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

    The encoder's last map has a stride of 16 pixels. A text's labels are
    `tokenizer(text).input_ids`: its words, then `</s>`, with which the decoder begins, too.
    """
    tokenizer = word_tokenizer(WORDS)
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
    decoder = hf.TrOCRConfig(
        vocab_size=len(tokenizer),
        d_model=hidden,
        decoder_layers=decoder_layers,
        decoder_attention_heads=heads,
        decoder_ffn_dim=4 * hidden,
        max_position_embeddings=max_tokens + 4,
        cross_attention_hidden_size=channels[-1],
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
    tokens = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    for name, number in tokens.items():
        setattr(config, name, number)
    config.tie_word_embeddings = False
    network = hf.VisionEncoderDecoderModel(config)
    network.generation_config = hf.GenerationConfig(**tokens, max_new_tokens=max_tokens)
    processor = hf.ViTImageProcessor(
        size={"height": height, "width": width},
        resample=2,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    if folder is not None:
        for part in (network, processor, tokenizer):
            part.save_pretrained(folder)
    return network, processor, tokenizer


def word_tokenizer(words: Sequence[str]) -> Any:
    """One token for each word with the space before it, and for a comma; adds `</s>` at the end."""
    tokens = [*_SPECIAL, ",", *(f" {word}" for word in words)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.normalizer = tokenizers.normalizers.Prepend(" ")
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(r" [^ ,]+|,"), "isolated"
    )
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
    )
