"""`TextReader`: writes out a line of text, with a CTC recogniser such as PP-OCRv5's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForTextRecognition

from ...batching import check_wanted
from ...devices import Placement, moved
from ...errors import ConfigurationError
from ...tensors.decode_memory import decode_memory
from ...tensors.image import Pixels, writable
from ..checkpoints.pretrained import load_image_processor, load_network
from ..minibatches import equal_batches
from ..text.language_model import LanguageModel, read_language_model
from ..text.word_search import WordSearch

_SURE = 0.95
"""A line with a lower score is doubtful, or one with a word that is not known."""
_IMPOSSIBLE = np.float32(1e-12)
"""Added to probabilities, so that all have a logarithm."""
_WIDTH_STEP = 32
"""Columns: lines of nearly equal width are made equally wide, so that they share a network call."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as the network takes it.

    Attributes:
        values: FP32 [3, height, width]; the height is the same for all lines of a reader.
        width: Of what the network is given, with zeros on the right of the values.
    """

    values: torch.Tensor
    width: int

    @property
    def pixels(self) -> int:
        """Those that the network looks at."""
        return self.width * self.values.shape[1]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read in a line.

    Attributes:
        text: Empty when there is nothing to read.
        score: The mean of the probabilities of its characters; 0 without any.
    """

    text: str
    score: float


