"""Score a summarization checkpoint on articles of people and facts that its training never saw.

python -m zoo.evaluate_summarization --checkpoint DIR --articles 500

A summary is good if it says what the article's own summary says, so its questions are asked of it
too, with a question-answering checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from zoo.articles import Article, articles
from zoo.evaluate_question_answering import Score as AnswerScore
from zoo.evaluate_question_answering import predict as answer
from zoo.evaluate_question_answering import relation_of
from zoo.evaluate_question_answering import score as score_answers
from zoo.world import normalise_transcript


@dataclass(frozen=True)
class Score:
    """Means over `count` summaries, each from 0 to 1."""

    exact_match: float
    rouge_l: float
    count: int

    def __str__(self) -> str:
        return f"EM {self.exact_match:6.1%}  ROUGE-L {self.rouge_l:6.1%}  n={self.count}"


@torch.inference_mode()
def summarize(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    num_beams: int = 1,
    batch_size: int = 32,
) -> list[str]:
    """The summary of each text, in order; greedy unless `num_beams` is more than one."""
    summaries = [""] * len(texts)
    by_length = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for first in range(0, len(texts), batch_size):
        rows = by_length[first : first + batch_size]
        inputs = tokenizer(
            [texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt"
        )
        written = model.generate(**inputs, num_beams=num_beams, do_sample=False)
        decoded = tokenizer.batch_decode(written, skip_special_tokens=True)
        for row, summary in zip(rows, decoded, strict=True):
            summaries[row] = summary.strip()
    return summaries


def rouge_l(summary: str, reference: str) -> float:
    """ROUGE-L's F1: the longest common subsequence of words, in lower case; from 0 to 1.

    Source: Lin, ROUGE: A Package for Automatic Evaluation of Summaries (2004), with equal weight
    on precision and recall.
    """
    words, wanted = _words(summary), _words(reference)
    if not words or not wanted:
        return float(words == wanted)
    lengths = [0] * (len(wanted) + 1)
    for word in words:
        diagonal = 0
        for at, other in enumerate(wanted, start=1):
            above = lengths[at]
            lengths[at] = diagonal + 1 if word == other else max(above, lengths[at - 1])
            diagonal = above
    return 2 * lengths[-1] / (len(words) + len(wanted))


def _words(text: str) -> list[str]:
    return text.lower().replace(".", " ").split()


def score(summaries: Sequence[str], references: Sequence[str]) -> Score:
    """Mean exact match and ROUGE-L of at least one summary."""
    pairs = list(zip(summaries, references, strict=True))
    return Score(
        exact_match=sum(summary == reference for summary, reference in pairs) / len(pairs),
        rouge_l=sum(rouge_l(*pair) for pair in pairs) / len(pairs),
        count=len(pairs),
    )


def answer_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Article],
    summaries: Sequence[str],
) -> Iterator[tuple[str, AnswerScore]]:
    """(name, score) of the answers that `summaries` give: of all questions, then by relation."""
    asked = [
        (question, summary)
        for example, summary in zip(examples, summaries, strict=True)
        for question in example.questions
    ]
    answers = answer(model, tokenizer, [(each.question, summary) for each, summary in asked])
    relations: dict[str, list[tuple[str, str]]] = {}
    for (question, _), found in zip(asked, answers, strict=True):
        pair = (found, question.answer)
        relations.setdefault(relation_of(question.question), []).append(pair)
    yield "all", score_answers(pair for pairs in relations.values() for pair in pairs)
    for name, pairs in sorted(relations.items()):
        yield name, score_answers(pairs)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("model-settings/summarization/embedded")
    )
    parser.add_argument(
        "--question-answering",
        type=Path,
        default=Path("model-settings/question-answering/embedded"),
    )
    parser.add_argument("--articles", type=int, default=500)
    parser.add_argument("--num-beams", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the articles drawn")
    args = parser.parse_args(argv)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    reader = AutoTokenizer.from_pretrained(args.question_answering)
    answering = AutoModelForQuestionAnswering.from_pretrained(
        args.question_answering, dtype=torch.float32
    ).eval()

    drawn = articles(args.seed, args.articles, "held_out")
    references = [article.summary for article in drawn]
    summaries = summarize(
        model, tokenizer, [article.text for article in drawn], num_beams=args.num_beams
    )
    print(f"{'summaries':32} {score(summaries, references)}")
    heard = summarize(
        model,
        tokenizer,
        [normalise_transcript(article.text) for article in drawn],
        num_beams=args.num_beams,
    )
    wanted = [normalise_transcript(reference) for reference in references]
    print(f"{'summaries of transcripts':32} {score(heard, wanted)}")
    for source, texts in (("summary", summaries), ("reference", references)):
        for name, result in answer_scores(answering, reader, drawn, texts):
            print(f"{f'answers from the {source}, {name}':48} {result}")


if __name__ == "__main__":
    main()
