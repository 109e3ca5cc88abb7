"""`Rules`: which tokens a checkpoint and a request rule out, favour or force at each place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.generation.logits_process import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    ExponentialDecayLengthPenalty,
    InfNanRemoveLogitsProcessor,
    LogitsProcessorList,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .decoding import Search
from .drafts import Draft

NO_IDS: Any = torch.empty(0, 0, dtype=torch.int64)
"""What rules are given that do not look at what was written."""
# What torch adds probabilities up in, on devices that have no fp64.
_EXACT = {"mps": torch.float32}


class Rules:
    """Applies rules to the scores of rows that have written unequal numbers of tokens.

    Those that are the same for all rows, or look at how many tokens a row has written, are applied
    here; those that look at which, by transformers, text by text.

    Args:
        own: The checkpoint's own, a `GenerationConfig`.
        device: Of the scores.

    Attributes:
        ends: The tokens that end a text.
    """

    def __init__(self, own: Any, device: torch.device) -> None:
        self.ends = frozenset(_listed(own.eos_token_id))
        self._own = own
        self._device = device
        words = [word for word in own.bad_words_ids or [] if tuple(word) not in _single(self.ends)]
        never = {word[0] for word in words if len(word) == 1} | set(_listed(own.suppress_tokens))
        self._never = self._tensor(never)
        self._bad_words = [word for word in words if len(word) > 1]
        self._ends = self._tensor(self.ends)
        self._not_first = self._tensor(_listed(own.begin_suppress_tokens))
        # The first token after one that is forced.
        self._first = 0 if own.forced_bos_token_id is None else 1

    def of_text(self, text: Draft) -> LogitsProcessorList:
        """Those that look at which tokens a text has or has read, in transformers' order."""
        own, search = self._own, text.search
        rules = LogitsProcessorList()
        if own.sequence_bias is not None:
            rules.append(SequenceBiasLogitsProcessor(own.sequence_bias))
        read: Any = None
        if own.encoder_repetition_penalty not in (None, 1.0) or own.encoder_no_repeat_ngram_size:
            read = torch.from_numpy(text.ids).to(self._device)[None].expand(text.rows, -1)
        if own.encoder_repetition_penalty not in (None, 1.0):
            penalty = own.encoder_repetition_penalty
            rules.append(EncoderRepetitionPenaltyLogitsProcessor(penalty, read))
        if search.repetition_penalty != 1:
            rules.append(RepetitionPenaltyLogitsProcessor(search.repetition_penalty))
        if search.no_repeat_ngram_size:
            rules.append(NoRepeatNGramLogitsProcessor(search.no_repeat_ngram_size))
        if own.encoder_no_repeat_ngram_size:
            size = own.encoder_no_repeat_ngram_size
            rules.append(EncoderNoRepeatNGramLogitsProcessor(size, read))
        if self._bad_words:
            rules.append(NoBadWordsLogitsProcessor(self._bad_words))
        if own.exponential_decay_length_penalty is not None:
            ends: Any = self._ends
            rules.append(
                ExponentialDecayLengthPenalty(own.exponential_decay_length_penalty, ends, 1)
            )
        return rules

    def apply(
        self,
        texts: Sequence[Draft],
        rules: Sequence[LogitsProcessorList],
        scores: torch.Tensor,
    ) -> torch.Tensor:
        """The scores of the next tokens, with the rules.

        Args:
            texts: Those that write, each `Draft.rows` rows.
            rules: What `of_text` gave for each of them.
            scores: FP32 [rows, vocabulary]; may be changed.
        """
        own, row = self._own, 0
        for text, looking in zip(texts, rules, strict=True):
            mine = scores[row : row + text.rows]
            row += text.rows
            if looking:
                written: Any = self._tensor(text.written)
                mine[:] = looking(written, mine)
            count, last = text.count, text.search.max_new_tokens - 1
            if count < text.search.min_new_tokens:
                mine.index_fill_(1, self._ends, -torch.inf)
            if count == 0 and own.forced_bos_token_id is not None:
                _force(mine, own.forced_bos_token_id)
            if count == last and own.forced_eos_token_id is not None:
                _force(mine, own.forced_eos_token_id)
            if count == self._first and len(self._not_first):
                mine.index_fill_(1, self._not_first, -torch.inf)
        if len(self._never):
            scores.index_fill_(1, self._never, -torch.inf)
        if own.remove_invalid_values:
            scores = InfNanRemoveLogitsProcessor()(NO_IDS, scores)
        if own.renormalize_logits and any(text.rows > 1 for text in texts):
            scores = scores.log_softmax(-1)
        return scores

    def best(self, totals: torch.Tensor, beams: int) -> Any:
        """The best continuations of each text's beams, of `totals` [texts, beams * vocabulary].

        As many as there may be that end a text, and one more for each beam.
        """
        count = max(2, 1 + len(self.ends)) * beams
        return totals.topk(min(count, totals.shape[-1]))

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.int64, device=self._device)


def shaping(search: Search) -> LogitsProcessorList:
    """What shapes the distribution that tokens are drawn from, in transformers' order."""
    rules = LogitsProcessorList()
    if search.temperature != 1:
        rules.append(TemperatureLogitsWarper(search.temperature))
    if search.top_k:
        rules.append(TopKLogitsWarper(search.top_k))
    if search.top_p < 1:
        rules.append(TopPLogitsWarper(search.top_p))
    return rules


def draw(scores: torch.Tensor, numbers: Sequence[float]) -> list[int]:
    """Draws a token for each row from the distribution of its scores.

    Args:
        scores: FP [rows, vocabulary]; -inf is never drawn.
        numbers: A random number for each row, from 0 to below 1. As each text brings its own, it
            depends neither on its batch nor on what else the process draws.
    """
    sums = scores.to(_EXACT.get(scores.device.type, torch.float64)).softmax(-1).cumsum(-1)
    drawn = torch.tensor(numbers, dtype=torch.float64)
    # The first token whose sum exceeds the number drawn. What has no probability adds nothing to
    # the sum, and so is never the first; nor may rounding take the number to the last sum.
    whole = sums[:, -1:]
    limits = torch.nextafter(whole, torch.zeros_like(whole))
    wanted = drawn.to(sums)[:, None] * whole
    tokens: list[int] = torch.searchsorted(sums, wanted.minimum(limits), right=True)[:, 0].tolist()
    return tokens


def _force(scores: torch.Tensor, tokens: int | list[int]) -> None:
    scores.fill_(-torch.inf)
    scores[:, tokens] = 0


def _listed(tokens: int | list[int] | None) -> list[int]:
    if tokens is None:
        return []
    return [tokens] if isinstance(tokens, int) else list(tokens)


def _single(tokens: frozenset[int]) -> set[tuple[int]]:
    return {(token,) for token in tokens}
