"""`RunningUtterances`: texts that are spoken together, a stretch of sound of each at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
import torch

from ...batching import check_wanted
from ...runtime import Outputs
from .synthesizers import Synthesizer, Tokens
from .vocoders import Samples, Stretches, Vocoder

FORMATS = ("wav", "flac")


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak a text.

    Attributes:
        speed: 1 is as the checkpoint speaks, 2 twice as fast.
        format: Of the sound, one of `FORMATS`.
    """

    speed: float = 1.0
    format: str = "wav"


class Listening:
    """Hands out sound as it comes, as files of their own.

    Args:
        give: Is called with the outputs of each part.
    """

    def __init__(self, give: Callable[[Outputs], None]) -> None:
        self._give = give
        self._given = 0

    def came(self, sound: Samples, start: int, rate: int, format: str) -> None:
        """Gives what of the sound, which begins at sample `start`, was not given before."""
        new = sound[max(self._given - start, 0) :]
        if len(new):
            self._given = start + len(sound)
            self._give(encoded(new, rate, format))


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text to speak.

    Attributes:
        sentences: The tokens of each.
        listening: Is given the sound as it comes; None where the whole is wanted.
    """

    sentences: Sequence[Tokens]
    listening: Listening | None = None


@dataclass(slots=True)
class _Speaking:
    utterance: Utterance
    manner: Manner
    done: int = 0
    stretches: Stretches | None = None
    given: int = 0
    sound: list[Samples] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many sentences have not begun."""
        return len(self.utterance.sentences) - self.done

    def spoken(self, rate: int) -> Outputs:
        return encoded(np.concatenate(self.sound), rate, self.manner.format)


class RunningUtterances:
    """Speaks texts that come and go.

    A step makes the frames of one sentence of each text that has none, all in one batch, and then a
    stretch of sound of each: half a second at first, then about a second. So a text is heard from
    the first half second of its first sentence on, however many others are spoken.

    Args:
        synthesizer: Makes frames.
        vocoder: Makes sound of them.
        pause: Samples of silence before the first sentence, between two and after the last.
        most: Most tokens of sentences whose frames are made together, padding included.
        observe: Told of tokens without and with padding.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        vocoder: Vocoder,
        *,
        pause: int,
        most: int,
        observe: Callable[[int, int], None],
    ) -> None:
        self._synthesizer = synthesizer
        self._vocoder = vocoder
        self._silence = np.zeros(pause, np.float32)
        self._most = most
        self._observe = observe
        self._speaking: dict[int, _Speaking] = {}

    def add(self, number: int, item: Utterance, parameters: Manner) -> None:
        """Takes a text in, which is spoken from the next step on."""
        self._speaking[number] = _Speaking(item, parameters, sound=[self._silence])

    def drop(self, number: int) -> None:
        """Gives up a text; its place is free at once."""
        del self._speaking[number]

    @torch.inference_mode()
    def step(self) -> list[tuple[int, Outputs | None]]:
        """Computes a stretch of each text; gives the outputs of those that are spoken.

        Raises:
            BatchAbandoned: nobody waits for any of them.
            StageFailure: the network computed values that are no numbers.
        """
        self._begin_sentences()
        rate = self._vocoder.sampling_rate
        results: list[tuple[int, Outputs | None]] = []
        for number, speaking in list(self._speaking.items()):
            check_wanted()
            if speaking.stretches is None:
                continue
            sound = speaking.stretches.next()
            if sound is not None:
                speaking.sound.append(sound)
            else:
                speaking.sound.append(self._silence)
                speaking.stretches = None
            ended = speaking.stretches is None and not speaking.left
            if listening := speaking.utterance.listening:
                new = np.concatenate(speaking.sound)
                listening.came(new, speaking.given, rate, speaking.manner.format)
                speaking.given += len(new)
                speaking.sound.clear()
            if ended:
                results.append((number, None if listening else speaking.spoken(rate)))
                del self._speaking[number]
        return results

    def _begin_sentences(self) -> None:
        """Makes the frames of a sentence of each text that has none left."""
        waiting = [each for each in self._speaking.values() if each.stretches is None]
        waiting.sort(key=lambda each: len(each.utterance.sentences[each.done]))
        while waiting:
            batch = [waiting.pop()]
            longest = len(batch[0].utterance.sentences[batch[0].done])
            while waiting and longest * (len(batch) + 1) <= self._most:
                batch.append(waiting.pop())
            sentences = [each.utterance.sentences[each.done] for each in batch]
            self._observe(sum(map(len, sentences)), longest * len(batch))
            made = self._synthesizer(sentences, [each.manner.speed for each in batch])
            for each, frames in zip(batch, made, strict=True):
                each.stretches = self._vocoder.begin(frames)
                each.done += 1


def encoded(sound: Samples, rate: int, format: str) -> dict[str, Any]:
    """The outputs of a sound: a file of 16 bits a sample, its rate, and how many samples it has."""
    file = io.BytesIO()
    # Rounded here: the two formats do it each in its own way.
    whole = np.round(sound * (2**15 - 1)).astype(np.int16)
    soundfile.write(file, whole, rate, subtype="PCM_16", format=format.upper())
    return {"audio": file.getvalue(), "sampling_rate": [rate], "num_samples": [len(sound)]}
