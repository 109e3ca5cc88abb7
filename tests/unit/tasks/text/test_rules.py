from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.utils import GenerationMixin

from infergraph.tasks.text.drafts import Draft
from infergraph.tasks.text.rules import NO_IDS, Rules, draw, shaping

from ..text_families import GREEDY


def draft(*ids: int, **choices: Any) -> Draft:
    search = replace(GREEDY, do_sample=True, **choices)
    return Draft(np.array(ids), search, 0, frozenset())


def drawn(texts: list[Draft], logits: torch.Tensor, steps: int = 1) -> list[list[int]]:
    """For each text its tokens, step by step, of the same logits at each."""
    shape = shaping(texts[0].search)
    columns = [
        draw(shape(NO_IDS, logits.clone()), [text.draw() for text in texts]) for _ in range(steps)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


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

    (tokens,) = drawn([draft(1, seed=1, **choices)], logits, steps=2000)

    counts = Counter(tokens)
    shares = [counts[token] / 2000 for token in range(7)]
    assert shares == pytest.approx(expected, abs=0.03)
    # What transformers excludes is never drawn.
    assert [share > 0 for share in shares] == [each > 0 for each in expected]


def test_texts_share_no_noise_and_need_no_seed() -> None:
    logits = torch.zeros(3, 1000)

    first = drawn([draft(5) for _ in range(3)], logits, steps=4)
    second = drawn([draft(5) for _ in range(3)], logits, steps=4)

    assert len({tuple(row) for row in first + second}) == 6
    assert all(len(set(row)) > 1 for row in first)


def test_a_seed_decides_a_text_whatever_else_is_in_its_batch() -> None:
    def tokens(*texts: list[int], seed: int = 7) -> list[list[int]]:
        drafts = [draft(*ids, seed=seed) for ids in texts]
        return drawn(drafts, torch.zeros(len(texts), 1000), steps=4)

    (alone,) = tokens([5, 6])
    longer, together, other = tokens([1, 2, 3, 4], [5, 6], [5, 7])

    assert together == alone
    # Other texts of the same seed have other noise.
    assert len({tuple(alone), tuple(longer), tuple(other)}) == 3
    assert tokens([5, 6], seed=8) != [alone]


def test_the_generators_of_the_process_are_left_alone() -> None:
    state = torch.get_rng_state()
    drawn([draft(1)], torch.zeros(1, 9))

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [0.0, 1.0 - 2**-53])
def test_the_ends_of_the_distribution(value: float) -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])

    assert draw(logits, [value]) == [1 if value == 0 else 2]


def written(*tokens: int, **choices: Any) -> Draft:
    """A text of so many tokens after the one that it begins with."""
    text = Draft(np.array([1]), replace(GREEDY, **choices), 0, frozenset())
    for token in tokens:
        text.add(token)
    return text


def allowed(own: dict[str, Any], *texts: Draft) -> list[list[int]]:
    """Which of eight tokens each text may go on with."""
    rules = Rules(GenerationConfig(**own), torch.device("cpu"))
    looking = [rules.of_text(text) for text in texts]
    scores = rules.apply(texts, looking, torch.zeros(len(texts), 8))
    return [[token for token in range(8) if row[token] == 0] for row in scores]


ALL = list(range(8))


def test_each_text_has_the_rules_of_its_own_place() -> None:
    own = {"eos_token_id": [1, 2], "forced_bos_token_id": 6, "forced_eos_token_id": 1}

    assert allowed(
        own,
        written(),
        written(6, min_new_tokens=2),
        written(6, 5, min_new_tokens=2),
        written(6, 5, max_new_tokens=3),
        written(6, 5, max_new_tokens=4),
    ) == [[6], [0, 3, 4, 5, 6, 7], ALL, [1], ALL]


@pytest.mark.parametrize(("forced", "counts"), [(None, [0]), (6, [1])])
def test_what_no_text_begins_with(forced: int | None, counts: list[int]) -> None:
    own = {"begin_suppress_tokens": [3, 4], "forced_bos_token_id": forced}

    found = allowed(own, *(written(*[6] * count) for count in range(3)))

    assert [count for count, row in enumerate(found) if row == [0, 1, 2, 5, 6, 7]] == counts


def test_what_no_text_holds() -> None:
    own = {"suppress_tokens": [3], "bad_words_ids": [[4], [5, 6], [1]], "eos_token_id": 1}

    assert allowed(own, written(), written(5), written(6)) == [
        [0, 1, 2, 5, 6, 7],
        [0, 1, 2, 5, 7],
        [0, 1, 2, 5, 6, 7],
    ]


def test_what_a_text_has_written_rules_it_alone() -> None:
    found = allowed({}, *(written(*tokens, no_repeat_ngram_size=2) for tokens in ([3, 4, 3], [3])))

    assert found == [[0, 1, 2, 3, 5, 6, 7], ALL]


def warped(logits: torch.Tensor, choices: dict[str, Any]) -> torch.Tensor:
    """Logits as transformers itself warps them before it samples."""
    network: Any = GenerationMixin()
    config: Any = GenerationConfig(do_sample=True, **{"top_k": 0, **choices})  # type: ignore[no-untyped-call]
    processors = network._get_logits_processor(config, input_ids_seq_length=0)
    result: torch.Tensor = processors(NO_IDS, logits)
    return result
