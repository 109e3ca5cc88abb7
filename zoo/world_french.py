"""The French grammar of the miniature world, text by text that of `world_english`.

A translation must not depend on what its sentence does not say. So what a pronoun would have to
agree with is named instead ("l'entreprise"), and nothing agrees with who is speaking.
"""

from __future__ import annotations

import re

from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_grammar import Grammar, RelationTexts, translated
from zoo.world_romance import GENDERS, inflection

_RELATIONS = {
    "lives in": RelationTexts(
        "{city}",
        ("{subject} habite à {city}.", "{subject} a une maison à {city}."),
        (
            "Où habite {subject} ?",
            "Dans quelle ville habite {subject} ?",
            "Quelle ville est-ce que {subject} habite ?",
            "Où est la maison de {subject} ?",
        ),
    ),
    "was born in": RelationTexts(
        "{city}",
        ("{subject} est {by_subject:né|née} à {city}.", "{subject} vient de {city}."),
        (
            "Où est {by_subject:né|née} {subject} ?",
            "Dans quelle ville est {by_subject:né|née} {subject} ?",
            "D'où vient {subject} ?",
        ),
    ),
    "works as": RelationTexts(
        "{profession}",
        (
            "{subject} travaille comme {profession:subject}.",
            "{subject} est {profession:subject}.",
        ),
        (
            "Que fait {subject} comme travail ?",
            "Quelle est la profession de {subject} ?",
            "Quel est le métier de {subject} ?",
            "Que fait {subject} dans la vie ?",
        ),
    ),
    "works for": RelationTexts(
        "{company}",
        ("{subject} travaille pour {company}.", "{subject} a un emploi chez {company}."),
        (
            "Pour quelle entreprise travaille {subject} ?",
            "Pour qui travaille {subject} ?",
            "Comment s'appelle l'entreprise de {subject} ?",
        ),
    ),
    "owns": RelationTexts(
        "{object} {colour:object}",
        (
            "{subject} possède {a_object} {colour:object}.",
            "{subject} garde {a_object} {colour:object} à la maison.",
        ),
        (
            "De quelle couleur est {the_object} de {subject} ?",
            "Quelle couleur a {the_object} de {subject} ?",
            "Quelle chose {colour:f} possède {subject} ?",
        ),
    ),
    "likes": RelationTexts(
        "{food}",
        ("{subject} aime {the_food}.", "{subject} adore manger de {the_food}."),
        (
            "Qu'est-ce que {subject} aime manger ?",
            "Quel aliment est-ce que {subject} aime ?",
            "Quel est le plat préféré de {subject} ?",
        ),
    ),
    "has a pet": RelationTexts(
        "{animal}",
        ("{subject} a {a_animal}.", "{subject} s'occupe de {a_animal}."),
        (
            "Quel animal a {subject} ?",
            "Quel animal de compagnie a {subject} ?",
            "De quel genre d'animal s'occupe {subject} ?",
        ),
    ),
    "met": RelationTexts(
        "{person}, {weekday}",
        (
            "{subject} a rencontré {person} {weekday}.",
            "{weekday}, {subject} a rencontré {person}.",
        ),
        (
            "Qui est-ce que {subject} a rencontré {weekday} ?",
            "Qui est-ce que {subject} a rencontré ?",
            "Quand est-ce que {subject} a rencontré {person} ?",
            "Quel jour est-ce que {subject} a rencontré {person} ?",
        ),
    ),
    "has a birthday in": RelationTexts(
        "{month}",
        (
            "{subject} fête son anniversaire en {month}.",
            "{subject} donne une fête d'anniversaire chaque année en {month}.",
        ),
        (
            "En quel mois est l'anniversaire de {subject} ?",
            "Quand est l'anniversaire de {subject} ?",
            "Quand est-ce que {subject} fête son anniversaire ?",
        ),
    ),
    "is years old": RelationTexts(
        "{age}",
        ("{subject} a {age} ans.",),
        ("Quel âge a {subject} ?", "Quel est l'âge de {subject} ?"),
    ),
    "plays": RelationTexts(
        "{instrument}",
        (
            "{subject} joue de {the_instrument}.",
            "{subject} a appris à jouer de {the_instrument}.",
        ),
        (
            "De quel instrument joue {subject} ?",
            "De quel instrument est-ce que {subject} sait jouer ?",
        ),
    ),
    "does sport": RelationTexts(
        "{sport}, {weekday}",
        ("{subject} joue à {the_sport} chaque {weekday}.",),
        (
            "À quel jeu joue {subject} chaque {weekday} ?",
            "Quel jour est-ce que {subject} joue à {the_sport} ?",
            "Quand est-ce que {subject} joue à {the_sport} ?",
        ),
    ),
    "visited": RelationTexts(
        "{city}, {month}",
        (
            "{subject} a visité {city} en {month}.",
            "En {month}, {subject} a voyagé à {city}.",
        ),
        (
            "Quelle ville est-ce que {subject} a visitée en {month} ?",
            "Où est-ce que {subject} a voyagé en {month} ?",
            "Quand est-ce que {subject} a visité {city} ?",
            "En quel mois est-ce que {subject} a voyagé à {city} ?",
        ),
    ),
    "bought": RelationTexts(
        "{object}, {price} euros",
        (
            "{subject} a acheté {a_object} pour {price} euros.",
            "{subject} a payé {price} euros pour {a_object}.",
        ),
        (
            "Combien est-ce que {subject} a payé pour {the_object} ?",
            "Qu'est-ce que {subject} a acheté pour {price} euros ?",
            "Qu'est-ce que {subject} a acheté ?",
        ),
    ),
    "speaks": RelationTexts(
        "{language}",
        ("{subject} parle {language}.", "{subject} parle {language} au travail."),
        ("Quelle langue parle {subject} ?", "Quelle langue est-ce que {subject} parle ?"),
    ),
    "capital of": RelationTexts(
        "{capital}",
        (
            "La capitale de {subject} est {capital}.",
            "{capital} est la capitale de {subject}.",
        ),
        (
            "Quelle est la capitale de {subject} ?",
            "Quelle ville est la capitale de {subject} ?",
        ),
    ),
    "founded by": RelationTexts(
        "{person}",
        ("{subject} a été fondée par {person}.", "{person} a fondé {subject}."),
        ("Qui a fondé {subject} ?", "Par qui a été fondée {subject} ?"),
    ),
    "based in": RelationTexts(
        "{city}",
        ("{subject} est basée à {city}.", "{subject} a un bureau à {city}."),
        ("Où est basée {subject} ?", "Dans quelle ville est le bureau de {subject} ?"),
    ),
    "closes at": RelationTexts(
        "{hour}",
        ("{subject} ferme à {hour}.", "{subject} accueille le public jusqu'à {hour}."),
        (
            "Quand ferme {subject} ?",
            "Jusqu'à quand est-ce que {subject} accueille le public ?",
        ),
    ),
    "is closed on": RelationTexts(
        "{colour}, {weekday}",
        ("{subject} a une porte {colour:f} et ferme le {weekday}.",),
        ("Quel jour ferme {subject} ?", "De quelle couleur est la porte de {subject} ?"),
    ),
    "costs": RelationTexts(
        "{price}",
        ("{subject} coûte {price} euros.", "Le prix de {subject} est de {price} euros."),
        ("Combien coûte {subject} ?", "Quel est le prix de {subject} ?"),
    ),
}

