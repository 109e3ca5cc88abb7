"""Extractive question answering: inputs `question` and `context`, outputs `answer` and `score`.

All are [-1, 1]: `question`, `context` and `answer` BYTES (UTF-8 text), `score` FP32 from 0 to 1.
The answer is a piece of the context, or empty where the context does not say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
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
from .minibatches import MAX_BATCH_TOKENS
from .text.answer_spans import best_answer
from .text.packing import Packing
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


@dataclass(frozen=True, slots=True)
class Reader:
    """A network that reads windows, and what goes with it.

    Attributes:
        network: From tokens to the logits of an answer's start and end.
        encode: From a question and its context to windows.
        pad_id: The token that pads.
        takes_type_ids: Whether the network is given segment numbers.
        null_allowed: Whether "the context does not say" is an answer.
        packing: How windows are given to the network together.
    """

    network: Any
    encode: WindowEncoder
    pad_id: int
    takes_type_ids: bool
    null_allowed: bool
    packing: Packing

    def batch(self, windows: Sequence[Window], device: torch.device) -> dict[str, torch.Tensor]:
        """The network's inputs, INT64 [windows, longest], padded at the end."""
        shape = (len(windows), max(len(window.ids) for window in windows))
        ids = np.full(shape, self.pad_id)
        type_ids = np.zeros(shape, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, window in enumerate(windows):
            length = len(window.ids)
            ids[row, :length] = window.ids
            type_ids[row, :length] = window.type_ids
            mask[row, :length] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.takes_type_ids:
            batch["token_type_ids"] = type_ids
        return {name: torch.from_numpy(values).to(device) for name, values in batch.items()}


class QuestionAnswering(Runtime[Encoded, None, Reader]):
    """Answers questions with pieces of a context of any length, read in overlapping windows."""

    settings_class = QuestionAnsweringOptions
    text_inputs = frozenset({"question", "context"})
    engines = ("torch", "openvino")
    options: QuestionAnsweringOptions

    def setup(self) -> Reader:
        """Loads the tokenizer and the network.

        Raises:
            ConfigurationError: the checkpoint is incomplete, its tokenizer is slow, or a setting
                does not fit its window.
        """
        options = self.options
        tokenizer = load_tokenizer(self.checkpoint)
        network: Any = load_network(AutoModelForQuestionAnswering, self.checkpoint, self.placement)
        limit = window_limit(tokenizer, network)
        max_length = options.max_length or limit
        if max_length > limit:
            raise ConfigurationError(
                f"setting 'max_length' = {max_length}: the checkpoint takes at most {limit} tokens"
            )
        accepted = inspect.signature(getattr(network, "_orig_mod", network).forward).parameters
        reader = Reader(
            network,
            WindowEncoder(tokenizer, max_length, options.doc_stride, options.max_answer_tokens),
            pad_id=tokenizer.pad_token_id or 0,
            takes_type_ids=(
                "token_type_ids" in tokenizer.model_input_names and "token_type_ids" in accepted
            ),
            null_allowed=(
                not _ALWAYS_ANSWERED.search(self.checkpoint_name.rpartition("/")[2])
                if options.no_answer == "auto"
                else options.no_answer
            ),
            packing=Packing(network, self.placement),
        )
        self.placement.finish([network], lambda: self._try_out(reader))
        return reader

    def _try_out(self, reader: Reader) -> None:
        """Has it read windows of different lengths."""
        short, long = (
            reader.encode(question, context).windows[0]
            for question, context in (("a", "b"), ("a b c", "d e f g h i j k"))
        )
        for windows in ([long, short], [short]):
            reader.network(**reader.batch(windows, self.placement.device))

    def prepare(self, item: Item) -> Encoded:
        """Tokenizes the question and the context.

        Raises:
            InvalidInput: one of them is empty, too long, or holds control characters.
        """
        check_text(item["question"], "question", self.options.max_question_characters)
        check_text(item["context"], "context", self.options.max_context_characters)
        return self.model.encode(item["question"], item["context"])

    def length(self, item: Encoded) -> int:
        """Tokens of the item, over all its windows."""
        return sum(len(window.ids) for window in item.windows)

    @property
    def work_limit(self) -> float:
        """Tokens."""
        return self.options.max_batch_tokens

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Encoded], parameters: None) -> list[Outputs]:
        """One `answer` and `score` per item; runs the windows of all items together."""
        windows = [window for item in items for window in item.windows]
        starts: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)
        ends = list(starts)
        lengths = [len(window.ids) for window in windows]
        for indices in self.model.packing.batches(
            lengths, self.options.max_batch_size, self.options.max_batch_tokens
        ):
            batch = self.model.batch([windows[index] for index in indices], self.placement.device)
            own = [lengths[index] for index in indices]
            with self.model.packing.rows(own) as tokens:
                self.observe_padding(sum(own), tokens)
                logits = self.model.network(**batch)
            start_rows = logits.start_logits.float().cpu().numpy()
            end_rows = logits.end_logits.float().cpu().numpy()
            for index, start, end in zip(indices, start_rows, end_rows, strict=True):
                starts[index], ends[index] = start, end
        answers: list[Outputs] = []
        done = 0
        for item in items:
            # Of a long context, tens of milliseconds without the network.
            check_wanted()
            part = slice(done, done + len(item.windows))
            done = part.stop
            answer = best_answer(
                item,
                starts[part],
                ends[part],
                max_answer_tokens=self.options.max_answer_tokens,
                null_allowed=self.model.null_allowed,
                null_threshold=self.options.no_answer_threshold,
            )
            answers.append({"answer": answer.text, "score": answer.score})
        return answers
