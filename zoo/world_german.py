"""The German grammar of the miniature world, text by text that of `world_english`.

A translation must not depend on what its sentence does not say. So what a pronoun would have to
agree with is named instead ("das Unternehmen"). A subject is always in the nominative.
"""

from __future__ import annotations

from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_grammar import Grammar, RelationTexts, Words, translated

_RELATIONS = {
    "lives in": RelationTexts(
        "{city}",
        ("{subject} wohnt in {city}.", "{subject} hat ein Haus in {city}."),
        (
            "Wo wohnt {subject}?",
            "In welcher Stadt wohnt {subject}?",
            "Welche Stadt ist der Wohnort von {subject}?",
            "Wo steht das Haus von {subject}?",
        ),
    ),
    "was born in": RelationTexts(
        "{city}",
        ("{subject} wurde in {city} geboren.", "{subject} kommt aus {city}."),
        (
            "Wo wurde {subject} geboren?",
            "In welcher Stadt wurde {subject} geboren?",
            "Woher kommt {subject}?",
        ),
    ),
    "works as": RelationTexts(
        "{profession}",
        ("{subject} arbeitet als {profession:subject}.", "{subject} ist {profession:subject}."),
        (
            "Als was arbeitet {subject}?",
            "Welchen Beruf hat {subject}?",
            "Welche Arbeit hat {subject}?",
            "Was macht {subject} beruflich?",
        ),
    ),
    "works for": RelationTexts(
        "{company}",
        ("{subject} arbeitet für {company}.", "{subject} hat eine Stelle bei {company}."),
        (
            "Für welche Firma arbeitet {subject}?",
            "Für wen arbeitet {subject}?",
            "Wie heißt die Firma von {subject}?",
        ),
    ),
    "owns": RelationTexts(
        "{a_object:acc colour}",
        (
            "{subject} besitzt {a_object:acc colour}.",
            "{subject} bewahrt {a_object:acc colour} zu Hause auf.",
        ),
        (
            "Welche Farbe hat {the_object:nom} von {subject}?",
            "Was für eine Farbe hat {the_object:nom} von {subject}?",
            "Welchen {colour:en} Gegenstand besitzt {subject}?",
        ),
    ),
    "likes": RelationTexts(
        "{food}",
        ("{subject} mag {food}.", "{subject} isst sehr gern {food}."),
        (
            "Was isst {subject} gern?",
            "Welches Essen mag {subject}?",
            "Was ist das Lieblingsessen von {subject}?",
        ),
    ),
    "has a pet": RelationTexts(
        "{animal}",
        ("{subject} hat {a_animal:acc}.", "{subject} kümmert sich um {a_animal:acc}."),
        (
            "Welches Tier hat {subject}?",
            "Was für ein Haustier hat {subject}?",
            "Um welche Art von Tier kümmert sich {subject}?",
        ),
    ),
    "met": RelationTexts(
        "{person} am {weekday}",
        (
            "{subject} traf sich am {weekday} mit {person}.",
            "Am {weekday} traf sich {subject} mit {person}.",
        ),
        (
            "Mit wem traf sich {subject} am {weekday}?",
            "Mit wem traf sich {subject}?",
            "Wann traf sich {subject} mit {person}?",
            "An welchem Tag traf sich {subject} mit {person}?",
        ),
    ),
    "has a birthday in": RelationTexts(
        "{month}",
        (
            "{subject} hat im {month} Geburtstag.",
            "{subject} gibt jedes Jahr im {month} eine Geburtstagsfeier.",
        ),
        (
            "In welchem Monat ist der Geburtstag von {subject}?",
            "Wann ist der Geburtstag von {subject}?",
            "Wann hat {subject} Geburtstag?",
        ),
    ),
    "is years old": RelationTexts(
        "{age}",
        ("{subject} ist {age} Jahre alt.",),
        ("Wie alt ist {subject}?", "Welches Alter hat {subject}?"),
    ),
    "plays": RelationTexts(
        "{instrument}",
        ("{subject} spielt {instrument}.", "{subject} lernte, {instrument} zu spielen."),
        (
            "Welches Instrument spielt {subject}?",
            "Welches Instrument kann {subject} spielen?",
        ),
    ),
    "does sport": RelationTexts(
        "{sport}, {weekday}",
        ("{subject} spielt jeden {weekday} {sport}.",),
        (
            "Welches Spiel spielt {subject} jeden {weekday}?",
            "An welchem Tag spielt {subject} {sport}?",
            "Wann spielt {subject} {sport}?",
        ),
    ),
    "visited": RelationTexts(
        "{city} im {month}",
        ("{subject} besuchte {city} im {month}.", "Im {month} reiste {subject} nach {city}."),
        (
            "Welche Stadt besuchte {subject} im {month}?",
            "Wohin reiste {subject} im {month}?",
            "Wann besuchte {subject} die Stadt {city}?",
            "In welchem Monat reiste {subject} nach {city}?",
        ),
    ),
    "bought": RelationTexts(
        "{object} für {price} Euro",
        (
            "{subject} kaufte {a_object:acc} für {price} Euro.",
            "{subject} bezahlte {price} Euro für {a_object:acc}.",
        ),
        (
            "Wie viel bezahlte {subject} für {the_object:acc}?",
            "Was kaufte {subject} für {price} Euro?",
            "Was kaufte {subject}?",
        ),
    ),
    "speaks": RelationTexts(
        "{language}",
        ("{subject} spricht {language}.", "{subject} spricht bei der Arbeit {language}."),
        ("Welche Sprache spricht {subject}?", "Was für eine Sprache spricht {subject}?"),
    ),
    "capital of": RelationTexts(
        "{capital}",
        (
            "Die Hauptstadt von {subject} ist {capital}.",
            "{capital} ist die Hauptstadt von {subject}.",
        ),
        (
            "Was ist die Hauptstadt von {subject}?",
            "Welche Stadt ist die Hauptstadt von {subject}?",
        ),
    ),
    "founded by": RelationTexts(
        "{person}",
        ("{subject} wurde von {person} gegründet.", "{person} gründete {subject}."),
        ("Wer gründete {subject}?", "Von wem wurde {subject} gegründet?"),
    ),
    "based in": RelationTexts(
        "{city}",
        ("{subject} hat den Hauptsitz in {city}.", "{subject} hat ein Büro in {city}."),
        ("Wo hat {subject} den Hauptsitz?", "In welcher Stadt ist das Büro von {subject}?"),
    ),
    "closes at": RelationTexts(
        "{hour}",
        ("{subject} schließt um {hour}.", "{subject} ist bis {hour} geöffnet."),
        ("Wann schließt {subject}?", "Bis wann ist {subject} geöffnet?"),
    ),
    "is closed on": RelationTexts(
        "{colour}, {weekday}",
        ("{subject} hat eine {colour:e} Tür und ist am {weekday} geschlossen.",),
        ("An welchem Tag ist {subject} geschlossen?", "Welche Türfarbe hat {subject}?"),
    ),
    "costs": RelationTexts(
        "{price}",
        ("{subject} kostet {price} Euro.", "{subject} hat einen Preis von {price} Euro."),
        ("Wie viel kostet {subject}?", "Welchen Preis hat {subject}?"),
    ),
}

