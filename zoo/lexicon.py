"""The words of the miniature world, one `Lexicon` per language.

A category (`city`, `colour`, ...) is a tuple of words whose order never changes: splits are made
from positions in it, so words are appended, never inserted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lexicon:
    """The words of one language.

    Attributes:
        women: Women's first names.
        men: Men's first names.
        last_names: Last names, of either.
        capitals: Country to its capital. Every capital is a `city`.
        words: Category to its words, as they stand inside a sentence.
        genders: Noun to its gender, one of its grammar's `genders`; empty where no noun has one.
        forms: Adjective, or other word that agrees with a noun, to its form in each of its
            grammar's `genders`, in their order; empty where no word agrees.

    In every language the categories have equally many words, and words at the same position mean
    the same. Within a category no word stands twice, so each translates back.
    """

    women: tuple[str, ...]
    men: tuple[str, ...]
    last_names: tuple[str, ...]
    capitals: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
    genders: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def separated(text: str) -> tuple[str, ...]:
    """The words of "sac à dos, vélo"."""
    return tuple(text.split(", "))


def nouns(text: str) -> dict[str, str]:
    """Noun to its gender, from "sac à dos m, voiture f"."""
    entries = (entry.rpartition(" ") for entry in separated(text))
    return {noun: gender for noun, _, gender in entries}


def agreeing(text: str, plural: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    """Word to its forms in a Romance language, from "vert verte, rouge".

    The forms are masculine, feminine, and the `plural` of each; a word given once has one form for
    both genders.
    """
    result: dict[str, tuple[str, ...]] = {}
    for entry in separated(text):
        masculine, *rest = entry.split()
        feminine = rest[0] if rest else masculine
        result[masculine] = (masculine, feminine, plural(masculine), plural(feminine))
    return result


def aligned_capitals(countries: str, capitals: str) -> dict[str, str]:
    """Country to capital, from their names in the order of `ENGLISH.capitals`."""
    return dict(zip(separated(countries), separated(capitals), strict=True))


_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_UNITS = _words("one two three four five six seven eight nine")

ENGLISH = Lexicon(
    women=_words(
        "Anna Clara Julia Laura Martha Nina Olivia Paula Rosa Sofia Teresa Vera Emily Alice Helen "
        "Irene Monica Linda Susan Karen Barbara Hannah Victoria Diana Elena Grace Ruth Eva "
        "Charlotte Margaret"
    ),
    men=_words(
        "David Peter Martin Robert Daniel Michael Simon Paul Victor Oscar Leo Hugo Felix Anton "
        "Bruno Frank George Henry Jacob Kevin Patrick Richard Stephen Walter William Adam Benjamin "
        "Edward Gabriel Samuel"
    ),
    last_names=_words(
        "Weber Fischer Keller Novak Rossi Moreau Dupont Laurent Garcia Martinez Romero Castillo "
        "Silva Costa Olsen Larsen Hansen Jensen Berg Lindgren Kowalski Petrov Ivanov Tanaka Suzuki "
        "Yamamoto Kumar Sharma Patel Singh Cooper Baker Turner Walker Parker Taylor Wilson Johnson "
        "Thompson Robinson Mitchell Campbell Stewart Murphy Kelly Bennett Morgan Hudson Palmer "
        "Foster Marshall Webster Harper Fletcher Gardner Barlow Sutton Crawford Dalton Pemberton"
    ),
    capitals={
        "Norway": "Oslo",
        "France": "Paris",
        "Italy": "Rome",
        "Spain": "Madrid",
        "Portugal": "Lisbon",
        "Germany": "Berlin",
        "Austria": "Vienna",
        "Poland": "Warsaw",
        "Greece": "Athens",
        "Hungary": "Budapest",
        "Egypt": "Cairo",
        "Japan": "Tokyo",
        "Canada": "Ottawa",
        "Ireland": "Dublin",
        "Finland": "Helsinki",
        "Denmark": "Copenhagen",
    },
    words={
        "city": _words(
            "Oslo Paris Rome Madrid Lisbon Berlin Vienna Warsaw Athens Budapest Cairo Tokyo Ottawa "
            "Dublin Helsinki Copenhagen London Barcelona Hamburg Chicago Boston Geneva Milan "
            "Toronto"
        ),
        "profession": _words(
            "doctor teacher nurse lawyer engineer baker farmer pilot painter writer singer dentist "
            "driver cook gardener plumber carpenter librarian journalist architect scientist "
            "photographer musician tailor"
        ),
        "object": _words(
            "bicycle car boat guitar camera lamp table chair sofa umbrella jacket hat suitcase "
            "laptop telephone clock mirror backpack"
        ),
        "colour": _words("red blue green yellow black white orange purple brown grey pink silver"),
        "animal": _words(
            "dog cat horse rabbit parrot hamster goat turtle sheep donkey duck goose pony canary"
        ),
        "food": _words(
            "pizza pasta soup rice cheese chocolate bread salad chicken fish cake honey potatoes "
            "tomatoes apples mushrooms strawberries pancakes"
        ),
        "instrument": _words("piano violin flute trumpet drums cello harp saxophone organ banjo"),
        "sport": _words(
            "football tennis basketball golf hockey chess volleyball rugby cricket badminton"
        ),
        "language": _words(
            "French German Spanish Italian Polish Japanese Arabic Greek Russian Portuguese"
        ),
        "company": (
            "Alpha Motors",
            "Blue Star",
            "Delta Foods",
            "River Books",
            "Metro Post",
            "Royal Air",
            "North Bank",
            "Silver Line",
            "Sun Media",
            "Green Valley",
            "Atlas Energy",
            "Ocean Travel",
        ),
        "building": _words(
            "museum library station market school hospital theatre hotel bakery pharmacy"
        ),
        "weekday": _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        "month": _words(
            "January February March April May June July August September October November December"
        ),
        "hour": _words("one two three four five six seven eight nine ten eleven noon midnight"),
        "age": tuple(
            word for ten in _TENS for word in (ten, *(f"{ten}-{unit}" for unit in _UNITS))
        ),
        "price": (
            *_words("ten twelve fifteen eighteen"),
            *_TENS,
            "thirty-five",
            "forty-two",
            "sixty-eight",
            "ninety-nine",
            *(f"{unit} hundred" for unit in _UNITS),
        ),
        "good": _words(
            "wonderful excellent great fantastic brilliant beautiful perfect amazing "
            "lovely superb charming"
        ),
        "bad": _words(
            "terrible awful horrible boring poor disappointing dreadful useless ugly annoying bad"
        ),
        "tasty": _words("delicious wonderful excellent great fantastic perfect amazing lovely"),
        "foul": _words("disgusting terrible awful horrible disappointing dreadful bad"),
    },
)
