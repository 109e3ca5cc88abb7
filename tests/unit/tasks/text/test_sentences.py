from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.text.sentences import split_sentences


@pytest.mark.parametrize(
    "marked",
    [
        "One sentence",
        "One sentence.",
        "Mira works. | She lives in Arden. | Why?",
        "Really?! | Yes!!! | Good...",
        "Wait... what?",
        "Wait... | What?",
        "no capitals here. | none at all? | right",
        "Who is it? nobody knows.".replace("? ", "? | "),
        # Abbreviations, initials, numbers.
        "Mr. Smith met Dr. Jones. | They talked.",
        "M. Dupont et Mme. Martin sont là. | Bien.",
        "El Sr. García llegó. | Bien.",
        "J. R. R. Tolkien wrote it. | Yes.",
        "Bring food, e.g. Bread, and drink. | Thanks.",
        "Das ist z.B. Brot. | Gut.",
        "Das ist z. B. Brot. | Gut.",
        "In the U.S. Congress it rained. | Then it stopped.",
        "We met at 5 p.m. | The shop was closed.",
        "It costs 3.50 euros. | That is No. 5 of them. | No. | Not at all.",
        "She was born in 1874. | He was not.",
        "He is 30. | She is 29.",
        "Am 3. Mai kam sie. | Er ging im 19. Jahrhundert.",
        "1. First point. | 2. Second point.",
        "See example.com for more. | Bye.",
        # Quotes, brackets, inverted marks.
        "“Who is it?” she asked. | “Me.” | He left.",
        '"Stop!" | "Why?" he said.',
        "(It rained.) | Then the sun came.",
        "« Bonjour ! » dit-elle. | Il part.",
        "¿Dónde vive? | ¡En Arden! | ¿Y tú?",
        "„Komm!“ rief er. | Sie kam.",
        "»Komm!« | Sie kam.",
        "It is late… | Good night.",
        # Lines.
        "A title\n| Then a text. | More of it.\n\n| A second paragraph.",
        "one line\r\n| another",
        "A line \n | an indented one",
    ],
)
def test_sentences(marked: str) -> None:
    # A bar marks a boundary; it is put after the white space that belongs to the text.
    text = marked.replace(" | ", " ").replace("| ", "").replace(" |", " ")
    expected = [part.strip() for part in marked.split("|")]

    sentences, between = split_sentences(text)

    assert sentences == expected
    assert joined(sentences, between) == text


@pytest.mark.parametrize(
    ("text", "sentences", "between"),
    [
        ("", [], [""]),
        ("***", [], ["***"]),
        ("Yes. ... No.", ["Yes.", "No."], ["", " ... ", ""]),
        ("---\nA text.\n---", ["A text."], ["---\n", "\n---"]),
        ("A.  \n\n\t B", ["A.", "B"], ["", "  \n\n\t ", ""]),
        ("One.   Two.", ["One.", "Two."], ["", "   ", ""]),
    ],
)
def test_what_stands_between(text: str, sentences: list[str], between: list[str]) -> None:
    assert split_sentences(text) == (sentences, between)


@given(st.text(alphabet="aZ é1.!?…\n\r\t\"'«»“”()¿¡-,Mr", max_size=60))
def test_nothing_is_lost(text: str) -> None:
    sentences, between = split_sentences(text)

    assert joined(sentences, between) == text
    assert all(any(each.isalnum() for each in sentence) for sentence in sentences)
    assert not any("\n" in sentence.strip() for sentence in sentences)


@pytest.mark.parametrize("unit", ["Mr. ", ".", " ", "a", "! ", "1. ", '."', ". »", "\n"])
def test_long_texts_are_split(unit: str) -> None:
    # The suite's own time limit would show a quadratic splitter: these are 200,000 characters.
    text = (unit * 200_000)[:200_000]

    sentences, between = split_sentences(text)

    assert joined(sentences, between) == text


def joined(sentences: list[str], between: list[str]) -> str:
    return "".join(part for pair in zip_longest(between, sentences, fillvalue="") for part in pair)
