"""`read`: the stages of a Dockerfile, as far as mlserver/Dockerfile uses the language."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        word: FROM, RUN and so on.
        options: Name -> value of what begins with `--`.
        text: The rest of it, continued lines joined.
        listed: The same as a list, where it is one in JSON.
    """

    word: str
    options: dict[str, str]
    text: str
    listed: list[str] | None


@dataclass
class Stage:
    """One stage of a build.

    Attributes:
        base: The stage that it begins with, or an image.
        instructions: In order, without FROM.
    """

    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read(text: str) -> dict[str, Stage]:
    """The stages by name; those without a name have none. ValueError for an unknown word."""
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for line in _lines(text):
        instruction = _instruction(line)
        if instruction.word == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            current = stages[name] = Stage(base)
        elif current is not None:
            current.instructions.append(instruction)
        elif instruction.word != "ARG":
            raise ValueError(f"{instruction.word} before FROM")
    return stages


def pairs(instruction: Instruction) -> dict[str, str]:
    """Name -> value of ENV, ARG or LABEL."""
    words = shlex.split(instruction.text)
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _lines(text: str) -> list[str]:
    kept = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(kept))
    return joined.splitlines()


_WORDS = (
    *("ARG", "CMD", "COPY", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL"),
    *("USER", "WORKDIR"),
)


def _instruction(line: str) -> Instruction:
    word, _, rest = line.partition(" ")
    if word not in _WORDS:
        raise ValueError(f"{word}: not an instruction that is known here")
    options = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        options[found[1]] = found[2]
        rest = rest[found.end() :]
    given = rest.removeprefix("CMD ") if word == "HEALTHCHECK" else rest
    listed = json.loads(given) if given.startswith("[") else None
    return Instruction(word, options, given, listed)
