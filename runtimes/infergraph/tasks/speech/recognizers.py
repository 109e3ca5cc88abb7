"""Speech recognisers: a network with its decoding, chosen by the checkpoint's architecture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    AutoModelForCTC,
    AutoModelForSpeechSeq2Seq,
    StoppingCriteriaList,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CTC_MAPPING_NAMES,
    MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
)
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from ...batching import check_wanted
from ...devices import Placement
from ...errors import ConfigurationError
from ..checkpoints.pretrained import load_network, load_tokenizer
from ..text.language_model import LanguageModel, read_language_model
from ..text.word_search import WordSearch
from .doubts import Bounds, Doubts, without_loop

# Whisper puts up to four tokens of its own before the text: start, language, task, no timestamps.
_PROMPT_TOKENS = 4
# What OpenAI called the same token in its two vocabularies.
_NO_SPEECH_TOKENS = ("<|nospeech|>", "<|nocaptions|>")
_SEQUENCE_SETTINGS = (
    "min_score",
    *("language", "task", "num_beams", "max_new_tokens"),
    *("compression_ratio_threshold", "max_tokens_per_second"),
)
# A text of known words whose letters are so likely is what a search would find.
_SURE = 0.95
# Letters are each likely where speech is heard well; of words, one of several may do.
MIN_SCORE_OF_LETTERS, _MIN_SCORE_OF_WORDS = 0.5, 0.1


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recogniser heard in a clip.

    Attributes:
        text: What was said; empty if nothing was, or what came is no transcript.
        log_probability: The mean of the tokens' natural logarithms of probability.
        tokens: How many tokens that is the mean of, at least 1.
    """

    text: str
    log_probability: float
    tokens: int


class Recognizer(Protocol):
    """Transcribes a batch of clips.

    Attributes:
        reader: What reads the network's inputs in one forward pass: the network, or its encoder.
    """

    reader: Any

    def __call__(
        self,
        inputs: dict[str, torch.Tensor],
        lengths: torch.Tensor | None,
        seconds: Sequence[float],
    ) -> list[Transcript]:
        """One transcript per clip.

        Args:
            inputs: The network's inputs, on its device.
            lengths: The length of each clip, if they were padded.
            seconds: How long each clip sounds.
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
        decoding: The settings `language`, `task`, `num_beams`, `max_new_tokens` and those of
            `Doubts`; None where the checkpoint's own value, or the usual one, is wanted.

    Raises:
        ConfigurationError: the architecture is not a recogniser, does not take one of the
            settings, or the checkpoint is incomplete.
    """
    wanted = {name: value for name, value in decoding.items() if value is not None}
    if config.model_type in MODEL_FOR_CTC_MAPPING_NAMES:
        _check_taken(wanted, f"{config.model_type} is a CTC model", ("min_score",))
        network = load_network(AutoModelForCTC, checkpoint, placement)
        language = read_language_model(Path(checkpoint))
        return CtcRecognizer(network, load_tokenizer(checkpoint), wanted, language)
    if config.model_type in MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES:
        taken: tuple[str, ...] = _SEQUENCE_SETTINGS
        if config.model_type == "whisper":
            taken = (*taken, "no_speech_threshold", "logprob_threshold")
        _check_taken(wanted, f"{config.model_type} is no CTC model", taken)
        network = load_network(AutoModelForSpeechSeq2Seq, checkpoint, placement)
        return SequenceRecognizer(network, load_tokenizer(checkpoint), wanted)
    raise ConfigurationError(
        f"checkpoint '{checkpoint}': the architecture '{config.model_type}' does not transcribe "
        f"speech; accepted: CTC ({', '.join(sorted(MODEL_FOR_CTC_MAPPING_NAMES))}) and "
        f"sequence-to-sequence ({', '.join(sorted(MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES))})"
    )


