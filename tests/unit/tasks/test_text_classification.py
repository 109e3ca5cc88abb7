"""Every family of the variants runs through the same runtime, on small random checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.tasks.text_classification import TextClassification
from infergraph.v2 import Message, Tensor
from tests import checkpoints
from tests.checkpoints import TEXT

from .conftest import LABELS, Ask, Serve

FAMILIES = ["bert", "distilbert", "roberta", "xlm-roberta"]
WORDS = TEXT.split()
TEXTS = [" ".join(WORDS[start : start + 1 + start % 7]) for start in range(len(WORDS))]


def reference(folder: str, texts: list[str]) -> torch.Tensor:
    """Probabilities [texts, labels], each text alone."""
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        rows = [network(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    return torch.stack(rows).softmax(dim=-1)


@pytest.mark.parametrize("family", FAMILIES)
async def test_labels_and_scores_are_the_networks_own(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("sentiment", folder, max_batch_size=5)
    scores, labels = reference(folder, TEXTS).max(dim=-1)

    together = await ask(runtime, text=TEXTS)
    alone = [await ask(runtime, text=[text]) for text in TEXTS]

    assert together["label"] == [LABELS[label] for label in labels.tolist()]
    assert len(set(together["label"])) > 1
    assert together["score"] == pytest.approx(scores.tolist(), abs=1e-4)
    assert [each["label"][0] for each in alone] == together["label"]
    assert [each["score"][0] for each in alone] == pytest.approx(together["score"], abs=1e-4)


async def test_the_share_of_padding_is_told(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve("sentiment", checkpoint("bert"), max_batch_size=2)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(
        runtime, "observe_padding", lambda real, padded: told.append((real, padded))
    )
    # So alike that to put them into one row is not worth it.
    short, long = ("the " * count for count in (30, 31))
    lengths = [len(runtime.model.encoder(text, "text")) for text in (short, long)]

    await ask(runtime, text=[short, long])
    await ask(runtime, text=[short])

    assert lengths[0] < lengths[1]
    assert told == [(sum(lengths), 2 * lengths[1]), (lengths[0], lengths[0])]


async def test_labels_that_do_not_exclude_each_other(
    tmp_path: Path, serve: Serve, ask: Ask
) -> None:
    folder = checkpoints.bert(tmp_path, id2label=LABELS, problem_type="multi_label_classification")
    logits = reference_logits(folder, TEXT)
    runtime = await serve("sentiment", folder)

    answer = await ask(runtime, text=[TEXT])

    assert answer["label"] == [LABELS[int(logits.argmax())]]
    assert answer["score"] == pytest.approx([float(logits.max().sigmoid())], abs=1e-4)


async def test_a_single_logit(tmp_path: Path, serve: Serve, ask: Ask) -> None:
    folder = checkpoints.bert(tmp_path, id2label={0: "relevant"})
    logits = reference_logits(folder, TEXT)
    runtime = await serve("sentiment", folder)

    answer = await ask(runtime, text=[TEXT])

    assert answer["label"] == ["relevant"]
    assert answer["score"] == pytest.approx([float(logits[0].sigmoid())], abs=1e-4)


def reference_logits(folder: str, text: str) -> torch.Tensor:
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        encoded = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        logits: torch.Tensor = network(**encoded).logits[0]
    return logits


async def test_texts_of_unlike_length_share_rows_in_place_of_padding(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve("sentiment", checkpoint("bert"), max_batch_size=4)
    assert isinstance(runtime, TextClassification)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(
        runtime, "observe_padding", lambda real, padded: told.append((real, padded))
    )
    texts = ["the"] * 3 + ["the " * 60, "the " * 60, "the " * 60]
    alone = [await ask(runtime, text=[text]) for text in texts]
    told.clear()

    together = await ask(runtime, text=texts)

    # The micro-batcher sorts the six by length, and takes four at once.
    assert [real for real, _ in told] == [3 + 3 + 3 + 62, 2 * 62]
    assert all(computed <= 1.1 * real for real, computed in told)
    assert together["label"] == [each["label"][0] for each in alone]
    assert together["score"] == pytest.approx([each["score"][0] for each in alone], abs=1e-5)


async def test_labels_are_renamed(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    names = {"en": "English", "fr": "French", "es": "Spanish", "de": "German", "POSITIVE": "no"}
    plain = await serve("sentiment", checkpoint("bert"))
    renamed = await serve("sentiment", checkpoint("bert"), labels=names)

    before, after = await ask(plain, text=TEXTS), await ask(renamed, text=TEXTS)

    assert after["label"] == [names.get(label, label) for label in before["label"]]


async def test_each_item_takes_the_way_of_its_label(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("language-identification", checkpoint("bert"))
    texts = Tensor.of_bytes("text", [text.encode() for text in TEXTS])

    answer = await runtime.infer(Message([texts]), RequestContext())

    labels = [label.decode() for label in answer.get("label").data.ravel()]
    assert {"it"} < set(labels)
    ways = {"fr": "french", "es": "spanish", "de": "german", "en": "english", "it": "other"}
    for label, way in ways.items():
        rows = [index for index, each in enumerate(labels) if each == label]
        routed, items = answer.get(f"{way}_text"), answer.get(f"{way}_text_item")
        if not rows:
            assert routed is None
            continue
        assert [text.decode() for text in routed.data.ravel()] == [TEXTS[row] for row in rows]
        assert items.data.ravel().tolist() == rows


async def test_a_label_of_two_groups_gives_both(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "language-identification",
        checkpoint("bert"),
        groups={
            "french": ["fr", "es", "it", "de", "en"],
            "spanish": ["es", "fr", "it", "de", "en"],
            "german": ["de"],
            "english": ["en"],
        },
    )

    answer = await ask(runtime, text=["the lamp"])

    assert answer["french_text"] == answer["spanish_text"] == ["the lamp"]
    assert "other_text" not in answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tensor 'text': empty text; accepted: at least one word"),
        (" \n", "tensor 'text': empty text"),
        ("x" * 1_000_000, "1000000 characters; accepted: at most 20000 (setting 'max_text_char"),
        ("the\x00lamp", "tensor 'text': control character U+0000 at position 3"),
        ("the " * 200, "tensor 'text': 202 tokens; accepted: at most 128, unless the setting 'tr"),
        (b"\xff", "tensor 'text', item 1: not valid UTF-8"),
    ],
)
async def test_a_bad_item_is_the_callers_fault(
    text: str, message: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("sentiment", checkpoint("bert"))

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, text=["the lamp", text])

    assert caught.value.status_code == 400
    assert message in str(caught.value)
    assert "item 1" in str(caught.value)


async def test_of_a_long_text_the_first_part_is_read(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("bert")
    runtime = await serve("sentiment", folder, truncation="true", max_length=7)
    first = " ".join(WORDS[:5])

    answer = await ask(runtime, text=[TEXT])

    assert answer["score"] == pytest.approx([float(reference(folder, [first]).max())], abs=1e-4)


@pytest.mark.parametrize(
    ("model", "settings", "text"),
    [
        ("sentiment", {"max_length": 129}, "'max_length' = 129: the checkpoint takes at most 128"),
        ("sentiment", {"label": {}}, "did you mean 'labels'?"),
        (
            "sentiment",
            {"groups": {"french": ["fr"]}},
            "output 'french_text' of setting 'groups': not declared as an optional output",
        ),
        (
            "language-identification",
            {"optional_outputs": []},
            "output 'french_text' of setting 'groups': not declared as an optional output",
        ),
        (
            "language-identification",
            {"groups": {"french": ["fr", "fra"]}},
            "group 'french' has the unknown labels fra; the checkpoint's labels: en, fr, es,",
        ),
        ("language-identification", {"groups": {"french": []}}, "group 'french' has no labels"),
        (
            "language-identification",
            {"other_group": "english"},
            "'other_group' = 'english': a group",
        ),
        (
            "language-identification",
            {"groups": {"french": ["fr"]}},
            "declared output 'spanish_text' is none of the model's; its outputs: label, score, "
            "french_text, other_text",
        ),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    model: str,
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve(model, checkpoint("bert"), **settings)

    assert text in str(caught.value)


async def test_a_checkpoint_of_another_task_is_refused(
    tmp_path: Path, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    folder = checkpoint("bert")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)

    with pytest.raises(ConfigurationError, match=r"not trained as a BertForSeq.*classifier\.bias"):
        await serve("sentiment", str(tmp_path))


async def test_a_regression_is_refused(tmp_path: Path, serve: Serve) -> None:
    folder = checkpoints.bert(tmp_path, num_labels=1, problem_type="regression")

    with pytest.raises(ConfigurationError, match="predicts a number"):
        await serve("sentiment", folder)
