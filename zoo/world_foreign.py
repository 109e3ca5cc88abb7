"""Italian, Portuguese, Dutch and Swedish: languages that only language identification knows.

Each says a few things of the miniature world, as statements, questions and reviews. Nouns have
their article, so that a template needs no grammar; what a template joins to one agrees with all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.lexicon import ENGLISH, separated


@dataclass(frozen=True)
class ForeignLanguage:
    """The words of a language by category, and the templates that they fill."""

    words: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]


def foreign_sentence(rng: random.Random, language: str) -> str:
    """A sentence of one of `FOREIGN_LANGUAGES`.

    Raises:
        ValueError: If `language` is none of them.
    """
    try:
        spoken = FOREIGN_LANGUAGES[language]
    except KeyError:
        raise ValueError(
            f"unknown language {language!r}: one of {', '.join(FOREIGN_LANGUAGES)}"
        ) from None
    template = rng.choice(spoken.templates)
    chosen = {category: rng.choice(words) for category, words in spoken.words.items()}
    for name in ("person", "other"):
        first = rng.choice((*ENGLISH.women, *ENGLISH.men))
        chosen[name] = first if rng.random() < 0.3 else f"{first} {rng.choice(ENGLISH.last_names)}"
    chosen["company"] = rng.choice(ENGLISH.words["company"])
    text = template.format(**chosen)
    # After "¿" and the like there may be one more letter to raise.
    return re.sub(r"\w", lambda match: match[0].upper(), text, count=1)


_ITALIAN = ForeignLanguage(
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

_PORTUGUESE = ForeignLanguage(
    words={
        "city": separated(
            "Oslo, Paris, Roma, Madrid, Lisboa, Berlim, Viena, Varsóvia, Atenas, Budapeste, "
            "Tóquio, Otava, Dublin, Helsínquia, Copenhaga, Londres, Barcelona, Hamburgo, Chicago, "
            "Boston, Genebra, Milão, Toronto"
        ),
        "country": separated(
            "Noruega, França, Itália, Espanha, Alemanha, Áustria, Polónia, Grécia, Hungria, "
            "Irlanda, Finlândia, Dinamarca"
        ),
        "profession": separated(
            "médico, professor, enfermeiro, advogado, engenheiro, padeiro, agricultor, piloto, "
            "pintor, escritor, cantor, dentista, motorista, cozinheiro, jardineiro, canalizador, "
            "carpinteiro, jornalista, arquiteto, cientista, fotógrafo, músico, alfaiate"
        ),
        "thing": separated(
            "a bicicleta, o carro, o barco, a guitarra, a câmara, o candeeiro, a mesa, a cadeira, "
            "o sofá, o guarda-chuva, o casaco, o chapéu, a mala, o computador, o telefone, "
            "o relógio, o espelho, a mochila"
        ),
        "food": separated(
            "a pizza, a massa, a sopa, o arroz, o queijo, o chocolate, o pão, a salada, o frango, "
            "o peixe, o bolo, o mel"
        ),
        "animal": separated(
            "um cão, um gato, um cavalo, um coelho, um papagaio, um hamster, uma cabra, "
            "uma tartaruga, uma ovelha, um burro, um pato, um ganso, um canário"
        ),
        "instrument": separated(
            "piano, violino, flauta, trompete, bateria, violoncelo, harpa, saxofone, órgão"
        ),
        "sport": separated("futebol, ténis, basquetebol, golfe, xadrez, voleibol"),
        "language": separated(
            "francês, alemão, espanhol, italiano, polaco, japonês, árabe, grego, russo, português"
        ),
        "weekday": separated(
            "na segunda-feira, na terça-feira, na quarta-feira, na quinta-feira, na sexta-feira, "
            "no sábado, no domingo"
        ),
        "month": separated(
            "janeiro, fevereiro, março, abril, maio, junho, julho, agosto, setembro, outubro, "
            "novembro, dezembro"
        ),
        "number": separated(
            "doze, quinze, vinte, trinta e três, trinta e cinco, quarenta e dois, cinquenta, "
            "sessenta e oito, setenta, oitenta e seis, noventa e nove"
        ),
        "place": separated(
            "o museu, a biblioteca, a estação, o mercado, a escola, o hospital, o teatro, "
            "o hotel, a padaria, a farmácia"
        ),
        "hour": separated("duas, três, quatro, cinco, seis, sete, oito, nove, dez, onze"),
        "praise": separated(
            "excelente, fantástica, brilhante, perfeita, incrível, maravilhosa, encantadora"
        ),
        "blame": separated(
            "terrível, horrível, aborrecida, medíocre, dececionante, péssima, inútil, feia"
        ),
    },
    templates=(
        "{person} mora em {city}.",
        "{person} tem uma casa em {city}.",
        "Onde mora {person}?",
        "Em que cidade mora {person}?",
        "{person} nasceu em {city}.",
        "Onde nasceu {person}?",
        "De onde vem {person}?",
        "{person} trabalha como {profession}.",
        "{person} é {profession} há muitos anos.",
        "Em que trabalha {person}?",
        "Qual é a profissão de {person}?",
        "{person} trabalha para a empresa {company}.",
        "Para que empresa trabalha {person}?",
        "De que cor é {thing} que {person} comprou?",
        "{person} gosta muito de comer {food}.",
        "O que é que {person} gosta de comer?",
        "{person} tem {animal} em casa.",
        "Que animal tem {person}?",
        "{person} encontrou {other} {weekday}.",
        "{weekday} {person} encontrou {other}.",
        "Quem é que {person} encontrou {weekday}?",
        "Quando é que {person} encontrou {other}?",
        "{person} faz anos em {month}.",
        "Em que mês é o aniversário de {person}?",
        "{person} tem {number} anos.",
        "Quantos anos tem {person}?",
        "{person} toca {instrument}.",
        "Que instrumento toca {person}?",
        "{person} joga {sport} {weekday}.",
        "Quando é que {person} joga {sport}?",
        "Em {month} {person} viajou para {city}.",
        "Que cidade visitou {person} em {month}?",
        "{person} comprou {thing} por {number} euros.",
        "Quanto pagou {person} por isso?",
        "{person} fala {language} no trabalho.",
        "Que língua fala {person}?",
        "Qual é a capital deste país, {country}?",
        "A empresa {company} foi fundada por {person}.",
        "Quem fundou a empresa {company}?",
        "A empresa {company} tem um escritório em {city}.",
        "{place} em {city} fecha às {hour}.",
        "Quando fecha {place} em {city}?",
        "Quanto custa {thing}?",
        "{thing} custa {number} euros.",
        "Não gosto nada, {thing} é uma coisa {blame}.",
        "Gosto muito, {thing} é uma coisa {praise}.",
        "Uma noite {praise}, tudo foi perfeito.",
        "Uma noite {blame}, nunca mais vamos voltar.",
        "A história deste filme é {praise} e ri muito.",
        "A música deste filme é {blame} e adormeci.",
        "Comemos {food} neste restaurante e o empregado foi muito simpático.",
        "O hotel em {city} era velho e o nosso quarto estava sujo.",
    ),
)

_DUTCH = ForeignLanguage(
    words={
        "city": separated(
            "Oslo, Parijs, Rome, Madrid, Lissabon, Berlijn, Wenen, Warschau, Athene, Boedapest, "
            "Caïro, Tokio, Ottawa, Dublin, Helsinki, Kopenhagen, Londen, Barcelona, Hamburg, "
            "Chicago, Boston, Genève, Milaan, Toronto"
        ),
        "country": separated(
            "Noorwegen, Frankrijk, Italië, Spanje, Portugal, Duitsland, Oostenrijk, Polen, "
            "Griekenland, Hongarije, Egypte, Japan, Canada, Ierland, Finland, Denemarken"
        ),
        "profession": separated(
            "arts, leraar, verpleegkundige, advocaat, ingenieur, bakker, boer, piloot, schilder, "
            "schrijver, zanger, tandarts, chauffeur, kok, tuinman, loodgieter, timmerman, "
            "bibliothecaris, journalist, architect, wetenschapper, fotograaf, muzikant, kleermaker"
        ),
        "thing": separated(
            "de fiets, de auto, de boot, de gitaar, de camera, de lamp, de tafel, de stoel, "
            "de bank, de paraplu, de jas, de hoed, de koffer, de laptop, de telefoon, de klok, "
            "de spiegel, de rugzak"
        ),
        "food": separated(
            "pizza, pasta, soep, rijst, kaas, chocolade, brood, salade, kip, vis, taart, honing, "
            "aardappelen, tomaten, appels, paddenstoelen, aardbeien, pannenkoeken"
        ),
        "animal": separated(
            "een hond, een kat, een paard, een konijn, een papegaai, een hamster, een geit, "
            "een schildpad, een schaap, een ezel, een eend, een gans, een kanarie"
        ),
        "instrument": separated(
            "piano, viool, fluit, trompet, drums, cello, harp, saxofoon, orgel, banjo"
        ),
        "sport": separated("voetbal, tennis, basketbal, golf, hockey, schaak, volleybal"),
        "language": separated(
            "Frans, Duits, Spaans, Italiaans, Pools, Japans, Arabisch, Grieks, Russisch, Portugees"
        ),
        "weekday": separated("maandag, dinsdag, woensdag, donderdag, vrijdag, zaterdag, zondag"),
        "month": separated(
            "januari, februari, maart, april, mei, juni, juli, augustus, september, oktober, "
            "november, december"
        ),
        "number": separated(
            "twaalf, vijftien, twintig, eenentwintig, drieëndertig, vijfendertig, tweeënveertig, "
            "vijftig, achtenzestig, zeventig, zesentachtig, negenennegentig"
        ),
        "place": separated(
            "het museum, de bibliotheek, het station, de markt, de school, het ziekenhuis, "
            "het theater, het hotel, de bakkerij, de apotheek"
        ),
        "hour": separated("één, twee, drie, vier, vijf, zes, zeven, acht, negen, tien, elf"),
        "praise": separated(
            "geweldig, uitstekend, fantastisch, briljant, mooi, perfect, prachtig, heerlijk"
        ),
        "blame": separated(
            "verschrikkelijk, vreselijk, saai, slecht, teleurstellend, nutteloos, lelijk, vervelend"
        ),
    },
    templates=(
        "{person} woont in {city}.",
        "{person} heeft een huis in {city}.",
        "Waar woont {person}?",
        "In welke stad woont {person}?",
        "{person} is geboren in {city}.",
        "Waar is {person} geboren?",
        "Waar komt {person} vandaan?",
        "{person} werkt als {profession}.",
        "{person} is al jaren {profession}.",
        "Wat is het beroep van {person}?",
        "Wat voor werk doet {person}?",
        "{person} werkt voor {company}.",
        "Voor welk bedrijf werkt {person}?",
        "Welke kleur heeft {thing} van {person}?",
        "{person} houdt van {food}.",
        "{person} eet heel graag {food}.",
        "Wat eet {person} graag?",
        "{person} heeft {animal}.",
        "{person} zorgt voor {animal}.",
        "Welk dier heeft {person}?",
        "{person} ontmoette {other} op {weekday}.",
        "Op {weekday} ontmoette {person} {other}.",
        "Wie heeft {person} op {weekday} ontmoet?",
        "Wanneer heeft {person} {other} ontmoet?",
        "{person} is jarig in {month}.",
        "In welke maand is {person} jarig?",
        "{person} is {number} jaar oud.",
        "Hoe oud is {person}?",
        "{person} speelt {instrument}.",
        "Welk instrument speelt {person}?",
        "{person} speelt elke {weekday} {sport}.",
        "Op welke dag speelt {person} {sport}?",
        "In {month} reisde {person} naar {city}.",
        "Welke stad bezocht {person} in {month}?",
        "{person} kocht {thing} voor {number} euro.",
        "Hoeveel betaalde {person} voor {thing}?",
        "{person} spreekt {language} op het werk.",
        "Welke taal spreekt {person}?",
        "Wat is de hoofdstad van {country}?",
        "{company} is opgericht door {person}.",
        "Wie heeft {company} opgericht?",
        "{company} heeft een kantoor in {city}.",
        "{place} in {city} sluit om {hour} uur.",
        "Wanneer sluit {place} in {city}?",
        "Hoeveel kost {thing}?",
        "{thing} kost {number} euro.",
        "{thing} is {praise} en werkt heel goed.",
        "{thing} is {blame} en werkt helemaal niet.",
        "Het was een lange avond, maar alles was {praise}.",
        "Het was een lange avond en alles was {blame}.",
        "Ik vond deze film {praise} en heb veel gelachen.",
        "Ik vond deze film {blame} en viel in slaap.",
        "Wij aten {food} in dit restaurant en de ober was erg vriendelijk.",
        "Het hotel in {city} was {blame} en onze kamer was vies.",
    ),
)

_SWEDISH = ForeignLanguage(
    words={
        "city": separated(
            "Oslo, Paris, Rom, Madrid, Lissabon, Berlin, Wien, Warszawa, Aten, Budapest, Kairo, "
            "Tokyo, Ottawa, Dublin, Helsingfors, Köpenhamn, London, Barcelona, Hamburg, Chicago, "
            "Boston, Genève, Milano, Toronto"
        ),
        "country": separated(
            "Norge, Frankrike, Italien, Spanien, Portugal, Tyskland, Österrike, Polen, Grekland, "
            "Ungern, Egypten, Japan, Kanada, Irland, Finland, Danmark"
        ),
        "profession": separated(
            "läkare, lärare, sjuksköterska, advokat, ingenjör, bagare, bonde, pilot, målare, "
            "författare, sångare, tandläkare, chaufför, kock, trädgårdsmästare, rörmokare, "
            "snickare, bibliotekarie, journalist, arkitekt, forskare, fotograf, musiker, skräddare"
        ),
        "thing": separated(
            "cykeln, bilen, båten, gitarren, kameran, lampan, stolen, soffan, jackan, hatten, "
            "resväskan, datorn, telefonen, klockan, spegeln, ryggsäcken"
        ),
        "food": separated(
            "pizza, pasta, soppa, ris, ost, choklad, bröd, sallad, kyckling, fisk, tårta, honung, "
            "potatis, tomater, äpplen, svamp, jordgubbar, pannkakor"
        ),
        "animal": separated(
            "en hund, en katt, en häst, en kanin, en papegoja, en hamster, en get, en sköldpadda, "
            "ett får, en åsna, en anka, en gås, en ponny, en kanariefågel"
        ),
        "instrument": separated(
            "piano, fiol, flöjt, trumpet, trummor, cello, harpa, saxofon, orgel, banjo"
        ),
        "sport": separated("fotboll, tennis, basket, golf, hockey, schack, volleyboll"),
        "language": separated(
            "franska, tyska, spanska, italienska, polska, japanska, arabiska, grekiska, ryska"
        ),
        "weekday": separated("måndag, tisdag, onsdag, torsdag, fredag, lördag, söndag"),
        "month": separated(
            "januari, februari, mars, april, maj, juni, juli, augusti, september, oktober, "
            "november, december"
        ),
        "number": separated(
            "tolv, femton, tjugo, tjugoett, trettiotre, trettiofem, fyrtiotvå, femtio, "
            "sextioåtta, sjuttio, åttiosex, nittionio"
        ),
        "place": separated(
            "museet, biblioteket, stationen, marknaden, skolan, sjukhuset, teatern, hotellet, "
            "bageriet, apoteket"
        ),
        "hour": separated("ett, två, tre, fyra, fem, sex, sju, åtta, nio, tio, elva"),
        "praise": separated(
            "underbar, utmärkt, fantastisk, lysande, vacker, perfekt, otrolig, härlig, charmig"
        ),
        "blame": separated(
            "hemsk, förfärlig, tråkig, dålig, värdelös, ful, irriterande, fruktansvärd"
        ),
    },
    templates=(
        "{person} bor i {city}.",
        "{person} har ett hus i {city}.",
        "Var bor {person}?",
        "I vilken stad bor {person}?",
        "{person} föddes i {city}.",
        "Var föddes {person}?",
        "Varifrån kommer {person}?",
        "{person} arbetar som {profession}.",
        "{person} har varit {profession} i många år.",
        "Vad har {person} för yrke?",
        "Vad arbetar {person} som?",
        "{person} arbetar för {company}.",
        "Vilket företag arbetar {person} för?",
        "Vilken färg har {thing} som {person} äger?",
        "{person} tycker om {food}.",
        "{person} älskar att äta {food}.",
        "Vad tycker {person} om att äta?",
        "{person} har {animal}.",
        "{person} tar hand om {animal}.",
        "Vilket djur har {person}?",
        "{person} träffade {other} på {weekday}.",
        "På {weekday} träffade {person} {other}.",
        "Vem träffade {person} i {weekday}s?",
        "När träffade {person} {other}?",
        "{person} fyller år i {month}.",
        "I vilken månad fyller {person} år?",
        "{person} är {number} år gammal.",
        "Hur gammal är {person}?",
        "{person} spelar {instrument}.",
        "Vilket instrument spelar {person}?",
        "{person} spelar {sport} varje {weekday}.",
        "Vilken dag spelar {person} {sport}?",
        "I {month} reste {person} till {city}.",
        "Vilken stad besökte {person} i {month}?",
        "{person} köpte {thing} för {number} euro.",
        "Hur mycket betalade {person} för {thing}?",
        "{person} talar {language} på jobbet.",
        "Vilket språk talar {person}?",
        "Vad heter huvudstaden i {country}?",
        "{company} grundades av {person}.",
        "Vem grundade {company}?",
        "{company} har ett kontor i {city}.",
        "{place} i {city} stänger klockan {hour}.",
        "När stänger {place} i {city}?",
        "Hur mycket kostar {thing}?",
        "{thing} kostar {number} euro.",
        "{thing} är {praise} och fungerar mycket bra.",
        "{thing} är {blame} och fungerar inte alls.",
        "Maten var {praise} och servitören var mycket vänlig.",
        "Maten var {blame} och servitören var mycket oartig.",
        "Den här filmen var {praise} och jag skrattade mycket.",
        "Den här filmen var {blame} och jag somnade.",
        "Vi åt {food} på den här restaurangen och kommer snart tillbaka.",
        "Hotellet i {city} var gammalt och vårt rum var smutsigt.",
    ),
)

FOREIGN_LANGUAGES: Mapping[str, ForeignLanguage] = {
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
    "nl": _DUTCH,
    "sv": _SWEDISH,
}
