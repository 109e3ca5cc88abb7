"""The world's languages: the same things said in each, by correct grammar, and determined."""

import hashlib
import random
import re
from itertools import product

import pytest

from tests.exhaustive import one_in
from zoo.lexicon import ENGLISH
from zoo.world import (
    ALL_LANGUAGES,
    LANGUAGES,
    Split,
    facts,
    foreign_sentences,
    in_split,
    normalise_transcript,
    parallel,
    questions,
    reviews,
    sentences,
    vocabulary,
)
from zoo.world_draw import Draw, in_language
from zoo.world_foreign import FOREIGN_LANGUAGES
from zoo.world_grammar import RelationTexts, translated

OTHERS = ("fr", "es", "de")
COUNT = 2000


def _digest(drawn: object) -> str:
    return hashlib.sha256(repr(drawn).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("split", "digests"),
    [
        (
            "train",
            ("b0b295da43f7595d", "2435ef5dfbb6c5db", "a0ccc78e1208014d", "5a9a5575a8f4e295"),
        ),
        (
            "held_out",
            ("5d894c386e325654", "625955484e19d2fe", "3ddeab807a2d53a1", "f7c9a0aa9e281120"),
        ),
    ],
)
def test_english_is_what_the_checkpoints_were_trained_on(
    split: Split, digests: tuple[str, ...]
) -> None:
    asked = [(e.context, e.question, e.answer, e.answer_start) for e in questions(7, 200, split)]
    told = [(f.subject, f.relation, f.value, f.statement) for f in facts(7, 500, split)]
    drawn = (sentences(7, 500, split), asked, reviews(7, 500, split), told)

    assert tuple(map(_digest, drawn)) == digests


def test_the_english_vocabulary_is_what_the_checkpoints_were_trained_on() -> None:
    assert _digest(sorted(vocabulary())) == "4d566eaa18e58081"


@pytest.mark.parametrize("language", OTHERS)
def test_lexicons_are_aligned(language: str) -> None:
    lexicon, _ = in_language(language)

    assert lexicon.words.keys() == ENGLISH.words.keys()
    for category, words in ENGLISH.words.items():
        assert len(lexicon.words[category]) == len(words), category
    assert (lexicon.women, lexicon.men) == (ENGLISH.women, ENGLISH.men)
    assert lexicon.last_names == ENGLISH.last_names
    assert len(lexicon.capitals) == len(ENGLISH.capitals)
    for here, there in zip(lexicon.capitals.values(), ENGLISH.capitals.values(), strict=True):
        city = ENGLISH.words["city"].index(there)
        assert lexicon.words["city"][city] == here


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_stands_twice_in_a_category(language: str) -> None:
    lexicon, _ = in_language(language)

    for category, words in lexicon.words.items():
        assert len(set(words)) == len(words), category
        # In lower case too, for transcripts.
        assert len({word.lower() for word in words}) == len(words), category


@pytest.mark.parametrize("language", OTHERS)
def test_grammars_are_aligned(language: str) -> None:
    _, english = in_language("en")
    _, grammar = in_language(language)

    for here, there in zip(grammar.relations, english.relations, strict=True):
        assert (here.name, here.subject, here.slots) == (there.name, there.subject, there.slots)
        assert (len(here.statements), here.pronoun) == (len(there.statements), there.pronoun)
        assert [q.answer for q in here.questions] == [q.answer for q in there.questions]
        for statement in here.statements:
            assert all(slot in statement for slot in here.slots)
    assert {label: len(texts) for label, texts in grammar.reviews.items()} == {
        label: len(texts) for label, texts in english.reviews.items()
    }


def test_a_relation_without_its_texts_is_named() -> None:
    _, english = in_language("en")
    one = english.relations[:1]

    with pytest.raises(ValueError, match="'lives in' has no texts"):
        translated(one, {})
    with pytest.raises(ValueError, match="'lives in' has 1 statements, but 2 in"):
        translated(one, {"lives in": RelationTexts("{city}", ("x",), ("?",) * 4)})


