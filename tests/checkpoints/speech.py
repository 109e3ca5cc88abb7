"""Speech to text: CTC networks and encoder-decoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers as hf

from .saving import save, seeded
from .tokenizers import TEXT, train_sentencepiece

CTC_TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaoinshrdlu"]


def wav2vec2(folder: Path, *, norm: str = "group", family: str = "Wav2Vec2") -> str:
    """A CTC network on raw samples: family Wav2Vec2, Hubert or WavLM.

    `norm` is "group" (as facebook/wav2vec2-base-960h) or "layer" (as its lv60 relatives).
    """
    config = getattr(hf, f"{family}Config")(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 3, 3),
        conv_stride=(5, 8, 8),
        num_feat_extract_layers=3,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        conv_bias=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=len(CTC_TOKENS),
        pad_token_id=0,
        initializer_range=0.5,
    )
    extractor = hf.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    network = seeded(lambda: getattr(hf, f"{family}ForCTC")(config))
    return save(folder, network, extractor, ctc_tokenizer(folder))


def wav2vec2_bert(folder: Path, *, adapter: bool = False) -> str:
    """A CTC conformer on log-mel frames, with or without the strided adapter."""
    config = hf.Wav2Vec2BertConfig(
        hidden_size=32,
        output_hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_depthwise_kernel_size=5,
        add_adapter=adapter,
        num_adapter_layers=1,
        vocab_size=len(CTC_TOKENS),
        pad_token_id=0,
        initializer_range=0.5,
    )
    network = seeded(lambda: hf.Wav2Vec2BertForCTC(config))
    return save(folder, network, hf.SeamlessM4TFeatureExtractor(), ctc_tokenizer(folder))


def whisper(folder: Path, *, multilingual: bool = False) -> str:
    """A Whisper network with its byte-level tokenizer, for English alone or for en, fr, de."""
    languages = ["<|en|>", "<|fr|>", "<|de|>"] if multilingual else []
    prompt = [
        "<|startoftranscript|>",
        *languages,
        "<|translate|>",
        "<|transcribe|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    vocabulary = {token: index for index, token in enumerate(sorted({*TEXT, "Ġ"} - {" "}))}
    tokenizer = hf.WhisperTokenizer(
        vocab={**vocabulary, "<|endoftext|>": len(vocabulary)}, merges=[]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": prompt})
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in ["<|endoftext|>", *prompt]}
    end = ids["<|endoftext|>"]
    config = hf.WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_target_positions=64,
        init_std=0.6,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
    )
    network = seeded(lambda: hf.WhisperForConditionalGeneration(config))
    generation: dict[str, Any] = {
        "decoder_start_token_id": config.decoder_start_token_id,
        "eos_token_id": end,
        "pad_token_id": end,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "is_multilingual": multilingual,
        "suppress_tokens": sorted(ids.values()),
        "max_length": 28,
    }
    if multilingual:
        generation["lang_to_id"] = {token: ids[token] for token in languages}
        generation["task_to_id"] = {
            "transcribe": ids["<|transcribe|>"],
            "translate": ids["<|translate|>"],
        }
    network.generation_config = hf.GenerationConfig(**generation)
    return save(folder, network, hf.WhisperFeatureExtractor(), tokenizer)


def speech2text(folder: Path) -> str:
    """A Speech2Text network with its SentencePiece tokenizer."""
    tokenizer = sentencepiece_tokenizer(folder)
    config = hf.Speech2TextConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        conv_channels=32,
        max_source_positions=2000,
        max_target_positions=64,
        init_std=0.6,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    network = seeded(lambda: hf.Speech2TextForConditionalGeneration(config))
    network.generation_config.max_length = 25
    network.generation_config.suppress_tokens = [0, 1, 2, 3]
    return save(folder, network, hf.Speech2TextFeatureExtractor(), tokenizer)


def ctc_tokenizer(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(CTC_TOKENS)}))
    return hf.Wav2Vec2CTCTokenizer(str(vocabulary))


def sentencepiece_tokenizer(folder: Path) -> Any:
    model, pieces = train_sentencepiece(folder)
    vocabulary = folder / "trained.json"
    vocabulary.write_text(
        json.dumps({piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])})
    )
    return hf.Speech2TextTokenizer(str(vocabulary), model)
