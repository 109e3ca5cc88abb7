"""Speech to text: an item's input is one of two, its outputs `text` BYTES and `score` FP32 [-1, 1].

- `audio` BYTES [-1, 1]: encoded audio;
- `samples` FP32 [-1, -1]: raw mono samples, nominally from -1 to 1, at the checkpoint's sampling
  rate unless `sampling_rate` INT64 [-1, 1] says another, in Hz.

CTC networks (Wav2Vec2, HuBERT, WavLM, Wav2Vec2-BERT) and sequence-to-sequence networks (Whisper,
Speech2Text) run through the same code; the checkpoint's configuration decides which it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt

from ..batching import check_wanted
from ..errors import ConfigurationError, InvalidInput
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors.audio import Samples, accept_samples, decode_audio
from ..tensors.request_limit import RequestLimit
from .checkpoints.pretrained import load_config, load_feature_extractor
from .minibatches import minibatches
from .speech.chunks import Chunk, cut_at_pauses
from .speech.doubts import Doubts
from .speech.features import SpeechFeatures
from .speech.recognizers import Recognizer, SequenceRecognizer, Transcript, load_recognizer
from .speech.voice_activity import without_silence

_DEFAULT_CHUNK_SECONDS = 15.0
_DECODING = ("language", "task", "num_beams", "max_new_tokens")


class SpeechToTextOptions(RuntimeOptions):
    """Settings of speech to text.

    Attributes:
        max_audio_seconds: The longest audio accepted.
        max_request_audio_seconds: Most seconds of all audio of a request.
        max_batch_audio_seconds: Most seconds of audio that run together; a longer one runs alone.
        chunk_seconds: Longer audio is cut, at pauses, into chunks of at most this length. None is
            15 s, for Whisper 30 s, which is also the most that it takes.
        silence_dbfs: Up to this level, in dB relative to a root mean square of 1, sound is silence,
            which is left out of each chunk before it is transcribed: see `voice_activity`.
        speech_rise_db: How far speech rises above its surroundings; what does not is steady noise,
            and left out like silence. 0 takes all that is loud for speech.
        language: The language spoken, or for Speech2Text to be written; None lets Whisper detect
            it. Sequence-to-sequence networks only, like the settings below.
        task: Whether Whisper transcribes, or translates to English.
        num_beams: Width of the beam search; None is the checkpoint's own.
        max_new_tokens: Most tokens generated for one chunk; None is the checkpoint's own limit.
        min_score, no_speech_threshold, logprob_threshold, compression_ratio_threshold,
        max_tokens_per_second: When a text is taken for made up, see `Doubts`; None is its value.
    """

    max_audio_seconds: PositiveFloat = 600.0
    max_request_audio_seconds: PositiveFloat = 3600.0
    max_batch_audio_seconds: PositiveFloat = 480.0
    chunk_seconds: float | None = Field(default=None, ge=1)
    silence_dbfs: float = Field(default=-55.0, le=0)
    speech_rise_db: float = Field(default=12.0, ge=0)
    language: str | None = None
    task: Literal["transcribe", "translate"] | None = None
    num_beams: PositiveInt | None = None
    max_new_tokens: PositiveInt | None = None
    min_score: float | None = Field(default=None, ge=0, le=1)
    no_speech_threshold: float | None = Field(default=None, ge=0, le=1)
    logprob_threshold: float | None = Field(default=None, le=0)
    compression_ratio_threshold: PositiveFloat | None = None
    max_tokens_per_second: PositiveFloat | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A recogniser, and what goes with it.

    Attributes:
        recognizer: From features to texts.
        features: From samples to features.
        chunk_seconds: The longest chunk.
        chunk_frames: Its feature frames.
        call: See `minibatches`.
    """

    recognizer: Recognizer
    features: SpeechFeatures
    chunk_seconds: float
    chunk_frames: int
    call: float


