"""The Spanish words of the miniature world, position by position those of `lexicon.ENGLISH`.

Nouns are given with their gender (`m`, `f`; plural `mp`, `fp`), other words that agree with one as
masculine and feminine, or once where both are the same. Hours have their article.
"""

from __future__ import annotations

from zoo.lexicon import ENGLISH, Lexicon, agreeing, aligned_capitals, nouns, separated


def _plural(form: str) -> str:
    return form + ("s" if form[-1] in "aeiou" else "es")


_TENS = separated("treinta, cuarenta, cincuenta, sesenta, setenta, ochenta, noventa")
_UNITS = separated("un, dos, tres, cuatro, cinco, seis, siete, ocho, nueve")
# As they stand before a noun: "veintiún años".
_AGES = (
    *separated(
        "veinte, veintiún, veintidós, veintitrés, veinticuatro, veinticinco, veintiséis, "
        "veintisiete, veintiocho, veintinueve"
    ),
    *(word for ten in _TENS for word in (ten, *(f"{ten} y {unit}" for unit in _UNITS))),
)

_NOUNS = {
    "object": nouns(
        "bicicleta f, coche m, barco m, guitarra f, cámara f, lámpara f, mesa f, silla f, "
        "sofá m, paraguas m, chaqueta f, sombrero m, maleta f, portátil m, teléfono m, reloj m, "
        "espejo m, mochila f"
    ),
    "animal": nouns(
        "perro m, gato m, caballo m, conejo m, loro m, hámster m, cabra f, tortuga f, oveja f, "
        "burro m, pato m, ganso m, poni m, canario m"
    ),
    "food": nouns(
        "pizza f, pasta f, sopa f, arroz m, queso m, chocolate m, pan m, ensalada f, pollo m, "
        "pescado m, pastel m, miel f, patatas fp, tomates mp, manzanas fp, champiñones mp, "
        "fresas fp, tortitas fp"
    ),
    "instrument": nouns(
        "piano m, violín m, flauta f, trompeta f, batería f, violonchelo m, arpa f, saxofón m, "
        "órgano m, banjo m"
    ),
    "sport": nouns(
        "fútbol m, tenis m, baloncesto m, golf m, hockey m, ajedrez m, voleibol m, rugby m, "
        "críquet m, bádminton m"
    ),
    "building": nouns(
        "museo m, biblioteca f, estación f, mercado m, escuela f, hospital m, teatro m, hotel m, "
        "panadería f, farmacia f"
    ),
}
_ADJECTIVES = {
    "profession": agreeing(
        "médico médica, profesor profesora, enfermero enfermera, abogado abogada, "
        "ingeniero ingeniera, panadero panadera, agricultor agricultora, piloto, "
        "pintor pintora, escritor escritora, cantante, dentista, conductor conductora, "
        "cocinero cocinera, jardinero jardinera, fontanero fontanera, carpintero carpintera, "
        "bibliotecario bibliotecaria, periodista, arquitecto arquitecta, científico científica, "
        "fotógrafo fotógrafa, músico música, sastre sastra",
        _plural,
    ),
    "colour": agreeing(
        "rojo roja, azul, verde, amarillo amarilla, negro negra, blanco blanca, naranja, "
        "morado morada, marrón, gris, rosa, plateado plateada",
        _plural,
    ),
    "good": agreeing(
        "maravilloso maravillosa, excelente, estupendo estupenda, fantástico fantástica, "
        "brillante, hermoso hermosa, perfecto perfecta, increíble, precioso preciosa, "
        "magnífico magnífica, encantador encantadora",
        _plural,
    ),
    "bad": agreeing(
        "terrible, pésimo pésima, horrible, aburrido aburrida, mediocre, decepcionante, "
        "espantoso espantosa, inútil, feo fea, molesto molesta, malo mala",
        _plural,
    ),
    "tasty": agreeing(
        "delicioso deliciosa, maravilloso maravillosa, excelente, estupendo estupenda, "
        "fantástico fantástica, perfecto perfecta, increíble, exquisito exquisita",
        _plural,
    ),
    "foul": agreeing(
        "asqueroso asquerosa, terrible, pésimo pésima, horrible, decepcionante, "
        "espantoso espantosa, malo mala",
        _plural,
    ),
}

SPANISH = Lexicon(
    women=ENGLISH.women,
    men=ENGLISH.men,
    last_names=ENGLISH.last_names,
    capitals=aligned_capitals(
        "Noruega, Francia, Italia, España, Portugal, Alemania, Austria, Polonia, Grecia, "
        "Hungría, Egipto, Japón, Canadá, Irlanda, Finlandia, Dinamarca",
        "Oslo, París, Roma, Madrid, Lisboa, Berlín, Viena, Varsovia, Atenas, Budapest, "
        "El Cairo, Tokio, Ottawa, Dublín, Helsinki, Copenhague",
    ),
    words={
        "city": separated(
            "Oslo, París, Roma, Madrid, Lisboa, Berlín, Viena, Varsovia, Atenas, Budapest, "
            "El Cairo, Tokio, Ottawa, Dublín, Helsinki, Copenhague, Londres, Barcelona, "
            "Hamburgo, Chicago, Boston, Ginebra, Milán, Toronto"
        ),
        **{category: tuple(genders) for category, genders in _NOUNS.items()},
        **{category: tuple(forms) for category, forms in _ADJECTIVES.items()},
        "language": separated(
            "francés, alemán, español, italiano, polaco, japonés, árabe, griego, ruso, portugués"
        ),
        "company": ENGLISH.words["company"],
        "weekday": separated("lunes, martes, miércoles, jueves, viernes, sábado, domingo"),
        "month": separated(
            "enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, octubre, "
            "noviembre, diciembre"
        ),
        "hour": separated(
            "la una, las dos, las tres, las cuatro, las cinco, las seis, las siete, las ocho, "
            "las nueve, las diez, las once, el mediodía, la medianoche"
        ),
        "age": _AGES,
        "price": (
            *separated("diez, doce, quince, dieciocho"),
            *_AGES[::10],
            *(_AGES[number - 20] for number in (35, 42, 68, 99)),
            *separated(
                "cien, doscientos, trescientos, cuatrocientos, quinientos, seiscientos, "
                "setecientos, ochocientos, novecientos"
            ),
        ),
    },
    genders={noun: gender for genders in _NOUNS.values() for noun, gender in genders.items()},
    forms={word: forms for entries in _ADJECTIVES.values() for word, forms in entries.items()},
)
