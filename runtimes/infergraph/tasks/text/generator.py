"""`Generator`: an encoder-decoder network that writes texts, one token at a time."""

from __future__ import annotations

import collections.abc
import contextlib
import copy
import secrets
from collections.abc import Callable, Sequence
from random import Random
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

from ...batching import check_wanted
from .decoding import Search
from .stream import GrowingText, TokenHandover, stepped

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
# What torch adds probabilities up in, on devices that have no fp64.
_EXACT = {"mps": torch.float32}
# Mixtures of experts: all tokens of a batch compete for the places at an expert.
_ALONE = frozenset({"nllb-moe", "switch_transformers"})


class Generator:
    """Generates a text for each row of a batch of encoded texts.

    Each row's text is the one that it would get alone. The encoder's padding is masked in every
    attention, and the search of a row reads nothing of the others: greedily, a finished row is only
    padded; in the beam search a row's candidates are frozen once it is finished; a sampled row has
    noise of its own.

    What remains is rounding, for another batch shape sums up in another order. It changes a token
    only where two are equally likely to the last digits: about seven of them in fp32, but only two
    or three in bf16 and fp16, so that there long texts can differ.

    Attributes:
        max_rows: Most texts of a batch, None unless the architecture has such a limit.
        padded: Whether texts of different length may share a batch; where a network or a rule of
            the checkpoint would see the padding, only texts of equal length run together.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        forced_bos_token_id: int | None,
        observe_padding: Callable[[int, int], None] | None = None,
    ) -> None:
        """Takes the network over.

        Args:
            network: An encoder-decoder network of transformers.
            tokenizer: Its tokenizer.
            forced_bos_token_id: The first token of every text (its language), if there is one.
            observe_padding: Told of each batch how many tokens its texts have, and how many were
                computed.
        """
        self._observe_padding = observe_padding
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
        if self._observe_padding is not None:
            # A batch runs until its longest text ends. The first token, with which all texts begin,
            # may be the one that pads.
            written = tokens[:, 1:]
            real = int((written != self._base.pad_token_id).sum())
            self._observe_padding(real, written.numel())
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
        # A thread of its own generates, in which torch has the number of threads that it has here.
        threads = torch.get_num_threads()

        def generate(hand: Callable[[list[int]], None]) -> None:
            def hand_over(tokens: list[int]) -> None:
                hand(tokens)
                torch.set_num_threads(threads)

            torch.set_num_threads(threads)
            with torch.inference_mode():
                self._tokens(batch, search, streamer=TokenHandover(hand_over))

        text = GrowingText(self._tokenizer)
        with contextlib.closing(stepped(generate)) as steps:
            for tokens in steps:
                check_wanted()
                if part := text.add(tokens):
                    yield part
                # While it stood still, other models may have begun or ended.
                threads = torch.get_num_threads()
        if part := text.finish():
            yield part

    def _tokens(self, batch: dict[str, torch.Tensor], search: Search, **more: Any) -> torch.Tensor:
        """INT64 [rows, tokens]: what `generate` gives."""
        config = copy.deepcopy(self._base)
        for name in _SEARCHED:
            setattr(config, name, getattr(search, name))
        tokens: torch.Tensor = self._network.generate(
            **batch, generation_config=config, logits_processor=sampling(batch, search), **more
        )
        return tokens


class Draw(LogitsProcessor):
    """Draws each row's token from the distribution of its logits, and leaves it as the likeliest.

    Each row has a generator of its own, so that a text depends neither on its batch nor on what
    else the process draws, and no two rows share their noise.

    Args:
        seeds: One for each row.
    """

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self._generators = [Random(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores FP [rows, tokens] -> the same, 0 for the token drawn and -inf for the others."""
        sums = scores.to(_EXACT.get(scores.device.type, torch.float64)).softmax(-1).cumsum(-1)
        drawn = torch.tensor([each.random() for each in self._generators], dtype=torch.float64)
        # The first token whose sum exceeds the number drawn. What has no probability adds nothing
        # to the sum, and so is never the first; nor may rounding take the number to the last sum.
        whole = sums[:, -1:]
        limits = torch.nextafter(whole, torch.zeros_like(whole))
        wanted = drawn.to(sums)[:, None] * whole
        tokens = torch.searchsorted(sums, wanted.minimum(limits), right=True)
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)


def _seeds(batch: dict[str, torch.Tensor], seed: int | None) -> list[bytes]:
    """A seed for each row: of the given one and the row's tokens, else one that nobody knows."""
    ids, mask = batch["input_ids"].cpu(), batch["attention_mask"].cpu().bool()
    if seed is None:
        return [secrets.token_bytes(16) for _ in ids]
    return [f"{seed} {row[kept].tolist()}".encode() for row, kept in zip(ids, mask, strict=True)]


def sampling(batch: dict[str, torch.Tensor], search: Search) -> LogitsProcessorList:
    """What draws tokens, in the order of transformers' own sampling."""
    processors = LogitsProcessorList()
    if not search.do_sample:
        return processors
    if search.temperature != 1:
        processors.append(TemperatureLogitsWarper(search.temperature))
    if search.top_k:
        processors.append(TopKLogitsWarper(search.top_k))
    if search.top_p < 1:
        processors.append(TopPLogitsWarper(search.top_p))
    processors.append(Draw(_seeds(batch, search.seed)))
    return processors
