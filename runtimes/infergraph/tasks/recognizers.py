"""Speech recognisers: a network with its decoding, chosen by the checkpoint's architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CTC_MAPPING_NAMES,
    MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
)
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from ..devices import Placement
from ..errors import ConfigurationError
from .pretrained import load_network, load_tokenizer

# Whisper puts up to four tokens of its own before the text: start, language, task, no timestamps.
_PROMPT_TOKENS = 4


class Recognizer(Protocol):
    """Transcribes a batch of clips."""

    def __call__(self, inputs: dict[str, torch.Tensor], lengths: torch.Tensor | None) -> list[str]:
        """One text per clip.

        Args:
            inputs: The network's inputs, on its device.
            lengths: The length of each clip, if they were padded.
        """
        ...


def load_recognizer(
    checkpoint: str, config: Any, placement: Placement, decoding: Mapping[str, Any]
) -> Recognizer:
    """The recogniser of a checkpoint.

    Args:
        checkpoint: A folder's path.
        config: The checkpoint's configuration.
        placement: Device and dtype.
        decoding: The settings `language`, `task`, `num_beams` and `max_new_tokens`; None where
            the checkpoint's own value is wanted.

    Raises:
        ConfigurationError: the architecture is not a recogniser, does not take one of the
            settings, or the checkpoint is incomplete.
    """
    wanted = {name: value for name, value in decoding.items() if value is not None}
    if config.model_type in MODEL_FOR_CTC_MAPPING_NAMES:
        for name, value in wanted.items():
            raise ConfigurationError(
                f"setting '{name}' = {value!r}: {config.model_type} is a CTC model, which takes no "
                "such setting; sequence-to-sequence models (Whisper, Speech2Text) do"
            )
        network = load_network(AutoModelForCTC, checkpoint, placement)
        return CtcRecognizer(network, load_tokenizer(checkpoint))
    if config.model_type in MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES:
        network = load_network(AutoModelForSpeechSeq2Seq, checkpoint, placement)
        return SequenceRecognizer(network, load_tokenizer(checkpoint), wanted)
    raise ConfigurationError(
        f"checkpoint '{checkpoint}': the architecture '{config.model_type}' does not transcribe "
        f"speech; accepted: CTC ({', '.join(sorted(MODEL_FOR_CTC_MAPPING_NAMES))}) and "
        f"sequence-to-sequence ({', '.join(sorted(MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES))})"
    )


class CtcRecognizer:
    """Takes the likeliest token of each frame, drops repetitions, then blanks."""

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._blank: int = tokenizer.pad_token_id

    def __call__(self, inputs: dict[str, torch.Tensor], lengths: torch.Tensor | None) -> list[str]:
        tokens = self._network(**inputs).logits.argmax(dim=-1).cpu().numpy()
        if lengths is None:
            frames = np.full(len(tokens), tokens.shape[1])
        else:
            frames = self._network._get_feat_extract_output_lengths(lengths).long().numpy()
        # Wav2Vec2's tokenizer, told to skip special tokens, drops blanks before it joins
        # repetitions, and loses double letters: it gets collapsed tokens and must join none.
        texts: list[str] = self._tokenizer.batch_decode(
            collapse(tokens, frames, self._blank), skip_special_tokens=True, group_tokens=False
        )
        return texts


class SequenceRecognizer:
    """Generates the text token by token from the encoded speech."""

    def __init__(self, network: Any, tokenizer: Any, decoding: Mapping[str, Any]) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._arguments = _generation_arguments(network, tokenizer, decoding)

    def __call__(self, inputs: dict[str, torch.Tensor], lengths: torch.Tensor | None) -> list[str]:
        tokens = self._network.generate(**inputs, **self._arguments)
        texts: list[str] = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return texts


def collapse(
    tokens: npt.NDArray[np.int64], frames: npt.NDArray[np.int64], blank: int
) -> list[list[int]]:
    """CTC's collapse: repetitions become one token, blanks none.

    Args:
        tokens: INT64 [clips, frames], the token of each frame.
        frames: INT64 [clips], how many frames of each clip count.
        blank: The blank token.

    Returns:
        The tokens of each clip.
    """
    kept = tokens != blank
    kept[:, 1:] &= tokens[:, 1:] != tokens[:, :-1]
    kept &= np.arange(tokens.shape[1]) < frames[:, None]
    return [row[keep].tolist() for row, keep in zip(tokens, kept, strict=True)]


def _generation_arguments(
    network: Any, tokenizer: Any, decoding: Mapping[str, Any]
) -> dict[str, Any]:
    arguments = {
        name: decoding[name] for name in ("num_beams", "max_new_tokens") if name in decoding
    }
    if "max_new_tokens" in arguments:
        _check_max_new_tokens(network.config, arguments["max_new_tokens"])
        # The checkpoint's own limit; transformers warns at each request when both are set.
        network.generation_config.max_length = None
    language, task = decoding.get("language"), decoding.get("task")
    if network.config.model_type == "whisper":
        return arguments | _whisper_prompt(network.generation_config, language, task)
    if task not in (None, "transcribe"):
        raise ConfigurationError(
            f"setting 'task' = '{task}': {network.config.model_type} only transcribes; "
            "accepted: transcribe"
        )
    if language is not None:
        languages: dict[str, int] = getattr(tokenizer, "lang_code_to_id", {})
        if language not in languages:
            raise _unknown_language(language, list(languages))
        arguments["forced_bos_token_id"] = languages[language]
    return arguments


def _whisper_prompt(generation: Any, language: str | None, task: str | None) -> dict[str, Any]:
    prompt = {
        name: value for name, value in (("language", language), ("task", task)) if value is not None
    }
    tokens: dict[str, int] = getattr(generation, "lang_to_id", None) or {}
    if prompt and (not tokens or getattr(generation, "is_multilingual", None) is False):
        name, value = next(iter(prompt.items()))
        raise ConfigurationError(
            f"setting '{name}' = '{value}': this Whisper checkpoint is for one language only and "
            "takes neither language nor task"
        )
    if language is not None:
        code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
        if f"<|{code}|>" not in tokens:
            raise _unknown_language(language, [token.strip("<|>") for token in tokens])
        prompt["language"] = code
    return prompt


def _unknown_language(language: str, known: list[str]) -> ConfigurationError:
    accepted = ", ".join(sorted(known)) or "none, the checkpoint is for one language only"
    return ConfigurationError(f"setting 'language' = '{language}'; accepted: {accepted}")


def _check_max_new_tokens(config: Any, wanted: int) -> None:
    positions = getattr(config, "max_target_positions", None)
    if positions is None:
        return
    limit = positions - _PROMPT_TOKENS
    if wanted > limit:
        raise ConfigurationError(
            f"setting 'max_new_tokens' = {wanted}: the checkpoint's decoder has {positions} "
            f"positions; accepted: 1 to {limit}"
        )
