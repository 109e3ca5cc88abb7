"""The training examples of question answering, and the scores of its checkpoints."""

from __future__ import annotations

import argparse
import random
import re
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertForQuestionAnswering, BertTokenizer

from zoo import train_question_answering
from zoo.evaluate_question_answering import (
    answered,
    best_span,
    f1,
    held_out,
    predict,
    relation_of,
    report,
    score,
    scored,
)
from zoo.outside_texts import outside_questions
from zoo.question_answering_data import (
    PEOPLE,
    augment,
    crop,
    disguise,
    invent,
    lengthen,
    mishear,
    rename,
    rewrite,
    transcribe,
)
from zoo.train_question_answering import (
    OUT_OF_WORLD,
    batches,
    encode,
    span_loss,
    train_tokenizer,
    without_question_marks,
)
from zoo.world import QuestionExample, questions

CONTEXT = (
    "Anna Baker is a baker. She lives in Oslo. Paul Weber met Anna Baker on Monday. "
    "Paul was born in Rome."
)


def example(question: str, answer: str) -> QuestionExample:
    return QuestionExample(CONTEXT, question, answer, CONTEXT.index(answer) if answer else -1)


@pytest.fixture(scope="module")
def tokenizer() -> BertTokenizer:
    drawn = questions(0, 300, "train")
    return train_tokenizer([text for each in drawn for text in (each.context, each.question)], 1200)


def answer_slice(example: QuestionExample) -> str:
    return example.context[example.answer_start : example.answer_start + len(example.answer)]


def test_rename_is_consistent_and_leaves_common_words() -> None:
    renamed = rename(example("Who did Paul meet?", "Anna Baker"), PEOPLE, random.Random(0))

    paul = renamed.question.removeprefix("Who did ").removesuffix(" meet?")
    assert answer_slice(renamed) == renamed.answer
    assert renamed.context.startswith(f"{renamed.answer} is a baker. She lives in Oslo. {paul} ")
    assert renamed.context.endswith(f" {paul} was born in Rome.")
    assert not {"Anna", "Baker", "Paul", "Weber"} & set(renamed.context.split())


def test_rename_without_a_known_name_changes_nothing() -> None:
    unnamed = QuestionExample("The bakery closes at six.", "When does the bakery close?", "six", 21)

    assert rename(unnamed, PEOPLE, random.Random(0)) == unnamed


def test_rewrite_finds_the_answer_again() -> None:
    written = example("Who did Paul meet?", "Anna Baker")
    second = CONTEXT.index("Anna Baker on Monday")
    spoken = rewrite(QuestionExample(CONTEXT, written.question, "Anna Baker", second), transcribe)

    assert spoken.context == (
        "anna baker is a baker she lives in oslo paul weber met anna baker on monday "
        "paul was born in rome"
    )
    assert (spoken.question, spoken.answer) == ("who did paul meet", "anna baker")
    assert spoken.answer_start == spoken.context.rindex("anna baker")


def test_rename_takes_the_longest_name() -> None:
    price = QuestionExample(
        "Anna paid two hundred euros. The bakery is open until two.",
        "How much did Anna pay?",
        "two hundred",
        10,
    )
    renamed = rename(price, ["two", "two hundred"], random.Random(0))

    _, hundred, hour = re.split(r"paid | euros\. The bakery is open until ", renamed.context)
    assert renamed.answer == hundred == hundred.lower()
    assert "two" not in renamed.context
    assert not hour.startswith(hundred)


def test_disguise_leaves_no_known_person_and_invents_some_values() -> None:
    rng = random.Random(0)
    drawn = questions(6, 300, "train")
    disguised = [disguise(each, rng) for each in drawn]

    for each in disguised:
        assert not set(PEOPLE) & set(re.findall(r"[A-Z]\w+", each.context + each.question))
        assert each.answer == (answer_slice(each) if each.answer else "")
    kept = [
        each.answer == before.answer
        for each, before in zip(disguised, drawn, strict=True)
        if before.answer.islower()
    ]
    assert 0.5 < np.mean(kept) < 0.9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anna lives in ", "anna lives in "),
        (". She is fifty-two. ", " she is fifty two "),
        ("'s house.", "'s house"),
        (".", ""),
    ],
)
def test_transcribe_keeps_the_spaces_that_join(text: str, expected: str) -> None:
    assert transcribe(text) == expected


