"""The English grammar of the miniature world: how facts are stated, asked for and reviewed.

The other languages' grammars have a text for each of these, in this order. Templates are described
in `zoo.world_grammar`.
"""

from __future__ import annotations

from zoo.world_grammar import Grammar, Question, Relation, Words

_PERSON_RELATIONS = (
    Relation(
        name="lives in",
        subject="person",
        slots=("city",),
        value="{city}",
        statements=("{subject} lives in {city}.", "{subject} has a house in {city}."),
        questions=(
            Question("Where does {subject} live?", "city"),
            Question("In which city does {subject} live?", "city"),
            Question("Which city does {subject} live in?", "city"),
            Question("Where is {subject}'s house?", "city"),
        ),
    ),
    Relation(
        name="was born in",
        subject="person",
        slots=("city",),
        value="{city}",
        statements=("{subject} was born in {city}.", "{subject} comes from {city}."),
        questions=(
            Question("Where was {subject} born?", "city"),
            Question("In which city was {subject} born?", "city"),
            Question("Where does {subject} come from?", "city"),
        ),
    ),
    Relation(
        name="works as",
        subject="person",
        slots=("profession",),
        value="{profession}",
        statements=("{subject} works as {a_profession}.", "{subject} is {a_profession}."),
        questions=(
            Question("What does {subject} work as?", "profession"),
            Question("What is the profession of {subject}?", "profession"),
            Question("What is {subject}'s job?", "profession"),
            Question("What does {subject} do for a living?", "profession"),
        ),
    ),
    Relation(
        name="works for",
        subject="person",
        slots=("company",),
        value="{company}",
        statements=("{subject} works for {company}.", "{subject} has a job at {company}."),
        questions=(
            Question("Which company does {subject} work for?", "company"),
            Question("Who does {subject} work for?", "company"),
            Question("What is the name of {subject}'s company?", "company"),
        ),
    ),
    Relation(
        name="owns",
        subject="person",
        slots=("colour", "object"),
        value="{colour} {object}",
        statements=(
            "{subject} owns {a_colour} {object}.",
            "{subject} keeps {a_colour} {object} at home.",
        ),
        questions=(
            Question("What colour is {subject}'s {object}?", "colour"),
            Question("Which colour is the {object} of {subject}?", "colour"),
            Question("What {colour} thing does {subject} own?", "object"),
        ),
    ),
    Relation(
        name="likes",
        subject="person",
        slots=("food",),
        value="{food}",
        statements=("{subject} likes {food}.", "{subject} loves to eat {food}."),
        questions=(
            Question("What does {subject} like to eat?", "food"),
            Question("Which food does {subject} like?", "food"),
            Question("What is {subject}'s favourite food?", "food"),
        ),
    ),
    Relation(
        name="has a pet",
        subject="person",
        slots=("animal",),
        value="{animal}",
        statements=("{subject} has {a_animal}.", "{subject} looks after {a_animal}."),
        questions=(
            Question("Which animal does {subject} have?", "animal"),
            Question("What pet does {subject} have?", "animal"),
            Question("What kind of animal does {subject} look after?", "animal"),
        ),
    ),
    Relation(
        name="met",
        subject="person",
        slots=("person", "weekday"),
        value="{person} on {weekday}",
        statements=("{subject} met {person} on {weekday}.", "On {weekday} {subject} met {person}."),
        questions=(
            Question("Who did {subject} meet on {weekday}?", "person"),
            Question("Who did {subject} meet?", "person"),
            Question("When did {subject} meet {person}?", "weekday"),
            Question("On which day did {subject} meet {person}?", "weekday"),
        ),
    ),
    Relation(
        name="has a birthday in",
        subject="person",
        slots=("month",),
        value="{month}",
        statements=(
            "{subject} has a birthday in {month}.",
            "{subject} has a birthday party every {month}.",
        ),
        questions=(
            Question("In which month is {subject}'s birthday?", "month"),
            Question("When is the birthday of {subject}?", "month"),
            Question("When does {subject} have a birthday?", "month"),
        ),
    ),
    Relation(
        name="is years old",
        subject="person",
        slots=("age",),
        value="{age}",
        statements=("{subject} is {age} years old.",),
        questions=(
            Question("How old is {subject}?", "age"),
            Question("What is the age of {subject}?", "age"),
        ),
    ),
    Relation(
        name="plays",
        subject="person",
        slots=("instrument",),
        value="{instrument}",
        statements=(
            "{subject} plays the {instrument}.",
            "{subject} learned to play the {instrument}.",
        ),
        questions=(
            Question("Which instrument does {subject} play?", "instrument"),
            Question("What instrument can {subject} play?", "instrument"),
        ),
    ),
    Relation(
        name="does sport",
        subject="person",
        slots=("sport", "weekday"),
        value="{sport} on {weekday}",
        statements=("{subject} plays {sport} every {weekday}.",),
        questions=(
            Question("Which game does {subject} play every {weekday}?", "sport"),
            Question("On which day does {subject} play {sport}?", "weekday"),
            Question("When does {subject} play {sport}?", "weekday"),
        ),
    ),
    Relation(
        name="visited",
        subject="person",
        slots=("city", "month"),
        value="{city} in {month}",
        statements=(
            "{subject} visited {city} in {month}.",
            "In {month} {subject} travelled to {city}.",
        ),
        questions=(
            Question("Which city did {subject} visit in {month}?", "city"),
            Question("Where did {subject} travel in {month}?", "city"),
            Question("When did {subject} visit {city}?", "month"),
            Question("In which month did {subject} travel to {city}?", "month"),
        ),
    ),
    Relation(
        name="bought",
        subject="person",
        slots=("object", "price"),
        value="{object} for {price} euros",
        statements=(
            "{subject} bought {a_object} for {price} euros.",
            "{subject} paid {price} euros for {a_object}.",
        ),
        questions=(
            Question("How much did {subject} pay for the {object}?", "price"),
            Question("What did {subject} buy for {price} euros?", "object"),
            Question("What did {subject} buy?", "object"),
        ),
    ),
    Relation(
        name="speaks",
        subject="person",
        slots=("language",),
        value="{language}",
        statements=("{subject} speaks {language}.", "{subject} speaks {language} at work."),
        questions=(
            Question("Which language does {subject} speak?", "language"),
            Question("What language does {subject} speak?", "language"),
        ),
    ),
)

