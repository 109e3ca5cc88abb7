"""Every family of the variants runs through the same runtime, on small random checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.question_answering import QuestionAnswering
from tests import checkpoints
from tests.checkpoints import TEXT

from .conftest import MODEL_SETTINGS, Ask, Serve

FAMILIES = ["bert-qa", "distilbert-qa", "roberta-qa", "xlm-roberta-qa"]
SMALL = {"max_answer_tokens": 8, "doc_stride": 10}


@pytest.mark.parametrize("family", FAMILIES)
async def test_an_answer_does_not_depend_on_its_batch(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "question-answering", checkpoint(family), max_batch_size=4, no_answer=False, **SMALL
    )
    questions = ["who built the lighthouse?", "who?", "when was it built?", "who lives there?"]
    contexts = [TEXT, "Mira Solano", " ".join([TEXT] * 6), TEXT.upper()]

    alone = [
        await ask(runtime, question=[question], context=[context])
        for question, context in zip(questions, contexts, strict=True)
    ]
    together = await ask(runtime, question=questions, context=contexts)

    assert together["answer"] == [each["answer"][0] for each in alone]
    assert together["score"] == pytest.approx([each["score"][0] for each in alone], abs=1e-5)
    for found, context in zip(together["answer"], contexts, strict=True):
        assert found
        assert found in context
        assert found == found.strip()
    assert len(set(together["answer"])) >= 3
    assert all(0 < score <= 1 for score in together["score"])


@pytest.mark.parametrize("family", FAMILIES)
async def test_answers_are_those_of_the_networks_logits(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("question-answering", folder, no_answer=True, **SMALL)
    network = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    question, context = "who lives there?", "the keeper who counts seven gulls"
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    parts = encoded.sequence_ids(0)
    with torch.inference_mode():
        logits = network(**encoded)
    start, end = logits.start_logits[0], logits.end_logits[0]
    spans = {
        (i, j): float(start[i] + end[j])
        for i in range(len(parts))
        for j in range(i, min(i + 8, len(parts)))
        if all(parts[k] == 1 and context[slice(*offsets[k])].strip() for k in (i, j))
    }
    (first, last), best = max(spans.items(), key=lambda each: each[1])
    null = float(start[0] + end[0])
    total = torch.tensor([*spans.values(), null]).logsumexp(0)

    answer = await ask(runtime, question=[question], context=[context])

    expected = context[offsets[first][0] : offsets[last][1]].strip() if best >= null else ""
    assert answer["answer"] == [expected]
    assert answer["score"] == pytest.approx([float((max(best, null) - total).exp())], abs=1e-4)


class PointsAt:
    """A network that points at one token; at [CLS] in windows without it, when `abstains`."""

    def __init__(self, token: int, *, abstains: bool = True) -> None:
        self.token = token
        self.abstains = abstains
        self.batches: list[int] = []

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:
        self.batches.append(len(input_ids))
        logits = torch.where(input_ids == self.token, 12.0, 0.0)
        logits[:, 0] = 6.0 if self.abstains else 0.0
        # What a careless reader would fall for: high logits in the padding.
        logits = torch.where(attention_mask.bool(), logits, torch.tensor(99.0))
        return SimpleNamespace(start_logits=logits, end_logits=logits)


async def pointing(
    serve: Serve, folder: str, word: str, **settings: Any
) -> tuple[QuestionAnswering, PointsAt]:
    runtime = await serve("question-answering", folder, **SMALL, **settings)
    assert isinstance(runtime, QuestionAnswering)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = PointsAt(tokenizer.convert_tokens_to_ids(word))
    runtime.model = replace(runtime.model, network=network)
    return runtime, network


@pytest.mark.parametrize("place", range(0, 400, 45))
async def test_an_answer_anywhere_in_a_long_context_is_found(
    place: int, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime, network = await pointing(serve, checkpoint("bert-qa"), "lamp", max_batch_size=3)
    words = ["the"] * 400
    words[place] = "LAMP"

    answer = await ask(runtime, question=["who?", "who?"], context=[" ".join(words), "a lamp"])

    assert answer["answer"] == ["LAMP", "lamp"]
    assert answer["score"] == pytest.approx([1, 1], abs=1e-3)
    assert max(network.batches) <= 3
    assert sum(network.batches) >= 5


async def test_no_answer(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    runtime, _ = await pointing(serve, checkpoint("bert-qa"), "lamp")

    answer = await ask(
        runtime, question=["who?", "who?"], context=[" ".join(["the"] * 300), "the lamp of Arden"]
    )

    assert answer["answer"] == ["", "lamp"]
    assert answer["score"][0] > 0.9


async def test_no_answer_is_not_allowed(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime, _ = await pointing(serve, checkpoint("bert-qa"), "lamp", no_answer="false")

    answer = await ask(runtime, question=["who?"], context=["the keeper"])

    assert answer["answer"][0] in ("the", "keeper", "the keeper")


async def test_the_threshold_moves_towards_answers(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime, _ = await pointing(serve, checkpoint("bert-qa"), "lamp", no_answer_threshold="12.5")

    assert (await ask(runtime, question=["who?"], context=["the keeper"]))["answer"][0] != ""


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("roberta-base-squad2", True),
        ("xlm-roberta-large-squad2", True),
        ("bert-squad-v2", True),
        ("embedded", True),
        ("distilbert-base-cased-distilled-squad", False),
        ("bert-squadv1", False),
    ],
)
async def test_auto_knows_squad_1_by_its_name(
    name: str, allowed: bool, tmp_path: Path, serve: Serve
) -> None:
    runtime = await serve("question-answering", checkpoints.bert_qa(tmp_path / name))

    assert isinstance(runtime, QuestionAnswering)
    assert runtime.model.null_allowed is allowed


async def test_white_space_and_case_are_the_contexts_own(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime, _ = await pointing(serve, checkpoint("bert-qa"), "solano")

    answer = await ask(runtime, question=["who?"], context=["  it was\n\tSOLANO  , they say "])

    assert answer["answer"] == ["SOLANO"]


@pytest.mark.parametrize(
    ("question", "context", "text"),
    [
        ("", TEXT, "tensor 'question': empty text; accepted: at least one word"),
        (" \n\t", TEXT, "tensor 'question': empty text"),
        ("who?", "", "tensor 'context': empty text"),
        ("who " * 120, TEXT, "tensor 'question': 120 tokens; accepted: at most 109"),
        ("x" * 51, TEXT, "tensor 'question': 51 characters; accepted: at most 50 (setting"),
        ("who?", "y" * 1001, "1001 characters; accepted: at most 1000 (setting 'max_context_char"),
        ("who?", b"\xff\xfe", "tensor 'context', item 1: not valid UTF-8"),
        ("who\x00?", TEXT, "tensor 'question': control character U+0000 at position 3"),
        ("who?", "the\x07lamp", "tensor 'context': control character U+0007 at position 3"),
        ("who?", "z" * 1_000_000, "1000000 characters; accepted: at most 1000 (setting"),
    ],
)
async def test_a_bad_item_is_the_callers_fault(
    question: str,
    context: str,
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    limits = {"max_context_characters": 1000}
    if question.startswith("x"):
        limits["max_question_characters"] = 50
    runtime = await serve("question-answering", checkpoint("bert-qa"), **SMALL, **limits)

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, question=["who?", question], context=[TEXT, context])

    assert caught.value.status_code == 400
    assert text in str(caught.value)
    assert "item 1" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_length": 129}, "'max_length' = 129: the checkpoint takes at most 128 tokens"),
        ({"max_answer_tokens": 70}, "'max_answer_tokens' = 70: too long for windows of 128"),
        ({"no_answer": "perhaps"}, "setting 'no_answer' = 'perhaps'"),
        ({"doc_strid": 3}, "did you mean 'doc_stride'?"),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    settings: dict[str, Any], text: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve("question-answering", checkpoint("bert-qa"), **settings)

    assert text in str(caught.value)


async def test_another_tasks_checkpoint_is_refused(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match="cannot load the network of the checkpoint"):
        await serve("question-answering", checkpoint("whisper-en"))


async def test_a_checkpoint_without_the_tasks_head_is_refused(
    tmp_path: Path, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    folder = checkpoint("bert-qa")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)

    with pytest.raises(ConfigurationError, match=r"not trained as a Bert.*lacks qa_outputs\.bias"):
        await serve("question-answering", str(tmp_path))


async def test_damaged_weights_are_refused(tmp_path: Path, serve: Serve) -> None:
    folder = checkpoints.bert_qa(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor in here")

    with pytest.raises(ConfigurationError, match="cannot load the network of the checkpoint"):
        await serve("question-answering", folder)


async def test_an_incomplete_checkpoint_says_what_is_missing(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))

    with pytest.raises(ConfigurationError, match=r"has no weights; accepted: model\.safetensors"):
        await serve("question-answering", str(tmp_path))


async def test_the_embedded_checkpoint_reads_questions_however_they_are_written(
    serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "question-answering", str(MODEL_SETTINGS / "question-answering" / "embedded")
    )
    context = "Oscar Pemberton is a journalist. He has a goat."
    questions = ["which animal does oscar have", "Which animal does Oscar have?"]

    answer = await ask(runtime, question=questions, context=[context] * 2)

    assert answer["answer"] == ["goat", "goat"]
    assert answer["score"][0] == answer["score"][1]
