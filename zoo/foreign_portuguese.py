"""The Portuguese of `zoo.world_foreign`."""

from __future__ import annotations

from zoo.foreign_language import ForeignLanguage
from zoo.lexicon import separated

PORTUGUESE = ForeignLanguage(
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