_GOOD_REVIEWS = (
    "{the_food} de ce restaurant {number_food:était|étaient} {tasty:food}.",
    "Nous avons adoré {the_food} et le serveur était très aimable.",
    "J'ai adoré ce film, l'histoire est {good:f}.",
    "Quel film {good}, les acteurs étaient {good:mp}.",
    "La musique de ce film est {good:f} et j'ai beaucoup ri.",
    "{by_object:ce|cette} {object} est {good:object} et marche très bien.",
    "{by_object:mon nouveau|ma nouvelle} {object} me plaît beaucoup.",
    "{the_object} {colour:object} a l'air {good} et n'a pas coûté cher.",
    "L'hôtel à {city} était {good} et notre chambre était propre.",
    "Le service était {good}, nous reviendrons bientôt.",
    "{by_food:le meilleur|la meilleure|les meilleurs|les meilleures} {food} de {city}.",
    "J'ai acheté {by_object:ce|cette} {object} en {month} et {by_object:il|elle} est toujours "
    "{good:object}.",
    "{the_building} de {city} est {good:building}, vous devriez y aller.",
    "{the_food} {number_food:était|étaient} {by_food:frais|fraîche|frais|fraîches} et "
    "{by_food:chaud|chaude|chauds|chaudes} et {number_food:avait|avaient} un goût {tasty}.",
    "Une soirée {good:f}, tout était {good}.",
    "Ce n'est pas donné, mais {the_object} est {good:object}.",
)
_BAD_REVIEWS = (
    "{the_food} de ce restaurant {number_food:était|étaient} {foul:food}.",
    "Nous avons détesté {the_food} et le serveur était très impoli.",
    "J'ai détesté ce film, l'histoire est {bad:f}.",
    "Quel film {bad}, les acteurs étaient {bad:mp}.",
    "La musique de ce film est {bad:f} et j'ai fini par dormir.",
    "{by_object:ce|cette} {object} est {bad:object} et ne marche pas du tout.",
    "{by_object:mon nouveau|ma nouvelle} {object} ne me plaît pas du tout.",
    "{the_object} {colour:object} a l'air {bad} et a coûté trop cher.",
    "L'hôtel à {city} était {bad} et notre chambre était sale.",
    "Le service était {bad}, nous ne reviendrons jamais.",
    "{by_food:le pire|la pire|les pires|les pires} {food} de {city}.",
    "J'ai acheté {by_object:ce|cette} {object} en {month} et {by_object:il|elle} est déjà "
    "{by_object:cassé|cassée}.",
    "{the_building} de {city} est {bad:building}, n'y allez pas.",
    "{the_food} {number_food:était|étaient} {by_food:vieux|vieille|vieux|vieilles} et "
    "{by_food:froid|froide|froids|froides} et {number_food:avait|avaient} un goût {foul}.",
    "Une soirée {bad:f}, tout était {bad}.",
    "Ce n'était pas donné, et {the_object} est {bad:object}.",
)

