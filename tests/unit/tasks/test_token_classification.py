"""Every family of the variants runs through the same runtime, on small random checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.token_classification import TokenClassification
from tests.checkpoints import TEXT

from .conftest import TAGS, Ask, Serve

FAMILIES = ["bert-ner", "distilbert-ner", "roberta-ner", "xlm-roberta-ner"]
MODEL = "token-classification"
WORDS = TEXT.split()
TEXTS = [" ".join(WORDS[start : start + 1 + start % 9]) for start in range(len(WORDS))]
ODD = "\U0001f642 Mira  SOLANO built\nthe na\u00efve lamp, \u00d6l\u00fc counts \u4e16 gulls."
ALL: dict[str, Any] = {"threshold": 0}


async def served(serve: Serve, folder: str, **settings: Any) -> TokenClassification:
    runtime = await serve(MODEL, folder, **{**ALL, **settings})
    assert isinstance(runtime, TokenClassification)
    # Random networks are of two minds; the last digits do not decide.
    runtime.model.network.double()
    return runtime


def spans(answer: dict[str, list[Any]], texts: list[str]) -> list[list[tuple[int, int, str]]]:
    """Start, end and label of each entity, by text; checks what is said of them."""
    width = len(answer["starts"][0])
    found = []
    for row, text in enumerate(texts):
        count = answer["num_entities"][row]
        starts, ends = answer["starts"][row], answer["ends"][row]
        own = answer["entities"][row * width : (row + 1) * width]
        labels = answer["entity_labels"][row * width : (row + 1) * width]
        scores = answer["entity_scores"][row]
        assert own[:count] == [
            text[start:end] for start, end in zip(starts[:count], ends[:count], strict=True)
        ]
        assert all(each == each.strip() != "" for each in own[:count])
        assert all(0 < each <= 1 for each in scores[:count])
        rest = width - count
        assert starts[count:] == ends[count:] == [-1] * rest
        assert own[count:] == labels[count:] == [""] * rest
        assert scores[count:] == [0] * rest
        assert starts[:count] == sorted(starts[:count])
        found.append(list(zip(starts[:count], ends[:count], labels[:count], strict=True)))
    return found


def reference(folder: str, text: str) -> list[tuple[int, int, str]]:
    """The entities of a text that is read alone: each word has the tag of its first token."""
    network = AutoModelForTokenClassification.from_pretrained(folder).eval().double()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        tags = network(**encoded).logits[0].argmax(-1).tolist()
    words: list[list[Any]] = []
    for _word, group in groupby(
        (
            each
            for each in zip(encoded.word_ids(), offsets, tags, strict=True)
            if each[0] is not None
        ),
        key=lambda each: each[0],
    ):
        own = [each for each in group if text[each[1][0] : each[1][1]].strip()]
        if own:
            words.append([own[0][1][0], own[-1][1][1], TAGS[own[0][2]]])
    found: list[list[Any]] = []
    previous = "O"
    for start, end, tag in words:
        if tag.startswith("I-") and previous[2:] == tag[2:]:
            found[-1][1] = end
        elif tag != "O":
            found.append([start, end, tag[2:]])
        previous = tag
    # What a byte-level tokenizer takes for a word may begin with white space.
    return [
        (start + len(text[start:end]) - len(text[start:end].lstrip()), end, label)
        for start, end, label in found
    ]


@pytest.mark.parametrize("family", FAMILIES)
async def test_entities_are_the_networks_own_whatever_else_is_in_the_batch(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    texts = [*TEXTS, ODD]
    runtime = await served(serve, folder, max_batch_size=5)

    together = await ask(runtime, text=texts)
    alone = [await ask(runtime, text=[text]) for text in texts]

    found = spans(together, texts)
    if family in ("bert-ner", "distilbert-ner"):
        assert found == [reference(folder, text) for text in texts]
    assert [spans(each, [text])[0] for each, text in zip(alone, texts, strict=True)] == found
    assert sum(map(len, found)) > len(texts)
    assert len({label for own in found for _, _, label in own}) > 1
    assert np.allclose(
        [each["entity_scores"][0] for each in alone], together["entity_scores"], atol=1e-5
    )


async def test_transformers_finds_the_same(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("bert-ner")
    stock = pipeline(MODEL, folder, aggregation_strategy="first")
    runtime = await served(serve, folder)

    found = spans(await ask(runtime, text=TEXTS), TEXTS)

    assert found == [
        [(each["start"], each["end"], each["entity_group"]) for each in stock(text)]
        for text in TEXTS
    ]


async def test_of_a_long_text_no_entity_is_lost_or_doubled(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(serve, checkpoint("bert-ner"), max_length=24, max_entities=400)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("bert-ner"))
    first, second = tokenizer.convert_tokens_to_ids(["mira", "solano"])

    def knowing(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Tags the two words of one name."""
        tags = (input_ids == first) * 1 + (input_ids == second) * 2
        return SimpleNamespace(logits=torch.nn.functional.one_hot(tags, len(TAGS)) * 20.0)

    runtime.model = replace(runtime.model, network=knowing)
    # So that the windows' edges are at every place of a name.
    texts = [" ".join(["gulls"] * before + [TEXT] * 20) for before in range(12)]

    found = spans(await ask(runtime, text=texts), texts)

    for text, own in zip(texts, found, strict=True):
        at = [place for place in range(len(text)) if text.startswith("Mira Solano", place)]
        assert own == [(place, place + 11, "PER") for place in at]
        assert len(own) == 20


