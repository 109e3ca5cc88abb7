"""Italian, Portuguese, Dutch and Swedish: languages that only language identification knows.

Each says a few things of the miniature world, as statements, questions and reviews. Nouns have
their article, so that a template needs no grammar; what a template joins to one agrees with all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from zoo.foreign_dutch import DUTCH
from zoo.foreign_italian import ITALIAN
from zoo.foreign_language import ForeignLanguage
from zoo.foreign_portuguese import PORTUGUESE
from zoo.foreign_swedish import SWEDISH
from zoo.lexicon import ENGLISH


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


FOREIGN_LANGUAGES: Mapping[str, ForeignLanguage] = {
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "nl": DUTCH,
    "sv": SWEDISH,
}