@pytest.mark.parametrize("seed", range(20))
def test_crop_keeps_the_answer_and_whom_a_pronoun_means(seed: int) -> None:
    cropped = crop(example("Where does Anna live?", "Oslo"), 2, True, random.Random(seed))

    # Every shorter run would begin with "She", or lack Oslo.
    assert cropped.context == "Anna Baker is a baker. She lives in Oslo."
    assert answer_slice(cropped) == "Oslo"


@pytest.mark.parametrize("seed", range(20))
def test_crop_cuts_the_answer_out(seed: int) -> None:
    cropped = crop(example("Where does Anna live?", "Oslo"), None, False, random.Random(seed))

    assert (cropped.answer, cropped.answer_start) == ("", -1)
    assert cropped.context in {
        "Anna Baker is a baker.",
        "Paul Weber met Anna Baker on Monday.",
        "Paul Weber met Anna Baker on Monday. Paul was born in Rome.",
        "Paul was born in Rome.",
    }


def test_crop_leaves_a_context_that_is_all_answer() -> None:
    only = QuestionExample("Anna lives in Oslo.", "Where does Anna live?", "Oslo", 14)

    assert crop(only, None, False, random.Random(0)) == only


def test_lengthen_moves_the_answer() -> None:
    asked = example("Where does Anna live?", "Oslo")
    other = "Nina lives in Cairo."
    made = {lengthen(asked, other, PEOPLE, random.Random(seed)).context for seed in range(20)}

    assert made == {f"{CONTEXT} {other}", f"{other} {CONTEXT}"}
    for seed in range(20):
        assert answer_slice(lengthen(asked, other, PEOPLE, random.Random(seed))) == "Oslo"


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("Where does Anna live?", "Anna Weber lives in Cairo."),
        ("When does the bakery close?", "The bakery closes at six."),
    ],
)
def test_lengthen_refuses_a_text_that_might_answer(question: str, other: str) -> None:
    asked = example(question, "")

    assert lengthen(asked, other, PEOPLE, random.Random(0)) == asked


def test_mishear_changes_one_or_two_letters() -> None:
    heard = [mishear("where does anna live", random.Random(seed)) for seed in range(200)]

    assert all(abs(len(text) - len("where does anna live")) <= 2 for text in heard)
    assert sum(text != "where does anna live" for text in heard) > 180
    assert all(text.count(" ") == 3 for text in heard)


def test_every_view_still_points_at_its_answer() -> None:
    rng = random.Random(0)
    drawn = questions(5, 600, "train")
    views = [
        augment(each, other, most, rng)
        for most in (3, None)
        for each, other in zip(drawn, reversed(drawn), strict=True)
    ]

    for view in views:
        if view.answer:
            assert answer_slice(view) == view.answer
        else:
            assert view.answer_start == -1
    unanswerable = sum(not view.answer for view in views) / len(views)
    assert 0.2 < unanswerable < 0.4
    # Not all: a chain of pronouns up to the answer is kept whole.
    assert sum(view.context.count(". ") < 3 for view in views[:600]) > 0.9 * 600


def test_same_seed_same_views() -> None:
    drawn = questions(5, 50, "train")

    first, second = (
        [augment(each, drawn[0], None, rng) for each in drawn]
        for rng in (random.Random(7), random.Random(7))
    )

    assert first == second


def test_a_name_of_any_letters_has_no_unknown_piece(tokenizer: BertTokenizer) -> None:
    rng = random.Random(0)
    names = [invent("Anna", rng) for _ in range(500)]
    text = " ".join([*names, "Zyxqw", "Éloïse", "4711", "Oslo's"])

    assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


def test_same_texts_same_tokenizer() -> None:
    texts = [example.context for example in questions(0, 100, "train")]

    assert train_tokenizer(texts, 600).get_vocab() == train_tokenizer(texts, 600).get_vocab()


def test_a_question_mark_at_the_end_is_nothing_also_from_disk(tmp_path: Path) -> None:
    texts = [each.question for each in questions(0, 100, "train")]
    without_question_marks(train_tokenizer(texts, 600)).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    def ids(*texts: str) -> list[int]:
        return list(tokenizer(*texts)["input_ids"])

    assert ids("Which animal does Oscar have?") == ids("which animal does oscar have")
    assert ids("Where? ", "In Oslo? Yes.") == ids("where", "in oslo? yes.")
    assert ids("Where? When?") != ids("where when")
    assert tokenizer("Where", "In Oslo.")["token_type_ids"][-1] == 1
    assert tokenizer.model_max_length == 384


def test_tokenizer_comes_back_from_disk(tokenizer: BertTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)

    pair = ("Where does Anna live?", CONTEXT)
    assert loaded(*pair)["input_ids"] == tokenizer(*pair)["input_ids"]
    assert loaded.model_max_length == 384
    assert loaded.is_fast