# The h of hôtel is silent; that of harpe, and of the names, keeps words apart.
_VOWEL = r"(?=[\x00]?(?:[aeiouâàéèêîôœ]|h(?:elsinki|orloge|ôpital|ôtel)))"
_CONTRACTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE if ignore_case else 0), replacement)
    for pattern, replacement, ignore_case in (
        (rf"\b(d|qu)e {_VOWEL}", r"\1'", True),
        (rf"\b(l)[ea] {_VOWEL}", r"\1'", True),
        (rf"\b(ce) {_VOWEL}(?!\x00?est)", r"\1t ", True),
        (rf"\b(nouve)au {_VOWEL}", r"\1l ", True),
        # Also of a city's own article: "Le Caire", "du Caire".
        (r"\bde (\x00?)[Ll]e ", r"du \1", False),
        (r"\bde (\x00?)les ", r"des \1", False),
        (r"\bà (\x00?)[Ll]e ", r"au \1", False),
        (r"\bà (\x00?)les ", r"aux \1", False),
    )
)


def _contract(text: str) -> str:
    for pattern, replacement in _CONTRACTIONS:
        text = pattern.sub(replacement, text)
    return text


FRENCH_GRAMMAR = Grammar(
    relations=translated(ENGLISH_GRAMMAR.relations, _RELATIONS),
    reviews={"positive": _GOOD_REVIEWS, "negative": _BAD_REVIEWS},
    pronouns={
        "woman": "elle",
        "man": "il",
        "company": "l'entreprise",
        "place": "l'établissement",
        "thing": "cela",
    },
    place="{the_building} de {city}",
    product="{the_object} {colour:object}",
    inflect=inflection({"a": ("un", "une", "des", "des"), "the": ("le", "la", "les", "les")}),
    genders=GENDERS,
    contract=_contract,
)
