"""Text classification: input `text`, outputs `label` and `score`; also routes by the label.

All are [-1, 1]: `text` and `label` BYTES (UTF-8 text), `score` FP32 from 0 to 1. With the setting
`groups`, the text itself is also the output `<group>_text` of each group that its label is in, so
that a pipeline's next steps take only the items that are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field, PositiveInt
from transformers import AutoModelForSequenceClassification

from ..errors import ConfigurationError
from ..runtime import Item, Outputs, Runtime
from ..settings import RuntimeOptions
from ..tensors import TensorSpec
from .checkpoints.pretrained import load_network, load_tokenizer
from .class_scores import class_scores
from .declared_outputs import check_declared, group_texts
from .minibatches import MAX_BATCH_TOKENS
from .text.encoder import Ids, TextEncoder
from .text.packing import Packing
from .text.texts import check_text
from .text.windows import window_limit

_ALWAYS = {"label": "BYTES", "score": "FP32"}


class TextClassificationOptions(RuntimeOptions):
    """Settings of text classification.

    Attributes:
        max_length: Most tokens of a text; None is as many as the checkpoint takes.
        truncation: Whether of a longer text the first part is read, instead of refusing it.
        max_text_characters: The longest text accepted, before it is tokenized.
        max_batch_tokens: Most tokens of the texts that run together; a longer text runs alone.
        labels: The checkpoint's name of a label -> the name in answers; a label that is not named
            keeps its own. Names that the checkpoint does not have are for other variants.
        groups: Group -> labels. `<group>_text` is then an optional output: the item's text, given
            only for items whose label is in the group.
        other_group: The name of the group of all labels that are in none of `groups`.
    """

    max_length: PositiveInt | None = None
    truncation: bool = False
    max_text_characters: PositiveInt = 20_000
    max_batch_tokens: PositiveInt = MAX_BATCH_TOKENS
    labels: dict[str, str] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    other_group: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and its tokens."""

    text: str
    ids: Ids


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network that classifies texts, and what goes with it.

    Attributes:
        network: From tokens to logits.
        encoder: From a text to tokens.
        labels: The logits' names in answers, in order.
        independent: Whether labels do not exclude each other: each logit stands for itself.
        outputs_of: For each label, the outputs that carry the text.
        packing: How texts are given to the network together.
    """

    network: Any
    encoder: TextEncoder
    labels: Sequence[str]
    independent: bool
    outputs_of: Sequence[Sequence[str]]
    packing: Packing


class TextClassification(Runtime[Text, None, Classifier]):
    """Gives each text the likeliest label of any sequence classification checkpoint."""

    settings_class = TextClassificationOptions
    text_inputs = frozenset({"text"})
    engines = ("torch", "openvino")
    options: TextClassificationOptions

    def setup(self) -> Classifier:
        """Loads the tokenizer and the network.

        Raises:
            ConfigurationError: the checkpoint is no classifier or incomplete, or a setting does not
                fit its window, its labels, or the declared outputs.
        """
        options = self.options
        tokenizer = load_tokenizer(self.checkpoint)
        network: Any = load_network(
            AutoModelForSequenceClassification, self.checkpoint, self.placement
        )
        config = network.config
        if config.problem_type == "regression":
            raise ConfigurationError(
                f"the checkpoint '{self.checkpoint}' predicts a number (problem_type 'regression');"
                " accepted: a classifier"
            )
        limit = window_limit(tokenizer, network)
        max_length = options.max_length or limit
        if max_length > limit:
            raise ConfigurationError(
                f"setting 'max_length' = {max_length}: the checkpoint takes at most {limit} tokens"
            )
        labels = [
            options.labels.get(config.id2label[index], config.id2label[index])
            for index in range(config.num_labels)
        ]
        encoder = TextEncoder(tokenizer, max_length, truncation=options.truncation)
        packing = Packing(network, self.placement)
        self.placement.finish(
            [network],
            lambda: [network(**each) for each in encoder.examples(self.placement.device)],
        )
        return Classifier(
            network,
            encoder,
            labels,
            # A single logit stands for itself, too.
            independent=(
                config.num_labels == 1 or config.problem_type == "multi_label_classification"
            ),
            outputs_of=_group_outputs(
                labels, options.groups, options.other_group, self._output_specs
            ),
            packing=packing,
        )

    def prepare(self, item: Item) -> Text:
        """Tokenizes the text.

        Raises:
            InvalidInput: the text is empty, too long, or holds control characters.
        """
        text: str = item["text"]
        check_text(text, "text", self.options.max_text_characters)
        return Text(text, self.model.encoder(text, "text"))

    def length(self, item: Text) -> int:
        """Tokens of the text."""
        return len(item.ids)

    @property
    def work_limit(self) -> float:
        """Tokens."""
        return self.options.max_batch_tokens

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Text], parameters: None) -> list[Outputs]:
        """`label`, `score` and the texts of the label's groups, for each item."""
        model = self.model
        answers: list[Outputs] = [{} for _ in items]
        lengths = [len(item.ids) for item in items]
        for indices in model.packing.batches(
            lengths, self.options.max_batch_size, self.options.max_batch_tokens
        ):
            batch = model.encoder.batch(
                [items[index].ids for index in indices], self.placement.device
            )
            own = [lengths[index] for index in indices]
            with model.packing.rows(own) as tokens:
                self.observe_padding(sum(own), tokens)
                logits = model.network(**batch).logits
            scores = class_scores(logits, independent=model.independent)
            best, chosen = scores.max(dim=-1)
            for index, label, score in zip(indices, chosen.tolist(), best.tolist(), strict=True):
                answers[index] = {"label": model.labels[label], "score": score}
                for output in model.outputs_of[label]:
                    answers[index][output] = items[index].text
        return answers


def _group_outputs(
    labels: Sequence[str],
    groups: dict[str, list[str]],
    other_group: str | None,
    declared: Sequence[TensorSpec],
) -> list[list[str]]:
    """For each label, the outputs that carry the text of its items.

    Raises:
        ConfigurationError: a group's label is not one of `labels`, two groups have one name, or the
            declared outputs are not those that the groups give.
    """
    routed = group_texts(groups, other_group, labels)
    check_declared(
        [*(TensorSpec(name, kind, (-1, 1)) for name, kind in _ALWAYS.items()), *routed], declared
    )
    outputs = {
        label: [f"{group}_text" for group, members in groups.items() if label in members]
        for label in labels
    }
    others = [] if other_group is None else [f"{other_group}_text"]
    return [outputs[label] or others for label in labels]