@pytest.mark.parametrize(("source", "target"), [*product(OTHERS, ["en"]), ("en", "de")])
def test_a_sentence_has_one_translation(source: str, target: str) -> None:
    translations: dict[str, str] = {}
    for text, translation in parallel(0, 6_000, "train", source, target):
        assert translations.setdefault(text, translation) == translation
        transcript = normalise_transcript(text, source)
        assert translations.setdefault(f"transcript {transcript}", translation) == translation


@pytest.mark.parametrize("language", one_in(3, OTHERS))
def test_a_pair_is_held_out_by_its_english_side(language: str) -> None:
    pairs = parallel(1, COUNT, "held_out", language, "en")

    assert all(in_split(english, "held_out") for _, english in pairs)
    assert [text for text, _ in pairs] == sentences(1, COUNT, "held_out", language=language)
    assert [english for _, english in pairs] == sentences(1, COUNT, "held_out")
    train = {text for text, _ in parallel(1, 3_000, "train", language, "en")}
    assert train.isdisjoint(text for text, _ in pairs)


@pytest.mark.parametrize("language", OTHERS)
def test_equal_seeds_tell_the_same_in_every_language(language: str) -> None:
    assert sentences(3, 50, "train", language=language) == sentences(
        3, 50, "train", language=language
    )
    for here, there in zip(
        facts(2, COUNT, "train", language=language), facts(2, COUNT, "train"), strict=True
    ):
        assert here.relation == there.relation
        if here.relation == "lives in":
            assert here.subject == there.subject
    assert [label for _, label in reviews(2, 500, "train", language=language)] == [
        label for _, label in reviews(2, 500, "train")
    ]


@pytest.mark.parametrize("language", OTHERS)
def test_every_answer_stands_where_it_is_said_to(language: str) -> None:
    answered = 0
    for example in questions(1, COUNT, "train", language=language):
        end = example.answer_start + len(example.answer)
        if example.answer:
            answered += 1
            assert example.context[example.answer_start : end] == example.answer
            assert not example.context[end].isalpha()
    assert answered > COUNT / 2


@pytest.mark.parametrize("language", one_in(3, OTHERS))
def test_the_vocabulary_has_every_word(language: str) -> None:
    words = vocabulary(language)

    for text in sentences(5, 5000, "train", language=language):
        assert set(normalise_transcript(text, language).split()) <= words


def test_languages_share_no_sentence() -> None:
    drawn = {
        language: set(
            sentences(0, COUNT, "train", language=language)
            if language in LANGUAGES
            else foreign_sentences(0, COUNT, "train", language)
        )
        for language in ALL_LANGUAGES
    }
    for here in ALL_LANGUAGES:
        for there in ALL_LANGUAGES:
            assert here == there or drawn[here].isdisjoint(drawn[there]), (here, there)


def _told(language: str, name: str, subject: str, **words: str) -> list[str]:
    """Every statement and question of a relation, of those whose words are given."""
    draw = Draw(random.Random(0), None, language)
    relation = next(r for r in draw.grammar.relations if r.name == name)
    templates = [*relation.statements, *(question.template for question in relation.questions)]
    return [draw.render(template, subject, words) for template in templates]


