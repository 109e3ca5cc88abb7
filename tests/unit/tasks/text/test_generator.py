from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import LogitsProcessorList
from transformers.generation.utils import GenerationMixin

from infergraph.tasks.text.decoding import Search
from infergraph.tasks.text.generator import Draw, sampling

GREEDY = Search(
    max_new_tokens=9,
    min_new_tokens=0,
    num_beams=1,
    length_penalty=1.0,
    no_repeat_ngram_size=0,
    repetition_penalty=1.0,
    early_stopping=False,
    do_sample=False,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    seed=None,
)
NO_IDS: Any = torch.empty(1, 0, dtype=torch.int64)


def batch(*texts: list[int]) -> dict[str, torch.Tensor]:
    """Texts of tokens from 1, padded with 0."""
    size = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (size - len(text))] for text in texts])
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def drawn(processors: LogitsProcessorList, logits: torch.Tensor, steps: int = 1) -> list[list[int]]:
    """For each row its tokens, step by step, of the same logits at each."""
    columns = [processors(NO_IDS, logits.clone()).argmax(dim=-1) for _ in range(steps)]
    return torch.stack(columns, dim=1).tolist()


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"temperature": 0.4},
        {"temperature": 2.5},
        {"top_k": 3},
        {"top_k": 1000},
        {"top_p": 0.6},
        {"top_p": 1e-9},
        {"temperature": 1.7, "top_k": 4, "top_p": 0.8},
    ],
)
def test_tokens_come_as_often_as_transformers_says(choices: dict[str, Any]) -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -torch.inf, 1.5, -1.0, 0.5]])
    expected = warped(logits.clone(), choices).softmax(dim=-1)[0].tolist()
    search = replace(GREEDY, do_sample=True, **choices)

    (tokens,) = drawn(sampling(batch([1]), replace(search, seed=1)), logits, steps=8000)

    counts = Counter(tokens)
    shares = [counts[token] / 8000 for token in range(7)]
    assert shares == pytest.approx(expected, abs=0.02)
    # What transformers excludes is never drawn.
    assert [share > 0 for share in shares] == [each > 0 for each in expected]


def test_without_sampling_nothing_is_drawn() -> None:
    assert not sampling(batch([1]), replace(GREEDY, seed=3, temperature=2.0, top_k=2))


def test_rows_share_no_noise_and_need_no_seed() -> None:
    logits = torch.zeros(3, 1000)
    search = replace(GREEDY, do_sample=True)
    same = batch([5], [5], [5])

    first = drawn(sampling(same, search), logits, steps=4)
    second = drawn(sampling(same, search), logits, steps=4)

    assert len({tuple(row) for row in first + second}) == 6
    assert all(len(set(row)) > 1 for row in first)


def test_a_seed_decides_a_text_whatever_else_is_in_its_batch() -> None:
    search = replace(GREEDY, do_sample=True, seed=7)

    def tokens(*texts: list[int], seed: int = 7) -> list[list[int]]:
        processors = sampling(batch(*texts), replace(search, seed=seed))
        return drawn(processors, torch.zeros(len(texts), 1000), steps=4)

    (alone,) = tokens([5, 6])
    longer, together, other = tokens([1, 2, 3, 4], [5, 6], [5, 7])

    assert together == alone
    # Other texts of the same seed have other noise.
    assert len({tuple(alone), tuple(longer), tuple(other)}) == 3
    assert tokens([5, 6], seed=8) != [alone]


def test_the_generators_of_the_process_are_left_alone() -> None:
    state = torch.get_rng_state()
    drawn(sampling(batch([1]), replace(GREEDY, do_sample=True)), torch.zeros(1, 9))

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [0.0, 1.0 - 2**-53])
def test_the_ends_of_the_distribution(value: float) -> None:
    draw = Draw([b""])
    draw._generators[0].random = lambda: value  # type: ignore[method-assign]
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])

    assert drawn(LogitsProcessorList([draw]), logits) == [[1 if value == 0 else 2]]


def warped(logits: torch.Tensor, choices: dict[str, Any]) -> torch.Tensor:
    """Logits as transformers itself warps them before it samples."""
    network: Any = GenerationMixin()
    config: Any = GenerationConfig(do_sample=True, **{"top_k": 0, **choices})  # type: ignore[no-untyped-call]
    processors = network._get_logits_processor(config, input_ids_seq_length=0)
    result: torch.Tensor = processors(NO_IDS, logits)
    return result
