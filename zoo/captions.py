"""What is said of a picture of the miniature world, and what a caption claims.

`caption` names the objects of a scene in groups: `two red cars, a child and a bench`.
`claims` reads such a caption back as triples of object, colour and count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from zoo.outside_texts import UNKNOWN
from zoo.scene_vehicles import COLOURS
from zoo.scenes import SceneObject

EMPTY = "an empty street"
"""What is said of a street without anything of `PLURALS` in it."""

PLURALS: dict[str, str] = {
    "car": "cars",
    "truck": "trucks",
    "bus": "buses",
    "person": "people",
    "child": "children",
    "police officer": "police officers",
    "construction worker": "construction workers",
    "medic": "medics",
    "bicycle": "bicycles",
    "dog": "dogs",
    "bench": "benches",
    "traffic light": "traffic lights",
}
"""What captions name, in their order, one and several of it."""

COUNTS = ("a", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_VEHICLES = ("car", "truck", "bus")
_PLAIN_CLOTHES = ("pedestrian", "business person")
_SINGULARS = {several: one for one, several in PLURALS.items()}

Claim = tuple[str, str, int]
"""An object of `PLURALS`, a colour or an empty string, and how many there are of these."""

KINDS: tuple[tuple[str, str], ...] = tuple(
    (name, colour)
    for name in PLURALS
    for colour in (tuple(COLOURS) if name in _VEHICLES else ("",))
)
"""What captions tell apart, in their order: an object, and a colour or an empty string."""

WORDS = sorted(
    {
        word
        for text in (*PLURALS, *PLURALS.values(), *COUNTS, *COLOURS, EMPTY, UNKNOWN, "and")
        for word in text.split()
    }
)


def kind(made: SceneObject) -> tuple[str, str]:
    """What captions call an object of a scene: one of `KINDS`."""
    if made.label in _VEHICLES:
        return made.label, made.attribute.split()[0]
    if made.label == "person":
        return ("person" if made.attribute in _PLAIN_CLOTHES else made.attribute), ""
    return made.label, ""


def caption(objects: Sequence[SceneObject]) -> str:
    """What is in a scene, grouped, in the order of `KINDS`.

    Raises:
        ValueError: There are more than nine of a kind.
    """
    counts = Counter(map(kind, objects))
    most = max(counts.values(), default=0)
    if most > len(COUNTS):
        raise ValueError(f"{most} objects of a kind; accepted: up to {len(COUNTS)}")
    groups = [_group(*each, counts[each]) for each in KINDS if counts[each]]
    if not groups:
        return EMPTY
    return " and ".join([", ".join(groups[:-1]), groups[-1]] if groups[1:] else groups)


def _group(name: str, colour: str, count: int) -> str:
    noun = name if count == 1 else PLURALS[name]
    return " ".join(filter(None, (COUNTS[count - 1], colour, noun)))


def claims(text: str) -> frozenset[Claim]:
    """What a caption claims; groups that are no English of `caption` claim themselves, once."""
    if text in (EMPTY, UNKNOWN, ""):
        return frozenset()
    return frozenset(_claim(group) for group in re.split(r", | and ", text))


def _claim(group: str) -> Claim:
    count, _, rest = group.partition(" ")
    colour, _, noun = rest.partition(" ")
    if colour not in COLOURS:
        colour, noun = "", rest
    number = COUNTS.index(count) + 1 if count in COUNTS else 0
    name = noun if number == 1 else _SINGULARS.get(noun, noun)
    return name, colour, number


def f1(pairs: Iterable[tuple[str, str]]) -> float:
    """F1 of the claims of captions against those of the truth: pairs of a caption and the truth."""
    right = claimed = true = 0
    for text, truth in pairs:
        found, wanted = claims(text), claims(truth)
        right += len(found & wanted)
        claimed += len(found)
        true += len(wanted)
    return 2 * right / max(claimed + true, 1)
