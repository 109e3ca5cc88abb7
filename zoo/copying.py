"""`start_copying`: attention with which an untrained BART already copies words of its input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BartForConditionalGeneration

_WORDS = 0.1
"""Standard deviation of the word embeddings, and root mean square of the position embeddings."""

# How sharply a head attends: to a word it looks for, to a position.
_TO_WORD = 1.4
_TO_POSITION = 2.0
# Of the fastest and the slowest sinusoid, radians per position.
_RATES = (2.5, 0.01)


@dataclass(frozen=True)
class _Head:
    """One head of an attention layer, and the blocks of dimensions that it reads and writes."""

    attention: Any
    number: int
    width: int

    def _rows(self) -> slice:
        return slice(self.number * self.width, (self.number + 1) * self.width)

    def look(self, query: Mapping[int, torch.Tensor], key: Mapping[int, torch.Tensor]) -> None:
        """Attend to where the sum of `key`'s blocks equals the sum of `query`'s, each times its
        matrix [width, width]."""
        for projection, blocks in (
            (self.attention.q_proj, query),
            (self.attention.k_proj, key),
        ):
            projection.weight[self._rows()] = 0
            for block, matrix in blocks.items():
                projection.weight[self._rows(), _dimensions(block, self.width)] = matrix

    def note(self, source: int, target: int) -> None:
        """Add block `source` of what it attends to, to block `target`."""
        one = torch.eye(self.width)
        self.attention.v_proj.weight[self._rows()] = 0
        self.attention.v_proj.weight[self._rows(), _dimensions(source, self.width)] = one
        self.attention.out_proj.weight[:, self._rows()] = 0
        self.attention.out_proj.weight[_dimensions(target, self.width), self._rows()] = one


def _dimensions(block: int, width: int) -> slice:
    return slice(block * width, (block + 1) * width)


@torch.no_grad()
def start_copying(model: BartForConditionalGeneration) -> None:
    """Give an untrained model the attention that copies, which it would find only slowly.

    To copy, a decoder that has just written a word must find it in the input, and write what
    follows it there (an induction head). Four blocks of dimensions, each as wide as a head, hold
    the word, its position, the word before it, and the word again, for the model's free use. Then

    * each first layer looks one position back, and notes the word there as the word before;
    * the encoder's last layer does so once more, and notes the word two before in the free block;
    * the decoder's first cross attention looks for the word just written among the words before;
    * its last one looks for the last two words written among those before and two before;
    * both write the word that they find into the block of the word.

    Every layer has a head, too, that looks for equal words: for who is spoken of again.

    Raises:
        ValueError: If the model has fewer than four heads.
    """
    config: Any = model.config
    heads = config.decoder_attention_heads
    if min(heads, config.encoder_attention_heads) < 4:
        raise ValueError(f"{heads} heads: the blocks that copying needs are at least 4")
    width = config.d_model // heads
    word, place, before, free = range(4)
    one = torch.eye(width)
    # Another basis, in which two words are told from the same two in the other order.
    turned = torch.linalg.qr(torch.randn(width, width)).Q
    encoder, decoder = model.model.encoder, model.model.decoder

    words = model.model.shared.weight
    words.mul_(_WORDS / config.init_std)
    for block in (place, before):
        words[:, _dimensions(block, width)] = 0
    sinusoids, back = _positions(len(encoder.embed_positions.weight), width)
    for part in (encoder, decoder):
        part.embed_positions.weight.zero_()
        part.embed_positions.weight[:, _dimensions(place, width)] = sinusoids

    for part in (encoder, decoder):
        for layer in part.layers:
            _Head(layer.self_attn, 0, width).look({word: one}, {word: one})
    for layer, source, target in (
        (encoder.layers[0], word, before),
        (decoder.layers[0], word, before),
        (encoder.layers[-1], before, free),
    ):
        head = _Head(layer.self_attn, 1, width)
        head.look({place: _TO_POSITION * back}, {place: _TO_POSITION * one})
        head.note(source, target)
    head = _Head(decoder.layers[0].encoder_attn, 0, width)
    head.look({word: _TO_WORD * one}, {before: _TO_WORD * one})
    head.note(word, word)
    head = _Head(decoder.layers[-1].encoder_attn, 0, width)
    head.look(
        {word: _TO_WORD * one, before: _TO_WORD * turned},
        {before: _TO_WORD * one, free: _TO_WORD * turned},
    )
    head.note(word, word)


def _positions(count: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sinusoids [count, width], and the matrix that makes of a position's the one before's."""
    fastest, slowest = map(math.log10, _RATES)
    rates = torch.logspace(fastest, slowest, width // 2)
    angles = torch.arange(count)[:, None] * rates
    sinusoids = _WORDS * math.sqrt(2) * torch.cat((angles.sin(), angles.cos()), dim=1)
    cos, sin = torch.diag(rates.cos()), torch.diag(rates.sin())
    back = torch.cat((torch.cat((cos, -sin), dim=1), torch.cat((sin, cos), dim=1)))
    return sinusoids, back
