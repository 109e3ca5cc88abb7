"""`Wording`: the text that a template of a grammar becomes with a sentence's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.lexicon import Lexicon
from zoo.world_grammar import Grammar

# Characters that no lexicon has, around the word whose place is asked for: they survive articles,
# contractions and capitals.
START, END = "\x00", "\x01"
_PLURAL = "p"


@dataclass(frozen=True)
class _Field:
    wording: Wording
    name: str

    def __format__(self, spec: str) -> str:
        return self.wording.text_of(self.name, spec)


class Wording:
    """The words of one sentence; `str.format_map` of a template takes it as its mapping.

    Args:
        lexicon: Of the sentence's language.
        grammar: Of the same.
        subject: Who or what the sentence is about, in the nominative.
        slots: Slot to its word.
        marked: The slot whose word stands between `START` and `END`, if any.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        grammar: Grammar,
        subject: str,
        slots: Mapping[str, str],
        marked: str | None = None,
    ) -> None:
        self.lexicon = lexicon
        self._grammar = grammar
        self._subject = subject
        self._slots = slots
        self._marked = marked

    def __getitem__(self, name: str) -> _Field:
        return _Field(self, name)

    def base(self, slot: str) -> str:
        return self._slots[slot]

    def gender(self, slot: str) -> str:
        if slot == "subject":
            first = self._subject.split()[0]
            woman = first in self.lexicon.women or first == self._grammar.pronouns["woman"]
            return "f" if woman else "m"
        return self.lexicon.genders[self._slots[slot]]

    def put(self, slot: str, form: str) -> str:
        return f"{START}{form}{END}" if slot == self._marked else form

    def text_of(self, field: str, spec: str) -> str:
        if field == "subject":
            return self._subject
        head, _, slot = field.rpartition("_")
        if head == "by":
            return spec.split("|")[self._grammar.genders.index(self.gender(slot))]
        if head == "number":
            return spec.split("|")[self.gender(slot).endswith(_PLURAL)]
        return self._grammar.inflect(self, head, slot, spec)

    def phrase(self, template: str) -> str:
        """`template` with these words, marks included, as it stands inside a sentence."""
        return self._grammar.contract(template.format_map(self))

    def sentence(self, template: str) -> tuple[str, int, int]:
        """The text, first letter in upper case, and where the marked word starts and ends in it.

        The two are -1 if the template does not have that word.
        """
        text = self.phrase(template)
        start = text.find(START)
        end = text.find(END) - 1 if start >= 0 else -1
        text = text.replace(START, "").replace(END, "")
        return text[0].upper() + text[1:], start, end
