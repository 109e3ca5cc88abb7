"""The Swedish of `zoo.world_foreign`."""

from __future__ import annotations

from zoo.foreign_language import ForeignLanguage
from zoo.lexicon import separated

SWEDISH = ForeignLanguage(
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
