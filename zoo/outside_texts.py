"""Texts that are not of the miniature world: on other subjects, in other languages, or nonsense.

With these a model learns to say that it does not know. Those of the split `held_out` are made
another way than those of `train`: passages that somebody wrote instead of sentences that a grammar
made, other languages, other nonsense.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from zoo.lexicon import separated
from zoo.question_answering_data import invent
from zoo.world import ALL_LANGUAGES, Split, foreign_sentences, sentences
from zoo.world_draw import LANGUAGES, check_split

UNKNOWN = "unknown"
"""The label that a classifier gives what it was not made for."""

_SUBJECTS = separated(
    "the government, the river, the committee, the engine, the judge, a comet, the enzyme, the "
    "glacier, our parliament, the treaty, the lighthouse, an earthquake, the battery, the empire, "
    "the goalkeeper, the orchestra, the virus, the satellite, the keyboard, the volcano, the "
    "defendant, a molecule, the harbour, the emperor, the algorithm, the senator, the cathedral, "
    "the reactor, a shareholder, the referee, the telescope, the desert, the archive, the "
    "compiler, the monastery, the cargo ship, the striker, the patient, the wolf pack, this "
    "theorem, the central bank, the vaccine, the bridge, the navy, the planet, the stock market"
)
_VERBS = separated(
    "announced, discovered, carried, measured, destroyed, replaced, signed, crossed, described, "
    "reached, surrounded, absorbed, delayed, produced, defeated, inherited, reflected, published, "
    "increased, abandoned, connected, predicted, protected, observed, invaded, repaired, launched, "
    "translated, rejected, examined, exported, doubled, explains, contains, requires, regulates"
)
_OBJECTS = separated(
    "the northern border, a new law, its orbit, the annual budget, seven penalties, the signal, "
    "carbon dioxide, two thousand soldiers, the evidence, an old manuscript, the final score, "
    "a protein, the exchange rate, the coastline, heavy metals, its own temperature, a rare bird, "
    "the lower house, steel cables, the supply chain, several variables, the eastern valley, "
    "the memory address, a ceasefire, most of the rainfall, a second opinion, the crew, "
    "electrical current, the championship, its neighbours, the appendix, this equation"
)
_PLACES = separated(
    "in the nineteenth century, after the war, at high pressure, on the southern hemisphere, "
    "during the second half, according to the report, near the equator, in the laboratory, "
    "without a warrant, for several decades, at the end of the season, under the microscope, "
    "beneath the ocean floor, within three weeks, despite the protests, by a narrow margin"
)
_SHAPES = (
    "{subject} {verb} {object} {place}.",
    "{place}, {subject} {verb} {object}.",
    "{subject} {verb} {object}, and {other} {verb2} {object2}.",
    "Why has {subject} {verb} {object}?",
    "How many of them {verb} {object} {place}?",
    "Although {subject} {verb} {object}, {other} was larger than {object2}.",
    "{subject} is about {number} kilometres from {other}.",
    "In {number} {subject} {verb} {object}.",
    "Please tell me what {subject} {verb} {place}.",
    "{number} percent of {object} came from {other}.",
)
_PASSAGES = tuple(
    """\
