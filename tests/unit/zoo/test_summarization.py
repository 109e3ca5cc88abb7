"""Summarization: examples, training and scores."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from zoo.articles import articles
from zoo.evaluate_summarization import answer_scores, rouge_l, score, summarize
from zoo.question_answering_data import PEOPLE
from zoo.summarization_data import SummaryExample, disguised, examples, spell
from zoo.train_summarization import batches, encode, main, train_tokenizer, word_pieces
from zoo.world import normalise_transcript

MODELS = Path(__file__).parents[3] / "model-settings"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer([each.text for each in examples(0, 300)], 800)


def test_equal_seeds_give_equal_examples() -> None:
    assert examples(3, 50) == examples(3, 50)
    assert examples(3, 50) != examples(4, 50)
    assert max(len(e.text.split(". ")) for e in examples(3, 50, most_sentences=4)) == 4


def test_a_disguise_is_the_same_in_article_and_summary() -> None:
    for seed, article in enumerate(articles(0, 200, "train")):
        seen = disguised(SummaryExample(article.text, article.summary), (), random.Random(seed))
        name = re.split(r" lives in ", seen.summary)[0]
        assert name in seen.text
        assert not set(re.findall(r"\w+", seen.summary)) & set(PEOPLE)
        assert seen.summary.count(name.split()[0]) == article.summary.count(
            article.summary.split()[0]
        )


def test_some_examples_are_disguised() -> None:
    people = {name.lower() for name in PEOPLE}
    plain = [not people.isdisjoint(words(each.summary)) for each in examples(0, 400)]

    assert 0.2 < sum(plain) / len(plain) < 0.4


def test_some_examples_are_transcripts() -> None:
    drawn = examples(0, 400)
    spoken = [each for each in drawn if each.text == normalise_transcript(each.text)]

    assert 0.25 < len(spoken) / len(drawn) < 0.45
    assert all(each.summary == normalise_transcript(each.summary) for each in spoken)


def words(text: str) -> list[str]:
    return normalise_transcript(text).split()


def test_names_are_spelled_in_pieces() -> None:
    rng = random.Random(0)
    words = [spell("Anna", ("zk", "Qu", "o"), rng) for _ in range(200)]

    assert all(re.fullmatch("(?i:zk|qu|o){1,4}", word) and word.istitle() for word in words)
    assert spell("doctor", ("Qu",), rng).islower()
    # "Anna" is nobody's invented name.
    assert {spell("Paul", ("An", "na"), rng) for _ in range(200)}.isdisjoint(PEOPLE)


def test_every_piece_of_a_word_comes_to_be_copied(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = word_pieces(tokenizer)
    assert all(piece.isalpha() for piece in pieces)
    assert {"a", "z", "Q"} <= set(pieces)

    summaries = " ".join(each.summary for each in examples(0, 2000, pieces=pieces)).lower()
    assert sum(piece.lower() in summaries for piece in pieces) / len(pieces) > 0.95


def test_the_tokenizer_gives_any_text_back(tokenizer: PreTrainedTokenizerBase) -> None:
    for text in ("Anna Weber lives in Oslo.", "Ünïcode, 日本 and\ttabs", "a  b"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
        assert tokenizer.unk_token_id not in ids


def test_a_first_word_has_the_pieces_of_a_later_one(tokenizer: PreTrainedTokenizerBase) -> None:
    first, later = tokenizer("Anna")["input_ids"][1:-1], tokenizer("is Anna")["input_ids"][1:-1]

    assert later[-len(first) :] == first


def test_labels_are_the_summary_and_its_end(tokenizer: PreTrainedTokenizerBase) -> None:
    pair = [SummaryExample("Anna is here.", "Anna."), SummaryExample("Paul.", "Paul was born.")]
    batch = encode(tokenizer, pair)

    for labels, example in zip(batch["labels"].tolist(), pair, strict=True):
        kept = [label for label in labels if label != -100]
        assert kept == tokenizer(example.summary)["input_ids"][1:]
    assert batch["labels"].min() == -100
    assert batch["input_ids"].shape == batch["attention_mask"].shape


def test_articles_grow_in_the_course_of_a_training(tokenizer: PreTrainedTokenizerBase) -> None:
    args = argparse.Namespace(seed=0, steps=8, batch_tokens=500, start_from=None)
    made = list(batches(tokenizer, args))
    lengths = [batch["attention_mask"].sum(-1).float().mean() for batch in made]

    assert len(made) == 8
    assert lengths[0] < max(lengths[2:])


@pytest.mark.exhaustive
def test_a_training_writes_a_checkpoint(tmp_path: Path) -> None:
    tiny = {"steps": 2, "vocabulary": 400, "hidden-size": 32, "inner-size": 16, "layers": 1}
    main(
        [
            f"--output={tmp_path}",
            f"--threads={torch.get_num_threads()}",
            *(f"--{name}={value}" for name, value in tiny.items()),
        ]
    )
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    assert model.config.architectures == ["BartForConditionalGeneration"]
    assert model.dtype == torch.float16
    text = "Anna Weber lives in Oslo."
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    inputs = tokenizer([text, "Paul is a doctor. He was born in Rome."], padding=True)
    tensors = {name: torch.tensor(value) for name, value in inputs.items()}
    for num_beams in (1, 3):
        written = model.float().eval().generate(**tensors, num_beams=num_beams)
        assert written.shape[1] <= model.generation_config.max_length
        assert (written[:, 0] == model.config.decoder_start_token_id).all()


@pytest.mark.exhaustive
def test_a_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    common = ["--steps=1", f"--threads={torch.get_num_threads()}"]
    tiny = ["--vocabulary=400", "--hidden-size=32", "--inner-size=16", "--layers=1"]
    main([f"--output={first}", *common, *tiny])
    main([f"--output={second}", f"--start-from={first}", "--warm-up=1", *common])

    assert (first / "tokenizer.json").read_text() == (second / "tokenizer.json").read_text()
    before, after = (
        AutoModelForSeq2SeqLM.from_pretrained(each).model.shared.weight for each in (first, second)
    )
    # One step of AdamW moves every weight by about the learning rate.
    assert 0 < (before - after).abs().max() < 0.01
    assert (second / "generation_config.json").read_text() == (
        first / "generation_config.json"
    ).read_text()


class Echoes:
    """Writes the first two words of a text."""

    def generate(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        return input_ids[:, 1:3]


class Words:
    """A word is a token, numbered as it comes; 0 is before a text, 1 is padding."""

    def __init__(self) -> None:
        self.words: list[str] = ["<s>", ""]

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, torch.Tensor]:
        rows = [[0, *map(self._number, text.split())] for text in texts]
        longest = max(map(len, rows))
        padded = [[*row, *[1] * (longest - len(row))] for row in rows]
        return {"input_ids": torch.tensor(padded)}

    def _number(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def batch_decode(self, rows: torch.Tensor, **_: Any) -> list[str]:
        return [" ".join(self.words[number] for number in row) for row in rows.tolist()]


def test_summaries_come_in_the_order_of_their_texts() -> None:
    texts = ["Anna Weber met Paul", "Eva", "Paul Berg slept"]

    assert summarize(Echoes(), Words(), texts, batch_size=2) == ["Anna Weber", "Eva", "Paul Berg"]


@pytest.mark.parametrize(
    ("summary", "reference", "overlap"),
    [
        ("Anna lives in Oslo.", "Anna lives in Oslo.", 1.0),
        ("anna lives", "Anna lives in Oslo", 2 * 2 / 6),
        # The longest common subsequence of "b a c" and "a b c" has two words.
        ("b a c", "a b c", 2 / 3),
        ("a b", "c d", 0.0),
        ("", "a", 0.0),
        ("", "", 1.0),
    ],
)
def test_rouge_l(summary: str, reference: str, overlap: float) -> None:
    assert rouge_l(summary, reference) == pytest.approx(overlap)


def test_a_score_is_the_mean() -> None:
    result = score(["a b.", "a c."], ["a b.", "a b."])

    assert (result.exact_match, result.count) == (0.5, 2)
    assert result.rouge_l == pytest.approx((1 + 0.5) / 2)


def test_summaries_are_not_those_of_other_articles() -> None:
    with pytest.raises(ValueError, match="zip"):
        score(["a"], ["a", "b"])


def test_summarize_passes_the_number_of_beams_on() -> None:
    asked = SimpleNamespace(num_beams=None)

    class Records(Echoes):
        def generate(self, input_ids: torch.Tensor, **options: Any) -> torch.Tensor:
            asked.num_beams = options["num_beams"]
            return super().generate(input_ids)

    summarize(Records(), Words(), ["a b c"], num_beams=4)
    assert asked.num_beams == 4


def test_the_embedded_checkpoint_keeps_what_questions_ask_for() -> None:
    checkpoint = MODELS / "summarization" / "embedded"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    drawn = articles(2, 60, "held_out")
    summaries = summarize(model, tokenizer, [article.text for article in drawn])

    checkpoint = MODELS / "question-answering" / "embedded"
    reader = AutoTokenizer.from_pretrained(checkpoint)
    answering = AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32)
    scores = dict(answer_scores(answering.eval(), reader, drawn, summaries))
    assert scores["all"].exact_match >= 0.85
    assert scores["all"].count == sum(len(article.questions) for article in drawn)


def test_answers_are_taken_from_the_summaries_given() -> None:
    checkpoint = MODELS / "question-answering" / "embedded"
    reader = AutoTokenizer.from_pretrained(checkpoint)
    answering = AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32)
    answering.eval()
    drawn = articles(2, 20, "held_out")
    own = [article.summary for article in drawn]
    others = ["Nobody lives in Nowhere and works as a ghost."] * 20

    assert dict(answer_scores(answering, reader, drawn, own))["all"].exact_match > 0.85
    assert dict(answer_scores(answering, reader, drawn, others))["all"].exact_match == 0
