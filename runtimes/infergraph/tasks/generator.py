"""`Generator`: an encoder-decoder network that writes texts, one token at a time."""

from __future__ import annotations

import collections.abc
import contextlib
import copy
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ..batching import check_wanted
from .decoding import Search
from .text_stream import GrowingText, TokenHandover, stepped

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
_SEARCHED = (
    "max_new_tokens",
    "min_new_tokens",
    "num_beams",
    "length_penalty",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "early_stopping",
)
# Their positions, masks and normalisation were checked: an answer is the same in a padded batch.
_PADDED = frozenset({"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5"})
# Mixtures of experts: all tokens of a batch compete for the places at an expert.
_ALONE = frozenset({"nllb-moe", "switch_transformers"})


class Generator:
    """Generates a text for each row of a batch of encoded texts.

    Each row's text is the one that it would get alone. The encoder's padding is masked in every
    attention, and the search of a row reads nothing of the others: greedily, a finished row is only
    padded; in the beam search a row's candidates are frozen once it is finished; sampled rows all
    meet the same noise, step by step.

    What remains is rounding, for another batch shape sums up in another order. It changes a token
    only where two are equally likely to the last digits: about seven of them in fp32, but only two
    or three in bf16 and fp16, so that there long texts can differ.

    Attributes:
        max_rows: Most texts of a batch, None unless the architecture has such a limit.
        padded: Whether texts of different length may share a batch; where a network or a rule of
            the checkpoint would see the padding, only texts of equal length run together.
    """

    def __init__(self, network: Any, tokenizer: Any, forced_bos_token_id: int | None) -> None:
        """Takes the network over.

        Args:
            network: An encoder-decoder network of transformers.
            tokenizer: Its tokenizer.
            forced_bos_token_id: The first token of every text (its language), if there is one.
        """
        # `generate` of a compiled network is the original's.
        self._network = getattr(network, "_orig_mod", network)
        self._tokenizer = tokenizer
        given = self._network.generation_config
        self._base: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            **{name: getattr(given, name) for name in _OWN if getattr(given, name) is not None}
        )
        if forced_bos_token_id is not None:
            self._base.forced_bos_token_id = forced_bos_token_id
        # transformers takes from here what a call leaves open.
        self._network.generation_config = copy.deepcopy(self._base)
        kind = self._network.config.model_type
        self.max_rows = 1 if kind in _ALONE else None
        self.padded = (
            kind in _PADDED
            and given.encoder_repetition_penalty in (None, 1.0)
            and not given.encoder_no_repeat_ngram_size
        )

    def __call__(self, batch: dict[str, torch.Tensor], search: Search) -> list[str]:
        """One text per row.

        Args:
            batch: `input_ids` and `attention_mask`, INT64 [rows, tokens], on the network's device.
            search: How to decode; for all rows.
        """
        tokens = self._tokens(batch, search)
        texts: list[str] = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def stream(
        self, batch: dict[str, torch.Tensor], search: Search
    ) -> collections.abc.Generator[str, None, None]:
        """The text of a batch of one row, as it is generated; closing the iterator ends that.

        Args:
            batch: As above, of one row.
            search: How to decode. Of a beam search only the end says what the text is: it comes as
                one part.

        Yields:
            Parts of the text, none empty; joined they are the text that a call gives.

        Raises:
            StageFailure: the text cannot be given in parts, see `GrowingText.finish`.
        """
        if search.num_beams > 1:
            with torch.inference_mode():
                whole = self(batch, search)[0]
            if whole:
                yield whole
            return
        # A new thread would take the number that was set last, by whichever model.
        threads = torch.get_num_threads()

        def generate(hand: Callable[[list[int]], None]) -> None:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                self._tokens(batch, search, streamer=TokenHandover(hand))

        text = GrowingText(self._tokenizer)
        with contextlib.closing(stepped(generate)) as steps:
            for tokens in steps:
                check_wanted()
                if part := text.add(tokens):
                    yield part
        if part := text.finish():
            yield part

    def _tokens(self, batch: dict[str, torch.Tensor], search: Search, **more: Any) -> torch.Tensor:
        """INT64 [rows, tokens]: what `generate` gives."""
        config = copy.deepcopy(self._base)
        for name in _SEARCHED:
            setattr(config, name, getattr(search, name))
        tokens: torch.Tensor = self._network.generate(
            **batch, generation_config=config, logits_processor=_sampling(search), **more
        )
        return tokens


class GumbelNoise(LogitsProcessor):
    """Makes the likeliest token a sample: the argmax of logits plus Gumbel noise is one.

    The noise comes from a generator of its own, one row for each step, so that a sample depends
    neither on its batch nor on what else the process draws.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        drawn = torch.empty(scores.shape[-1], dtype=torch.float64)
        drawn.exponential_(generator=self._generator).clamp_min_(1e-300)
        return scores - drawn.log().to(scores.device, scores.dtype)


def _sampling(search: Search) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if not search.do_sample:
        return processors
    if search.temperature != 1:
        processors.append(TemperatureLogitsWarper(search.temperature))
    if search.top_k:
        processors.append(TopKLogitsWarper(search.top_k))
    if search.top_p < 1:
        processors.append(TopPLogitsWarper(search.top_p))
    processors.append(GumbelNoise(search.seed))
    return processors
