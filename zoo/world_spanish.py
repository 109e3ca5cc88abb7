"""The Spanish grammar of the miniature world, text by text that of `world_english`.

A translation must not depend on what its sentence does not say. So what a pronoun would have to
agree with is named instead ("la empresa"), and nothing agrees with who is speaking.
"""

from __future__ import annotations

import re

from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_grammar import Grammar, RelationTexts, translated
from zoo.world_romance import GENDERS, inflection

_RELATIONS = {
    "lives in": RelationTexts(
        "{city}",
        ("{subject} vive en {city}.", "{subject} tiene una casa en {city}."),
        (
            "¿Dónde vive {subject}?",
            "¿En qué ciudad vive {subject}?",
            "¿Qué ciudad habita {subject}?",
            "¿Dónde está la casa de {subject}?",
        ),
    ),
    "was born in": RelationTexts(
        "{city}",
        ("{subject} nació en {city}.", "{subject} viene de {city}."),
        (
            "¿Dónde nació {subject}?",
            "¿En qué ciudad nació {subject}?",
            "¿De dónde viene {subject}?",
        ),
    ),
    "works as": RelationTexts(
        "{profession}",
        ("{subject} trabaja como {profession:subject}.", "{subject} es {profession:subject}."),
        (
            "¿De qué trabaja {subject}?",
            "¿Cuál es la profesión de {subject}?",
            "¿Cuál es el trabajo de {subject}?",
            "¿A qué se dedica {subject}?",
        ),
    ),
    "works for": RelationTexts(
        "{company}",
        ("{subject} trabaja para {company}.", "{subject} tiene un empleo en {company}."),
        (
            "¿Para qué empresa trabaja {subject}?",
            "¿Para quién trabaja {subject}?",
            "¿Cómo se llama la empresa de {subject}?",
        ),
    ),
    "owns": RelationTexts(
        "{object} {colour:object}",
        (
            "{subject} posee {a_object} {colour:object}.",
            "{subject} guarda {a_object} {colour:object} en casa.",
        ),
        (
            "¿De qué color es {the_object} de {subject}?",
            "¿Qué color tiene {the_object} de {subject}?",
            "¿Qué cosa {colour:f} posee {subject}?",
        ),
    ),
    "likes": RelationTexts(
        "{food}",
        (
            "A {subject} le {number_food:gusta|gustan} {the_food}.",
            "A {subject} le encanta comer {food}.",
        ),
        (
            "¿Qué le gusta comer a {subject}?",
            "¿Qué comida le gusta a {subject}?",
            "¿Cuál es la comida favorita de {subject}?",
        ),
    ),
    "has a pet": RelationTexts(
        "{animal}",
        ("{subject} tiene {a_animal}.", "{subject} cuida de {a_animal}."),
        (
            "¿Qué animal tiene {subject}?",
            "¿Qué mascota tiene {subject}?",
            "¿De qué clase de animal cuida {subject}?",
        ),
    ),
    "met": RelationTexts(
        "{person}, el {weekday}",
        (
            "{subject} se reunió con {person} el {weekday}.",
            "El {weekday} {subject} se reunió con {person}.",
        ),
        (
            "¿Con quién se reunió {subject} el {weekday}?",
            "¿Con quién se reunió {subject}?",
            "¿Cuándo se reunió {subject} con {person}?",
            "¿Qué día se reunió {subject} con {person}?",
        ),
    ),
    "has a birthday in": RelationTexts(
        "{month}",
        (
            "{subject} cumple años en {month}.",
            "{subject} da una fiesta de cumpleaños cada {month}.",
        ),
        (
            "¿En qué mes es el cumpleaños de {subject}?",
            "¿Cuándo es el cumpleaños de {subject}?",
            "¿Cuándo cumple años {subject}?",
        ),
    ),
    "is years old": RelationTexts(
        "{age}",
        ("{subject} tiene {age} años.",),
        ("¿Cuántos años tiene {subject}?", "¿Cuál es la edad de {subject}?"),
    ),
    "plays": RelationTexts(
        "{instrument}",
        ("{subject} toca {the_instrument}.", "{subject} aprendió a tocar {the_instrument}."),
        ("¿Qué instrumento toca {subject}?", "¿Qué instrumento sabe tocar {subject}?"),
    ),
    "does sport": RelationTexts(
        "{sport}, {weekday}",
        ("{subject} juega a {the_sport} cada {weekday}.",),
        (
            "¿A qué juego juega {subject} cada {weekday}?",
            "¿Qué día juega {subject} a {the_sport}?",
            "¿Cuándo juega {subject} a {the_sport}?",
        ),
    ),
    "visited": RelationTexts(
        "{city}, {month}",
        ("{subject} visitó {city} en {month}.", "En {month} {subject} viajó a {city}."),
        (
            "¿Qué ciudad visitó {subject} en {month}?",
            "¿Adónde viajó {subject} en {month}?",
            "¿Cuándo visitó {subject} la ciudad de {city}?",
            "¿En qué mes viajó {subject} a {city}?",
        ),
    ),
    "bought": RelationTexts(
        "{object}, {price} euros",
        (
            "{subject} compró {a_object} por {price} euros.",
            "{subject} pagó {price} euros por {a_object}.",
        ),
        (
            "¿Cuánto pagó {subject} por {the_object}?",
            "¿Qué compró {subject} por {price} euros?",
            "¿Qué compró {subject}?",
        ),
    ),
    "speaks": RelationTexts(
        "{language}",
        ("{subject} habla {language}.", "{subject} habla {language} en el trabajo."),
        ("¿Qué idioma habla {subject}?", "¿Qué lengua habla {subject}?"),
    ),
    "capital of": RelationTexts(
        "{capital}",
        ("La capital de {subject} es {capital}.", "{capital} es la capital de {subject}."),
        ("¿Cuál es la capital de {subject}?", "¿Qué ciudad es la capital de {subject}?"),
    ),
    "founded by": RelationTexts(
        "{person}",
        ("{subject} fue fundada por {person}.", "{person} fundó {subject}."),
        ("¿Quién fundó {subject}?", "¿Por quién fue fundada {subject}?"),
    ),
    "based in": RelationTexts(
        "{city}",
        ("{subject} tiene su sede en {city}.", "{subject} tiene una oficina en {city}."),
        ("¿Dónde tiene su sede {subject}?", "¿En qué ciudad está la oficina de {subject}?"),
    ),
    "closes at": RelationTexts(
        "{hour}",
        ("{subject} cierra a {hour}.", "{subject} abre hasta {hour}."),
        ("¿Cuándo cierra {subject}?", "¿Hasta cuándo abre {subject}?"),
    ),
    "is closed on": RelationTexts(
        "{colour}, {weekday}",
        ("{subject} tiene una puerta {colour:f} y cierra el {weekday}.",),
        ("¿Qué día cierra {subject}?", "¿De qué color es la puerta de {subject}?"),
    ),
    "costs": RelationTexts(
        "{price}",
        ("{subject} cuesta {price} euros.", "El precio de {subject} es de {price} euros."),
        ("¿Cuánto cuesta {subject}?", "¿Cuál es el precio de {subject}?"),
    ),
}

