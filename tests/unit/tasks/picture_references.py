"""What a writer of texts of pictures says, computed in another way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    BlipForConditionalGeneration,
    GitForCausalLM,
    VisionEncoderDecoderModel,
)
from transformers.modeling_outputs import BaseModelOutput

from infergraph.tasks.vision.picture_writer import Reading
from tests.pictures import Pixels

Logits = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From a picture FP32 [1, 3, H, W] and the tokens so far, INT64 [1, n], to FP32 [1, n, tokens]."""


def read(folder: str, pictures: Sequence[Pixels], tokens: int = 12) -> list[Reading]:
    """Each picture alone, token by token and without a cache: the likeliest, and how likely."""
    logits, start, end = _network(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    readings = []
    for picture in pictures:
        pixels = torch.from_numpy(picture.transpose(2, 0, 1).copy())
        values = processor(images=pixels, return_tensors="pt").pixel_values
        said, log = [start], 0.0
        with torch.inference_mode():
            while len(said) <= tokens and said[1:][-1:] != [end]:
                last = logits(values, torch.tensor([said]))[0, -1]
                said.append(int(last.argmax()))
                log += float(last.log_softmax(dim=-1)[said[-1]])
        text = tokenizer.decode(said[1:], skip_special_tokens=True)
        score = math.exp(log / (len(said) - 1))
        readings.append(Reading(" ".join(text.split()), score, math.exp(log)))
    return readings


def _network(folder: str) -> tuple[Logits, int, int]:
    """The logits of a family's network, and the tokens that a text begins and ends with."""
    kind = AutoConfig.from_pretrained(folder).model_type
    network: Any
    if kind == "blip":
        network = BlipForConditionalGeneration.from_pretrained(folder).eval()
        text = network.config.text_config
        return (
            lambda values, said: network(pixel_values=values, input_ids=said).logits,
            text.bos_token_id,
            text.sep_token_id,
        )
    if kind == "git":
        network = GitForCausalLM.from_pretrained(folder).eval()
        return (
            lambda values, said: network(pixel_values=values, input_ids=said).logits,
            network.config.bos_token_id,
            network.config.eos_token_id,
        )
    network = VisionEncoderDecoderModel.from_pretrained(folder).eval()

    def logits(values: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        seen = network.encoder(values).last_hidden_state
        if seen.dim() == 4:
            seen = torch.stack([each.reshape(len(each), -1).T for each in seen])
        found: torch.Tensor = network(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen),
            decoder_input_ids=said,
            use_cache=False,
        ).logits
        return found

    return logits, network.config.decoder_start_token_id, network.config.eos_token_id
