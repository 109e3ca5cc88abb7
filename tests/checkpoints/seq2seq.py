"""Text generation: encoder-decoders for translation and summarization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from .saving import save, seeded
from .tokenizers import byte_level_tokenizer, characters, sentencepiece_files, unigram

# Random networks of common ranges say the same whatever they read; these do not.
_SMALL_SEQ2SEQ = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "init_std": 0.4,
}


def marian(folder: Path, *, positions: int = 64) -> str:
    vocabulary, model = sentencepiece_files(folder, ["</s>", "<unk>"], ["<pad>"])
    tokenizer = hf.MarianTokenizer(model, model, vocabulary, source_lang="fr", target_lang="en")
    pad = tokenizer.pad_token_id
    config = hf.MarianConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
        scale_embedding=True,
        **_SMALL_SEQ2SEQ,
    )
    generation = {
        "bad_words_ids": [[pad]],
        "decoder_start_token_id": pad,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "max_length": 24,
        "num_beams": 3,
        "pad_token_id": pad,
        "renormalize_logits": True,
    }
    return _seq2seq(folder, hf.MarianMTModel, config, generation, tokenizer)


def m2m100(folder: Path) -> str:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary, model = sentencepiece_files(folder, special, [])
    codes = hf.M2M100Tokenizer(vocabulary, model).lang_code_to_token.values()
    tokenizer = hf.M2M100Tokenizer(vocabulary, model, additional_special_tokens=list(codes))
    return _m2m100(folder, tokenizer, tokenizer.encoder_size + len(codes))


def nllb(folder: Path) -> str:
    """M2M100's network with NLLB's tokenizer and language codes, of which it has six."""
    languages = ["deu_Latn", "eng_Latn", "fra_Latn", "spa_Latn", "zho_Hans", "zho_Hant"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "▁", *characters(), *languages, "<mask>"]
    tokenizer = hf.NllbTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        extra_special_tokens=languages,
    )
    return _m2m100(folder, tokenizer, len(tokenizer))


def _m2m100(folder: Path, tokenizer: Any, size: int) -> str:
    config = hf.M2M100Config(
        vocab_size=size,
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        encoder_layerdrop=0,
        decoder_layerdrop=0,
        scale_embedding=True,
        **_SMALL_SEQ2SEQ,
    )
    generation = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "max_length": 24,
        "num_beams": 3,
        "early_stopping": True,
    }
    return _seq2seq(folder, hf.M2M100ForConditionalGeneration, config, generation, tokenizer)


def mbart(folder: Path, *, fifty: bool = False) -> str:
    """mBART, of the first 25 languages or of fifty."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if fifty:
        from transformers.models.mbart50 import tokenization_mbart50 as module

        kind = hf.MBart50Tokenizer
    else:
        from transformers.models.mbart import tokenization_mbart as module

        kind = hf.MBartTokenizer
    languages = [(code, 0.0) for code in module.FAIRSEQ_LANGUAGE_CODES]
    tokenizer = kind(vocab=[*unigram(special), *languages, ("<mask>", 0.0)])
    config = hf.MBartConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        scale_embedding=True,
        **_SMALL_SEQ2SEQ,
    )
    generation = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
        "max_length": 24,
        "num_beams": 3,
        "early_stopping": True,
    }
    return _seq2seq(folder, hf.MBartForConditionalGeneration, config, generation, tokenizer)


def bart(folder: Path) -> str:
    """BART, with the rules of decoding of the ones that were trained on CNN/DailyMail."""
    tokenizer = byte_level_tokenizer(hf.BartTokenizer)
    config = hf.BartConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        **_SMALL_SEQ2SEQ,
    )
    generation = {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "early_stopping": True,
        "length_penalty": 2.0,
        "max_length": 30,
        "min_length": 8,
        "no_repeat_ngram_size": 3,
        "num_beams": 4,
    }
    return _seq2seq(folder, hf.BartForConditionalGeneration, config, generation, tokenizer)


def pegasus(folder: Path) -> str:
    special = ["<pad>", "</s>", "<unk>", "<mask_1>", "<mask_2>"]
    tokenizer = hf.PegasusTokenizer(vocab=unigram(special))
    config = hf.PegasusConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        scale_embedding=True,
        **_SMALL_SEQ2SEQ,
    )
    generation = {
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": 1,
        "length_penalty": 0.6,
        "max_length": 24,
        "num_beams": 4,
    }
    return _seq2seq(folder, hf.PegasusForConditionalGeneration, config, generation, tokenizer)


def t5(folder: Path) -> str:
    """T5; as in the originals, its configuration says how to decode for a task, and the prefix."""
    tokenizer = hf.T5Tokenizer(vocab=unigram(["<pad>", "</s>", "<unk>"]), extra_ids=0)
    config = hf.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=48,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=32,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        initializer_factor=3.0,
        task_specific_params={
            "summarization": {
                "early_stopping": True,
                "length_penalty": 2.0,
                "max_length": 28,
                "min_length": 6,
                "no_repeat_ngram_size": 3,
                "num_beams": 4,
                "prefix": "summarize: ",
            },
            "translation_en_to_de": {
                "early_stopping": True,
                "max_length": 24,
                "num_beams": 4,
                "prefix": "translate English to German: ",
            },
        },
    )
    generation = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return _seq2seq(folder, hf.T5ForConditionalGeneration, config, generation, tokenizer)


def _seq2seq(
    folder: Path, kind: Any, config: Any, generation: dict[str, Any], tokenizer: Any
) -> str:
    # With tied embeddings a random decoder repeats the token that it was given.
    config.tie_word_embeddings = False
    network = seeded(lambda: kind(config))
    # And it hardly listens to what the encoder read.
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if name.endswith(("encoder_attn.out_proj.weight", "EncDecAttention.o.weight")):
                weights *= 4
        # Among so few tokens, special ones would be most of what is said.
        for token in set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}:
            network.lm_head.weight[token] = 0
    network.generation_config = hf.GenerationConfig(**generation)
    tokenizer.model_max_length = 64
    return save(folder, network, tokenizer)
