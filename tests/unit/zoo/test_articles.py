"""Articles: whom they are about, what their summaries keep, and in which languages."""

import hashlib
import re
import subprocess
import sys

import pytest

from zoo.articles import KEY_RELATIONS, articles
from zoo.evaluate_question_answering import relation_of
from zoo.lexicon import ENGLISH
from zoo.world import LANGUAGES

COUNT = 500


def _names(texts: list[str]) -> set[str]:
    words = set(re.findall(r"\w+", " ".join(texts)))
    return words & {*ENGLISH.women, *ENGLISH.men, *ENGLISH.last_names}


def test_equal_arguments_give_equal_articles() -> None:
    assert articles(3, 40, "train") == articles(3, 40, "train")
    assert articles(3, 40, "train")[:20] == articles(3, 20, "train")
    assert articles(3, 40, "train") != articles(4, 40, "train")


def test_another_process_draws_the_same() -> None:
    program = (
        "import hashlib; from zoo.articles import articles;"
        "text = repr(articles(5, 20, 'held_out', language='de'));"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = repr(articles(5, 20, "held_out", language="de"))
    assert done.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_the_splits_share_no_name_of_a_person() -> None:
    train = _names([article.text for article in articles(0, 2000, "train")])
    held_out = _names([article.text for article in articles(0, COUNT, "held_out")])

    assert len(train) > 80
    assert len(held_out) > 20
    assert train.isdisjoint(held_out)


def test_the_splits_share_no_fact_of_a_summary() -> None:
    def facts(split: str) -> set[tuple[str, str]]:
        return {
            (relation_of(question.question), question.answer)
            for article in articles(0, 2000, split)  # type: ignore[arg-type]
            for question in article.questions
        }

    assert len(facts("held_out")) > 20
    assert facts("train").isdisjoint(facts("held_out"))


def test_an_article_has_4_to_10_sentences_and_is_first_about_whom_it_is_about() -> None:
    lengths = set()
    for article in articles(1, COUNT, "train"):
        sentences = article.text.split(". ")
        lengths.add(len(sentences))
        name = " ".join(article.summary.split()[:2])
        assert name in sentences[0]
    assert lengths == set(range(4, 11))


def test_articles_of_at_most_some_sentences() -> None:
    drawn = articles(1, COUNT, "train", most_sentences=5)

    assert {len(article.text.split(". ")) for article in drawn} == {4, 5}


def test_a_summary_tells_where_somebody_lives_and_what_else_the_article_says_of_them() -> None:
    for article in articles(2, COUNT, "train"):
        told = [relation_of(question.question) for question in article.questions]
        assert told[0] == "lives in"
        assert told == [name for name in KEY_RELATIONS if name in told]
        first, *more = article.summary.removesuffix(".").split(". ")
        assert len(more) == len(told) - 2
        assert re.match(r"\w+ \w+ lives in [\w-]+ and (works|was|is) ", first)
        assert all(sentence.startswith(first.split()[0]) for sentence in more)


def test_the_words_of_a_summary_are_those_of_its_article() -> None:
    phrases = {"works as": " is a", "was born in": " comes from", "lives in": " has a house in"}
    for article in articles(2, COUNT, "train"):
        for question in article.questions:
            assert question.answer in article.text
            words = question.context[: question.answer_start]
            relation = relation_of(question.question)
            assert words.endswith((f"{relation} ", f"{relation} a ", f"{relation} an ", " is "))
            assert any(p in article.text for p in (relation, phrases.get(relation, "years old")))


def test_the_answer_stands_in_the_summary() -> None:
    for split in ("train", "held_out"):
        for article in articles(3, COUNT, split):
            assert len(article.questions) in (2, 3)
            for question in article.questions:
                end = question.answer_start + len(question.answer)
                assert question.context == article.summary
                assert article.summary[question.answer_start : end] == question.answer


def test_nobody_of_an_article_shares_a_first_name() -> None:
    people = [*ENGLISH.women, *ENGLISH.men]
    full_name = re.compile(rf"\b({'|'.join(people)}) ({'|'.join(ENGLISH.last_names)})\b")
    for article in articles(4, COUNT, "train"):
        names = {match[0] for match in full_name.finditer(article.text)}
        assert len(names) == len({name.split()[0] for name in names})


def test_things_are_never_called_by_a_pronoun() -> None:
    for article in articles(4, COUNT, "train"):
        assert not re.search(r"\b[Ii]t\b", article.text)


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_another_language_tells_the_same(language: str) -> None:
    english = articles(5, COUNT, "held_out")
    foreign = articles(5, COUNT, "held_out", language=language)

    for here, there in zip(english, foreign, strict=True):
        assert (here.summary, here.questions) == (there.summary, there.questions)
        assert here.text != there.text
        assert len(here.text.split(". ")) == len(there.text.split(". "))
        assert _names([here.text]) == _names([there.text])


def test_a_german_article() -> None:
    for english, german in zip(
        articles(6, COUNT, "train"), articles(6, COUNT, "train", language="de"), strict=True
    ):
        if " lives in " in english.text:
            assert re.search(r"\b(wohnt|lebt) in\b", german.text)


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="unknown split 'test'"):
        articles(0, 1, "test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown language 'tlh'"):
        articles(0, 1, "train", language="tlh")
    with pytest.raises(ValueError, match="most_sentences is 3: 4 to 10"):
        articles(0, 1, "train", most_sentences=3)
