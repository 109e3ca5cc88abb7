"""Texts that are written together at random times: each is the one that it would be alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from infergraph.batching import BatchAbandoned
from infergraph.finite import check_answers
from infergraph.tasks.checkpoints.pretrained import load_tokenizer
from infergraph.tasks.checkpoints.stoppable import stoppable
from infergraph.tasks.text.decoding import Search
from infergraph.tasks.text.drafts import Draft
from infergraph.tasks.text.encoder import Ids, TextEncoder
from infergraph.tasks.text.generator import Generator
from infergraph.tasks.text.running import RunningTexts
from tests.exhaustive import one_in

from ..conftest import Checks
from ..text_families import GREEDY, TEXTS, WORDS, paired

SEARCHES = {
    "greedy": GREEDY,
    "greedy, rules": replace(
        GREEDY, min_new_tokens=6, no_repeat_ngram_size=2, repetition_penalty=1.4
    ),
    "beams": replace(GREEDY, num_beams=3, length_penalty=-1.0),
    "beams, early": replace(
        GREEDY, num_beams=3, early_stopping=True, length_penalty=2.0, min_new_tokens=5
    ),
    "beams, never": replace(GREEDY, num_beams=2, early_stopping="never", length_penalty=0.5),
}
GIVEN = (
    "max_new_tokens",
    "min_new_tokens",
    "num_beams",
    "length_penalty",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "early_stopping",
)


class Seen:
    """What is told of what is computed."""

    def __init__(self) -> None:
        self.read: list[tuple[int, int]] = []
        self.rows: list[int] = []
        self.tokens = 0

    def observe_padding(self, real: int, padded: int) -> None:
        self.read.append((real, padded))

    def observe_step(self, rows: int, tokens: int) -> None:
        self.rows.append(rows)
        self.tokens += tokens


class Bench:
    """A generator of a random network in double precision, and the network's own answers.

    In double precision no two tokens are equally likely but for rounding.
    """

    def __init__(
        self,
        network: Any,
        encoder: Any,
        rules: dict[str, Any] | None = None,
        *,
        texts: int = 5,
        tokens: int = 10_000,
    ) -> None:
        network = network.eval().double()
        for name, value in {"max_length": None, "min_length": None, **(rules or {})}.items():
            setattr(network.generation_config, name, value)
        self._reference = copy.deepcopy(network)
        self.seen = Seen()
        self.generator = Generator(
            network, None, encoder, None, max_texts=texts, max_tokens=tokens, observer=self.seen
        )

    def alone(self, ids: Ids, search: Search) -> list[int]:
        batch = {"input_ids": torch.from_numpy(ids)[None]}
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        given = {name: getattr(search, name) for name in GIVEN}
        tokens: list[int] = self._reference.generate(**batch, **given)[0].tolist()
        return tokens

    def running(self, search: Search) -> RunningTexts:
        return self.generator.running(search)


@pytest.fixture
def bench(checkpoint: Callable[[str], str]) -> Callable[..., tuple[Bench, list[Ids]]]:
    """`bench(family, rules)`: a generator of the family, and the tokens of texts."""

    def make(
        family: str, rules: dict[str, Any] | None = None, **limits: int
    ) -> tuple[Bench, list[Ids]]:
        tokenizer = load_tokenizer(checkpoint(family))
        network = hf.AutoModelForSeq2SeqLM.from_pretrained(checkpoint(family))
        encoder = TextEncoder(tokenizer, 64, truncation=False)
        made = Bench(network, encoder, rules, **limits)
        return made, [encoder(text, "text") for text in [*TEXTS, *WORDS[:3]]]

    return make


@torch.inference_mode()
def written(
    bench: Bench, texts: Sequence[Ids], searches: Sequence[Search], rng: random.Random
) -> list[list[int]]:
    """What is written of texts that come at random times."""
    running = bench.running(searches[0])
    waiting = list(zip(texts, searches, strict=True))
    drafts: list[Draft] = []
    done: list[Draft] = []
    while waiting or len(running):
        if waiting and rng.random() < 0.4:
            drafts.append(running.add(*waiting.pop(0), number=rng.randrange(3)))
        done += running.step()
    assert sorted(map(id, done)) == sorted(map(id, drafts))
    return [draft.text for draft in drafts]


@pytest.mark.parametrize(
    ("family", "search"),
    one_in(3, paired(["marian", "m2m100", "mbart", "bart", "pegasus", "t5"], [*SEARCHES])),
)
def test_each_text_is_the_one_that_it_would_be_alone(
    family: str, search: str, bench: Callable[..., tuple[Bench, list[Ids]]]
) -> None:
    made, texts = bench(family)
    rng = random.Random(7)
    searches = []
    for _ in texts:
        most = rng.choice([1, 4, 9, 14])
        least = min(most, SEARCHES[search].min_new_tokens)
        searches.append(replace(SEARCHES[search], max_new_tokens=most, min_new_tokens=least))
    expected = [made.alone(*each) for each in zip(texts, searches, strict=True)]

    answers = written(made, texts, searches, rng)

    assert answers == expected
    assert len({tuple(each) for each in expected}) >= len(texts) // 2
    width = searches[0].num_beams
    # Texts ran together, joined others that ran, and never were more than may be.
    assert width < max(made.seen.rows) <= 5 * width
    assert 1 < len(made.seen.read) < len(texts)
    assert sum(real for real, _ in made.seen.read) == sum(map(len, texts))
    assert made.seen.tokens == sum(len(each) - 1 for each in expected)


@pytest.mark.parametrize(
    ("beams", "rules"),
    one_in(
        2,
        [
            (1, {"encoder_no_repeat_ngram_size": 1}),
            (3, {"encoder_repetition_penalty": 3.0}),
            (1, {"sequence_bias": [[[32], -4.0], [[6, 6], -9.0]]}),
            (3, {"bad_words_ids": [[25], [6, 6], [32, 32], [2]], "remove_invalid_values": True}),
            (1, {"suppress_tokens": [25, 32], "begin_suppress_tokens": [11, 12, 13]}),
            (3, {"forced_bos_token_id": None, "begin_suppress_tokens": [11, 12, 13]}),
            (3, {"exponential_decay_length_penalty": (3, 1.5), "renormalize_logits": True}),
            (1, {"eos_token_id": [2, 14, 15], "forced_eos_token_id": None}),
            (3, {"eos_token_id": [2, 14, 15], "forced_eos_token_id": None}),
        ],
    ),
)
def test_rules_of_a_checkpoint(
    rules: dict[str, Any], beams: int, bench: Callable[..., tuple[Bench, list[Ids]]]
) -> None:
    plain, texts = bench("bart")
    made, _ = bench("bart", rules)
    search = replace(GREEDY, num_beams=beams, min_new_tokens=2)
    expected = [made.alone(ids, search) for ids in texts]

    answers = written(made, texts, [search] * len(texts), random.Random(3))

    assert answers == expected
    assert answers != [plain.alone(ids, search) for ids in texts]


@torch.inference_mode()
def test_those_that_wait_join_when_they_have_waited_as_long_as_they_hold_others_up(
    bench: Callable[..., tuple[Bench, list[Ids]]],
) -> None:
    made, texts = bench("marian", {"forced_eos_token_id": None, "eos_token_id": None})
    running = made.running(GREEDY)
    for ids in texts[:3]:
        running.add(ids, GREEDY)
    running.step()
    assert len(made.seen.read) == 1

    # A beginning takes as long as two steps: six, for the three that run.
    running.add(texts[3], GREEDY)
    for _ in range(5):
        running.step()
    assert len(made.seen.read) == 1
    running.step()
    assert len(made.seen.read) == 2

    # Two wait half as long: for four others four steps.
    running.add(texts[4], GREEDY)
    running.add(texts[5], GREEDY)
    for _ in range(2):
        running.step()
    # There is one place only, until the first three are done.
    assert made.seen.rows == [3] * 6 + [4] * 3


@torch.inference_mode()
def test_the_row_of_a_text_that_is_dropped_is_free_at_the_next_step(
    bench: Callable[..., tuple[Bench, list[Ids]]],
) -> None:
    made, texts = bench("bart", texts=3)
    searches = [replace(GREEDY, min_new_tokens=14) for _ in range(4)]
    expected = [made.alone(ids, search) for ids, search in zip(texts, searches, strict=False)]
    running = made.running(GREEDY)
    drafts = [running.add(ids, search) for ids, search in zip(texts, searches, strict=False)]
    for _ in range(3):
        running.step()
    assert made.seen.rows == [3] * 3

    running.drop(drafts[1])
    running.drop(drafts[3])
    running.step()

    assert made.seen.rows[-1] == 2
    assert len(running) == 2
    while len(running):
        running.step()
    assert [drafts[0].text, drafts[2].text] == [expected[0], expected[2]]
    assert not drafts[1].done
    assert not drafts[3].count


@torch.inference_mode()
def test_what_was_read_together_is_bounded(
    bench: Callable[..., tuple[Bench, list[Ids]]],
) -> None:
    made, texts = bench("bart", tokens=60)
    search = replace(GREEDY, num_beams=2)
    running = made.running(search)
    longest = max(texts, key=len)
    for ids in [longest, *texts]:
        running.add(ids, search)
    while len(running):
        running.step()

    # What is too long by itself is read alone.
    assert len(longest) * 2 > 60
    alone = {(len(ids), len(ids)) for ids in texts if len(ids) * 2 > 60}
    assert all(padded * 2 <= 60 or (real, padded) in alone for real, padded in made.seen.read)
    assert any(padded not in map(len, texts) for real, padded in made.seen.read)
    assert sum(real for real, _ in made.seen.read) == sum(map(len, [longest, *texts]))


@torch.inference_mode()
def test_memory_is_no_longer_than_the_longest_that_runs(
    bench: Callable[..., tuple[Bench, list[Ids]]],
) -> None:
    made, texts = bench("t5", {"eos_token_id": None})
    running = made.running(GREEDY)
    order = sorted(texts, key=len)
    running.add(order[-1], replace(GREEDY, max_new_tokens=9))
    running.add(order[0], replace(GREEDY, max_new_tokens=14))
    for _ in range(4):
        running.step()
    running.add(order[1], replace(GREEDY, max_new_tokens=14))
    while len(running) > 1:
        running.step()

    together = running._running
    assert together is not None
    memory = together.rows.memory
    (draft,) = together.texts
    assert len(made.seen.read) == 2
    assert {layer.keys.shape[2] for layer in memory.self_attention_cache.layers} == {draft.count}
    assert {layer.keys.shape[2] for layer in memory.cross_attention_cache.layers} == {
        len(draft.ids)
    }


@torch.inference_mode()
def test_a_text_without_numbers_fails_alone_when_it_begins(
    bench: Callable[..., tuple[Bench, list[Ids]]],
) -> None:
    made, _ = bench("bart")
    search = replace(GREEDY, min_new_tokens=9, max_new_tokens=9)
    texts = [np.array([0, *each, 2]) for each in ([7, 8], [9, 10, 11], [12], [13, 14])]
    expected = [made.alone(ids, search) for ids in texts]
    made.generator.network.get_encoder().embed_tokens.weight[9] = torch.nan
    check_answers(made.generator.network, "fp64")
    running = made.running(search)
    first = running.add(texts[0], search)
    running.step()

    bad, *others = [running.add(ids, search) for ids in texts[1:]]
    done = running.step()

    assert done == [bad]
    assert "no numbers" in str(bad.error)
    assert bad.done
    while len(running):
        running.step()
    assert [first.text, *(each.text for each in others)] == [expected[0], *expected[2:]]
    assert made.seen.rows == [1, 3, 3, 3, 3, 3, 3, 3, 2]
    # Nobody was begun again who ran.
    assert made.seen.read[0] == (4, 4)
    assert sum(real for real, _ in made.seen.read[1:]) == 2 * sum(map(len, texts[1:]))


@torch.inference_mode()
def test_nobody_waits_for_it(bench: Callable[..., tuple[Bench, list[Ids]]], checks: Checks) -> None:
    made, texts = bench("marian")
    stoppable(made.generator.network)
    running = made.running(GREEDY)
    running.add(texts[0], replace(GREEDY, min_new_tokens=14))
    checks.restart(abandoned_at=40)

    def run_out() -> None:
        while len(running):
            running.step()

    with pytest.raises(BatchAbandoned):
        run_out()
    assert checks.made == 40
