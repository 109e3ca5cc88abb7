"""Text to speech: input `text` BYTES [-1, 1]; its outputs are

- `audio` BYTES [-1, 1]: a WAV or FLAC file, mono, 16 bits a sample;
- `sampling_rate` INT64 [-1, 1]: in Hz;
- `num_samples` INT64 [-1, 1]: how many samples the file has.

FastSpeech2Conformer, with a HiFi-GAN or with Griffin and Lim's iterations, and SpeechT5 run through
the same code; the checkpoint's configuration decides which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt

from ..checkpoints import local_folder, locate, source_for
from ..errors import ConfigurationError, InvalidInput, Rejected
from ..runtime import Item, Outputs, Runtime
from ..runtime.parameters import RequestParameters
from ..settings import RuntimeOptions
from .checkpoints.pretrained import load_config, load_network, load_tokenizer
from .speech.pronunciation import PRONUNCIATION, Pronunciation
from .speech.spellers import LetterSpeller, PhonemeSpeller, Speller
from .speech.synthesizers import FastSpeech2, SpeechT5, Synthesizer
from .speech.utterances import Listening, Manner, RunningUtterances, Utterance
from .speech.vocoders import (
    SPECTROGRAM,
    GriffinLim,
    HifiGan,
    Vocoder,
    check_bins,
    load_vocoder,
)
from .text.sentences import split_sentences
from .text.texts import check_text

_SLOWEST, _FASTEST = 0.5, 2.0


class TextToSpeechOptions(RuntimeOptions):
    """Settings of text to speech.

    Attributes:
        max_text_characters: Most characters of a text.
        max_batch_tokens: Most tokens, padding included, of sentences that are read together.
        vocoder: What makes sound of a network's frames: a folder in the model's folder, or the id
            of a HiFi-GAN; or such by variant, `*` for all others. None is the checkpoint's own.
        pronunciation: The folder, in the model's folder, of the pronunciation of a checkpoint that
            reads phonemes and has none; likewise by variant.
        speaker: A file of numpy, `.npy`, in the model's folder, with the vector of the voice for
            SpeechT5; None is the vector of zeros, a voice that is nobody's.
        speed: 1 is as the checkpoint speaks, 2 twice as fast; 0.5 to 2.
        format: Of the sound.
        pause_seconds: Silence before the first sentence, between two and after the last.
    """

    max_text_characters: PositiveInt = 10_000
    max_batch_tokens: PositiveInt = 4_000
    vocoder: str | dict[str, str] | None = None
    pronunciation: str | dict[str, str] | None = None
    speaker: str | None = None
    speed: float = Field(default=1.0, ge=_SLOWEST, le=_FASTEST)
    format: Literal["wav", "flac"] = "wav"
    pause_seconds: float = Field(default=0.2, ge=0, le=5)


class SpeechParameters(RequestParameters):
    """What a request may choose; None is the setting.

    Attributes:
        speed: 0.5 to 2; only FastSpeech2Conformer takes another than 1.
        format: `wav` or `flac`.
    """

    speed: float | None = Field(default=None, ge=_SLOWEST, le=_FASTEST)
    format: Literal["wav", "flac"] | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """What speaks.

    Attributes:
        speller: From sentences to tokens.
        synthesizer: From tokens to frames.
        vocoder: From frames to sound.
    """

    speller: Speller
    synthesizer: Synthesizer
    vocoder: Vocoder


class TextToSpeech(Runtime[Utterance, Manner, Speaker]):
    """Speaks texts of any number of sentences.

    What is spoken of a text does not depend on what else is spoken. Texts share batches and give
    way to each other every second of sound; a stream is heard from the first half second on. Each
    part of a stream is a file of its own; their samples, joined, are those of the whole.

    Numbers and symbols are read out. A letter that the language does not have is spoken as its base
    letter; where there is none the text is refused, and the letter named.
    """

    settings_class = TextToSpeechOptions
    parameters_class = SpeechParameters
    text_inputs = frozenset({"text"})
    options: TextToSpeechOptions

    def setup(self) -> Speaker:
        """Loads the network, the vocoder and the pronunciation.

        Raises:
            ConfigurationError: the checkpoint is not of a text-to-speech network, is incomplete, or
                does not take one of the settings.
        """
        from transformers import (
            FastSpeech2ConformerModel,
            FastSpeech2ConformerWithHifiGan,
            SpeechT5ForTextToSpeech,
        )

        kind = load_config(self.checkpoint).model_type
        load = self._network
        synthesizer: Synthesizer
        speller: Speller
        own: Vocoder | None = None
        if kind == "fastspeech2_conformer":
            synthesizer = FastSpeech2(load(FastSpeech2ConformerModel))
        elif kind == "fastspeech2_conformer_with_hifigan":
            network = load(FastSpeech2ConformerWithHifiGan)
            synthesizer = FastSpeech2(network.model)
            own = HifiGan(network.vocoder, self.placement)
        elif kind == "speecht5":
            synthesizer = SpeechT5(load(SpeechT5ForTextToSpeech), self._voice())
        else:
            raise ConfigurationError(
                f"the checkpoint '{self.checkpoint}' is of the kind '{kind}'; accepted: "
                "fastspeech2_conformer, fastspeech2_conformer_with_hifigan, speecht5"
            )
        if kind == "speecht5":
            speller = LetterSpeller(load_tokenizer(self.checkpoint), "en")
        else:
            speller = PhonemeSpeller(self.checkpoint, self._pronunciation())
        if not synthesizer.speeds and self.options.speed != 1:
            raise ConfigurationError(
                f"setting 'speed' = {self.options.speed:g}: the checkpoint's network cannot be "
                "told how fast to speak; accepted: 1"
            )
        vocoder = self._vocoder(own)
        check_bins(vocoder, synthesizer.bins)
        return Speaker(speller, synthesizer, vocoder)

    def _network(self, kind: Any) -> Any:
        network = load_network(kind, self.checkpoint, self.placement)
        # Of a compiled network only the original's parts are called, in many shapes.
        return getattr(network, "_orig_mod", network)

    def _vocoder(self, own: Vocoder | None) -> Vocoder:
        source = source_for(self.options.vocoder, self.options.variant)
        if source is not None:
            try:
                folder = locate(source, self.folder).path
            except ConfigurationError as error:
                raise error.prefixed("setting 'vocoder'") from None
            return load_vocoder(folder, self.placement)
        if own is not None:
            return own
        if not Path(self.checkpoint, SPECTROGRAM).exists():
            raise ConfigurationError(
                f"setting 'vocoder' is none, and the checkpoint '{self.checkpoint}' makes frames "
                "without a vocoder; accepted: the id or folder of a HiFi-GAN"
            )
        return GriffinLim(self.checkpoint)

    def _pronunciation(self) -> Pronunciation:
        if Path(self.checkpoint, PRONUNCIATION).exists():
            return Pronunciation.load(self.checkpoint)
        source = source_for(self.options.pronunciation, self.options.variant)
        folder = source and local_folder(source, self.folder)
        if not folder:
            raise ConfigurationError(
                f"setting 'pronunciation' = {source!r}: the checkpoint '{self.checkpoint}' reads "
                f"phonemes and has no {PRONUNCIATION}; accepted: a folder with one"
            )
        return Pronunciation.load(folder)

    def _voice(self) -> torch.Tensor:
        dimension: int = load_config(self.checkpoint).speaker_embedding_dim
        if self.options.speaker is None:
            return torch.zeros(dimension)
        file = self.folder / self.options.speaker
        try:
            vector = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"setting 'speaker' = '{file}': {error}") from None
        if vector.size != dimension or not np.isfinite(vector).all():
            raise ConfigurationError(
                f"setting 'speaker' = '{file}': an array of shape {list(vector.shape)}; accepted: "
                f"{dimension} finite numbers"
            )
        return torch.from_numpy(vector.astype(np.float32).reshape(-1))

    def accept(self, parameters: SpeechParameters) -> Manner:
        """How to speak: the request's parameters, then the settings'.

        Raises:
            InvalidInput: the network cannot be told how fast to speak.
        """
        speed = self.options.speed if parameters.speed is None else parameters.speed
        if speed != 1 and not self.model.synthesizer.speeds:
            raise InvalidInput(
                f"parameter 'speed' = {speed:g}: the checkpoint's network cannot be told how fast "
                "to speak; accepted: 1"
            )
        return Manner(speed, parameters.format or self.options.format)

    def prepare(self, item: Item) -> Utterance:
        """Divides the text into sentences, and these into tokens.

        Raises:
            Rejected: the text is empty, or holds nothing that can be said.
            InvalidInput: it is too long, or holds what cannot be said.
        """
        text: str = item["text"]
        check_text(text, "text", self.options.max_text_characters)
        sentences, _ = split_sentences(text.strip())
        spelled = [piece for each in sentences or [text] for piece in self.model.speller(each)]
        if not spelled:
            raise Rejected("tensor 'text': nothing to say in it; accepted: at least one word")
        return Utterance(spelled)

    def length(self, item: Utterance) -> int:
        """Tokens of the text, over all its sentences."""
        return sum(map(len, item.sentences))

    def running(self, parameters: Manner) -> RunningUtterances:
        vocoder = self.model.vocoder
        return RunningUtterances(
            self.model.synthesizer,
            vocoder,
            pause=round(self.options.pause_seconds * vocoder.sampling_rate),
            # Frames of a batch differ in rounding from those of a sentence alone.
            most=self.options.max_batch_tokens if vocoder.steady else 0,
            observe=self.observe_padding,
        )

    def shared(self, parameters: Manner) -> Hashable:
        return None

    def followed(self, item: Utterance, give: Callable[[Outputs], None]) -> Utterance:
        return replace(item, listening=Listening(give))