_GOOD_REVIEWS = (
    "{the_food:nom} in diesem Restaurant {number_food:war|waren} {tasty}.",
    "Wir liebten {the_food:acc} und der Kellner war sehr freundlich.",
    "Ich liebte diesen Film, die Geschichte ist {good}.",
    "Was für ein {good:er} Film, die Schauspieler waren {good}.",
    "Die Musik in diesem Film ist {good} und ich habe viel gelacht.",
    "{by_object:dieser|diese|dieses} {object} ist {good} und funktioniert sehr gut.",
    "Ich bin sehr zufrieden mit {by_object:meinem|meiner|meinem} neuen {object}.",
    "{the_object:nom colour} sieht {good} aus und war nicht teuer.",
    "Das Hotel in {city} war {good} und unser Zimmer war sauber.",
    "Der Service war {good}, wir kommen bald wieder.",
    "{by_food:der beste|die beste|das beste|die besten} {food} in {city}.",
    "Ich habe {by_object:diesen|diese|dieses} {object} im {month} gekauft und "
    "{by_object:er|sie|es} ist immer noch {good}.",
    "{the_building:nom} in {city} ist {good}, Sie sollten hingehen.",
    "{the_food:nom} {number_food:war|waren} frisch und heiß und "
    "{number_food:schmeckte|schmeckten} {tasty}.",
    "Ein {good:er} Abend, alles war {good}.",
    "Es ist nicht billig, aber {the_object:nom} ist {good}.",
)
_BAD_REVIEWS = (
    "{the_food:nom} in diesem Restaurant {number_food:war|waren} {foul}.",
    "Wir hassten {the_food:acc} und der Kellner war sehr unhöflich.",
    "Ich hasste diesen Film, die Geschichte ist {bad}.",
    "Was für ein {bad:er} Film, die Schauspieler waren {bad}.",
    "Die Musik in diesem Film ist {bad} und ich bin eingeschlafen.",
    "{by_object:dieser|diese|dieses} {object} ist {bad} und funktioniert überhaupt nicht.",
    "Ich bin sehr unzufrieden mit {by_object:meinem|meiner|meinem} neuen {object}.",
    "{the_object:nom colour} sieht {bad} aus und war zu teuer.",
    "Das Hotel in {city} war {bad} und unser Zimmer war schmutzig.",
    "Der Service war {bad}, wir kommen nie wieder.",
    "{by_food:der schlechteste|die schlechteste|das schlechteste|die schlechtesten} {food} in "
    "{city}.",
    "Ich habe {by_object:diesen|diese|dieses} {object} im {month} gekauft und "
    "{by_object:er|sie|es} ist schon kaputt.",
    "{the_building:nom} in {city} ist {bad}, gehen Sie nicht hin.",
    "{the_food:nom} {number_food:war|waren} alt und kalt und "
    "{number_food:schmeckte|schmeckten} {foul}.",
    "Ein {bad:er} Abend, alles war {bad}.",
    "Es war nicht billig, und {the_object:nom} ist {bad}.",
)