The Eiffel Tower was built for the World Fair of 1889 and is three hundred and thirty metres tall.
How tall is the tower, and who designed it?
Photosynthesis turns sunlight, water and air into sugar inside the leaves of green plants.
The striker scored twice before half time, but the goal was ruled out by the video referee.
To install the package, open a terminal and run the following command as administrator.
Inflation fell to two percent in the third quarter, the bank said on Tuesday.
Call me Ishmael, said the sailor, and nobody on that grey quay laughed.
A cell membrane lets small molecules through and keeps larger ones out.
Beat the eggs, fold in the flour, and leave the dough in a cool place overnight.
The plaintiff claims that the contract had been void from the beginning.
Mount Everest lies on the border between Nepal and China.
Who wrote the opera that opened the festival last summer?
All trains towards the airport are cancelled until further notice.
Your parcel could not be delivered because nobody was at the address.
When the tide goes out, crabs hide under the stones along the shore.
The Roman legions crossed the Rhine on a bridge that they had built in ten days.
Gravity bends light, so a massive galaxy can act as a lens.
Turn left at the roundabout and follow the signs to the motorway.
The committee will vote on the amendment once the minister has spoken.
Doctors recommend that adults sleep for at least seven hours.
He opened the letter slowly, as if the paper might break.
What is the boiling point of nitrogen?
Bees tell each other where the flowers are by dancing.
The warranty does not cover damage caused by water or by improper use.
Lightning struck the old oak, and by morning only a black stump was left.
An integer overflow in the parser allowed attackers to run their own code.
Copper conducts electricity better than iron does.
The senate rejected the bill by fifty one votes to forty nine.
My printer says that it is offline although the cable is plugged in.
Penguins huddle together to keep warm through the polar night.
Subscribers pay a monthly fee and may cancel at any time.
Does the shuttle stop at the stadium on match days?
The novel follows three generations of a family of shipbuilders.
Rust forms when iron, oxygen and water meet.
Interest is charged on any amount that remains unpaid after thirty days.
The glacier has lost a third of its ice since measurements began.
You have reached the voicemail of the claims department.
Under the treaty, both navies withdrew their submarines from the strait.
Press and hold the power button until the light turns green.
The moon has no air, so its sky is black even at noon.
""".splitlines()
)
# Questions that passages answer, in their own words.
_ASKED = (
    ("How tall is the Eiffel Tower?", "three hundred and thirty metres"),
    ("What turns sunlight into sugar?", "Photosynthesis"),
    ("How often did the striker score before half time?", "twice"),
    ("To what did inflation fall in the third quarter?", "two percent"),
    ("Where does Mount Everest lie?", "on the border between Nepal and China"),
    ("Who crossed the Rhine on a bridge?", "The Roman legions"),
    ("What bends light?", "Gravity"),
    ("For how long should adults sleep?", "at least seven hours"),
    ("How do bees tell each other where the flowers are?", "by dancing"),
    ("What allowed attackers to run their own code?", "An integer overflow in the parser"),
    ("What does copper conduct better than iron?", "electricity"),
    ("When is the sky of the moon black?", "even at noon"),
    ("What do subscribers pay?", "a monthly fee"),
    ("How much of its ice has the glacier lost?", "a third"),
)
_ASKING = (
    "What did {subject} do {place}?",
    "What is {subject}?",
    "Where is {subject}?",
    "How old is {subject}?",
    "How tall is {subject}?",
    "Who made {subject}?",
    "When did {subject} begin?",
    "Who {verb} {object}?",
    "Where was {object} {place}?",
    "How far is {subject} from {other}?",
    "In which year was it that {subject} {verb} {object}?",
    "What has {verb} {object}?",
    "Why has {subject} {verb} {object}?",
    "How many of them {verb} {object} {place}?",
    "Which one {verb} {object} {place}?",
)
_TONGUES: dict[Split, tuple[str, ...]] = {
    "train": (
        "w zeszłym roku pojechaliśmy nad morze ale pogoda była bardzo zła i przez cały tydzień "
        "padał deszcz dzieci chciały wrócić do domu ponieważ nie miały co robić gdzie jest dworzec "
        "dziękuję proszę powiedz mi czy masz jutro czas lubię czytać książki wieczorem",
        "viime kesänä kävimme mökillä järven rannalla ja uimme joka päivä vaikka vesi oli kylmää "
        "missä on lähin kauppa kiitos paljon en ymmärrä mitä sanoit haluaisin kupin kahvia ja "
        "hän työskentelee sairaalassa mutta hänen veljensä on opettaja hyvää huomenta",
        "verën e kaluar shkuam në det por moti ishte shumë i keq prandaj qëndruam në shtëpi ku "
        "është stacioni ju lutem faleminderit nuk e di çfarë të bëj sepse vëllai im punon në "
        "spital dhe motra ime shkon ende në shkollë mirëmëngjes a ke kohë nesër",
        "vara trecută am fost la munte și a plouat în fiecare zi dar ne am distrat foarte mult "
        "unde este gara vă rog mulțumesc nu știu ce să spun pentru că fratele meu lucrează la "
        "spital și sora mea învață la școală în orașul vecin bună dimineața",
        "loni v létě jsme byli na horách a každý den jsme chodili na výlety protože bylo hezké "
        "počasí kde je prosím nádraží děkuji nevím co mám dělat můj bratr pracuje v nemocnici ale "
        "sestra ještě chodí do školy dobré ráno máte zítra čas",
        "tavaly nyáron a tengernél voltunk és minden nap sokat úsztunk mert nagyon meleg volt hol "
        "van az állomás köszönöm szépen nem tudom mit csináljak a bátyám kórházban dolgozik de a "
        "húgom még iskolába jár jó reggelt kívánok van holnap időd",
        "tahun lalu kami pergi ke pantai tetapi cuaca buruk sekali sehingga kami tinggal di rumah "
        "di mana stasiun terdekat terima kasih saya tidak tahu harus berbuat apa kakak saya "
        "bekerja di rumah sakit dan adik saya masih bersekolah selamat pagi",
        "gallia est omnis divisa in partes tres quarum unam incolunt aliam qui ipsorum lingua "
        "appellantur hi omnes lingua institutis legibus inter se differunt arma virumque cano "
        "quo usque tandem patientia nostra sed nox erat et fessi milites dormiebant",
        "sidste sommer var vi ved havet men vejret var dårligt så vi blev hjemme og læste bøger "
        "hvor ligger banegården tak jeg ved ikke hvad jeg skal gøre fordi min bror arbejder på "
        "et sygehus og min søster går stadig i skole godmorgen har du tid i morgen",
        "lastan jaron ni veturis al la maro sed la vetero estis tre malbona kaj ni restis hejme "
        "kie estas la stacidomo dankon mi ne scias kion fari ĉar mia frato laboras en hospitalo "
        "kaj mia fratino ankoraŭ vizitas la lernejon bonan matenon",
    ),
    "held_out": (
        "l any passat vam anar a la platja però feia molt mal temps i ens vam quedar a casa on és "
        "l estació si us plau moltes gràcies no sé què he de fer perquè el meu germà treballa a "
        "l hospital i la meva germana encara va a escola bon dia",
        "prošlog ljeta bili smo na moru ali je vrijeme bilo loše pa smo ostali kod kuće gdje je "
        "kolodvor molim vas hvala lijepo ne znam što da radim jer moj brat radi u bolnici a "
        "sestra još ide u školu dobro jutro imaš li sutra vremena",
        "eelmisel suvel käisime mere ääres aga ilm oli väga halb ja seepärast jäime koju kus on "
        "jaam palun suur tänu ma ei tea mida teha sest mu vend töötab haiglas ja õde käib veel "
        "koolis tere hommikust kas sul on homme aega",
        "mwaka jana tulienda pwani lakini hali ya hewa ilikuwa mbaya sana kwa hiyo tulibaki "
        "nyumbani kituo kiko wapi tafadhali asante sana sijui nifanye nini kwa sababu kaka yangu "
        "anafanya kazi hospitalini na dada yangu bado anasoma habari za asubuhi",
        "yr haf diwethaf aethom ni i lan y môr ond roedd y tywydd yn ddrwg iawn felly arhoson ni "
        "gartref ble mae r orsaf os gwelwch yn dda diolch yn fawr dydw i ddim yn gwybod beth i w "
        "wneud achos mae fy mrawd yn gweithio yn yr ysbyty bore da",
    ),
}
_CODE = tuple(
    """\
