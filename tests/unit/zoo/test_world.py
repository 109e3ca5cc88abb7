"""The miniature world: equal seeds give equal texts, and the splits share what they say they do."""

import hashlib
import subprocess
import sys

import pytest

from zoo.world import (
    Split,
    facts,
    normalise_transcript,
    questions,
    reviews,
    sentences,
    vocabulary,
)

COUNT = 2000


def test_equal_arguments_give_equal_texts() -> None:
    for split in ("train", "held_out"):
        assert sentences(3, 50, split) == sentences(3, 50, split)
        assert questions(3, 50, split) == questions(3, 50, split)
        assert reviews(3, 50, split) == reviews(3, 50, split)
        assert facts(3, 50, split) == facts(3, 50, split)


def test_other_seeds_give_other_texts() -> None:
    assert sentences(3, 50, "train") != sentences(4, 50, "train")
    assert questions(3, 50, "train") != questions(4, 50, "train")


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert sentences(3, 80, "train")[:50] == sentences(3, 50, "train")
    assert questions(3, 80, "train")[:50] == questions(3, 50, "train")


def test_another_process_draws_the_same() -> None:
    program = (
        "import hashlib; from zoo.world import questions, sentences;"
        "text = repr((sentences(5, 30, 'train'), questions(5, 30, 'held_out')));"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = repr((sentences(5, 30, "train"), questions(5, 30, "held_out")))
    assert done.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_every_answer_stands_where_it_is_said_to() -> None:
    for split in ("train", "held_out"):
        for example in questions(1, COUNT, split):
            end = example.answer_start + len(example.answer)
            if example.answer:
                assert example.context[example.answer_start : end] == example.answer
            else:
                assert example.answer_start == -1


def test_the_answer_stands_in_a_sentence_about_the_asked_subject() -> None:
    for example in questions(2, COUNT, "train"):
        if not example.question.startswith("How old is") or not example.answer:
            continue
        first_name = example.question.removeprefix("How old is ").split()[0].rstrip("?")
        before = example.context[: example.answer_start]
        sentence = before.rsplit(". ", 1)[-1]
        if sentence in ("She is ", "He is "):
            # The pronoun stands for whom the sentence before is about.
            subjects = [s for s in before.split(". ")[:-1] if not s.startswith(("She ", "He "))]
            assert first_name in subjects[-1].split()
        else:
            assert sentence.split()[0] == first_name


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_unanswerable_questions(share: float) -> None:
    drawn = questions(4, COUNT, "train", unanswerable=share)
    unanswered = sum(not example.answer for example in drawn) / COUNT
    assert unanswered == pytest.approx(share, abs=0.04)


def test_an_unanswerable_question_has_no_answer_in_its_context() -> None:
    for example in questions(4, COUNT, "train", unanswerable=1.0):
        subject = example.question.removeprefix("How old is ").rstrip("?")
        if example.question.startswith("How old is"):
            assert f"{subject} is" not in example.context or not any(
                sentence.startswith(f"{subject} is") and "years old" in sentence
                for sentence in example.context.split(". ")
            )


def test_facts_of_the_two_splits_share_no_name_and_no_value_of_a_relation() -> None:
    train, held_out = facts(0, 30_000, "train"), facts(0, 10_000, "held_out")
    assert {(f.relation, f.value) for f in train}.isdisjoint(
        (f.relation, f.value) for f in held_out
    )
    people = "lives in"
    assert {f.subject for f in train if f.relation == people}.isdisjoint(
        f.subject for f in held_out if f.relation == people
    )
    # No name either: not the first, not the last.
    assert {name for f in train if f.relation == people for name in f.subject.split()}.isdisjoint(
        name for f in held_out if f.relation == people for name in f.subject.split()
    )


def test_both_splits_have_every_relation() -> None:
    for split in ("train", "held_out"):
        assert len({fact.relation for fact in facts(0, COUNT, split)}) == 21


def test_no_sentence_is_in_both_splits() -> None:
    train = {normalise_transcript(text) for text in sentences(0, 20_000, "train")}
    assert train.isdisjoint(normalise_transcript(t) for t in sentences(0, COUNT, "held_out"))
    assert train.isdisjoint(normalise_transcript(t) for t, _ in reviews(0, COUNT, "held_out"))


def test_a_held_out_sentence_has_only_words_of_training() -> None:
    trained, held_out = _words("train", 10_000), _words("held_out", COUNT)
    assert held_out <= trained
    assert trained == {word.removesuffix("'s") for word in vocabulary()}


def _words(split: Split, count: int) -> set[str]:
    # The possessive of each name is rare.
    text = " ".join(map(normalise_transcript, sentences(1, count, split)))
    return {word.removesuffix("'s") for word in text.split()}


def test_a_review_has_the_words_of_its_label() -> None:
    for text, label in reviews(0, COUNT, "train"):
        words = set(normalise_transcript(text).split())
        if label == "positive":
            assert not words & {"terrible", "awful", "hated", "rude", "worst", "broken", "never"}
        else:
            assert not words & {"wonderful", "excellent", "loved", "friendly", "best", "happy"}


def test_transcripts_have_letters_apostrophes_and_single_spaces() -> None:
    assert normalise_transcript("Who's  thirty-five?  It\u2019s Anna, he said.") == (
        "who's thirty five it's anna he said"
    )
    for text in sentences(0, COUNT, "train"):
        assert set(normalise_transcript(text)) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="unknown split 'test'"):
        sentences(0, 1, "test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown language 'tlh'"):
        facts(0, 1, "train", language="tlh")
    with pytest.raises(ValueError, match=r"unanswerable is 1\.5"):
        questions(0, 1, "train", unanswerable=1.5)