class CtcRecognizer:
    """Takes the likeliest token of each frame, drops repetitions, then blanks.

    Where that is doubtful, and there is a language model, it searches for words instead. A text of
    unlikely tokens is dropped, see `Doubts`.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        decoding: Mapping[str, Any],
        language: LanguageModel | None = None,
    ) -> None:
        self.reader = network
        self._tokenizer = tokenizer
        self._blank: int = tokenizer.pad_token_id
        self._search = None if language is None else word_search(tokenizer, language)
        self._min_score: float = decoding.get("min_score", MIN_SCORE_OF_LETTERS)

    def __call__(
        self,
        inputs: dict[str, torch.Tensor],
        lengths: torch.Tensor | None,
        seconds: Sequence[float],
    ) -> list[Transcript]:
        logits = self.reader(**inputs).logits
        if lengths is None:
            frames = [logits.shape[1]] * len(logits)
        else:
            frames = self.reader._get_feat_extract_output_lengths(lengths).tolist()
        return self.read(logits, frames)

    def read(self, logits: torch.Tensor, frames: Sequence[int]) -> list[Transcript]:
        """The transcripts of what the network makes of clips.

        Args:
            logits: [clips, frames, tokens].
            frames: How many of them are each clip's.
        """
        likely = logits.float().log_softmax(dim=-1).cpu().numpy()
        found = [self._tokens(clip[:count]) for clip, count in zip(likely, frames, strict=True)]
        # Wav2Vec2's tokenizer, told to skip special tokens, drops blanks before it joins
        # repetitions, and loses double letters: it gets collapsed tokens and must join none.
        texts = self._tokenizer.batch_decode(
            [tokens for tokens, _ in found], skip_special_tokens=True, group_tokens=False
        )
        return [
            Transcript(
                text.strip() if math.exp(likely) >= self._min_score else "",
                likely,
                max(1, len(tokens)),
            )
            for text, (tokens, likely) in zip(texts, found, strict=True)
        ]

    def _tokens(self, likely: npt.NDArray[np.float32]) -> tuple[list[int], float]:
        """The tokens of a clip, and the mean of their log-probabilities."""
        check_wanted()
        heard, score = collapse(likely.argmax(axis=-1), likely.max(axis=-1), self._blank)
        if self._search is None or (math.exp(score) >= _SURE and self._search.knows(heard)):
            return heard, score
        tokens, probability = self._search(likely)
        # Words that are likely of themselves may be far from what was heard.
        return tokens, min(score, probability / max(1, len(tokens)))


class SequenceRecognizer:
    """Generates the text token by token from the encoded speech.

    A text ends where it repeats itself for ever, and is dropped if it is doubtful, see `Doubts`.
    """

    def __init__(self, network: Any, tokenizer: Any, decoding: Mapping[str, Any]) -> None:
        # `generate` of a compiled network is the original's.
        self._network = getattr(network, "_orig_mod", network)
        self.reader = self._network.get_encoder()
        self._tokenizer = tokenizer
        doubts = {name: decoding[name] for name in Doubts.__slots__ if name in decoding}
        self._doubts = Doubts(**{"min_score": _MIN_SCORE_OF_WORDS} | doubts)
        self._arguments = _generation_arguments(network, tokenizer, decoding)
        end: int | list[int] = network.generation_config.eos_token_id
        self._ends = end if isinstance(end, list) else [end]
        self._after = {*self._ends, network.generation_config.pad_token_id}
        known = tokenizer.get_vocab()
        self._no_speech = next((known[name] for name in _NO_SPEECH_TOKENS if name in known), None)

    def __call__(
        self,
        inputs: dict[str, torch.Tensor],
        lengths: torch.Tensor | None,
        seconds: Sequence[float],
    ) -> list[Transcript]:
        encoded = self.reader(**inputs)
        mask = {name: inputs[name] for name in ("attention_mask",) if name in inputs}
        bounds = Bounds([self._doubts.most_tokens(each) for each in seconds])
        generated = self._network.generate(
            encoder_outputs=encoded,
            stopping_criteria=StoppingCriteriaList([bounds]),
            **mask,
            **self._arguments,
        )
        return [
            self._transcript(
                _row(encoded, index),
                {name: value[index : index + 1] for name, value in mask.items()},
                bounds.prompt[index],
                self._text_tokens(tokens, bounds.prompt[index]),
            )
            for index, tokens in enumerate(generated.tolist())
        ]

    def _text_tokens(self, tokens: list[int], prompt: list[int]) -> list[int]:
        # Whisper leaves the prompt out of what it gives.
        if tokens[: len(prompt)] == prompt:
            tokens = tokens[len(prompt) :]
        said = itertools.takewhile(lambda token: token not in self._after, tokens)
        return without_loop(list(said))

    def _transcript(
        self, encoded: Any, mask: dict[str, torch.Tensor], prompt: list[int], tokens: list[int]
    ) -> Transcript:
        """The transcript of a clip's tokens, judged by what the network thinks of all of them."""
        device = self._network.device
        logits = self._network(
            encoder_outputs=encoded,
            decoder_input_ids=torch.tensor([prompt + tokens], device=device),
            use_cache=False,
            **mask,
        ).logits[0]
        following = torch.tensor([*tokens, self._ends[0]], device=device)
        likely = logits[len(prompt) - 1 :].float().log_softmax(dim=-1)
        log_probability = float(likely.gather(1, following[:, None]).mean())
        text = self._tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if self._no_speech is not None and log_probability <= self._doubts.logprob_threshold:
            no_speech = float(logits[0].float().softmax(dim=-1)[self._no_speech])
            if no_speech > self._doubts.no_speech_threshold:
                text = ""
        if math.exp(log_probability) < self._doubts.min_score or self._doubts.repetitive(text):
            text = ""
        return Transcript(text, log_probability, len(following))


