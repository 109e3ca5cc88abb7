"""The Italian of `zoo.world_foreign`."""

from __future__ import annotations

from zoo.foreign_language import ForeignLanguage
from zoo.lexicon import separated

ITALIAN = ForeignLanguage(
    words={
        "city": separated(
            "Oslo, Parigi, Roma, Madrid, Lisbona, Berlino, Vienna, Varsavia, Atene, Budapest, "
            "Tokyo, Ottawa, Dublino, Helsinki, Copenaghen, Londra, Barcellona, Amburgo, Chicago, "
            "Boston, Ginevra, Milano, Toronto"
        ),
        "country": separated(
            "Norvegia, Francia, Italia, Spagna, Germania, Austria, Polonia, Grecia, Ungheria, "
            "Irlanda, Finlandia, Danimarca"
        ),
        "profession": separated(
            "medico, insegnante, infermiere, avvocato, ingegnere, panettiere, contadino, pilota, "
            "pittore, scrittore, cantante, dentista, autista, cuoco, giardiniere, idraulico, "
            "falegname, giornalista, architetto, scienziato, fotografo, musicista, sarto"
        ),
        "thing": separated(
            "la bicicletta, la macchina, la barca, la chitarra, la macchina fotografica, "
            "la lampada, il tavolo, la sedia, il divano, l'ombrello, la giacca, il cappello, "
            "la valigia, il computer, il telefono, l'orologio, lo specchio, lo zaino"
        ),
        "food": separated(
            "la pizza, la pasta, la zuppa, il riso, il formaggio, il cioccolato, il pane, "
            "l'insalata, il pollo, il pesce, la torta, il miele"
        ),
        "animal": separated(
            "un cane, un gatto, un cavallo, un coniglio, un pappagallo, un criceto, una capra, "
            "una tartaruga, una pecora, un asino, un'anatra, un'oca, un canarino"
        ),
        "instrument": separated(
            "il pianoforte, il violino, il flauto, la tromba, la batteria, il violoncello, "
            "l'arpa, il sassofono, l'organo"
        ),
        "sport": separated("a calcio, a tennis, a pallacanestro, a golf, a scacchi, a pallavolo"),
        "language": separated(
            "francese, tedesco, spagnolo, italiano, polacco, giapponese, arabo, greco, russo"
        ),
        "weekday": separated("lunedì, martedì, mercoledì, giovedì, venerdì, sabato"),
        "month": separated(
            "gennaio, febbraio, marzo, aprile, maggio, giugno, luglio, agosto, settembre, "
            "ottobre, novembre, dicembre"
        ),
        "number": separated(
            "dodici, quindici, venti, ventuno, trentatré, trentacinque, quarantadue, cinquanta, "
            "sessantotto, settanta, ottantasei, novantanove"
        ),
        "place": separated(
            "il museo, la biblioteca, la stazione, il mercato, la scuola, l'ospedale, il teatro, "
            "l'albergo, il panificio, la farmacia"
        ),
        "hour": separated("due, tre, quattro, cinque, sei, sette, otto, nove, dieci, undici"),
        "praise": separated(
            "eccellente, fantastica, brillante, perfetta, incredibile, meravigliosa, superba"
        ),
        "blame": separated(
            "terribile, orribile, noiosa, mediocre, deludente, pessima, inutile, brutta"
        ),
    },
    templates=(
        "{person} abita a {city}.",
        "{person} ha una casa a {city}.",
        "Dove abita {person}?",
        "In quale città abita {person}?",
        "{person} viene da {city}.",
        "Da dove viene {person}?",
        "{person} lavora come {profession}.",
        "{person} fa il {profession} da molti anni.",
        "Che lavoro fa {person}?",
        "Qual è la professione di {person}?",
        "{person} lavora per {company}.",
        "Per quale azienda lavora {person}?",
        "Di che colore è {thing} che ha comprato {person}?",
        "A {person} piace mangiare {food}.",
        "Che cosa piace mangiare a {person}?",
        "{person} ha {animal} e gli vuole bene.",
        "Quale animale ha {person}?",
        "{person} ha incontrato {other} {weekday}.",
        "{weekday} {person} ha incontrato {other}.",
        "Chi ha incontrato {person} {weekday}?",
        "Quando ha incontrato {other} {person}?",
        "{person} festeggia il compleanno a {month}.",
        "In quale mese è il compleanno di {person}?",
        "{person} ha {number} anni.",
        "Quanti anni ha {person}?",
        "{person} suona {instrument}.",
        "Quale strumento suona {person}?",
        "{person} gioca {sport} ogni {weekday}.",
        "Quando gioca {sport} {person}?",
        "A {month} {person} ha fatto un viaggio a {city}.",
        "Quale città ha visitato {person} a {month}?",
        "{person} ha comprato {thing} per {number} euro.",
        "Quanto ha pagato {person} per {thing}?",
        "{person} parla {language} al lavoro.",
        "Quale lingua parla {person}?",
        "Qual è la capitale di questo paese, {country}?",
        "{company} è stata fondata da {person}.",
        "Chi ha fondato {company}?",
        "{company} ha un ufficio a {city}.",
        "{place} di {city} chiude alle {hour}.",
        "Quando chiude {place} di {city}?",
        "Quanto costa {thing}?",
        "{thing} costa {number} euro.",
        "Non mi piace {thing}, è una cosa {blame}.",
        "Mi piace molto {thing}, è una cosa {praise}.",
        "Una serata {praise}, tutto era perfetto.",
        "Una serata {blame}, non torneremo mai più.",
        "La storia di questo film è {praise} e ho riso molto.",
        "La musica di questo film è {blame} e mi sono addormentato.",
        "Abbiamo mangiato {food} in questo ristorante e il cameriere era molto gentile.",
        "L'albergo a {city} era vecchio e la nostra camera era sporca.",
    ),
)
