"""Splits a text into sentences by its punctuation, for the languages of western Europe."""

from __future__ import annotations

import re

# A run of white space is tried from its beginning only: the time stays linear.
_LINE_BREAK = re.compile(r"(?<!\s)\s*[\n\r]\s*")
_MARKS = ".!?\u2026"
_OPENING = "\"'([\u00ab\u00bf\u00a1\u2018\u201c\u201e\u2013\u2014-"
_CLOSING = "\"')]\u00ab\u2018\u2019\u201c\u201d"
_END = re.compile(
    rf"(?<![{_MARKS}])(?P<mark>[{_MARKS}]+)(?P<closed>(?:[{re.escape(_CLOSING)}]|\s?\u00bb)*)(?P<gap>\s+)"
    rf"(?=(?P<open>[{re.escape(_OPENING)}]*)(?P<next>\S))"
)
_WORD = re.compile(r"\w+")
_ORDINAL = re.compile(r"\d{1,2}")
_LONGEST_ABBREVIATION = 12

# A name, or the rest of the sentence, follows.
_NEVER_LAST = frozenset(
    {
        *(
            "mr",
            "mrs",
            "ms",
            "dr",
            "prof",
            "rev",
            "gen",
            "col",
            "capt",
            "lt",
            "sgt",
            "st",
            "messrs",
        ),
        *("mme", "mmes", "mlle"),
        *("sr", "sra", "srta", "ud", "uds"),
        *("hr", "fr", "frl", "dipl", "ing", "bzw", "ca", "evtl", "ggf", "inkl", "vgl"),
        *("cf", "vs", "viz", "approx"),
    }
)
# A number follows, if it is an abbreviation at all.
_BEFORE_NUMBER = frozenset(
    {"no", "nos", "nr", "fig", "figs", "pp", "vol", "art", "n\u00fam", "ch", "sec", "chap", "kap"}
)
_AFTER_GERMAN_ORDINAL = frozenset(
    {
        *("januar", "j\u00e4nner", "februar", "m\u00e4rz", "april", "mai", "juni", "juli"),
        *("august", "september", "oktober", "november", "dezember"),
        *("geburtstag", "jahrhundert", "jahrhunderts", "klasse", "mal", "stock", "woche"),
    }
)


def split_sentences(text: str) -> tuple[list[str], list[str]]:
    """The sentences of a text, and what stands before, between and after them.

    A line break always ends a sentence. A sentence's end is a mark (`.`, `!`, `?`, `…`, or several)
    and white space, unless what precedes a full stop is an abbreviation, an initial or an ordinal,
    or the text goes on in lower case although it has capitals. What holds neither letter nor digit
    is no sentence, but part of what stands between.

    Returns:
        Sentences, and one separator more than there are sentences. Alternately joined, beginning
        with a separator, they give the text again.
    """
    sentences: list[str] = []
    between = [""]
    for piece, gap in _pieces(text):
        if any(character.isalnum() for character in piece):
            sentences.append(piece)
            between.append(gap)
        else:
            between[-1] += piece + gap
    return sentences, between


def _pieces(text: str) -> list[tuple[str, str]]:
    """Sentences with the white space that follows each."""
    pieces: list[tuple[str, str]] = []
    done = 0
    for match in [*_LINE_BREAK.finditer(text), None]:
        end, after = match.span() if match else (len(text), len(text))
        pieces += _of_line(text[done:end], text[end:after])
        done = after
    return pieces


def _of_line(line: str, line_break: str) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    has_capitals = any(character.isupper() for character in line)
    start = 0
    for match in _END.finditer(line):
        if _ends(line, start, match, has_capitals):
            pieces.append((line[start : match.start("gap")], match["gap"]))
            start = match.end("gap")
    pieces.append((line[start:], line_break))
    return pieces


def _ends(line: str, start: int, match: re.Match[str], has_capitals: bool) -> bool:
    """Whether the marks of `match` end the sentence that begins at `start`."""
    following = match["next"]
    if following.islower() and has_capitals:
        # Not in: "Who is it?" she asked. But in: Who is it? nobody knows.
        return match["mark"][-1] in "!?" and not match["closed"] and not match["open"]
    if match["mark"] != "." or match["closed"]:
        return True
    word = _word_before(line, start, match.start())
    if word in _NEVER_LAST or (len(word) == 1 and word.isalpha()):
        return False
    if word in _BEFORE_NUMBER:
        return not following.isdigit()
    if _ORDINAL.fullmatch(word):
        # "am 3. Mai", or the number of a list's item.
        after = _WORD.match(line, match.end("gap"))
        is_day = after is not None and after[0].casefold() in _AFTER_GERMAN_ORDINAL
        return match.start() - len(word) > start and not is_day
    # U.S., z.B. and the like, but not a time of day, at which many a sentence ends.
    return "." not in word or word in ("a.m", "p.m")


def _word_before(line: str, start: int, end: int) -> str:
    first = end
    while (
        first > max(start, end - _LONGEST_ABBREVIATION)
        and not line[first - 1].isspace()
        and line[first - 1] not in _OPENING
    ):
        first -= 1
    return line[first:end].casefold()