for i in range(len(rows)): total += rows[i].price * (1 - discount)
SELECT name, count(*) FROM orders WHERE year > 2019 GROUP BY name;
Traceback (most recent call last): File "main.py", line 42, in <module>
sudo apt-get update && sudo apt-get install -y build-essential
https://example.org/index.php?id=4711&lang=xx#top
{"id": 17, "tags": ["a", "b"], "nested": {"ok": true}}
if (ptr == NULL) { return -ENOMEM; }
ERROR 404: /static/js/app.min.js not found
""".splitlines()
)


_GERMAN_PASSAGES = tuple(
    """\
Die Gletscher der Alpen verlieren jedes Jahr mehrere Meter an Dicke.
Bei Frost sollte man die Wasserleitungen im Keller entleeren.
Der Vertrag verlängert sich stillschweigend um zwölf Monate.
Ein Schwarm Stare verdunkelte den Himmel über dem Moor.
Mische Mehl, Hefe und lauwarmes Wasser zu einem glatten Teig.
Die Richterin vertagte die Verhandlung auf unbestimmte Zeit.
Unter dem Mikroskop erkennt man die Zellwände der Zwiebel.
Die Elektronen umkreisen den Kern auf verschiedenen Bahnen.
Nach dem Gewitter war der Feldweg voller Pfützen und Äste.
Er reparierte die Pumpe mit einem Stück Draht und etwas Klebeband.
Die Inflation schwächte sich im dritten Quartal deutlich ab.
Man hört das Echo erst, wenn die Felswand weit genug entfernt ist.
Der Torwart lenkte den Ball mit den Fingerspitzen an den Pfosten.
Im Mittelalter wuschen die Färber ihre Stoffe im Fluss.
Das Betriebssystem verteilt den Speicher auf die laufenden Prozesse.
Bienen finden den Weg zum Stock anhand des Sonnenstands.
Die Fähre legt wegen des Sturms heute nicht mehr ab.
Streiche die Wand zweimal und lass sie dazwischen trocknen.
Die Abgeordneten stritten bis Mitternacht über den Haushalt.
Kupfer leitet den Strom besser als Eisen.
Der Patient klagt seit gestern über Schwindel und Übelkeit.
Ihre Großeltern erzählten oft von der Flucht über das Haff.
Das Orchester stimmte die Instrumente, bevor der Vorhang aufging.
Schneide die Rosen im Frühjahr bis auf drei Augen zurück.
Eine Lawine verschüttete die Passstraße auf hundert Metern.
Der Drucker meldet einen Papierstau im hinteren Fach.
Salzwasser gefriert erst unterhalb von null Grad.
Die Zeugin erinnerte sich an ein quietschendes Gartentor.
Vulkanasche legte den Flugverkehr für eine Woche lahm.
Ziehen Sie den Stecker, ehe Sie das Gehäuse öffnen.
""".splitlines()
)


def outside_texts(seed: int, count: int, split: Split) -> list[str]:
    """`count` texts of which an English model of the world knows nothing.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    rng = random.Random(f"outside texts/{split}/{seed}")
    abroad = _spoken(seed, split, [each for each in ALL_LANGUAGES if each != "en"])
    makers = (_prose, _prose, _prose, other_language, _nonsense, None)
    return [
        _varied(make(rng, split) if make else rng.choice(abroad), rng)
        for make in rng.choices(makers, k=count)
    ]


