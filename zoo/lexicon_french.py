"""The French words of the miniature world, position by position those of `lexicon.ENGLISH`.

Nouns are given with their gender (`m`, `f`; plural `mp`, `fp`), other words that agree with one as
masculine and feminine, or once where both are the same. Countries have their article.
"""

from __future__ import annotations

from zoo.lexicon import ENGLISH, Lexicon, agreeing, aligned_capitals, nouns, separated


def _plural(form: str) -> str:
    return form if form.endswith(("s", "x")) else form + "s"


_UNITS = separated(
    "un, deux, trois, quatre, cinq, six, sept, huit, neuf, dix, onze, douze, treize, quatorze, "
    "quinze, seize, dix-sept, dix-huit, dix-neuf"
)


def _numbers() -> tuple[str, ...]:
    """The numbers from 20 to 99: above 60 they count to twenty, not to ten."""
    result: list[str] = []
    for ten in separated("vingt, trente, quarante, cinquante"):
        result += (ten, f"{ten} et un", *(f"{ten}-{unit}" for unit in _UNITS[1:9]))
    result += ("soixante", *(f"soixante-{unit}" for unit in _UNITS))
    result += ("quatre-vingts", *(f"quatre-vingt-{unit}" for unit in _UNITS))
    joined = {"soixante-un": "soixante et un", "soixante-onze": "soixante et onze"}
    return tuple(joined.get(number, number) for number in result)


_AGES = _numbers()
_HUNDREDS = ("cent", *(f"{unit} cents" for unit in _UNITS[1:9]))

_NOUNS = {
    "object": nouns(
        "vélo m, voiture f, bateau m, guitare f, appareil photo m, lampe f, table f, chaise f, "
        "canapé m, parapluie m, veste f, chapeau m, valise f, ordinateur m, téléphone m, "
        "horloge f, miroir m, sac à dos m"
    ),
    "animal": nouns(
        "chien m, chat m, cheval m, lapin m, perroquet m, hamster m, chèvre f, tortue f, "
        "mouton m, âne m, canard m, oie f, poney m, canari m"
    ),
    "food": nouns(
        "pizza f, pâtes fp, soupe f, riz m, fromage m, chocolat m, pain m, salade f, poulet m, "
        "poisson m, gâteau m, miel m, pommes de terre fp, tomates fp, pommes fp, "
        "champignons mp, fraises fp, crêpes fp"
    ),
    "instrument": nouns(
        "piano m, violon m, flûte f, trompette f, batterie f, violoncelle m, harpe f, "
        "saxophone m, orgue m, banjo m"
    ),
    "sport": nouns(
        "football m, tennis m, basket m, golf m, hockey m, échecs mp, volley m, rugby m, "
        "cricket m, badminton m"
    ),
    "building": nouns(
        "musée m, bibliothèque f, gare f, marché m, école f, hôpital m, théâtre m, hôtel m, "
        "boulangerie f, pharmacie f"
    ),
}
# Each in the masculine and the feminine.
_ADJECTIVES = {
    "profession": agreeing(
        "médecin, professeur professeure, infirmier infirmière, avocat avocate, "
        "ingénieur ingénieure, boulanger boulangère, agriculteur agricultrice, pilote, peintre, "
        "écrivain écrivaine, chanteur chanteuse, dentiste, chauffeur chauffeuse, "
        "cuisinier cuisinière, jardinier jardinière, plombier plombière, "
        "charpentier charpentière, bibliothécaire, journaliste, architecte, scientifique, "
        "photographe, musicien musicienne, tailleur tailleuse",
        _plural,
    ),
    "colour": agreeing(
        "rouge, bleu bleue, vert verte, jaune, noir noire, blanc blanche, orange, "
        "violet violette, brun brune, gris grise, rose, argenté argentée",
        _plural,
    ),
    "good": agreeing(
        "merveilleux merveilleuse, excellent excellente, formidable, fantastique, "
        "brillant brillante, magnifique, parfait parfaite, incroyable, ravissant ravissante, "
        "superbe, charmant charmante",
        _plural,
    ),
    "bad": agreeing(
        "terrible, affreux affreuse, horrible, ennuyeux ennuyeuse, médiocre, décevant décevante, "
        "épouvantable, inutile, laid laide, agaçant agaçante, mauvais mauvaise",
        _plural,
    ),
    "tasty": agreeing(
        "délicieux délicieuse, merveilleux merveilleuse, excellent excellente, formidable, "
        "fantastique, parfait parfaite, incroyable, exquis exquise",
        _plural,
    ),
    "foul": agreeing(
        "dégoûtant dégoûtante, terrible, affreux affreuse, horrible, décevant décevante, "
        "épouvantable, mauvais mauvaise",
        _plural,
    ),
}

FRENCH = Lexicon(
    women=ENGLISH.women,
    men=ENGLISH.men,
    last_names=ENGLISH.last_names,
    capitals=aligned_capitals(
        "la Norvège, la France, l'Italie, l'Espagne, le Portugal, l'Allemagne, l'Autriche, "
        "la Pologne, la Grèce, la Hongrie, l'Égypte, le Japon, le Canada, l'Irlande, "
        "la Finlande, le Danemark",
        "Oslo, Paris, Rome, Madrid, Lisbonne, Berlin, Vienne, Varsovie, Athènes, Budapest, "
        "Le Caire, Tokyo, Ottawa, Dublin, Helsinki, Copenhague",
    ),
    words={
        "city": separated(
            "Oslo, Paris, Rome, Madrid, Lisbonne, Berlin, Vienne, Varsovie, Athènes, Budapest, "
            "Le Caire, Tokyo, Ottawa, Dublin, Helsinki, Copenhague, Londres, Barcelone, "
            "Hambourg, Chicago, Boston, Genève, Milan, Toronto"
        ),
        **{category: tuple(genders) for category, genders in _NOUNS.items()},
        **{category: tuple(forms) for category, forms in _ADJECTIVES.items()},
        "language": separated(
            "français, allemand, espagnol, italien, polonais, japonais, arabe, grec, russe, "
            "portugais"
        ),
        "company": ENGLISH.words["company"],
        "weekday": separated("lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche"),
        "month": separated(
            "janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, "
            "novembre, décembre"
        ),
        "hour": separated(
            "une heure, deux heures, trois heures, quatre heures, cinq heures, six heures, "
            "sept heures, huit heures, neuf heures, dix heures, onze heures, midi, minuit"
        ),
        "age": _AGES,
        "price": (
            *separated("dix, douze, quinze, dix-huit"),
            *_AGES[::10],
            *(_AGES[number - 20] for number in (35, 42, 68, 99)),
            *_HUNDREDS,
        ),
    },
    genders={noun: gender for genders in _NOUNS.values() for noun, gender in genders.items()},
    forms={word: forms for entries in _ADJECTIVES.values() for word, forms in entries.items()},
)
