"""Small checkpoints of real architectures, randomly initialised and made without any download.

Each function saves one into a folder, as `save_pretrained` does, and returns the folder's path.
They serve to run the code that real checkpoints run through; what they answer means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

TEXT = (
    "the lighthouse of Arden was built by Mira Solano in 1874 and the keeper who lives there "
    "counts seven grey gulls every morning before he lights the lamp"
)
"""Text whose words the text tokenizers below know."""

CTC_TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaoinshrdlu"]


def save(folder: Path, *parts: Any) -> str:
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)


def seeded(build: Callable[[], torch.nn.Module]) -> Any:
    """A network whose weights are the same in every process, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build().eval()


# --- speech to text ---------------------------------------------------------------------------


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
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 4),
        model_prefix=str(folder / "trained"),
        vocab_size=48,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = folder / "trained.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    pieces = [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
    vocabulary = folder / "trained.json"
    vocabulary.write_text(
        json.dumps({piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])})
    )
    return hf.Speech2TextTokenizer(str(vocabulary), str(model))


# --- question answering -----------------------------------------------------------------------

_SMALL_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.5,
}


def bert_qa(folder: Path, *, positions: int = 128) -> str:
    tokenizer = wordpiece_tokenizer(hf.BertTokenizerFast)
    config = hf.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=positions, **_SMALL_ENCODER
    )
    return save(folder, seeded(lambda: hf.BertForQuestionAnswering(config)), tokenizer)


def distilbert_qa(folder: Path, *, positions: int = 128) -> str:
    tokenizer = wordpiece_tokenizer(hf.DistilBertTokenizerFast)
    config = hf.DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        dim=32,
        n_layers=2,
        n_heads=2,
        hidden_dim=48,
        initializer_range=0.5,
    )
    return save(folder, seeded(lambda: hf.DistilBertForQuestionAnswering(config)), tokenizer)


def roberta_qa(folder: Path, *, positions: int = 128) -> str:
    """`positions` tokens fit; like the real ones, its table has two more rows than that."""
    characters = ["Ġ", *sorted({*TEXT, "?"} - {" "})]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *characters]
    tokenizer = hf.RobertaTokenizerFast(
        vocab={token: index for index, token in enumerate(tokens)}, merges=[]
    )
    config = hf.RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions + 2,
        type_vocab_size=1,
        pad_token_id=1,
        **_SMALL_ENCODER,
    )
    return save(folder, seeded(lambda: hf.RobertaForQuestionAnswering(config)), tokenizer)


def xlm_roberta_qa(folder: Path, *, positions: int = 128) -> str:
    words = sorted({f"▁{word}" for word in TEXT.split()})
    characters = ["▁", *sorted({*TEXT, "?"} - {" "})]
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(word, -2.0) for word in words]
    pieces += [(character, -6.0) for character in characters if character not in words]
    tokenizer = hf.XLMRobertaTokenizerFast(vocab=[*pieces, ("<mask>", 0.0)])
    config = hf.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions + 2,
        type_vocab_size=1,
        pad_token_id=1,
        **_SMALL_ENCODER,
    )
    return save(folder, seeded(lambda: hf.XLMRobertaForQuestionAnswering(config)), tokenizer)


def wordpiece_tokenizer(cls: Any) -> Any:
    """Lower-cases; knows the words of `TEXT`, and other words by their letters."""
    letters = sorted({*TEXT.lower(), *"?.,"} - {" "})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(TEXT.lower().split()))]
    tokens += [letter for letter in letters if letter not in tokens]
    tokens += [f"##{letter}" for letter in letters]
    return cls(vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=True)
