"""The Dutch of `zoo.world_foreign`."""

from __future__ import annotations

from zoo.foreign_language import ForeignLanguage
from zoo.lexicon import separated

DUTCH = ForeignLanguage(
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