class SpeechToText(Runtime[Sequence[Chunk], None, Listener]):
    """Transcribes encoded audio, or raw samples, of any sample rate.

    The text of an item does not depend on what else is in its batch. Audio longer than a chunk is
    transcribed chunk by chunk, all chunks of a batch together, and the texts are joined with a
    space. Silence and steady noise are left out; audio without speech gives an empty text.

    The score, from 0 to 1, is the geometric mean of the probabilities of the text's tokens, or of
    those of which a text was made that then was dropped. It is 1 where nothing was to be heard.
    """

    settings_class = SpeechToTextOptions
    options: SpeechToTextOptions
    engines = ("torch", "openvino")
    prepares_alike: ClassVar[bool] = True

    def setup(self) -> Listener:
        """Loads the feature extractor and the recogniser.

        Raises:
            ConfigurationError: the checkpoint is not a speech recogniser, is incomplete, or does
                not take one of the settings.
        """
        options = self.options
        config = load_config(self.checkpoint)
        recognizer = load_recognizer(
            self.checkpoint,
            config,
            self.placement,
            {name: getattr(options, name) for name in (*_DECODING, *Doubts.__slots__)},
        )
        features = SpeechFeatures(load_feature_extractor(self.checkpoint), config)
        self.placement.finish(
            [recognizer.reader], lambda: self._try_out(recognizer.reader, features)
        )
        chunk_seconds = self._chunk_seconds(features.max_seconds)
        samples = np.linspace(0, 1, int(chunk_seconds * features.sample_rate))
        return Listener(
            recognizer,
            features,
            chunk_seconds,
            chunk_frames=len(features(samples.astype(np.float32))),
            # Of a generation's time most does not depend on how many texts it is for.
            call=math.inf if isinstance(recognizer, SequenceRecognizer) else 0,
        )

    def _try_out(self, reader: Any, features: SpeechFeatures) -> None:
        """Has it read noise of different lengths."""
        noise = np.random.default_rng(0).normal(0, 0.1, features.sample_rate).astype(np.float32)
        whole, part = features(noise), features(noise[: len(noise) * 2 // 3])
        for clips in ([whole, part if features.padded else whole], [part]):
            inputs, _ = features.batch(clips, self.placement.device, self.placement.dtype)
            reader(**inputs)

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Sequence[Chunk]]:
        """Limits the seconds of all audio of the request."""
        most = self.options.max_request_audio_seconds
        limit = RequestLimit(
            most,
            lambda seconds: (
                f"{seconds:.1f} s or more of audio in {len(items)} items together; accepted: at "
                f"most {most:g} s in a request (setting 'max_request_audio_seconds')"
            ),
        )
        return partial(self.prepare, request=limit)

    def prepare(self, item: Item, request: RequestLimit | None = None) -> Sequence[Chunk]:
        """Decodes the audio, cuts it and computes the features of each chunk with speech in it.

        Args:
            item: Has `audio`, or `samples` and maybe `sampling_rate`.
            request: Limits the seconds of all audio of the item's request.

        Raises:
            InvalidInput: neither `audio` nor `samples` came, or both; it is not audio, of zero
                length, too long, or not finite.
            Overloaded: there is not enough memory to decode it now.
        """
        samples = self._samples(item, request)
        features, options = self.model.features, self.options
        sample_rate = features.sample_rate
        chunks = []
        for piece in cut_at_pauses(samples, sample_rate, self.model.chunk_seconds):
            check_wanted()
            heard = without_silence(
                piece,
                sample_rate,
                options.silence_dbfs,
                options.speech_rise_db,
                # A network that takes so many seconds fills the rest up itself.
                fill=features.max_seconds is None,
            )
            if len(heard):
                chunks.append(Chunk(features(heard), len(heard) / sample_rate))
        return chunks

    def _samples(self, item: Item, request: RequestLimit | None) -> Samples:
        sample_rate, longest = self.model.features.sample_rate, self.options.max_audio_seconds
        if ("audio" in item) == ("samples" in item):
            came = "both" if "audio" in item else "neither"
            raise InvalidInput(
                f"{came} of the tensors 'audio' and 'samples' came; accepted: 'audio' (an audio "
                "file), or 'samples' (raw mono samples)"
            )
        if "audio" not in item:
            rate = int(item["sampling_rate"].item()) if "sampling_rate" in item else sample_rate
            return accept_samples(
                item["samples"],
                rate=rate,
                sample_rate=sample_rate,
                max_seconds=longest,
                request=request,
            )
        if "sampling_rate" in item:
            raise InvalidInput(
                "tensor 'sampling_rate' came with 'audio', whose file says it; accepted: "
                "'sampling_rate' with 'samples'"
            )
        return decode_audio(
            item["audio"],
            sample_rate=sample_rate,
            max_seconds=longest,
            request=request,
            check=check_wanted,
        )

    def length(self, item: Sequence[Chunk]) -> int:
        """Feature frames of the item, of all its chunks."""
        return sum(len(chunk.features) for chunk in item)

    @property
    def work_limit(self) -> float:
        """Feature frames: as many as the longest chunk has for each of its seconds."""
        model = self.model
        return self.options.max_batch_audio_seconds / model.chunk_seconds * model.chunk_frames

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Sequence[Chunk]], parameters: None) -> list[Outputs]:
        """One `text` and `score` per item; runs the chunks of all in batches of similar length."""
        model = self.model
        chunks = [chunk for item in items for chunk in item]
        transcripts: dict[int, Transcript] = {}
        for indices in minibatches(
            [len(chunk.features) for chunk in chunks],
            self.options.max_batch_size,
            min_fill=0.5 if model.features.padded else 1,
            call=model.call,
        ):
            batch = [chunks[index] for index in indices]
            inputs, lengths = model.features.batch(
                [chunk.features for chunk in batch], self.placement.device, self.placement.dtype
            )
            if lengths is not None:
                self.observe_padding(int(lengths.sum()), len(lengths) * int(lengths.max()))
            heard = model.recognizer(inputs, lengths, [chunk.seconds for chunk in batch])
            transcripts.update(zip(indices, heard, strict=True))
        in_order = (transcripts[index] for index in range(len(chunks)))
        return [_joined(list(islice(in_order, len(item)))) for item in items]

    def _chunk_seconds(self, limit: float | None) -> float:
        wanted = self.options.chunk_seconds
        if wanted is None:
            return limit if limit is not None and limit <= 30 else _DEFAULT_CHUNK_SECONDS
        if limit is not None and wanted > limit:
            raise ConfigurationError(
                f"setting 'chunk_seconds' = {wanted:g}: the checkpoint takes at most {limit:g} s "
                "at once"
            )
        return wanted


def _joined(transcripts: Sequence[Transcript]) -> Outputs:
    tokens = sum(each.tokens for each in transcripts)
    total = sum(each.log_probability * each.tokens for each in transcripts)
    return {
        "text": " ".join(each.text for each in transcripts if each.text),
        "score": math.exp(total / tokens) if tokens else 1.0,
    }
