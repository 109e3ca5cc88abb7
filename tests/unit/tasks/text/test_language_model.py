"""Language models as they are kept beside a CTC checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.tasks.text.language_model import LanguageModel, read_language_model

ARPA = """\
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-2.0\t<unk>
-1.0\ta\t-0.25
-1.5\tgoat

\\2-grams:
-0.1\t<s> a
-0.3\ta goat

\\end\\
"""
WEIGHTS = {"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}
LN_10 = math.log(10)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "language_model"
    folder.mkdir()
    (folder / "pairs.arpa").write_text(ARPA)
    (folder / "unigrams.txt").write_text("a\ngoat\n")
    (folder / "attrs.json").write_text(json.dumps(WEIGHTS))
    return tmp_path


@pytest.fixture
def model(checkpoint: Path) -> LanguageModel:
    found = read_language_model(checkpoint)
    assert found is not None
    return found


def test_a_checkpoint_without_one_has_none(tmp_path: Path) -> None:
    assert read_language_model(tmp_path) is None


@pytest.mark.parametrize(
    ("before", "word", "log10"),
    [
        (("<s>",), "a", -0.1),
        (("a",), "goat", -0.3),
        # Not seen together: the shorter n-gram, with the weight of what is before it.
        (("a",), "a", -0.25 - 1.0),
        (("<s>",), "goat", -0.5 - 1.5),
        ((), "goat", -1.5),
    ],
)
def test_the_longest_ngram_that_was_seen_counts(
    model: LanguageModel, before: tuple[str, ...], word: str, log10: float
) -> None:
    score, _ = model.score(before, word)
    assert score == pytest.approx(0.5 * LN_10 * log10 + 1.5)


def test_what_is_before_the_next_word_is_what_ngrams_know(model: LanguageModel) -> None:
    assert model.start == ("<s>",)
    assert model.score(model.start, "a")[1] == ("a",)
    # No n-gram begins with it.
    assert model.score(("a",), "goat")[1] == ()


def test_unknown_words_cost_more_the_longer_they_are(model: LanguageModel) -> None:
    usual = 0.5 * LN_10 * -10
    assert model.unknown("cat") == model.unknown("kitten") == pytest.approx(usual)
    assert model.unknown("kittenkitten") == pytest.approx(2 * usual)
    score, after = model.score((), "cat")
    assert score == pytest.approx(0.5 * LN_10 * -2.0 + 1.5 + usual)
    assert after == ()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("unigrams.txt", None, "No such file"),
        ("unigrams.txt", " \n", "unigrams.txt has no words"),
        ("attrs.json", "{}", "alpha"),
        ("attrs.json", "no JSON", "Expecting value"),
        ("pairs.arpa", "\\data\\\n\\end\\\n", "pairs.arpa has no n-grams"),
        ("pairs.arpa", "\\2-grams:\n-0.1\ta\n", "is no n-gram of 2 words"),
        ("pairs.arpa", None, "0 files of n-grams in the ARPA format; accepted: one"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    checkpoint: Path, file: str, content: str | None, said: str
) -> None:
    path = checkpoint / "language_model" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)

    with pytest.raises(ConfigurationError) as caught:
        read_language_model(checkpoint)
    assert str(path.parent) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("file", ["unigrams.txt", "attrs.json", "pairs.arpa"])
def test_a_file_that_is_no_text_is_named_and_not_shown(checkpoint: Path, file: str) -> None:
    (checkpoint / "language_model" / file).write_bytes(b"\xff" * 10_000)

    with pytest.raises(
        ConfigurationError, match=f"{file} is not UTF-8 .* 0xff in position 0"
    ) as caught:
        read_language_model(checkpoint)
    assert len(str(caught.value)) < 500
