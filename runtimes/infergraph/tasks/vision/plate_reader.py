"""`PlateReader`: writes out the text in a picture, with an encoder-decoder such as TrOCR."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, VisionEncoderDecoderModel

from ...batching import check_wanted
from ...devices import Placement, moved
from ...errors import ConfigurationError
from ...tensors.image import Pixels
from ..checkpoints.pretrained import load_config, load_image_processor, load_network, load_tokenizer
from ..minibatches import equal_batches

# What a checkpoint says of its tokens. How it would search, and that it would never repeat three
# characters, is for pages of text.
_OWN = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
# Encoders are built with a pooler, which decoders do not look at and checkpoints lack.
_UNUSED = ("encoder.pooler.",)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture says.

    Attributes:
        text: In one line; empty when the reader sees none.
        score: How sure the reader is, from 0 to 1: the geometric mean of the probabilities of its
            tokens, the end's among them; of CTC the mean of those of its characters.
    """

    text: str
    score: float


class PlateReader:
    """Reads pictures of one line of text, greedily."""

    def __init__(
        self, checkpoint: str, placement: Placement, *, max_new_tokens: int, max_batch_size: int
    ) -> None:
        """Loads the image processor, the tokenizer and the network.

        Args:
            checkpoint: A folder's path.
            placement: Device and dtype.
            max_new_tokens: Most tokens of one text.
            max_batch_size: Most pictures of one network call.

        Raises:
            ConfigurationError: the checkpoint is no reader, is incomplete, or its decoder takes
                fewer tokens.
        """
        config = load_config(checkpoint)
        if config.model_type != "vision-encoder-decoder":
            raise ConfigurationError(
                f"checkpoint '{checkpoint}': the architecture '{config.model_type}' does not read "
                "text; accepted: vision-encoder-decoder, such as TrOCR"
            )
        limit = getattr(config.decoder, "max_position_embeddings", max_new_tokens)
        if max_new_tokens > limit:
            raise ConfigurationError(
                f"setting 'max_new_tokens' = {max_new_tokens}: the checkpoint's decoder has "
                f"{limit} positions; accepted: 1 to {limit}"
            )
        self._processor = load_image_processor(checkpoint)
        self._tokenizer = load_tokenizer(checkpoint)
        network = load_network(VisionEncoderDecoderModel, checkpoint, placement, _UNUSED)
        # `generate` of a compiled network is the original's.
        self._network = getattr(network, "_orig_mod", network)
        self._generation = _generation(self._network, max_new_tokens, checkpoint)
        # transformers takes from here what a call leaves open.
        self._network.generation_config = copy.deepcopy(self._generation)
        self._ends = torch.as_tensor(self._generation.eos_token_id).reshape(-1)
        self._placement = placement
        self._max_batch_size = max_batch_size

    def __call__(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """Reads each picture, UINT8 [H, W, 3] of any size."""
        inputs = [self._prepare(picture) for picture in pictures]
        readings = [Reading("", 0.0)] * len(pictures)
        for indices in equal_batches([tuple(each.shape) for each in inputs], self._max_batch_size):
            batch = torch.cat([inputs[index] for index in indices])
            for index, reading in zip(indices, self._read(batch), strict=True):
                readings[index] = reading
        return readings

    def _prepare(self, picture: Pixels) -> torch.Tensor:
        # Some milliseconds each, and there may be hundreds.
        check_wanted()
        # A copy: torch warns of memory that it may not write to.
        pixels = torch.from_numpy(np.array(picture.transpose(2, 0, 1), order="C"))
        inputs = self._processor(
            images=pixels, input_data_format="channels_first", return_tensors="pt"
        )
        values: torch.Tensor = inputs["pixel_values"]
        return values

    def _read(self, batch: torch.Tensor) -> list[Reading]:
        values = moved(batch, self._placement.device).to(self._placement.dtype)
        answer = self._network.generate(
            pixel_values=values, generation_config=copy.deepcopy(self._generation)
        )
        tokens = answer.sequences[:, 1:]
        # [pictures, tokens]: a text that has ended is only padded.
        logs = torch.stack(answer.logits, dim=1).float().log_softmax(dim=-1)
        chosen = logs.gather(2, tokens[..., None])[..., 0]
        ends = torch.isin(tokens, self._ends.to(tokens.device)).long()
        counted = ends.cumsum(dim=1) - ends == 0
        means = (chosen * counted).sum(dim=1) / counted.sum(dim=1)
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [
            Reading(" ".join(text.split()), score)
            for text, score in zip(texts, means.exp().tolist(), strict=True)
        ]


def _generation(network: Any, max_new_tokens: int, checkpoint: str) -> Any:
    own: dict[str, Any] = {}
    for name in _OWN:
        for source in (network.generation_config, network.config, network.config.decoder):
            if getattr(source, name, None) is not None:
                own[name] = getattr(source, name)
                break
    own.setdefault("decoder_start_token_id", own.get("bos_token_id"))
    for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
        if own.get(name) is None:
            raise ConfigurationError(f"checkpoint '{checkpoint}': its configuration lacks '{name}'")
    return GenerationConfig(  # type: ignore[no-untyped-call]
        **own,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        output_logits=True,
        return_dict_in_generate=True,
    )