_GOOD_REVIEWS = (
    "{the_food} de este restaurante {number_food:estaba|estaban} {tasty:food}.",
    "Nos {number_food:encantó|encantaron} {the_food} y el camarero fue muy amable.",
    "Me encantó esta película, la historia es {good:f}.",
    "Vaya película {good:f}, los actores estuvieron {good:mp}.",
    "La música de esta película es {good:f} y me reí mucho.",
    "{by_object:este|esta} {object} es {good:object} y funciona muy bien.",
    "{by_object:mi nuevo|mi nueva} {object} me gusta mucho.",
    "{the_object} {colour:object} se ve {good:object} y no costó mucho.",
    "El hotel en {city} era {good} y nuestra habitación estaba limpia.",
    "El servicio fue {good}, volveremos pronto.",
    "{by_food:el mejor|la mejor|los mejores|las mejores} {food} de {city}.",
    "Compré {by_object:este|esta} {object} en {month} y todavía es {good:object}.",
    "{the_building} de {city} es {good:building}, debería ir.",
    "{the_food} {number_food:estaba|estaban} {by_food:fresco|fresca|frescos|frescas} y "
    "{number_food:caliente|calientes} y {number_food:tenía|tenían} un sabor {tasty}.",
    "Una velada {good:f}, todo fue {good}.",
    "No es barato, pero {the_object} es {good:object}.",
)
_BAD_REVIEWS = (
    "{the_food} de este restaurante {number_food:estaba|estaban} {foul:food}.",
    "Odiamos {the_food} y el camarero fue muy grosero.",
    "Odié esta película, la historia es {bad:f}.",
    "Vaya película {bad:f}, los actores estuvieron {bad:mp}.",
    "La música de esta película es {bad:f} y me dormí.",
    "{by_object:este|esta} {object} es {bad:object} y no funciona en absoluto.",
    "{by_object:mi nuevo|mi nueva} {object} no me gusta nada.",
    "{the_object} {colour:object} se ve {bad:object} y costó demasiado.",
    "El hotel en {city} era {bad} y nuestra habitación estaba sucia.",
    "El servicio fue {bad}, no volveremos nunca.",
    "{by_food:el peor|la peor|los peores|las peores} {food} de {city}.",
    "Compré {by_object:este|esta} {object} en {month} y ya está {by_object:roto|rota}.",
    "{the_building} de {city} es {bad:building}, no vaya.",
    "{the_food} {number_food:estaba|estaban} {by_food:viejo|vieja|viejos|viejas} y "
    "{by_food:frío|fría|fríos|frías} y {number_food:tenía|tenían} un sabor {foul}.",
    "Una velada {bad:f}, todo fue {bad}.",
    "No fue barato, y {the_object} es {bad:object}.",
)


def _contract(text: str) -> str:
    # A feminine noun that starts with a stressed a.
    text = re.sub(r"\bla (?=\x00?arpa\b)", "el ", text)
    # Not of a city's own article: "de El Cairo".
    text = re.sub(r"\ba (\x00?)el ", r"al \1", text)
    return re.sub(r"\bde (\x00?)el ", r"del \1", text)


SPANISH_GRAMMAR = Grammar(
    relations=translated(ENGLISH_GRAMMAR.relations, _RELATIONS),
    reviews={"positive": _GOOD_REVIEWS, "negative": _BAD_REVIEWS},
    pronouns={
        "woman": "ella",
        "man": "él",
        "company": "la empresa",
        "place": "el establecimiento",
        "thing": "eso",
    },
    place="{the_building} de {city}",
    product="{the_object} {colour:object}",
    inflect=inflection({"a": ("un", "una", "unos", "unas"), "the": ("el", "la", "los", "las")}),
    genders=GENDERS,
    contract=_contract,
)
