"""Extractive question answering: inputs `question` and `context`, outputs `answer` and `score`.

All are [-1, 1]: `question`, `context` and `answer` BYTES (UTF-8 text), `score` FP32 from 0 to 1.
The answer is a piece of the context, or empty where the context does not say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import NonNegativeInt, PositiveInt, field_validator
from transformers import AutoModelForQuestionAnswering

from ..batching import check_wanted
from ..errors import ConfigurationError
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from .checkpoints.pretrained import load_network, load_tokenizer
from .minibatches import MAX_BATCH_TOKENS, call_cost, minibatches
from .text.answer_spans import best_answer
from .text.texts import check_text
from .text.windows import Encoded, Window, WindowEncoder, window_limit

# Ids of checkpoints trained on SQuAD 1.1, in which every question has an answer.
_ALWAYS_ANSWERED = re.compile(r"squad(?![-_.]?v?2)", re.IGNORECASE)


class QuestionAnsweringOptions(RuntimeOptions):
    """Settings of question answering.

    Attributes:
        max_length: Most tokens of one window; None is as many as the checkpoint takes.
        doc_stride: Context tokens that neighbouring windows share, at least `max_answer_tokens`.
        max_answer_tokens: The longest answer.
        no_answer: Whether "the context does not say" is an answer; auto: unless the checkpoint's
            id says that it was trained on SQuAD 1.1, which has no such questions.
        no_answer_threshold: How much the logit of "no answer" must exceed the best answer's.
        max_question_characters: The longest question accepted, before it is tokenized.
        max_context_characters: The longest context accepted.
        max_batch_tokens: Most tokens, over all windows, of the items that run together; an item of
            more runs alone, as many of its windows at a time.
    """

    max_length: PositiveInt | None = None
    doc_stride: NonNegativeInt = 128
    max_answer_tokens: PositiveInt = 40
    no_answer: Literal["auto", True, False] = "auto"
    no_answer_threshold: float = 0.0
    max_question_characters: PositiveInt = 4_000
    max_context_characters: PositiveInt = 100_000
    max_batch_tokens: PositiveInt = MAX_BATCH_TOKENS

    @field_validator("no_answer", mode="before")
    @classmethod
    def _no_answer_from_string(cls, value: Any) -> Any:
        return {"true": True, "false": False}.get(str(value).lower(), value)


class QuestionAnswering(Runtime):
    """Answers questions with pieces of a context of any length, read in overlapping windows."""

    settings_class = QuestionAnsweringOptions
    text_inputs = frozenset({"question", "context"})
    options: QuestionAnsweringOptions

    def setup(self) -> None:
        """Loads the tokenizer and the network.

        Raises:
            ConfigurationError: the checkpoint is incomplete, its tokenizer is slow, or a setting
                does not fit its window.
        """
        options = self.options
        tokenizer = load_tokenizer(self.checkpoint)
        self.network: Any = load_network(
            AutoModelForQuestionAnswering, self.checkpoint, self.placement
        )
        self.call = call_cost(self.network)
        limit = window_limit(tokenizer, self.network)
        max_length = options.max_length or limit
        if max_length > limit:
            raise ConfigurationError(
                f"setting 'max_length' = {max_length}: the checkpoint takes at most {limit} tokens"
            )
        self.windows_of = WindowEncoder(
            tokenizer, max_length, options.doc_stride, options.max_answer_tokens
        )
        self.pad_id: int = tokenizer.pad_token_id or 0
        accepted = inspect.signature(
            getattr(self.network, "_orig_mod", self.network).forward
        ).parameters
        self.takes_type_ids = (
            "token_type_ids" in tokenizer.model_input_names and "token_type_ids" in accepted
        )
        self.null_allowed = (
            not _ALWAYS_ANSWERED.search(self.checkpoint_name.rpartition("/")[2])
            if options.no_answer == "auto"
            else options.no_answer
        )

    def prepare(self, item: Item) -> Item:
        """Tokenizes the question and the context.

        Raises:
            InvalidInput: one of them is empty, too long, or holds control characters.
        """
        check_text(item["question"], "question", self.options.max_question_characters)
        check_text(item["context"], "context", self.options.max_context_characters)
        return {"encoded": self.windows_of(item["question"], item["context"])}

    def length(self, item: Item) -> int:
        """Tokens of the item, over all its windows."""
        return sum(len(window.ids) for window in item["encoded"].windows)

    @property
    def work_limit(self) -> float:
        """Tokens."""
        return self.options.max_batch_tokens

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        """One `answer` and `score` per item; runs the windows of all items together."""
        encoded: list[Encoded] = [item["encoded"] for item in items]
        windows = [window for each in encoded for window in each.windows]
        starts: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)
        ends = list(starts)
        for indices in minibatches(
            [len(window.ids) for window in windows],
            self.options.max_batch_size,
            call=self.call,
            most=self.options.max_batch_tokens,
        ):
            logits = self.network(**self._batch([windows[index] for index in indices]))
            start_rows = logits.start_logits.float().cpu().numpy()
            end_rows = logits.end_logits.float().cpu().numpy()
            for index, start, end in zip(indices, start_rows, end_rows, strict=True):
                starts[index], ends[index] = start, end
        answers: list[Outputs] = []
        done = 0
        for each in encoded:
            # Of a long context, tens of milliseconds without the network.
            check_wanted()
            part = slice(done, done + len(each.windows))
            done = part.stop
            answer = best_answer(
                each,
                starts[part],
                ends[part],
                max_answer_tokens=self.options.max_answer_tokens,
                null_allowed=self.null_allowed,
                null_threshold=self.options.no_answer_threshold,
            )
            answers.append({"answer": answer.text, "score": answer.score})
        return answers

    def _batch(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        shape = (len(windows), max(len(window.ids) for window in windows))
        ids = np.full(shape, self.pad_id)
        type_ids = np.zeros(shape, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, window in enumerate(windows):
            length = len(window.ids)
            ids[row, :length] = window.ids
            type_ids[row, :length] = window.type_ids
            mask[row, :length] = 1
        self.observe_padding(int(mask.sum()), mask.size)
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.takes_type_ids:
            batch["token_type_ids"] = type_ids
        return {
            name: torch.from_numpy(values).to(self.placement.device)
            for name, values in batch.items()
        }
