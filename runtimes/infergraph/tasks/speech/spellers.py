"""Spellers: from a sentence to the tokens that a text-to-speech network reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ...errors import InvalidInput
from ...weights import loading
from .pronunciation import BETWEEN_WORDS, STRESS, WEAK_STRESS, Pronunciation
from .spoken_text import MARKS, spoken_parts
from .synthesizers import Tokens

VOCABULARY = "vocab.json"
_LONGEST = 200
_END = "<sos/eos>"
# What hub checkpoints for English call the phonemes: ARPAbet, vowels with the number of the stress.
_ARPABET_TABLE = """
iː IY, i IY, ɪ IH, ᵻ IH, ɛ EH, æ AE, ɑː AA, ɑ AA, ɔː AO, ɔ AO, ʊ UH, uː UW, u UW, ʌ AH,
ə AH, ɐ AH, ɚ ER, ɜː ER, ɜ ER, eɪ EY, aɪ AY, aʊ AW, ɔɪ OY, oʊ OW, ɑːɹ AA R, ɔːɹ AO R,
oːɹ AO R, ɪɹ IH R, ɛɹ EH R, ʊɹ UH R, aɪɚ AY ER, aɪə AY AH, iə IY AH, əl AH L, n̩ AH N,
aɪʊɹ AY UH R, p P, b B, t T, d D, k K, ɡ G, f F, v V, θ TH, ð DH, s S, z Z, ʃ SH, ʒ ZH,
h HH, m M, n N, ŋ NG, l L, ɹ R, r R, w W, j Y, tʃ CH, dʒ JH, ɾ T, ʔ T, x K, ɬ L
"""
_ARPABET = dict(entry.strip().split(" ", 1) for entry in _ARPABET_TABLE.split(","))
_ARPABET_VOWELS = "AEIOU"


class Speller(Protocol):
    """From a sentence to tokens."""

    def __call__(self, sentence: str) -> list[Tokens]:
        """The tokens of a sentence, a long one's in pieces; none if it has nothing to say.

        Raises:
            InvalidInput: a letter or symbol cannot be said.
        """


class PhonemeSpeller:
    """Phonemes as tokens.

    Args:
        folder: A checkpoint's, with the numbers of its tokens in `VOCABULARY`.
        pronunciation: Says which phonemes words have.

    Raises:
        ConfigurationError: the file misses, or is no vocabulary.
    """

    def __init__(self, folder: str, pronunciation: Pronunciation) -> None:
        with loading("vocabulary", folder):
            vocabulary = json.loads(Path(folder, VOCABULARY).read_text(encoding="utf-8"))
            self._numbers = {str(token): int(number) for token, number in vocabulary.items()}
        self._pronunciation = pronunciation
        self._arpabet = "AH0" in self._numbers
        self._unknown = self._numbers.get("<unk>", 0)

    def __call__(self, sentence: str) -> list[Tokens]:
        phonemes = self._pronunciation.phonemes(sentence)
        return [self._tokens(piece) for piece in _pieces(phonemes)]

    def _tokens(self, phonemes: Sequence[str]) -> Tokens:
        if self._arpabet:
            tokens = [token for phoneme in phonemes for token in arpabet(phoneme)]
            # As their own tokenizer does, which has no token for what is between words.
            tokens = [token for token in tokens if token in self._numbers or token.isalnum()]
            tokens += [_END] if _END in self._numbers else []
        else:
            tokens = [self._known(phoneme) for phoneme in phonemes]
        return [self._numbers.get(token, self._unknown) for token in tokens]

    def _known(self, phoneme: str) -> str:
        """The phoneme, or with another stress if this one occurred nowhere in training."""
        plain = phoneme.lstrip(STRESS + WEAK_STRESS)
        alike = (phoneme, plain, STRESS + plain, WEAK_STRESS + plain)
        return next((each for each in alike if each in self._numbers), phoneme)


class LetterSpeller:
    """Letters as tokens, by the checkpoint's own tokenizer.

    Args:
        tokenizer: Of transformers.
        language: One of `spoken_text.READINGS`.
    """

    def __init__(self, tokenizer: Any, language: str) -> None:
        self._tokenizer = tokenizer
        self._language = language

    def __call__(self, sentence: str) -> list[Tokens]:
        parts: list[str] = []
        for part in spoken_parts(sentence, self._language):
            if part not in MARKS:
                parts += [BETWEEN_WORDS, *part] if parts else part
            elif parts and parts[-1] not in MARKS:
                parts.append(part)
        return [self._tokens("".join(piece).strip()) for piece in _pieces(parts)]

    def _tokens(self, text: str) -> Tokens:
        ids: list[int] = self._tokenizer(text).input_ids
        if self._tokenizer.unk_token_id in ids:
            letter = next(each for each in text if self._unknown(each))
            raise InvalidInput(
                f"tensor 'text': the checkpoint has no token for {letter!r} (U+{ord(letter):04X})"
            )
        return ids

    def _unknown(self, letter: str) -> bool:
        return self._tokenizer.unk_token_id in self._tokenizer(letter).input_ids


def arpabet(phoneme: str) -> list[str]:
    """The ARPAbet of a phoneme in IPA; marks and what is between words stay as they are."""
    plain = phoneme.lstrip(STRESS + WEAK_STRESS)
    if plain not in _ARPABET:
        return [phoneme]
    stress = {STRESS: "1", WEAK_STRESS: "2"}.get(phoneme[0], "0")
    return [
        f"{name}{stress}" if name[0] in _ARPABET_VOWELS else name
        for name in _ARPABET[plain].split()
    ]


def _pieces(said: Sequence[str]) -> list[Sequence[str]]:
    """What is said in pieces that a network was trained for, cut at marks if it can be."""
    pieces = []
    while len(said) > _LONGEST:
        ends = [
            max((i for i in range(1, _LONGEST) if said[i] in at), default=0)
            for at in (MARKS, BETWEEN_WORDS)
        ]
        end = ends[0] + 1 if ends[0] >= _LONGEST // 4 else ends[1] or _LONGEST
        pieces.append(said[:end])
        said = said[end + (said[end] == BETWEEN_WORDS) :] if end < len(said) else []
    if any(each not in MARKS and each != BETWEEN_WORDS for each in said):
        pieces.append(said)
    return pieces
