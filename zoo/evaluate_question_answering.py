"""Score a question-answering checkpoint on people and facts that its training never saw.

python -m zoo.evaluate_question_answering --checkpoint DIR --questions 1000
"""

from __future__ import annotations

import argparse
import random
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from infergraph.tasks.text.answer_spans import Answer, best_answer
from infergraph.tasks.text.windows import WindowEncoder
from zoo.calibration import auroc, expected_calibration_error, false_accepts
from zoo.outside_texts import outside_questions
from zoo.question_answering_data import crop
from zoo.world import QuestionExample, normalise_transcript, questions
from zoo.world_english import ENGLISH_GRAMMAR

Logits = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MAX_ANSWER_TOKENS = 40
"""Longest answer considered, in word pieces; a name unknown to the vocabulary takes many."""

DOC_STRIDE = 128
"""Word pieces shared by two neighbouring windows of a context longer than one window."""


@dataclass(frozen=True)
class Score:
    """Means over ``count`` questions, each from 0 to 1."""

    exact_match: float
    f1: float
    count: int

    def __str__(self) -> str:
        return f"EM {self.exact_match:6.1%}  F1 {self.f1:6.1%}  n={self.count}"


def best_span(start: Logits, end: Logits, in_context: Mask) -> tuple[int, int, float]:
    """The best answer of one window: first token, last token (inclusive), sum of their logits.

    ``start`` and ``end`` are FP32 [length], ``in_context`` BOOL [length]: whether a token belongs
    to the context, as one at least must.
    """
    length = len(start)
    more = np.arange(length)[None, :] - np.arange(length)[:, None]
    allowed = (more >= 0) & (more < MAX_ANSWER_TOKENS) & in_context[:, None] & in_context[None, :]
    scores = np.where(allowed, start[:, None] + end[None, :], -np.inf)
    first, last = divmod(int(scores.argmax()), length)
    return first, last, float(scores[first, last])


