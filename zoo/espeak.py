"""`Espeak`: speech of espeak-ng's library, with the moment at which each phoneme begins.

The program `espeak-ng` writes sound alone; its library also says which phoneme it is speaking.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, Union, c_char, c_char_p, c_int, c_short, c_uint, c_void_p
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from zoo.speech_engines import Samples

_LIBRARY = "libespeak-ng.so.1"
_RETRIEVE = 1
_PHONEME_EVENTS_IN_IPA = 1 | 2
# IPA, with this between two phonemes.
_SEPARATOR = "_"
_SEPARATED_IPA = 2 | ord(_SEPARATOR) << 8
_STRESS = "\u02c8\u02cc"
_UTF_8 = 1
_CHARACTER = 1
_RATE, _PITCH = 1, 3
_WORD, _CLAUSE_END, _PHONEME = 1, 5, 7


class _Name(Union):
    _fields_ = (("number", c_int), ("name", c_char_p), ("string", c_char * 8))


class _Event(Structure):
    _fields_ = (
        ("type", c_int),
        ("unique_identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@dataclass(frozen=True)
class Phone:
    """A phoneme that was spoken.

    Attributes:
        phoneme: In IPA, a stressed one after its mark of stress; empty is silence.
        start: The sample at which it begins.
        word: Where its word begins in the text, in characters from 0; -1 is none.
        ends_clause: Whether it is the silence after a clause.
    """

    phoneme: str
    start: int
    word: int
    ends_clause: bool = False


class Misaligned(ValueError):
    """What the library speaks of a text is not what it writes of it."""


@cache
def _initialized() -> tuple[ctypes.CDLL, int]:
    """The library and its sampling rate; a second initialization would never return."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise RuntimeError(f"{_LIBRARY} cannot be loaded: install Debian's espeak-ng") from error
    library.espeak_TextToPhonemes.restype = c_char_p
    return library, library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS_IN_IPA)


class Espeak:
    """espeak-ng's library in this process, with one voice.

    Attributes:
        sample_rate: In Hz.

    Raises:
        RuntimeError: the library is missing, or does not know the voice.
    """

    def __init__(self, voice: str, speed: int = 165, pitch: int = 50) -> None:
        self._library, self.sample_rate = _initialized()
        self._parts: list[Any] = []
        self._events: list[tuple[int, int, int, str]] = []
        # Kept: the library calls it as long as this object speaks.
        self._callback = _Callback(self._came)
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise RuntimeError(f"espeak-ng does not know the voice {voice!r}")
        self._library.espeak_SetParameter(_RATE, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)

    def _came(self, samples: Any, count: int, events: Any) -> int:
        if samples:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type:
            event = events[number]
            name = bytes(event.id.string).rstrip(b"\0") if event.type == _PHONEME else b""
            phoneme = name.decode(errors="ignore")
            self._events.append((event.type, event.text_position, event.sample, phoneme))
            number += 1
        return 0

    def speak(self, text: str) -> tuple[Samples, list[Phone]]:
        """The sound of a text, float32 in -1 to 1, and its phonemes in order.

        Raises:
            Misaligned: its marks of stress are not known. Of a hundred texts it is one.
        """
        self._parts.clear()
        self._events.clear()
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTER, 0, _UTF_8, None, None)
        self._library.espeak_Synchronize()
        phones: list[Phone] = []
        word = -1
        for kind, position, sample, phoneme in self._events:
            if kind == _WORD:
                word = position - 1
            elif kind == _PHONEME:
                phones.append(Phone(phoneme, sample, word))
            elif kind == _CLAUSE_END:
                # The silences just before it are the pause.
                for back in range(len(phones) - 1, -1, -1):
                    if phones[back].phoneme:
                        break
                    phones[back] = Phone("", phones[back].start, word, ends_clause=True)
        phones = self._stressed(text, phones)
        samples = np.concatenate(self._parts) if self._parts else np.zeros(0, np.int16)
        return samples.astype(np.float32) / 2**15, phones

    def phonemes(self, text: str) -> list[list[str]]:
        """The phonemes of a text, in IPA with marks of stress, by what it speaks as one word."""
        buffer = ctypes.create_string_buffer(text.encode())
        left = c_void_p(ctypes.addressof(buffer))
        words: list[list[str]] = []
        while left.value:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(left), _UTF_8, _SEPARATED_IPA)
            words += [
                [each for each in word.split(_SEPARATOR) if each.strip(_STRESS)]
                for word in clause.decode().split()
            ]
        return words

    def _stressed(self, text: str, phones: list[Phone]) -> list[Phone]:
        """The phones with marks of stress, which the library does not tell while it speaks."""
        written = iter([each for word in self.phonemes(text) for each in word])
        marked = []
        for phone in phones:
            if phone.phoneme:
                stressed = next(written, "")
                if stressed.strip(_STRESS) != phone.phoneme:
                    raise Misaligned(
                        f"espeak-ng speaks {phone.phoneme!r} and writes {stressed!r} of {text!r}"
                    )
                phone = replace(phone, phoneme=stressed)
            marked.append(phone)
        return marked