def test_encode_points_at_the_answers_tokens(tokenizer: BertTokenizer) -> None:
    drawn = questions(9, 200, "train")
    batch = encode(tokenizer, drawn)

    for each, ids, first, last in zip(
        drawn, batch.inputs["input_ids"], batch.first, batch.last, strict=True
    ):
        if each.answer:
            expected = tokenizer(each.answer, add_special_tokens=False)["input_ids"]
            assert ids[first : last + 1].tolist() == expected
        else:
            assert (first, last) == (0, 0)


def test_encode_points_a_truncated_answer_at_cls(tokenizer: BertTokenizer) -> None:
    long = "Paul Weber met Nina Rossi on Monday. " * 60
    cut = QuestionExample(long + CONTEXT, "Where does Anna live?", "Oslo", len(long) + 36)
    assert answer_slice(cut) == "Oslo"

    batch = encode(tokenizer, [cut])

    assert batch.inputs["input_ids"].shape == (1, 384)
    assert (batch.first.item(), batch.last.item()) == (0, 0)


def test_batches_are_seeded_and_grow(tokenizer: BertTokenizer) -> None:
    args = argparse.Namespace(seed=3, steps=15, batch_tokens=20_000, start=None)
    drawn = list(batches(tokenizer, args))
    again = list(islice(batches(tokenizer, args), 3))

    assert len(drawn) == 15
    for one, other in zip(drawn, again, strict=False):
        assert torch.equal(one.inputs["input_ids"], other.inputs["input_ids"])
    tokens = [batch.inputs["attention_mask"].sum().item() / len(batch.first) for batch in drawn]
    assert np.mean(tokens[:3]) * 1.3 < np.mean(tokens[-3:])
    outside = [bool((batch.first == OUT_OF_WORLD).any()) for batch in drawn]
    assert not any(outside[:5])
    assert any(outside[5:])


