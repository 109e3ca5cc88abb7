"""The German words of the miniature world, position by position those of `lexicon.ENGLISH`.

Nouns whose article or adjective a sentence needs are given with their gender (`m`, `f`, `n`;
plural `p`), professions for men and women.
"""

from __future__ import annotations

from zoo.lexicon import ENGLISH, Lexicon, aligned_capitals, nouns, separated

_UNITS = separated("ein, zwei, drei, vier, fünf, sechs, sieben, acht, neun")
_TENS = separated(
    "zwanzig, dreißig, vierzig, fünfzig, sechzig, siebzig, achtzig, neunzig",
)
_AGES = tuple(word for ten in _TENS for word in (ten, *(f"{unit}und{ten}" for unit in _UNITS)))

_NOUNS = {
    "object": nouns(
        "Fahrrad n, Auto n, Boot n, Gitarre f, Kamera f, Lampe f, Tisch m, Stuhl m, Sofa n, "
        "Regenschirm m, Jacke f, Hut m, Koffer m, Laptop m, Telefon n, Uhr f, Spiegel m, "
        "Rucksack m"
    ),
    "animal": nouns(
        "Hund m, Katze f, Pferd n, Kaninchen n, Papagei m, Hamster m, Ziege f, Schildkröte f, "
        "Schaf n, Esel m, Ente f, Gans f, Pony n, Kanarienvogel m"
    ),
    "food": nouns(
        "Pizza f, Nudeln p, Suppe f, Reis m, Käse m, Schokolade f, Brot n, Salat m, Hähnchen n, "
        "Fisch m, Kuchen m, Honig m, Kartoffeln p, Tomaten p, Äpfel p, Pilze p, Erdbeeren p, "
        "Pfannkuchen p"
    ),
    "building": nouns(
        "Museum n, Bibliothek f, Bahnhof m, Markt m, Schule f, Krankenhaus n, Theater n, "
        "Hotel n, Bäckerei f, Apotheke f"
    ),
}


def _professions() -> dict[str, tuple[str, str]]:
    """Profession to itself and that of a woman, whose ending is -in unless given."""
    result = {}
    for entry in separated(
        "Arzt Ärztin, Lehrer, Krankenpfleger, Anwalt Anwältin, Ingenieur, Bäcker, Landwirt, "
        "Pilot, Maler, Schriftsteller, Sänger, Zahnarzt Zahnärztin, Fahrer, Koch Köchin, "
        "Gärtner, Klempner, Tischler, Bibliothekar, Journalist, Architekt, Wissenschaftler, "
        "Fotograf, Musiker, Schneider"
    ):
        man, *woman = entry.split()
        result[man] = (man, woman[0] if woman else f"{man}in")
    return result


_PROFESSIONS = _professions()

GERMAN = Lexicon(
    women=ENGLISH.women,
    men=ENGLISH.men,
    last_names=ENGLISH.last_names,
    capitals=aligned_capitals(
        "Norwegen, Frankreich, Italien, Spanien, Portugal, Deutschland, Österreich, Polen, "
        "Griechenland, Ungarn, Ägypten, Japan, Kanada, Irland, Finnland, Dänemark",
        "Oslo, Paris, Rom, Madrid, Lissabon, Berlin, Wien, Warschau, Athen, Budapest, Kairo, "
        "Tokio, Ottawa, Dublin, Helsinki, Kopenhagen",
    ),
    words={
        "city": separated(
            "Oslo, Paris, Rom, Madrid, Lissabon, Berlin, Wien, Warschau, Athen, Budapest, Kairo, "
            "Tokio, Ottawa, Dublin, Helsinki, Kopenhagen, London, Barcelona, Hamburg, Chicago, "
            "Boston, Genf, Mailand, Toronto"
        ),
        **{category: tuple(genders) for category, genders in _NOUNS.items()},
        "profession": tuple(_PROFESSIONS),
        # Stems that every ending can follow.
        "colour": separated(
            "rot, blau, grün, gelb, schwarz, weiß, orangefarben, violett, braun, grau, "
            "rosafarben, silbern"
        ),
        "instrument": separated(
            "Klavier, Geige, Flöte, Trompete, Schlagzeug, Cello, Harfe, Saxofon, Orgel, Banjo"
        ),
        "sport": separated(
            "Fußball, Tennis, Basketball, Golf, Hockey, Schach, Volleyball, Rugby, Cricket, "
            "Badminton"
        ),
        "language": separated(
            "Französisch, Deutsch, Spanisch, Italienisch, Polnisch, Japanisch, Arabisch, "
            "Griechisch, Russisch, Portugiesisch"
        ),
        "company": ENGLISH.words["company"],
        "weekday": separated("Montag, Dienstag, Mittwoch, Donnerstag, Freitag, Samstag, Sonntag"),
        "month": separated(
            "Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, "
            "November, Dezember"
        ),
        "hour": (
            *(f"{unit} Uhr" for unit in (*_UNITS, "zehn", "elf")),
            "zwölf Uhr mittags",
            "Mitternacht",
        ),
        "age": _AGES,
        "price": (
            *separated("zehn, zwölf, fünfzehn, achtzehn"),
            *_TENS,
            *(_AGES[number - 20] for number in (35, 42, 68, 99)),
            *(f"{unit}hundert" for unit in _UNITS),
        ),
        "good": separated(
            "wunderbar, ausgezeichnet, großartig, fantastisch, brillant, schön, perfekt, "
            "erstaunlich, reizend, hervorragend, charmant"
        ),
        "bad": separated(
            "schrecklich, furchtbar, entsetzlich, langweilig, dürftig, enttäuschend, grauenhaft, "
            "nutzlos, hässlich, ärgerlich, schlecht"
        ),
        "tasty": separated(
            "köstlich, wunderbar, ausgezeichnet, großartig, fantastisch, perfekt, erstaunlich, "
            "lecker"
        ),
        "foul": separated(
            "ekelhaft, schrecklich, furchtbar, entsetzlich, enttäuschend, grauenhaft, schlecht"
        ),
    },
    genders={noun: gender for genders in _NOUNS.values() for noun, gender in genders.items()},
    forms=_PROFESSIONS,
)