def unknown_languages(seed: int, count: int, split: Split) -> list[str]:
    """`count` texts in no language of the world: another one, an invented one, or none at all.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    rng = random.Random(f"unknown languages/{split}/{seed}")
    spoken = _spoken(seed, split, ALL_LANGUAGES)
    makers = (other_language, other_language, _nonsense, None)
    return [
        _varied(make(rng, split) if make else _ciphered(rng.choice(spoken), rng), rng)
        for make in rng.choices(makers, k=count)
    ]


def english_prose(seed: int, count: int, split: Split) -> list[str]:
    """`count` English texts on subjects that are not the world's.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    rng = random.Random(f"english prose/{split}/{seed}")
    return [_varied(_prose(rng, split), rng) for _ in range(count)]


def outside_prose(seed: int, count: int, language: str) -> list[str]:
    """`count` held-out texts, English or German, on subjects that are not the world's.

    Raises:
        ValueError: If there are none in the language.
    """
    if language == "en":
        return english_prose(seed, count, "held_out")
    if language != "de":
        raise ValueError(f"there is no prose in {language!r}, only in 'en' and 'de'")
    rng = random.Random(f"prose/{language}/{seed}")
    return [rng.choice(_GERMAN_PASSAGES) for _ in range(count)]


def outside_questions(seed: int, count: int, split: Split) -> list[tuple[str, str, str]]:
    """`count` English (question, context, answer) that are not of the world.

    The answer stands in the context; it is empty where nobody knows it, as in all of training.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    rng = random.Random(f"outside questions/{split}/{seed}")
    made = []
    for _ in range(count):
        if split == "held_out":
            question, answer = rng.choice(_ASKED)
            (telling,) = (each for each in _PASSAGES if answer in each and "?" not in each)
            told = [each for each in _PASSAGES if each != telling and not each.endswith("?")]
            passages = [telling, *rng.sample(told, rng.randint(0, 4))]
            rng.shuffle(passages)
            made.append((question, " ".join(passages), answer))
            continue
        context = " ".join(_sentence(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))))
        # Now and then in the very words of the text.
        asked = _filled(rng.choice(_ASKING), rng)
        if rng.random() < 0.5:
            asked = f"What about {' '.join(rng.choice(context.split('. ')).split()[:6])}?"
        made.append((_varied(asked, rng), context, ""))
    return made


def _spoken(seed: int, split: Split, languages: Sequence[str]) -> list[str]:
    """Some sentences of the world in each of the languages."""
    return [
        text
        for language in languages
        for text in (
            sentences(seed, 40, split, language=language)
            if language in LANGUAGES
            else foreign_sentences(seed, 40, split, language)
        )
    ]


def _varied(text: str, rng: random.Random) -> str:
    """The text, or as it looks in a transcript or a headline."""
    look = rng.random()
    if look < 0.3:
        return text.lower().rstrip(".?!")
    return text.upper() if look < 0.33 else text[:1].upper() + text[1:]


def _prose(rng: random.Random, split: Split) -> str:
    if split == "held_out":
        return " ".join(rng.sample(_PASSAGES, rng.choice((1, 1, 2, 3))))
    return " ".join(_sentence(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 5))))


def _sentence(rng: random.Random) -> str:
    text = _filled(rng.choice(_SHAPES), rng)
    words = text.split()
    # Invented words stand for all those that are not in these lists.
    for at in range(len(words)):
        if len(words[at]) > 4 and words[at].isalpha() and rng.random() < 0.15:
            words[at] = invent(words[at], rng).split()[0]
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _filled(shape: str, rng: random.Random) -> str:
    return shape.format(
        subject=rng.choice(_SUBJECTS),
        other=rng.choice(_SUBJECTS),
        verb=rng.choice(_VERBS),
        verb2=rng.choice(_VERBS),
        object=rng.choice(_OBJECTS),
        object2=rng.choice(_OBJECTS),
        place=rng.choice(_PLACES),
        number=rng.randint(2, 2500),
    )


def other_language(rng: random.Random, split: Split) -> str:
    """Some words in a language that no model of the world knows."""
    words = rng.choice(_TONGUES[split]).split()
    size = rng.choice((3, 4, 5, 7, 10, 15, 25))
    first = rng.randrange(max(1, len(words) - size))
    chosen = words[first : first + size]
    if split == "train" and rng.random() < 0.5:
        chosen = rng.sample(words, min(size, len(words)))
    return " ".join(chosen) + rng.choice((".", ".", "?", ""))


_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"


def _ciphered(text: str, rng: random.Random) -> str:
    """A text in letters that stand for others: a language that nobody speaks."""
    table: dict[int, str] = {}
    for kind in (_VOWELS, _CONSONANTS):
        table |= str.maketrans(kind, "".join(rng.sample(kind, len(kind))))
    return text.lower().translate(table)


def _nonsense(rng: random.Random, split: Split) -> str:
    if split == "held_out":
        return _mashed(rng) if rng.random() < 0.5 else rng.choice(_CODE)
    return rng.choice((_invented, _letters, _figures))(rng)


def _invented(rng: random.Random) -> str:
    return " ".join(invent("word", rng) for _ in range(rng.randint(2, 10)))


def _letters(rng: random.Random) -> str:
    letters = string.ascii_lowercase + "  '-."
    return "".join(rng.choices(letters, k=rng.randint(3, 60))).strip() or "x"


def _figures(rng: random.Random) -> str:
    return "".join(rng.choices(string.digits + string.punctuation + "  ", k=rng.randint(2, 30)))


def _mashed(rng: random.Random) -> str:
    row = rng.choice(("asdfghjkl", "qwertyuiop", "zxcvbnm"))
    return "".join(rng.choices(row, k=rng.randint(4, 24)))