class TextReader:
    """Reads pictures of one line of text: of each step the likeliest character.

    Where that is doubtful, and the checkpoint has a language model, it searches for words instead.

    The network looks at what a line is filled up with, too. So each line is filled up to a width
    that follows from its own, and shares a call only with lines of that width: what is read in one
    does not depend on the others.
    """

    def __init__(
        self,
        checkpoint: str,
        placement: Placement,
        *,
        max_batch_pixels: int,
        observe: Callable[[int, int], None] = lambda real, padded: None,
    ) -> None:
        """Loads the image processor and the network.

        Args:
            checkpoint: A folder's path.
            placement: Device and dtype.
            max_batch_pixels: Most pixels of the lines of one network call, at the network's size; a
                longer line is alone.
            observe: Told of each call the columns that are of lines, and all.

        Raises:
            ConfigurationError: the checkpoint is no CTC recogniser of lines, or is incomplete.
        """
        self._processor = load_image_processor(checkpoint)
        characters = list(getattr(self._processor, "character_list", None) or ())
        if not hasattr(self._processor, "post_process_text_recognition") or not characters:
            raise ConfigurationError(
                f"the checkpoint '{checkpoint}' has the image processor "
                f"{type(self._processor).__name__}"
                + (" without a 'character_list'" if not characters else "")
                + ", which does not read lines of text; accepted: recognisers such as "
                "PP-OCRv5_mobile_rec"
            )
        self._network = load_network(
            AutoModelForTextRecognition, checkpoint, placement, of_images=True
        )
        config = getattr(self._network, "_orig_mod", self._network).config
        if config.head_out_channels != len(characters):
            raise ConfigurationError(
                f"checkpoint '{checkpoint}': 'head_out_channels' of config.json is "
                f"{config.head_out_channels}, but 'character_list' of preprocessor_config.json has "
                f"{len(characters)} characters, the blank among them; accepted: the same number"
            )
        self._characters: npt.NDArray[Any] = np.array(characters, object)
        language = read_language_model(Path(checkpoint))
        self._search = None if language is None else _word_search(characters, language)
        self._placement = placement
        self._max_batch_pixels = max_batch_pixels
        self._observe = observe
        placement.finish([self._network], self.try_out)

    def prepare(self, picture: Pixels) -> Line:
        """A picture of a line, UINT8 [h, w, 3] of any size, for the network.

        It may be called in several threads at once.

        Raises:
            Overloaded: too much of other images waits.
        """
        check_wanted()
        pixels = torch.from_numpy(writable(picture)).permute(2, 0, 1).contiguous()
        made = self._processor(
            images=pixels, input_data_format="channels_first", return_tensors="pt", do_pad=False
        )
        values: torch.Tensor = made["pixel_values"][0]
        decode_memory().keep(values, values.nbytes, "tensor 'image': the lines of text in it")
        return Line(values, self._width(values.shape[2]))

    def __call__(self, lines: Sequence[Line]) -> list[Reading]:
        """Reads each line."""
        readings = [Reading("", 0.0)] * len(lines)
        for indices in equal_batches(
            [line.width for line in lines],
            len(lines),
            sizes=[line.pixels for line in lines],
            most=self._max_batch_pixels,
        ):
            check_wanted()
            batch = [lines[index] for index in indices]
            self._observe(
                sum(line.values.shape[2] for line in batch), sum(line.width for line in batch)
            )
            for index, reading in zip(indices, self._read(batch), strict=True):
                readings[index] = reading
        return readings

    def reading_of(self, probabilities: torch.Tensor) -> Reading:
        """What is read in a line of which the network says this, FP32 [steps, characters]."""
        best, chosen = probabilities.max(dim=-1)
        return self._decoded(best.numpy(), chosen.numpy(), probabilities)

    def try_out(self) -> None:
        """Reads noise of different widths."""
        noise = np.random.default_rng(0).integers(0, 255, (20, 90, 3), np.uint8)
        for width, count in ((30, 1), (90, 3)):
            self([self.prepare(noise[:, :width])] * count)

    def _width(self, width: int) -> int:
        """Of what the network is given, for a line so wide."""
        if not self._processor.do_pad:
            # It was not trained with lines that are filled up, but for very short ones.
            return max(width, _WIDTH_STEP)
        least = max(width, int(self._processor.pad_size["width"]))
        return -(-least // _WIDTH_STEP) * _WIDTH_STEP

    def _read(self, batch: Sequence[Line]) -> list[Reading]:
        filled = torch.zeros(len(batch), 3, batch[0].values.shape[1], batch[0].width)
        for place, line in zip(filled, batch, strict=True):
            place[..., : line.values.shape[2]] = line.values
        values = moved(filled, self._placement.device).to(self._placement.dtype)
        # [lines, steps, characters]
        probabilities = self._network(pixel_values=values).last_hidden_state
        best, chosen = probabilities.max(dim=-1)
        found = torch.stack([best.float(), chosen.float()]).cpu().numpy()
        return [
            self._decoded(scores, characters.astype(np.int64), line)
            for scores, characters, line in zip(*found, probabilities, strict=True)
        ]

    def _decoded(
        self,
        scores: npt.NDArray[np.float32],
        characters: npt.NDArray[np.int64],
        probabilities: torch.Tensor,
    ) -> Reading:
        """What CTC makes of the likeliest character of each step: 0 is the blank."""
        kept = characters != 0
        kept[1:] &= characters[1:] != characters[:-1]
        text = self._text(characters[kept])
        score = float(scores[kept].mean()) if text else 0.0
        if self._search is None or not text:
            return Reading(text, score)
        if score >= _SURE and self._search.knows(characters[kept].tolist()):
            return Reading(text, score)
        check_wanted()
        tokens, likelihood = self._search(np.log(probabilities.float().cpu().numpy() + _IMPOSSIBLE))
        found = self._text(np.array(tokens, np.int64))
        if found == text:
            return Reading(text, score)
        # Words that are likely of themselves may be far from what is seen.
        return Reading(found, min(score, math.exp(likelihood / len(tokens))) if found else 0.0)

    def _text(self, characters: npt.NDArray[np.int64]) -> str:
        return " ".join("".join(self._characters[characters]).split())


def _word_search(characters: Sequence[str], language: LanguageModel) -> WordSearch:
    """A search for a language's words, in small letters, in a recogniser's characters.

    Raises:
        ConfigurationError: some of the words' letters, or the space, are no characters of it.
    """
    letters = [each.lower() if each.isalpha() and len(each) == 1 else "" for each in characters]
    # The first character is CTC's blank, whatever it is called.
    letters[0] = ""
    missing = {*"".join(language.words)} - {*letters}
    if missing or " " not in characters:
        what = f"letters {', '.join(sorted(missing))}" if missing else "space"
        raise ConfigurationError(
            f"the language model does not fit the characters of the recogniser, which has no {what}"
        )
    marks = [number for number, letter in enumerate(letters) if number and not letter]
    return WordSearch(language, letters, 0, characters.index(" "), marks)
