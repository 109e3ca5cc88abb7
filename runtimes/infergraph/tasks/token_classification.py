"""Token classification: input `text`, outputs the entities in it, or its parts of speech.

`text` BYTES [-1, 1] (UTF-8 text). Out come `num_entities` INT64 [-1, 1]; `entities` and
`entity_labels` BYTES, `entity_scores` FP32 from 0 to 1, and `starts` and `ends` INT64, all
[-1, max_entities], in the order of the text. `starts` and `ends`, exclusive, count code points:
`text[start:end]` is the entity. Rows past `num_entities` are empty: no text, 0, and -1. `num_found`
INT64 [-1, 1], if it is declared, also counts those that there was no room for. With the setting
`groups`, the text itself is also the output `<group>_text` of each group that one of its entities
is in. A text without words has no entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from transformers import AutoModelForTokenClassification

from ..batching import check_wanted
from ..errors import ConfigurationError
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from .checkpoints.pretrained import load_network, load_tokenizer
from .declared_outputs import check_declared, group_texts
from .minibatches import MAX_BATCH_TOKENS
from .text.encoder import padded_batch
from .text.entities import Aggregation, Entity, Tagging
from .text.packing import Packing
from .text.texts import check_text
from .text.windows import EncodedText, TextWindowEncoder, window_limit

_ALL = "*"
_UNDECLARED = ("num_found",)


class TokenClassificationOptions(RuntimeOptions):
    """Settings of token classification.

    Attributes:
        max_length: Most tokens of one window; None is as many as the checkpoint takes.
        overlap: Tokens that neighbouring windows of a long text share, at most half of them.
        max_text_characters: The longest text accepted, before it is tokenized.
        max_batch_tokens: Most tokens, over all windows, of the texts that run together; a text of
            more runs alone, as many of its windows at a time.
        max_entities: Rows of the outputs; of more entities those with the highest scores stay.
        threshold: The lowest score of an entity, from 0 to 1.
        aggregation: Which of the tokens of a word says what it is: `first`, the `average` of all,
            or the one that is surest, `max`.
        labels: The checkpoint's name of a tag, or of a label without the tag's prefix -> the name
            in answers; "O" for what is no entity. Names that the checkpoint does not have are for
            other variants.
        groups: Group -> labels, "*" for all. `<group>_text` is then an optional output: the item's
            text, given only for items with an entity of such a label.
        other_group: The name of the group of all texts that are in none of `groups`.
    """

    max_length: PositiveInt | None = None
    overlap: NonNegativeInt = 32
    max_text_characters: PositiveInt = 20_000
    max_batch_tokens: PositiveInt = MAX_BATCH_TOKENS
    max_entities: PositiveInt = 64
    threshold: float = Field(0.0, ge=0, le=1)
    aggregation: Aggregation = "first"
    labels: dict[str, str] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    other_group: str | None = None


@dataclass(frozen=True, slots=True)
class Tagger:
    """A network that tags tokens, and what goes with it.

    Attributes:
        network: From tokens to logits.
        encode: From a text to windows.
        pad_id: The token that pads.
        tagging: From tags to entities.
        packing: How windows are given to the network together.
        groups: Group -> its labels.
        given: The names of the outputs.
    """

    network: Any
    encode: TextWindowEncoder
    pad_id: int
    tagging: Tagging
    packing: Packing
    groups: Mapping[str, Sequence[str]]
    given: frozenset[str]


class TokenClassification(Runtime[EncodedText, None, Tagger]):
    """Finds entities with any token classification checkpoint, in texts of any length."""

    settings_class = TokenClassificationOptions
    text_inputs = frozenset({"text"})
    engines = ("torch", "openvino")
    options: TokenClassificationOptions

    def setup(self) -> Tagger:
        """Loads the tokenizer and the network.

        Raises:
            ConfigurationError: the checkpoint is incomplete, its tokenizer is slow, or a setting
                does not fit its window, its labels, or the declared outputs.
        """
        options = self.options
        tokenizer = load_tokenizer(self.checkpoint)
        network: Any = load_network(
            AutoModelForTokenClassification, self.checkpoint, self.placement
        )
        config = network.config
        limit = window_limit(tokenizer, network)
        max_length = options.max_length or limit
        if max_length > limit:
            raise ConfigurationError(
                f"setting 'max_length' = {max_length}: the checkpoint takes at most {limit} tokens"
            )
        tags = [config.id2label[index] for index in range(config.num_labels)]
        tagging = Tagging(tags, options.labels, options.aggregation)
        groups = {
            group: tagging.labels if _ALL in of else of for group, of in options.groups.items()
        }
        given = [
            *_specs(options.max_entities),
            *group_texts(groups, options.other_group, tagging.labels),
        ]
        check_declared(given, self._output_specs, undeclared=_UNDECLARED)
        tagger = Tagger(
            network,
            TextWindowEncoder(tokenizer, max_length, options.overlap),
            tokenizer.pad_token_id or 0,
            tagging,
            Packing(network, self.placement),
            groups,
            frozenset(spec.name for spec in self._output_specs or given),
        )
        self.placement.finish([network], lambda: self._try_out(tagger))
        return tagger

    def _try_out(self, tagger: Tagger) -> None:
        """Has it read windows of different lengths."""
        long, short = (tagger.encode(text).windows[0].ids for text in ("a b c d e f g h", "a b"))
        for ids in ([long, short], [short]):
            tagger.network(**padded_batch(ids, tagger.pad_id, self.placement.device))

    def prepare(self, item: Item) -> EncodedText:
        """Tokenizes the text.

        Raises:
            InvalidInput: the text is too long, or holds control characters.
        """
        text: str = item["text"]
        check_text(text, "text", self.options.max_text_characters, blank=True)
        return self.model.encode(text)

    def length(self, item: EncodedText) -> int:
        """Tokens of the text, over all its windows."""
        return sum(len(window.ids) for window in item.windows)

    @property
    def work_limit(self) -> float:
        """Tokens."""
        return self.options.max_batch_tokens

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[EncodedText], parameters: None) -> list[Outputs]:
        """The entities of each text; runs the windows of all texts together."""
        model = self.model
        ids = [window.ids for item in items for window in item.windows]
        lengths = [len(each) for each in ids]
        rows: list[npt.NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * len(ids)
        for indices in model.packing.batches(
            lengths, self.options.max_batch_size, self.options.max_batch_tokens
        ):
            batch = padded_batch(
                [ids[index] for index in indices], model.pad_id, self.placement.device
            )
            own = [lengths[index] for index in indices]
            with model.packing.rows(own) as tokens:
                self.observe_padding(sum(own), tokens)
                logits = model.network(**batch).logits
            probable = logits.float().softmax(dim=-1).cpu().numpy()
            for index, row in zip(indices, probable, strict=True):
                rows[index] = row
        answers: list[Outputs] = []
        done = 0
        for item in items:
            # Of a long text, many milliseconds without the network.
            check_wanted()
            part = rows[done : done + len(item.windows)]
            done += len(part)
            found = [
                entity
                for entity in model.tagging.entities(item, item.joined(part))
                if entity.score >= self.options.threshold
            ]
            answers.append(self._answer(item.text, found))
        return answers

    def _answer(self, text: str, found: Sequence[Entity]) -> Outputs:
        options = self.options
        room = options.max_entities
        kept = sorted(
            sorted(found, key=lambda each: -each.score)[:room], key=lambda each: each.start
        )
        more = room - len(kept)
        answer: Outputs = {
            "num_entities": len(kept),
            "entities": _texts([text[each.start : each.end] for each in kept], more),
            "entity_labels": _texts([each.label for each in kept], more),
            "entity_scores": np.array([*(each.score for each in kept), *[0] * more], np.float32),
            "starts": np.array([*(each.start for each in kept), *[-1] * more]),
            "ends": np.array([*(each.end for each in kept), *[-1] * more]),
            "num_found": len(found),
        }
        labels = {each.label for each in found}
        groups = [name for name, of in self.model.groups.items() if not labels.isdisjoint(of)]
        if not groups and options.other_group is not None:
            groups = [options.other_group]
        answer |= {f"{group}_text": text for group in groups}
        return {name: value for name, value in answer.items() if name in self.model.given}


def _texts(texts: Sequence[str], more: int) -> npt.NDArray[Any]:
    array = np.full(len(texts) + more, "", object)
    array[: len(texts)] = texts
    return array


def _specs(size: int) -> list[TensorSpec]:
    return [
        TensorSpec("num_entities", "INT64", (-1, 1)),
        TensorSpec("entities", "BYTES", (-1, size)),
        TensorSpec("entity_labels", "BYTES", (-1, size)),
        TensorSpec("entity_scores", "FP32", (-1, size)),
        TensorSpec("starts", "INT64", (-1, size)),
        TensorSpec("ends", "INT64", (-1, size)),
        TensorSpec("num_found", "INT64", (-1, 1)),
    ]