async def test_a_text_without_words_has_no_entities(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(serve, checkpoint("bert-ner"))

    answer = await ask(runtime, text=["", TEXT, " \n"])

    assert answer["num_entities"][0] == answer["num_entities"][2] == 0
    assert answer["num_entities"][1] > 0
    assert (answer["nameless_text"], answer["nameless_text_item"]) == (["", " \n"], [0, 2])
    assert (answer["named_text"], answer["named_text_item"]) == ([TEXT], [1])


async def test_a_threshold_and_too_little_room(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("bert-ner")
    plain = await ask(await served(serve, folder), text=[TEXT])
    count = plain["num_entities"][0]
    scores = plain["entity_scores"][0][:count]
    median = sorted(scores)[count // 2]

    surer = await ask(await served(serve, folder, threshold=median), text=[TEXT])
    fewer = await ask(await served(serve, folder, max_entities=2), text=[TEXT])

    assert count > 3
    assert surer["num_entities"] == [sum(each >= median for each in scores)]
    assert fewer["num_entities"] == [2]
    assert fewer["num_found"] == [count]
    best = sorted(sorted(range(count), key=lambda at: -scores[at])[:2])
    assert fewer["starts"] == [[plain["starts"][0][at] for at in best]]


async def test_a_text_goes_to_the_groups_of_its_entities(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(
        serve,
        checkpoint("bert-ner"),
        labels={"PER": "person"},
        groups={"named": ["person"], "nameless": ["LOC"]},
        other_group=None,
    )

    answer = await ask(runtime, text=TEXTS)

    labels = [{label for _, _, label in own} for own in spans(answer, TEXTS)]
    for group, label in (("named", "person"), ("nameless", "LOC")):
        rows = [row for row, own in enumerate(labels) if label in own]
        assert 0 < len(rows) < len(TEXTS)
        assert answer[f"{group}_text_item"] == rows
        assert answer[f"{group}_text"] == [TEXTS[row] for row in rows]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a" * 20_001, "20001 characters; accepted: at most 20000 .setting 'max_text_characters'"),
        ("the\x00lamp", r"control character U\+0000 at position 3"),
    ],
    ids=["long", "control"],
)
async def test_texts_that_are_none_are_refused(
    text: str, told: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(serve, checkpoint("bert-ner"))

    with pytest.raises(InvalidInput, match=f"item 1: tensor 'text': .*{told}"):
        await ask(runtime, text=["the lamp", text])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_length": 129}, "'max_length' = 129: the checkpoint takes at most 128"),
        ({"threshold": 1.5}, "'threshold'"),
        ({"aggregation": "last"}, "'aggregation'.*'first', 'average' or 'max'"),
        ({"groups": {"named": ["PERSON"]}}, "the unknown labels PERSON.*labels: PER, LOC"),
        ({"other_group": "named"}, "'other_group' = 'named'"),
        ({"other_group": "unnamed"}, "'unnamed_text' of setting 'groups': not declared"),
    ],
)
async def test_settings_that_do_not_fit(
    settings: dict[str, Any], told: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await served(serve, checkpoint("bert-ner"), **settings)
