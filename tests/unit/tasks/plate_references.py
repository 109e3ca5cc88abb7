"""What a reader of plates says, computed in another way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

from infergraph.tasks.vision.plate_reader import Reading
from tests.pictures import Pixels


def read(folder: str, pictures: Sequence[Pixels], tokens: int = 12) -> list[Reading]:
    """Each picture alone, token by token and without a cache: the likeliest, and how likely."""
    network = VisionEncoderDecoderModel.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    readings = []
    for picture in pictures:
        pixels = torch.from_numpy(picture.transpose(2, 0, 1).copy())
        values = processor(images=pixels, return_tensors="pt").pixel_values
        said, log = [network.config.decoder_start_token_id], 0.0
        with torch.inference_mode():
            while len(said) <= tokens and said[1:][-1:] != [2]:
                logits = network(
                    pixel_values=values, decoder_input_ids=torch.tensor([said]), use_cache=False
                ).logits[0, -1]
                said.append(int(logits.argmax()))
                log += float(logits.log_softmax(dim=-1)[said[-1]])
        text = tokenizer.decode(said[1:], skip_special_tokens=True)
        readings.append(Reading(" ".join(text.split()), math.exp(log / (len(said) - 1))))
    return readings