@torch.inference_mode()
def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_size: int = 64,
) -> list[str]:
    """The answer to each (question, context), sliced out of the context, or "" for no answer.

    A long context is read in overlapping windows. Its best span is the best of all windows, and
    must exceed the lowest null answer: a window without the answer says nothing of the others.
    """
    encoded = tokenizer(
        [question for question, _ in pairs],
        [context for _, context in pairs],
        truncation="only_second",
        max_length=tokenizer.model_max_length,
        stride=DOC_STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    owners = encoded["overflow_to_sample_mapping"]
    answers = [""] * len(pairs)
    best = np.full(len(pairs), -np.inf)
    null = np.full(len(pairs), np.inf)
    by_length = sorted(range(len(owners)), key=lambda window: len(encoded["input_ids"][window]))
    for at in range(0, len(by_length), batch_size):
        windows = by_length[at : at + batch_size]
        inputs = {
            key: [encoded[key][window] for window in windows] for key in tokenizer.model_input_names
        }
        output = model(**tokenizer.pad(inputs, return_tensors="pt"))
        starts, ends = output.start_logits.float().numpy(), output.end_logits.float().numpy()
        for window, start, end in zip(windows, starts, ends, strict=True):
            in_context = np.array([part == 1 for part in encoded.sequence_ids(window)])
            length, owner = len(in_context), owners[window]
            null[owner] = min(null[owner], start[0] + end[0])
            if not in_context.any():
                continue
            first, last, logit = best_span(start[:length], end[:length], in_context)
            if logit > best[owner]:
                best[owner] = logit
                offsets = encoded["offset_mapping"][window]
                answers[owner] = pairs[owner][1][offsets[first][0] : offsets[last][1]]
    return [answer if found else "" for answer, found in zip(answers, best > null, strict=True)]


@torch.inference_mode()
def answered(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    temperature: float = 1.0,
) -> list[Answer]:
    """The runtime's answer and score for each (question, context), logits divided first."""
    windows_of = WindowEncoder(tokenizer, tokenizer.model_max_length, DOC_STRIDE, MAX_ANSWER_TOKENS)
    answers = []
    for question, context in pairs:
        encoded = windows_of(question, context)
        starts, ends = [], []
        for window in encoded.windows:
            output = model(
                input_ids=torch.tensor(np.array([window.ids])),
                token_type_ids=torch.tensor(np.array([window.type_ids])),
            )
            starts.append(output.start_logits[0].float().numpy() / temperature)
            ends.append(output.end_logits[0].float().numpy() / temperature)
        answers.append(
            best_answer(
                encoded,
                starts,
                ends,
                max_answer_tokens=MAX_ANSWER_TOKENS,
                null_allowed=True,
                null_threshold=0.0,
            )
        )
    return answers


Scored = tuple[npt.NDArray[np.float64], list[bool]]
"""The score of each answer, and whether it is right."""


def scored(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[tuple[str, str, str]],
    temperature: float = 1.0,
) -> Scored:
    """Of each (question, context, answer)."""
    pairs = [(question, context) for question, context, _ in examples]
    given = answered(model, tokenizer, pairs, temperature)
    right = [
        canonical(each.text) == canonical(answer)
        for each, (*_, answer) in zip(given, examples, strict=True)
    ]
    return np.array([each.score for each in given]), right


def held_out(seed: int, count: int) -> list[tuple[str, str, str]]:
    """(question, context, answer) of the world that training lacks, every other a transcript."""
    return [
        (
            normalise_transcript(each.question) if number % 2 else each.question,
            each.context,
            each.answer,
        )
        for number, each in enumerate(questions(seed, count, "held_out"))
    ]


def report_scores(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, count: int
) -> dict[str, float]:
    """What scores mean, of `count` questions of the world and as many from outside of it."""
    scores, right = scored(model, tokenizer, held_out(seed, count))
    outside, found = scored(model, tokenizer, outside_questions(seed, count, "held_out"))
    both = np.concatenate((scores, outside))
    return {
        "calibration error": expected_calibration_error(both, [*right, *found]),
        "of the world alone": expected_calibration_error(scores, right),
        "auroc": auroc(scores, outside),
        "false accepts": false_accepts(scores, outside),
        "mean score": float(scores.mean()),
        "mean score outside": float(outside.mean()),
        "right outside": float(np.mean(found)),
    }


def canonical(text: str) -> str:
    """SQuAD's normal form: lower case, without punctuation, articles and extra spaces."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(predicted: str, expected: str) -> float:
    """Word overlap of two answers as SQuAD 2.0 defines it; two empty answers agree fully."""
    left, right = canonical(predicted).split(), canonical(expected).split()
    if not left or not right:
        return float(left == right)
    common = sum((Counter(left) & Counter(right)).values())
    return 2 * common / (len(left) + len(right))


def score(pairs: Iterable[tuple[str, str]]) -> Score:
    """Mean exact match and F1 of (predicted, expected) answers."""
    pairs = list(pairs)
    if not pairs:
        return Score(0.0, 0.0, 0)
    return Score(
        exact_match=sum(canonical(p) == canonical(e) for p, e in pairs) / len(pairs),
        f1=sum(f1(p, e) for p, e in pairs) / len(pairs),
        count=len(pairs),
    )


@cache
def _question_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(question.template))), relation.name)
        for relation in ENGLISH_GRAMMAR.relations
        for question in relation.questions
    )


def relation_of(question: str) -> str:
    """The name of the relation that a question of the world asks for.

    Raises:
        ValueError: If no question template of the English grammar matches.
    """
    for pattern, relation in _question_patterns():
        if pattern.fullmatch(question):
            return relation
    raise ValueError(f"{question!r} is no question of zoo.world: no template of it matches")


def shortened(examples: Sequence[QuestionExample]) -> list[QuestionExample]:
    """The same questions about the one to three sentences of their contexts that tell."""
    rng = random.Random(0)
    return [crop(each, rng.choice((1, 2, 3)), keep=True, rng=rng) for each in examples]


def report(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[QuestionExample]
) -> Iterator[tuple[str, Score]]:
    """(name, score) of each form of question, and of each group and relation within it."""
    forms: dict[str, tuple[Callable[[str], str], Sequence[QuestionExample]]] = {
        "written": (str, examples),
        "transcript": (normalise_transcript, examples),
        "short context": (str, shortened(examples)),
    }
    for form, (rewritten, examples) in forms.items():
        asked = [(rewritten(example.question), example.context) for example in examples]
        groups: dict[str, list[tuple[str, str]]] = {"all": [], "answerable": [], "unanswerable": []}
        relations: dict[str, list[tuple[str, str]]] = {}
        for example, predicted in zip(examples, predict(model, tokenizer, asked), strict=True):
            pair = (predicted, example.answer)
            groups["all"].append(pair)
            groups["answerable" if example.answer else "unanswerable"].append(pair)
            relations.setdefault(relation_of(example.question), []).append(pair)
        for name, pairs in (*groups.items(), *sorted(relations.items())):
            yield f"{form}, {name}", score(pairs)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("model-settings/question-answering/embedded")
    )
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the questions drawn")
    args = parser.parse_args(argv)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModelForQuestionAnswering.from_pretrained(args.checkpoint, dtype=torch.float32)
    examples = questions(args.seed, args.questions, "held_out")
    for name, result in report(model.eval(), tokenizer, examples):
        print(f"{name:28} {result}")
    for name, number in report_scores(model, tokenizer, args.seed, 400).items():
        print(f"{name:28} {number:.4f}")


if __name__ == "__main__":
    main()
