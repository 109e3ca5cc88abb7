"""`Generator`: an encoder-decoder network that writes texts, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig

from ...errors import ConfigurationError
from ..minibatches import call_cost
from .decoding import Search
from .encoder import TextEncoder
from .rows import Decoder
from .rules import Rules
from .running import Limits, Observer, RunningTexts

# What a checkpoint says of its tokens; how to search is chosen by settings and requests.
_OWN = (
    "decoder_start_token_id",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
    "renormalize_logits",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size",
)
# Their positions, masks and normalisation were checked: an answer is the same in a padded batch.
_MIXED = frozenset({"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5"})
# Mixtures of experts: all tokens of a batch compete for the places at an expert.
_ALONE = frozenset({"nllb-moe", "switch_transformers"})


class Generator:
    """Writes texts with an encoder-decoder network.

    Attributes:
        network: The one that was given, not compiled.
        tokenizer: The checkpoint's.
        limits: How much is written together. Where it is not known that a network does not see
            padding, only texts of equal length that begin together.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        encoder: TextEncoder,
        forced_bos_token_id: int | None,
        *,
        max_texts: int,
        max_tokens: int,
        observer: Observer,
    ) -> None:
        """Takes the network over.

        Args:
            network: An encoder-decoder network of transformers; it is changed.
            tokenizer: Its tokenizer.
            encoder: Makes batches of what it reads.
            forced_bos_token_id: The first token of every text (its language), if there is one.
            max_texts: Most texts that are written together.
            max_tokens: Most tokens that they have read, times the beams of their search.
            observer: Told of what is computed.

        Raises:
            ConfigurationError: the checkpoint does not say with which token its decoder begins.
        """
        # Of a compiled network only the original's parts are called, in many shapes.
        network = getattr(network, "_orig_mod", network)
        given = network.generation_config
        own: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            **{name: getattr(given, name) for name in _OWN if getattr(given, name) is not None}
        )
        if forced_bos_token_id is not None:
            own.forced_bos_token_id = forced_bos_token_id
        start = (
            own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
        )
        if not isinstance(start, int):
            raise ConfigurationError(
                f"the checkpoint's 'decoder_start_token_id' = {start}: accepted: one token"
            )
        kind = network.config.model_type
        self.network = network
        self.tokenizer = tokenizer
        self.limits = Limits(
            texts=1 if kind in _ALONE else max_texts,
            tokens=max_tokens,
            mixed=kind in _MIXED,
            call=call_cost(network),
        )
        self._device: torch.device = network.device
        self._batch = partial(encoder.batch, device=self._device)
        self._decoder = Decoder(network)
        self._rules = Rules(own, self._device)
        self._start = start
        self._observer = observer

    def running(self, search: Search) -> RunningTexts:
        """Texts to be written together, none yet."""
        return RunningTexts(
            self._decoder,
            self._rules,
            self._start,
            search,
            self.limits,
            self._batch,
            self._observer,
        )

    def decoded(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without the special ones and without blanks around it."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()
