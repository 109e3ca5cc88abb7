"""`TextReader`: writes out a line of text, with a CTC recogniser such as PP-OCRv5's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """Reads pictures of one line of text, greedily.

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
            self._decoded(scores, characters.astype(np.int64))
            for scores, characters in zip(*found, strict=True)
        ]

    def _decoded(
        self, scores: npt.NDArray[np.float32], characters: npt.NDArray[np.int64]
    ) -> Reading:
        """What CTC makes of the likeliest character of each step: 0 is the blank."""
        kept = characters != 0
        kept[1:] &= characters[1:] != characters[:-1]
        text = " ".join("".join(self._characters[characters[kept]]).split())
        return Reading(text, float(scores[kept].mean()) if text else 0.0)