def test_short_contexts_are_of_the_world_as_well_as_from_outside(
    tokenizer: BertTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = argparse.Namespace(seed=3, steps=60, batch_tokens=1500, start=Path("a checkpoint"))

    def shortest() -> tuple[float, float]:
        """Shares of the answers, and of the questions from outside, of at most 60 tokens."""
        drawn = list(batches(tokenizer, args))
        short = torch.cat([batch.inputs["attention_mask"].sum(-1) for batch in drawn]) <= 60
        first = torch.cat([batch.first for batch in drawn])
        kinds = first > 0, first == OUT_OF_WORLD
        of_world, outside = (short[kind].float().mean().item() for kind in kinds)
        return of_world, outside

    of_world, outside = shortest()
    monkeypatch.setattr(train_question_answering, "SHORT", 0.0)
    without, _ = shortest()

    assert of_world > 1.5 * without
    assert outside > 0.2


def test_out_of_the_world_the_loss_wants_no_answer(tokenizer: BertTokenizer) -> None:
    known = example("Where does Anna live?", "Oslo")
    outside = QuestionExample("The comet is red.", "What is a comet?", "", OUT_OF_WORLD)
    batch = encode(tokenizer, [known, outside])
    length = batch.inputs["input_ids"].shape[1]
    even = torch.zeros(2, length)
    right = torch.nn.functional.one_hot(batch.first.clamp(min=0), length) * 20.0
    sure = right.clone()
    sure[1] = 0
    padding = even.clone()
    padding[1, -1] = 20.0

    # Of the second, whose context is shorter, any answer at all is one too many.
    assert span_loss(sure, sure, batch) < span_loss(right, right, batch)
    assert span_loss(sure, sure, batch) < span_loss(even, even, batch)
    assert span_loss(padding, padding, batch) == span_loss(even, even, batch)


def test_questions_from_outside_have_their_answer_in_the_context() -> None:
    asked = outside_questions(0, 100, "held_out")
    assert all(answer and answer in context for _, context, answer in asked)
    assert len({question for question, *_ in asked}) > 10
    assert not {question for question, *_ in outside_questions(0, 500, "train")} & {
        question for question, *_ in asked
    }


class Certain(torch.nn.Module):
    """Finds the first token of every context, as surely as it is told."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> SimpleNamespace:
        first = int(token_type_ids[0].argmax())
        logits = torch.zeros(input_ids.shape)
        logits[0, first] = self.logit
        return SimpleNamespace(start_logits=logits, end_logits=logits)


def test_scores_are_those_of_the_runtime(tokenizer: BertTokenizer) -> None:
    examples = [("Who lives?", "Anna lives.", "Anna"), ("Who lives?", "Anna lives.", "lives")]
    scores, right = scored(Certain(6.0), tokenizer, examples)
    cooler, _ = scored(Certain(6.0), tokenizer, examples, temperature=3.0)

    assert right == [True, False]
    assert (scores > 0.99).all()
    assert (cooler < scores).all()


class PointsAt:
    """Stands for a model: sure of wherever a token stands in the input, else of [CLS]."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
        logits = (input_ids == self.token) * 10.0
        # Padding must never win, however sure the model is of it.
        logits[input_ids == 0] = 99.0
        logits[:, 0] = 5.0
        return SimpleNamespace(start_logits=logits, end_logits=logits)


def test_predict_reads_every_window_of_a_long_context(tokenizer: BertTokenizer) -> None:
    filler = "Paul Weber met Nina Rossi on Monday. " * 60
    pairs = [
        ("Where does Anna live?", f"{filler}Anna lives in OSLO. {filler}"),
        ("Where does Anna live?", filler),
        ("Where does Oslo live?", "Anna lives here."),
        ("Where does Anna live?", "In Oslo!"),
    ]
    model = PointsAt(tokenizer.convert_tokens_to_ids("oslo"))

    assert predict(model, tokenizer, pairs, batch_size=3) == ["OSLO", "", "", "Oslo"]


def test_best_span_stays_in_the_context_and_in_order() -> None:
    start = np.array([9, 9, 1, 0, 4], np.float32)
    end = np.array([9, 9, 3, 2, 0], np.float32)

    # Tokens 4 to 2 would score most, but end before they start.
    assert best_span(start, end, np.array([0, 0, 1, 1, 1], bool)) == (2, 2, 4.0)


@pytest.mark.parametrize(
    ("predicted", "expected", "overlap"),
    [
        ("Oslo", "oslo", 1.0),
        ("the red car", "Red car.", 1.0),
        ("Anna", "Anna Weber", 2 / 3),
        ("Rome", "Oslo", 0.0),
        ("", "", 1.0),
        ("Oslo", "", 0.0),
    ],
)
def test_f1_is_that_of_squad(predicted: str, expected: str, overlap: float) -> None:
    assert f1(predicted, expected) == pytest.approx(overlap)


def test_score_is_the_mean() -> None:
    result = score([("Oslo", "Oslo"), ("Anna", "Anna Weber"), ("", "Rome"), ("", "")])

    assert result.exact_match == pytest.approx(0.5)
    assert result.f1 == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert result.count == 4


@pytest.mark.parametrize(
    ("question", "relation"),
    [
        ("Where does Anna Weber live?", "lives in"),
        ("What did Paul buy?", "bought"),
        ("When does the market in Oslo close?", "closes at"),
    ],
)
def test_relation_of(question: str, relation: str) -> None:
    assert relation_of(question) == relation


def test_relation_of_a_foreign_question() -> None:
    with pytest.raises(ValueError, match="'Why is the sky blue\\?' is no question"):
        relation_of("Why is the sky blue?")


def test_report_of_a_model_that_never_answers(tokenizer: BertTokenizer) -> None:
    never = PointsAt(token=-1)
    scores = dict(report(never, tokenizer, questions(2, 60, "held_out")))

    for form in ("written", "transcript"):
        assert scores[f"{form}, answerable"].exact_match == 0
        assert scores[f"{form}, unanswerable"].exact_match == 1
        share = scores[f"{form}, unanswerable"].count / 60
        assert scores[f"{form}, all"].exact_match == pytest.approx(share)


@pytest.fixture(scope="module")
def embedded() -> tuple:
    folder = Path(__file__).parents[3] / "model-settings" / "question-answering" / "embedded"
    model = BertForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def test_the_checkpoint_answers_short_contexts(embedded: tuple) -> None:
    context = "Oscar Pemberton is a journalist. He has a goat."
    asked = [("What animal does Oscar have?", context), ("which animal does oscar have", context)]
    asked += [("Which animal does Oscar have?", "Oscar has a goat.")]

    answers = answered(*embedded, asked)

    assert [each.text for each in answers] == ["goat"] * 3
    assert all(each.score > 0.5 for each in answers)


def test_the_checkpoint_is_not_sure_of_what_is_not_of_its_world(embedded: tuple) -> None:
    inside, right = scored(*embedded, held_out(5, 60))
    outside, _ = scored(*embedded, outside_questions(5, 60, "held_out"))

    assert np.mean(right) > 0.85
    assert np.median(inside) > 0.9
    assert np.mean(outside) < 0.3
