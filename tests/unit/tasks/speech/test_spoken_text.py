"""What is said of a text: words and marks."""

from __future__ import annotations

import pytest

from infergraph.errors import InvalidInput
from infergraph.tasks.speech.spoken_text import READINGS, cardinal, spoken_parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Anna has 3 cats.", "anna has three cats ."),
        (
            "It costs $1,234.50!",
            "it costs one thousand two hundred thirty four point five zero dollars !",
        ),
        ("The 21st of May", "the twenty first of may"),
        ("the 2nd, the 30th", "the second , the thirtieth"),
        ("100% of Q & A", "one hundred percent of q and a"),
        ("-5 degrees", "minus five degrees"),
        ("Room 007", "room zero zero seven"),
        ("Dr. Smith's dog", "doctor smith's dog"),
        ("Really?! Yes...", "really ? yes ."),
        ("well-known caf\u00e9s \u2014 \u201cgood\u201d ones", "well known cafes , good ones"),
        ("\u0141\u00f3d\u017a, \u00c6sop", "lodz , aesop"),
        ("don\u2019t", "don't"),
        ("an MP3 at gate B5", "an mp three at gate b five"),
        ("H2O, R2D2 v2.0", "h two o , r two d two v two point zero"),
        ("COVID-19, covid19 x -5", "covid nineteen , covid nineteen x minus five"),
        ("A1,000 and 10-20", "a one thousand and ten twenty"),
    ],
)
def test_english_as_it_is_said(text: str, said: str) -> None:
    assert " ".join(spoken_parts(text, "en")) == said


def test_german_as_it_is_said() -> None:
    text = "Stra\u00dfe 21 kostet 1.101,5 \u20ac, z.B. hier"
    said = "stra\u00dfe einundzwanzig kostet eintausendeinhunderteins komma f\u00fcnf "
    said += "euro , zum beispiel hier"
    assert " ".join(spoken_parts(text, "de")) == said
    assert " ".join(spoken_parts("A4-Blatt, CO2", "de")) == "a vier blatt , co zwei"
    assert " ".join(spoken_parts("2nd Street", "de")) == "zwei nd street"


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (0, "zero", "null"),
        (13, "thirteen", "dreizehn"),
        (40, "forty", "vierzig"),
        (101, "one hundred one", "einhunderteins"),
        (1_000, "one thousand", "eintausend"),
        (1_000_001, "one million one", "eine million eins"),
        (2_000_000, "two million", "zwei millionen"),
        (
            999_999,
            "nine hundred ninety nine thousand nine hundred ninety nine",
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
        ),
    ],
)
def test_numbers(number: int, english: str, german: str) -> None:
    assert cardinal(number, READINGS["en"]) == english
    assert cardinal(number, READINGS["de"]) == german


def test_very_long_numbers_are_said_digit_by_digit() -> None:
    assert spoken_parts("1234567890123", "en")[:3] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "named"), [("say \u4e16", "U+4E16"), ("\u0436", "cyrillic"), ("\U0001f600", "U+1F600")]
)
def test_what_cannot_be_said_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be said") as raised:
        spoken_parts(text, "en")
    assert named in str(raised.value)