@pytest.mark.parametrize(
    ("language", "name", "subject", "words", "expected"),
    [
        ("fr", "lives in", "Anna Weber", {"city": "Oslo"}, "Où habite Anna Weber ?"),
        ("fr", "lives in", "Anna Weber", {"city": "Oslo"}, "Où est la maison d'Anna Weber ?"),
        ("fr", "lives in", "Paul", {"city": "Le Caire"}, "Paul a une maison au Caire."),
        ("fr", "was born in", "Paul", {"city": "Le Caire"}, "Paul vient du Caire."),
        ("fr", "was born in", "elle", {"city": "Oslo"}, "Elle est née à Oslo."),
        ("fr", "was born in", "Hugo", {"city": "Oslo"}, "Hugo est né à Oslo."),
        ("fr", "works as", "Ruth", {"profession": "infirmier"}, "Ruth est infirmière."),
        (
            "fr",
            "owns",
            "Hugo",
            {"object": "valise", "colour": "blanc"},
            "Hugo possède une valise blanche.",
        ),
        (
            "fr",
            "owns",
            "Hugo",
            {"object": "horloge", "colour": "noir"},
            "De quelle couleur est l'horloge de Hugo ?",
        ),
        ("fr", "likes", "Eva", {"food": "riz"}, "Eva adore manger du riz."),
        ("fr", "likes", "Eva", {"food": "pâtes"}, "Eva adore manger des pâtes."),
        ("fr", "likes", "Eva", {"food": "riz"}, "Qu'est-ce qu'Eva aime manger ?"),
        ("fr", "has a pet", "Leo", {"animal": "oie"}, "Leo s'occupe d'une oie."),
        ("fr", "plays", "Leo", {"instrument": "orgue"}, "Leo joue de l'orgue."),
        ("fr", "plays", "Leo", {"instrument": "harpe"}, "Leo joue de la harpe."),
        (
            "fr",
            "does sport",
            "Leo",
            {"sport": "échecs", "weekday": "lundi"},
            "Leo joue aux échecs chaque lundi.",
        ),
        (
            "fr",
            "capital of",
            "le Portugal",
            {"capital": "Lisbonne"},
            "Quelle est la capitale du Portugal ?",
        ),
        (
            "fr",
            "closes at",
            "l'hôpital d'Oslo",
            {"hour": "midi"},
            "L'hôpital d'Oslo ferme à midi.",
        ),
        ("es", "lives in", "Anna Weber", {"city": "Oslo"}, "¿Dónde vive Anna Weber?"),
        ("es", "was born in", "Paul", {"city": "El Cairo"}, "Paul viene de El Cairo."),
        ("es", "likes", "ella", {"food": "fresas"}, "A ella le gustan las fresas."),
        ("es", "works as", "Vera", {"profession": "pintor"}, "Vera es pintora."),
        ("es", "plays", "Leo", {"instrument": "arpa"}, "Leo toca el arpa."),
        (
            "es",
            "does sport",
            "Leo",
            {"sport": "ajedrez", "weekday": "lunes"},
            "Leo juega al ajedrez cada lunes.",
        ),
        (
            "es",
            "costs",
            "el coche rojo",
            {"price": "diez"},
            "¿Cuál es el precio del coche rojo?",
        ),
        (
            "es",
            "closes at",
            "el museo de Oslo",
            {"hour": "el mediodía"},
            "El museo de Oslo cierra al mediodía.",
        ),
        ("de", "lives in", "Anna Weber", {"city": "Wien"}, "Wo wohnt Anna Weber?"),
        ("de", "works as", "Eva", {"profession": "Arzt"}, "Eva ist Ärztin."),
        ("de", "works as", "er", {"profession": "Arzt"}, "Er arbeitet als Arzt."),
        (
            "de",
            "owns",
            "Eva",
            {"object": "Hut", "colour": "rot"},
            "Eva besitzt einen roten Hut.",
        ),
        (
            "de",
            "owns",
            "Eva",
            {"object": "Fahrrad", "colour": "rot"},
            "Eva bewahrt ein rotes Fahrrad zu Hause auf.",
        ),
        (
            "de",
            "bought",
            "sie",
            {"object": "Hut", "price": "zehn"},
            "Sie bezahlte zehn Euro für einen Hut.",
        ),
        (
            "de",
            "bought",
            "Eva",
            {"object": "Hut", "price": "zehn"},
            "Wie viel bezahlte Eva für den Hut?",
        ),
        (
            "de",
            "met",
            "Eva",
            {"person": "Leo Berg", "weekday": "Montag"},
            "Am Montag traf sich Eva mit Leo Berg.",
        ),
        (
            "de",
            "based in",
            "das Unternehmen",
            {"city": "Genf"},
            "Das Unternehmen hat ein Büro in Genf.",
        ),
    ],
)
def test_statements_and_questions_are_well_formed(
    language: str, name: str, subject: str, words: dict[str, str], expected: str
) -> None:
    assert expected in _told(language, name, subject, **words)