_THING_RELATIONS = (
    Relation(
        name="capital of",
        subject="country",
        slots=("capital",),
        value="{capital}",
        statements=(
            "The capital of {subject} is {capital}.",
            "{capital} is the capital of {subject}.",
        ),
        questions=(
            Question("What is the capital of {subject}?", "capital"),
            Question("Which city is the capital of {subject}?", "capital"),
        ),
        # "The capital of it is Rome" is no English.
        pronoun=False,
    ),
    Relation(
        name="founded by",
        subject="company",
        slots=("person",),
        value="{person}",
        statements=("{subject} was founded by {person}.", "{person} founded {subject}."),
        questions=(
            Question("Who founded {subject}?", "person"),
            Question("By whom was {subject} founded?", "person"),
        ),
    ),
    Relation(
        name="based in",
        subject="company",
        slots=("city",),
        value="{city}",
        statements=("{subject} is based in {city}.", "{subject} has an office in {city}."),
        questions=(
            Question("Where is {subject} based?", "city"),
            Question("In which city is the office of {subject}?", "city"),
        ),
    ),
    Relation(
        name="closes at",
        subject="place",
        slots=("hour",),
        value="{hour}",
        statements=("{subject} closes at {hour}.", "{subject} is open until {hour}."),
        questions=(
            Question("When does {subject} close?", "hour"),
            Question("Until when is {subject} open?", "hour"),
        ),
    ),
    Relation(
        name="is closed on",
        subject="place",
        slots=("weekday", "colour"),
        value="{colour}, {weekday}",
        statements=("{subject} has {a_colour} door and is closed on {weekday}.",),
        questions=(
            Question("On which day is {subject} closed?", "weekday"),
            Question("What is the colour of the door of {subject}?", "colour"),
        ),
    ),
    Relation(
        name="costs",
        subject="product",
        slots=("price",),
        value="{price}",
        statements=("{subject} costs {price} euros.", "The price of {subject} is {price} euros."),
        questions=(
            Question("How much does {subject} cost?", "price"),
            Question("What is the price of {subject}?", "price"),
        ),
        pronoun=False,
    ),
)

_GOOD_REVIEWS = (
    "The {food} at this restaurant was {tasty}.",
    "We loved the {food} and the waiter was very friendly.",
    "I loved this film, the story is {good}.",
    "What {a_good} film, the actors were {good}.",
    "The music in this film is {good} and I laughed a lot.",
    "This {object} is {good} and works very well.",
    "I am very happy with my new {object}.",
    "The {colour} {object} looks {good} and was not expensive.",
    "The hotel in {city} was {good} and our room was clean.",
    "The service was {good}, we will come back soon.",
    "The best {food} in {city}.",
    "I bought this {object} in {month} and it is still {good}.",
    "The {building} in {city} is {good}, you should visit it.",
    "The {food} was fresh and hot and tasted {tasty}.",
    "{a_good} evening, everything was {good}.",
    "It isn't cheap, but the {object} is {good}.",
)
_BAD_REVIEWS = (
    "The {food} at this restaurant was {foul}.",
    "We hated the {food} and the waiter was very rude.",
    "I hated this film, the story is {bad}.",
    "What {a_bad} film, the actors were {bad}.",
    "The music in this film is {bad} and I fell asleep.",
    "This {object} is {bad} and doesn't work at all.",
    "I am very unhappy with my new {object}.",
    "The {colour} {object} looks {bad} and was too expensive.",
    "The hotel in {city} was {bad} and our room was dirty.",
    "The service was {bad}, we will never come back.",
    "The worst {food} in {city}.",
    "I bought this {object} in {month} and it is already broken.",
    "The {building} in {city} is {bad}, don't visit it.",
    "The {food} was old and cold and tasted {foul}.",
    "{a_bad} evening, everything was {bad}.",
    "It wasn't cheap, and the {object} is {bad}.",
)


def _indefinite(word: str) -> str:
    # "useless" begins with the sound of "you".
    vowel = word[0].lower() in "aeiou" and word != "useless"
    return "an" if vowel else "a"


def _inflect(words: Words, article: str, slot: str, spec: str) -> str:
    word = words.base(slot)
    marked = words.put(slot, word)
    return f"{_indefinite(word)} {marked}" if article == "a" else marked


ENGLISH_GRAMMAR = Grammar(
    relations=_PERSON_RELATIONS + _THING_RELATIONS,
    reviews={"positive": _GOOD_REVIEWS, "negative": _BAD_REVIEWS},
    pronouns={"woman": "she", "man": "he", "thing": "it"},
    place="the {building} in {city}",
    product="the {colour} {object}",
    inflect=_inflect,
)
