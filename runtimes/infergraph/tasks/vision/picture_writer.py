"""`PictureWriter`: writes a text of each picture, what is written in it or what it shows.

Three families of checkpoints do: `vision-encoder-decoder` (an image encoder with any decoder, such
as TrOCR), BLIP, and GIT. All are decoded greedily.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import (
    BlipForConditionalGeneration,
    GenerationConfig,
    GitForCausalLM,
    VisionEncoderDecoderModel,
)
from transformers.modeling_outputs import BaseModelOutput

from ...batching import check_wanted
from ...devices import Placement, moved
from ...errors import ConfigurationError
from ...finite import check_finite
from ...tensors.image import Pixels
from ..checkpoints.pretrained import load_config, load_image_processor, load_network, load_tokenizer
from ..minibatches import equal_batches

_LONGEST = 16
"""A picture that is longer, in terms of its shorter side, is padded: some image processors scale
the shorter one to the network's size, however large that makes the other."""
# What a checkpoint says of its tokens. How it would search, and that it would never repeat three
# tokens, is for pages of text.
_OWN = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is written of a picture.

    Attributes:
        text: In one line; empty when there is nothing to say.
        score: The geometric mean of the probabilities of its tokens, the end's among them.
        probability: Their product: how likely the whole text is.
    """

    text: str
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Family:
    """How checkpoints of an architecture are used.

    Attributes:
        network_class: Of transformers.
        decoder: The part of the configuration that tells of the decoder; empty is all of it.
        answer: Writes, from a network, its input FP32 [n, 3, H, W], the token that texts begin
            with, and how to generate.
        unused: Beginnings of the names of weights that checkpoints may lack.
        renamed: What names its tokens otherwise: a name of `_OWN` -> the one in the decoder's part.
    """

    network_class: Any
    decoder: str
    answer: Callable[[Any, torch.Tensor, int, Any], Any]
    unused: tuple[str, ...] = ()
    renamed: Mapping[str, str] | None = None


def _encoder_decoder(network: Any, values: torch.Tensor, start: int, generation: Any) -> Any:
    seen = network.encoder(pixel_values=values).last_hidden_state
    if seen.dim() == 4:
        # Convolutions give maps, [n, channels, rows, columns].
        seen = seen.flatten(2).transpose(1, 2)
    return network.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=seen), generation_config=generation
    )


def _blip(network: Any, values: torch.Tensor, start: int, generation: Any) -> Any:
    # As its own `generate` does, which takes the tokens apart from the other settings.
    seen = network.vision_model(pixel_values=values).last_hidden_state
    return network.text_decoder.generate(
        input_ids=_starts(values, start),
        encoder_hidden_states=seen,
        encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        generation_config=generation,
    )


def _git(network: Any, values: torch.Tensor, start: int, generation: Any) -> Any:
    return network.generate(
        input_ids=_starts(values, start), pixel_values=values, generation_config=generation
    )


def _starts(values: torch.Tensor, start: int) -> torch.Tensor:
    return torch.full((len(values), 1), start, device=values.device)


ENCODER_DECODER = "vision-encoder-decoder"
FAMILIES: dict[str, Family] = {
    ENCODER_DECODER: Family(
        VisionEncoderDecoderModel,
        "decoder",
        _encoder_decoder,
        # Encoders are built with a pooler, which decoders do not look at and checkpoints lack.
        unused=("encoder.pooler.",),
    ),
    "blip": Family(
        BlipForConditionalGeneration,
        "text_config",
        _blip,
        renamed={"decoder_start_token_id": "bos_token_id", "eos_token_id": "sep_token_id"},
    ),
    "git": Family(GitForCausalLM, "", _git, renamed={"decoder_start_token_id": "bos_token_id"}),
}


class PictureWriter:
    """Writes one line of text of each picture, greedily."""

    def __init__(
        self,
        checkpoint: str,
        placement: Placement,
        *,
        max_new_tokens: int,
        max_batch_size: int,
        families: Sequence[str] = tuple(FAMILIES),
    ) -> None:
        """Loads the image processor, the tokenizer and the network.

        Args:
            checkpoint: A folder's path.
            placement: Device and dtype.
            max_new_tokens: Most tokens of one text.
            max_batch_size: Most pictures of one network call.
            families: The architectures accepted.

        Raises:
            ConfigurationError: the checkpoint is of none of the families, is incomplete, or its
                decoder takes fewer tokens.
        """
        config = load_config(checkpoint)
        if config.model_type not in families:
            raise ConfigurationError(
                f"checkpoint '{checkpoint}': the architecture '{config.model_type}' does not write "
                f"texts of pictures; accepted: {', '.join(families)}"
            )
        self._family = family = FAMILIES[config.model_type]
        decoder = getattr(config, family.decoder) if family.decoder else config
        limit = getattr(decoder, "max_position_embeddings", max_new_tokens)
        if max_new_tokens > limit:
            raise ConfigurationError(
                f"setting 'max_new_tokens' = {max_new_tokens}: the checkpoint's decoder has "
                f"{limit} positions; accepted: 1 to {limit}"
            )
        self._processor = load_image_processor(checkpoint)
        self._tokenizer = load_tokenizer(checkpoint)
        network = load_network(family.network_class, checkpoint, placement, family.unused)
        # `generate` of a compiled network is the original's.
        self._network = getattr(network, "_orig_mod", network)
        self._generation = _generation(family, self._network, max_new_tokens, checkpoint)
        # transformers takes from here what a call leaves open.
        for part in self._network.modules():
            if hasattr(part, "generation_config"):
                part.generation_config = copy.deepcopy(self._generation)
        self._ends = torch.as_tensor(self._generation.eos_token_id).reshape(-1)
        self._placement = placement
        self._max_batch_size = max_batch_size

    def __call__(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """What is written of each picture, UINT8 [H, W, 3] of any size."""
        readings: list[Reading] = []
        # Some at a time: what a network takes is many times a small picture.
        for first in range(0, len(pictures), self._max_batch_size):
            some = pictures[first : first + self._max_batch_size]
            inputs = [self._prepare(picture) for picture in some]
            found: dict[int, Reading] = {}
            for indices in equal_batches([tuple(each.shape) for each in inputs], len(inputs)):
                batch = torch.cat([inputs[index] for index in indices])
                found.update(zip(indices, self._read(batch), strict=True))
            readings += [found[index] for index in range(len(some))]
        return readings

    def _prepare(self, picture: Pixels) -> torch.Tensor:
        # Some milliseconds each, and there may be hundreds.
        check_wanted()
        height, width = picture.shape[:2]
        shortest = math.ceil(max(height, width) / _LONGEST)
        more = [(0, max(0, shortest - height)), (0, max(0, shortest - width)), (0, 0)]
        # A copy: torch warns of memory that it may not write to.
        padded = np.pad(picture, more, mode="edge")
        pixels = torch.from_numpy(np.array(padded.transpose(2, 0, 1), order="C"))
        inputs = self._processor(
            images=pixels, input_data_format="channels_first", return_tensors="pt"
        )
        values: torch.Tensor = inputs["pixel_values"]
        return values

    def _read(self, batch: torch.Tensor) -> list[Reading]:
        values = moved(batch, self._placement.device).to(self._placement.dtype)
        generation = copy.deepcopy(self._generation)
        start = int(generation.decoder_start_token_id)
        answer = self._family.answer(self._network, values, start, generation)
        tokens = answer.sequences[:, 1:]
        logits = torch.stack(answer.logits, dim=1)
        # Of some families only parts are called, which `Placement.place` does not watch.
        check_finite(logits, self._placement.format)
        # [pictures, tokens]: a text that has ended is only padded.
        logs = logits.float().log_softmax(dim=-1)
        chosen = logs.gather(2, tokens[..., None])[..., 0]
        ends = torch.isin(tokens, self._ends.to(tokens.device)).long()
        counted = ends.cumsum(dim=1) - ends == 0
        sums, counts = (chosen * counted).sum(dim=1).tolist(), counted.sum(dim=1).tolist()
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [
            Reading(" ".join(text.split()), math.exp(log / count), math.exp(log))
            for text, log, count in zip(texts, sums, counts, strict=True)
        ]


def _generation(family: Family, network: Any, max_new_tokens: int, checkpoint: str) -> Any:
    config = network.config
    decoder = getattr(config, family.decoder) if family.decoder else config
    renamed = family.renamed or {}
    own: dict[str, Any] = {}
    for name in _OWN:
        # A name of the decoder's own tells more than what all configurations have.
        sources = [(decoder, renamed[name])] if name in renamed else []
        sources += [(source, name) for source in (network.generation_config, config, decoder)]
        for source, there in sources:
            if getattr(source, there, None) is not None:
                own[name] = getattr(source, there)
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