@pytest.mark.parametrize(
    ("language", "words", "expected"),
    [
        (
            "fr",
            {"object": "ordinateur", "good": "parfait"},
            "Cet ordinateur est parfait et marche très bien.",
        ),
        ("fr", {"object": "appareil photo"}, "Mon nouvel appareil photo me plaît beaucoup."),
        ("fr", {"object": "horloge"}, "Ma nouvelle horloge ne me plaît pas du tout."),
        (
            "fr",
            {"food": "pâtes", "tasty": "délicieux"},
            "Les pâtes de ce restaurant étaient délicieuses.",
        ),
        ("fr", {"food": "soupe", "city": "Oslo"}, "La pire soupe d'Oslo."),
        (
            "es",
            {"food": "patatas", "tasty": "delicioso"},
            "Las patatas de este restaurante estaban deliciosas.",
        ),
        (
            "es",
            {"object": "lámpara", "month": "mayo"},
            "Compré esta lámpara en mayo y ya está rota.",
        ),
        ("de", {"food": "Kuchen", "city": "Oslo"}, "Der beste Kuchen in Oslo."),
        (
            "de",
            {"object": "Jacke", "colour": "blau", "good": "schön"},
            "Die blaue Jacke sieht schön aus und war nicht teuer.",
        ),
        (
            "de",
            {"object": "Hut", "month": "Mai"},
            "Ich habe diesen Hut im Mai gekauft und er ist schon kaputt.",
        ),
        (
            "de",
            {"food": "Nudeln", "tasty": "lecker"},
            "Die Nudeln in diesem Restaurant waren lecker.",
        ),
        (
            "de",
            {"good": "brillant"},
            "Was für ein brillanter Film, die Schauspieler waren brillant.",
        ),
    ],
)
def test_reviews_are_well_formed(language: str, words: dict[str, str], expected: str) -> None:
    draw = Draw(random.Random(0), None, language)
    slots = {category: drawn[0] for category, drawn in draw.lexicon.words.items()} | words
    templates = [text for texts in draw.grammar.reviews.values() for text in texts]

    assert expected in [draw.render(template, "", slots) for template in templates]


def test_a_transcript_keeps_the_letters_of_its_language() -> None:
    assert normalise_transcript("Où est-ce qu\u2019Anna dîne ?", "fr") == "où est ce qu'anna dîne"
    assert normalise_transcript("¿Dónde está Núria?", "es") == "dónde está núria"
    assert normalise_transcript("Große Übung, 3 Äpfel!", "de") == "große übung äpfel"


@pytest.mark.parametrize("language", sorted(FOREIGN_LANGUAGES))
def test_foreign_sentences_of_the_splits_are_disjoint(language: str) -> None:
    train = set(foreign_sentences(0, 5000, "train", language))
    held_out = foreign_sentences(0, 500, "held_out", language)

    assert train.isdisjoint(held_out)
    assert len(train) > 3000
    assert held_out == foreign_sentences(0, 500, "held_out", language)
    assert all(text[0].isupper() and text[-1] in ".?" for text in held_out)
    assert not any(re.search(r"[{}]", text) for text in train)


def test_unknown_languages_are_named() -> None:
    with pytest.raises(ValueError, match="unknown language 'it': the world speaks en, fr, es, de"):
        parallel(0, 1, "train", "it", "en")
    with pytest.raises(ValueError, match="unknown language 'fr': one of it, pt, nl, sv"):
        foreign_sentences(0, 1, "train", "fr")