def word_search(tokenizer: Any, language: LanguageModel) -> WordSearch:
    """A search for the words of a language in the tokens of a CTC network.

    Raises:
        ConfigurationError: the tokens are not letters, or none of them divides words.
    """
    blank, delimiter = tokenizer.pad_token_id, getattr(tokenizer, "word_delimiter_token_id", None)
    special = {*tokenizer.all_special_ids, delimiter}
    letters = [
        "" if id in special else token
        for id, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    ]
    missing = set().union(*language.words) - {*letters}
    if delimiter is None or missing:
        what = f"letters {', '.join(sorted(missing))}" if missing else "divider of words"
        raise ConfigurationError(
            f"the language model does not fit the vocabulary, which has no {what}"
        )
    return WordSearch(language, letters, blank, delimiter)


def collapse(
    tokens: npt.NDArray[np.int64], likely: npt.NDArray[np.float32], blank: int
) -> tuple[list[int], float]:
    """CTC's collapse of a clip: repetitions become one token, blanks none.

    Args:
        tokens: INT64 [frames], the token of each frame.
        likely: FP32 [frames], its log-probability.
        blank: The blank token.

    Returns:
        The tokens; and the mean of their log-probabilities, of each in the frame where it is
        likeliest. Without a token, the mean of the blanks'.
    """
    if not len(tokens):
        return [], 0.0
    starts = np.flatnonzero(np.diff(tokens, prepend=-1))
    said = tokens[starts] != blank
    if not said.any():
        return [], float(likely.mean())
    peaks = np.maximum.reduceat(likely, starts)
    return tokens[starts][said].tolist(), float(peaks[said].mean())


def _row(encoded: Any, index: int) -> Any:
    """What the encoder made of one clip of a batch."""
    return type(encoded)(last_hidden_state=encoded.last_hidden_state[index : index + 1])


def _check_taken(wanted: Mapping[str, Any], kind: str, taken: Sequence[str]) -> None:
    for name, value in wanted.items():
        if name not in taken:
            raise ConfigurationError(
                f"setting '{name}' = {value!r}: {kind}, and takes no such setting; accepted: "
                f"{', '.join(taken)}"
            )


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
    tokens: dict[str, int] = getattr(generation, "lang_to_id", None) or {}
    if tokens and task is None:
        # Left to itself it writes one word over and over.
        task = "transcribe"
    prompt = {
        name: value for name, value in (("language", language), ("task", task)) if value is not None
    }
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
