"""What text-to-speech models learn from, and how pronunciations are learned."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest
import torch

from infergraph.tasks.speech.pronunciation import Pronunciation
from infergraph.tasks.speech.spectrogram import MelSpectrogram
from zoo.espeak import Phone
from zoo.evaluate_text_to_speech import distance
from zoo.text_to_speech_data import VOICES, Example, example, speak, tokens_of, training_texts
from zoo.train_pronunciation import align, rules_of
from zoo.train_text_to_speech import Scaling, batches, build_model, collate

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")

PHONES = [
    Phone("h", 0, 0),
    Phone("\u02c8a\u026a", 2205, 0),
    Phone("", 6615, 0, ends_clause=True),
    Phone("", 8820, 0, ends_clause=True),
    Phone("m", 11025, 4),
    Phone("", 12000, 4),
    Phone("\u02c8\u0251\u02d0", 13230, 7),
    Phone("", 17640, 7, ends_clause=True),
]


def test_tokens_are_phonemes_words_and_marks() -> None:
    tokens, starts = tokens_of("hi, my ma.", PHONES)
    assert tokens == ["h", "\u02c8a\u026a", ",", "m", " ", "\u02c8\u0251\u02d0", "."]
    assert starts == [0, 2205, 6615, 11025, 13230, 13230, 17640]


def test_durations_are_those_of_the_frames() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    made = example("hi, my ma.", sound, PHONES, 22050, MelSpectrogram())
    assert made.durations.sum() == len(made.frames) == 63
    assert made.durations[4] == 0
    assert made.durations[0] == round(2205 / 22050 * 16000 / 256)
    assert made.frames.shape == (63, 80)


def test_texts_are_of_many_kinds_and_always_the_same() -> None:
    texts = training_texts(0, 200, "en")
    assert texts == training_texts(0, 200, "en")
    assert any(any(letter.isdigit() for letter in text) for text in texts)
    assert len(set(texts)) > 150


def test_letters_are_aligned_with_what_they_sound_like() -> None:
    words = {"cat": ("k", "a", "t"), "tack": ("t", "a", "k"), "act": ("a", "k", "t")}
    words |= {"box": ("b", "o", "k", "s"), "ox": ("o", "k", "s"), "cot": ("k", "o", "t")}
    aligned = align(words)
    assert aligned["cat"] == (("k",), ("a",), ("t",))
    assert aligned["box"] == (("b",), ("o",), ("k", "s"))
    assert sum(chunk != () for chunk in aligned["tack"]) == 3
    assert "abc" not in align({"abc": ("a",) * 7, **words})


def test_rules_say_the_words_that_they_were_learned_from() -> None:
    words = {"ca": ("k", "a"), "ce": ("s", "e"), "cal": ("k", "a", "l"), "cel": ("s", "e", "l")}
    rules = rules_of(align(words))
    said = Pronunciation("en", {}, rules)
    for word, phonemes in words.items():
        assert [each.lstrip("\u02c8") for each in said.by_rules(word)] == list(phonemes)
    # Of a word that was not learned from the letter after c decides.
    assert said.by_rules("cell")[0] == "s"


def test_distance_is_of_the_best_path() -> None:
    frames = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    assert distance(frames, frames) == 0
    assert distance(frames, np.repeat(frames, 2, axis=0)) == pytest.approx(0, abs=1e-6)
    assert distance(frames, frames + 1) > 0.3


@needs_espeak
def test_a_network_learns_from_what_is_spoken() -> None:
    texts = training_texts(0, 6, "en")
    examples: list[Example] = speak(texts, VOICES["en"], MelSpectrogram())
    assert len(examples) >= 5
    assert all(each.durations.sum() == len(each.frames) for each in examples)
    assert any("\u02c8" in token for each in examples for token in each.tokens)
    kinds = sorted({token for each in examples for token in each.tokens})
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<unk>", *kinds])}
    batch = next(batches(examples, random.Random(0)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(len(vocabulary), MelSpectrogram()).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        inputs = collate(batch, vocabulary, Scaling(examples))
        losses = []
        for _ in range(6):
            loss = model(**inputs).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
