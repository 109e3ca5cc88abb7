"""From text to what is said of it: words and marks, numbers and symbols read out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import InvalidInput

MARKS = ",.?!:;"
"""The punctuation that is heard."""
_MOST_DIGITS = 12
_DASHES = re.compile(r"\s[-\u2013\u2014]+\s|[\u2013\u2014]|\s*[()\[\]{}]\s*")
_QUOTES = re.compile('["\u00ab\u00bb\u201c\u201d\u201e*_|~^`<>#]')
_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc\u00b4", "''''")
_PART = re.compile(rf"[^\W\d_]+(?:'[^\W\d_]+)*'?|[{re.escape(MARKS)}\u2026]+")
# Letters that Unicode does not take apart.
_BASES = {
    ord(letter): base
    for letter, base in zip(
        "\u00e6\u0153\u00f8\u0142\u0111\u0131\u00f0\u00fe\u00df\u0127",
        ("ae", "oe", "o", "l", "d", "i", "d", "th", "ss", "h"),
        strict=True,
    )
}


@dataclass(frozen=True)
class _Reading:
    """How a language reads what is not written in letters.

    Attributes:
        small: The numbers from 0 to 19.
        tens: Those from 20 to 90.
        hundred: What follows the number of hundreds.
        scales: What follows thousands and millions; of more than one, and of one.
        point: Between a whole number and its decimals.
        comma: The mark between these; the other one parts groups of three digits.
        symbols: Symbols as words.
        after: Units that stand before a number but are said after it.
        abbreviations: Words that are never said as they are written.
        minus: Before a number below zero.
        ordinals: Ordinals that are not the number and `suffix`; a language without reads none.
        suffix: See `ordinals`.
        letters: The language's letters beside a to z.
    """

    small: tuple[str, ...]
    tens: tuple[str, ...]
    hundred: str
    scales: tuple[tuple[str, str], ...]
    minus: str
    point: str
    comma: str
    symbols: Mapping[str, str]
    after: Mapping[str, str]
    abbreviations: Mapping[str, str]
    ordinals: Mapping[str, str]
    suffix: str
    letters: str = ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> dict[str, str]:
    """Of "one first, two second" what follows each word."""
    return dict(entry.split(" ", 1) for entry in text.split(", "))


_ENGLISH = _Reading(
    small=_words(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen"
    ),
    tens=_words("twenty thirty forty fifty sixty seventy eighty ninety"),
    hundred="hundred",
    scales=(("thousand",) * 2, ("million",) * 2, ("billion",) * 2),
    minus="minus",
    point="point",
    comma=".",
    symbols={
        "%": "percent",
        "&": "and",
        "+": "plus",
        "=": "equals",
        "@": "at",
        "\u00b0": "degrees",
    },
    after={"\u20ac": "euros", "$": "dollars", "\u00a3": "pounds"},
    abbreviations=_pairs(
        "mr mister, mrs missis, dr doctor, st saint, etc et cetera, e.g for example, i.e that is, "
        "vs versus"
    ),
    ordinals=_pairs(
        "one first, two second, three third, five fifth, eight eighth, nine ninth, twelve twelfth"
    ),
    suffix="th",
)
_GERMAN = _Reading(
    small=_words(
        "null eins zwei drei vier f\u00fcnf sechs sieben acht neun zehn elf zw\u00f6lf dreizehn "
        "vierzehn f\u00fcnfzehn sechzehn siebzehn achtzehn neunzehn"
    ),
    tens=_words("zwanzig drei\u00dfig vierzig f\u00fcnfzig sechzig siebzig achtzig neunzig"),
    hundred="hundert",
    scales=(("tausend",) * 2, ("millionen", "million"), ("milliarden", "milliarde")),
    minus="minus",
    point="komma",
    comma=",",
    symbols={
        "%": "prozent",
        "&": "und",
        "+": "plus",
        "=": "gleich",
        "@": "\u00e4t",
        "\u00b0": "grad",
    },
    after={"\u20ac": "euro", "$": "dollar", "\u00a3": "pfund"},
    abbreviations=_pairs(
        "dr doktor, hr herr, fr frau, nr nummer, z.b zum beispiel, usw und so weiter, "
        "bzw beziehungsweise, d.h das hei\u00dft"
    ),
    ordinals={},
    suffix="",
    letters="\u00e4\u00f6\u00fc\u00df",
)
READINGS: Mapping[str, _Reading] = {"en": _ENGLISH, "de": _GERMAN}
"""The languages whose numbers are read out, as ISO 639-1 codes."""


def spoken_parts(text: str, language: str) -> list[str]:
    """The words of a text in lower case, and the marks between them, in order.

    Numbers and symbols become words. A letter that the language does not have becomes its base
    letter, as `\u00e9` becomes `e`; quotes and other signs without a sound are left out.

    Args:
        language: One of `READINGS`.

    Raises:
        InvalidInput: the text has a letter or symbol that cannot be said; names it.
    """
    reading = READINGS[language]
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    text = _QUOTES.sub(" ", _DASHES.sub(", ", text)).lower()
    for short, long in reading.abbreviations.items():
        text = re.sub(rf"(?<![\w.]){re.escape(short)}\.(?!\w)", f"{long} ", text)
    text = _numbers_read(text, reading)
    for symbol, word in {**reading.after, **reading.symbols}.items():
        text = text.replace(symbol, f" {word} ")
    text = "".join(_known(letter, reading) for letter in text)
    return [_mark(part) if part[0] in f"{MARKS}\u2026" else part for part in _PART.findall(text)]


def _mark(marks: str) -> str:
    """The one of several marks that is heard: "?!" is a question."""
    return next((mark for mark in "?!" if mark in marks), marks[-1].replace("\u2026", "."))


def _known(letter: str, reading: _Reading) -> str:
    if letter.isascii() and (letter.isalpha() or letter.isspace() or letter in f"{MARKS}'"):
        return letter
    if letter in reading.letters or letter == "\u2026":
        return letter
    if letter in "-/\\" or letter.isspace():
        return " "
    based = letter.translate(_BASES)
    base = "".join(
        each for each in unicodedata.normalize("NFKD", based) if not unicodedata.combining(each)
    )
    if base and base.isascii() and base.isalpha():
        return base
    if unicodedata.category(letter) in ("Mn", "Cf"):
        return ""
    name = unicodedata.name(letter, "a character without a name")
    raise InvalidInput(
        f"tensor 'text': {letter!r} (U+{ord(letter):04X}, {name.lower()}) cannot be said; "
        "accepted: Latin letters, digits and punctuation"
    )


def _numbers_read(text: str, reading: _Reading) -> str:
    """The text with its numbers in words."""
    group = "," if reading.comma == "." else "."
    units = re.escape("".join(reading.after))
    number = re.compile(
        # Also behind a letter, as in "MP3", where a hyphen is no minus: "COVID-19".
        rf"(?P<unit>[{units}]\s?)?(?<!\d)(?P<minus>(?<!\w)-(?=\d))?"
        rf"(?P<whole>\d{{1,3}}(?:{re.escape(group)}\d{{3}})+(?!\d)|\d+)"
        rf"(?:{re.escape(reading.comma)}(?P<decimals>\d+))?(?P<ordinal>(?:st|nd|rd|th)\b|\.(?=\s+[^\W\d]))?"
    )

    def read(match: re.Match[str]) -> str:
        words = _whole(match["whole"].replace(group, ""), reading)
        ordinal = match["ordinal"] or ""
        if match["decimals"]:
            digits = " ".join(reading.small[int(digit)] for digit in match["decimals"])
            words += f" {reading.point} {digits}"
        elif ordinal.isalpha() and reading.ordinals:
            words, ordinal = _ordinal(words, reading), ""
        if ordinal.isalpha():
            # Of another language, as in "2nd Street": letters of their own, not of the number.
            ordinal = f" {ordinal}"
        minus = f"{reading.minus} " if match["minus"] else ""
        unit = f" {reading.after[match['unit'].strip()]}" if match["unit"] else ""
        return f" {minus}{words}{unit}{ordinal} "

    return re.sub(r"\s+(?=[,.?!:;])", "", number.sub(read, text))


def _whole(digits: str, reading: _Reading) -> str:
    """Digits as a number; those with a leading zero, or very many, one by one."""
    if len(digits) > _MOST_DIGITS or (digits[0] == "0" and len(digits) > 1):
        return " ".join(reading.small[int(digit)] for digit in digits)
    return cardinal(int(digits), reading)


def cardinal(number: int, reading: _Reading) -> str:
    """A number below a million millions, in words."""
    joint = "" if reading is _GERMAN else " "
    if number < 20:
        return reading.small[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        word = reading.tens[tens - 2]
        if not ones:
            return word
        if reading is _GERMAN:
            return f"{_of_one(ones, reading)}und{word}"
        return f"{word} {reading.small[ones]}"
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        word = f"{_of_one(hundreds, reading)}{joint}{reading.hundred}"
        return word + (f"{joint}{cardinal(rest, reading)}" if rest else "")
    size = (len(str(number)) - 1) // 3
    count, rest = divmod(number, 1000**size)
    many, one = reading.scales[size - 1]
    if reading is _GERMAN and size > 1:
        word = f"{'eine' if count == 1 else cardinal(count, reading)} {one if count == 1 else many}"
        return word + (f" {cardinal(rest, reading)}" if rest else "")
    word = f"{_of_one(count, reading)}{joint}{many}"
    return word + (f"{joint}{cardinal(rest, reading)}" if rest else "")


def _of_one(number: int, reading: _Reading) -> str:
    """A number before what it counts: not `eins`, but `ein`."""
    word = cardinal(number, reading)
    return word.removesuffix("s") if reading is _GERMAN and word.endswith("eins") else word


def _ordinal(words: str, reading: _Reading) -> str:
    before, _, last = words.rpartition(" ")
    regular = f"{last[:-1]}ie{reading.suffix}" if last.endswith("y") else f"{last}{reading.suffix}"
    return f"{before} {reading.ordinals.get(last, regular)}".strip()