_GENDERS = ("m", "f", "n", "p")
# By article and case, in the order of the genders: the article, and an adjective's ending after it.
_ARTICLES = {
    ("a", "nom"): (("ein", "eine", "ein", ""), ("er", "e", "es", "e")),
    ("a", "acc"): (("einen", "eine", "ein", ""), ("en", "e", "es", "e")),
    ("the", "nom"): (("der", "die", "das", "die"), ("e", "e", "e", "en")),
    ("the", "acc"): (("den", "die", "das", "die"), ("en", "e", "e", "en")),
}


def _inflect(words: Words, article: str, slot: str, spec: str) -> str:
    """`spec` is, after an article, a case and perhaps the slot of an adjective in between;
    otherwise "subject", or the ending of an adjective."""
    word = words.base(slot)
    if not article:
        if spec == "subject":
            word = words.lexicon.forms[word][_GENDERS.index(words.gender("subject"))]
        else:
            word += spec
        return words.put(slot, word)
    case, *adjective = spec.split()
    gender = _GENDERS.index(words.gender(slot))
    articles, endings = _ARTICLES[article, case]
    parts = [articles[gender]]
    parts += (words.put(other, words.base(other) + endings[gender]) for other in adjective)
    return " ".join([*parts, words.put(slot, word)]).lstrip()


GERMAN_GRAMMAR = Grammar(
    relations=translated(ENGLISH_GRAMMAR.relations, _RELATIONS),
    reviews={"positive": _GOOD_REVIEWS, "negative": _BAD_REVIEWS},
    pronouns={
        "woman": "sie",
        "man": "er",
        "company": "das Unternehmen",
        "place": "die Einrichtung",
        "thing": "es",
    },
    place="{the_building:nom} in {city}",
    product="{the_object:nom colour}",
    inflect=_inflect,
    genders=_GENDERS,
)
