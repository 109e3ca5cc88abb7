"""`TextGeneration`: what translation and summarization share.

Input and output are `text` BYTES [-1, 1] (UTF-8). Any encoder-decoder checkpoint runs: Marian,
M2M100, NLLB, mBART, BART, Pegasus, T5. A request may choose how to decode by its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import PositiveInt
from transformers import AutoModelForSeq2SeqLM

from ...errors import ConfigurationError, InvalidInput
from ...runtime import Item, Outputs, Runtime
from ...settings import RuntimeOptions
from ..checkpoints.pretrained import load_network, load_tokenizer
from ..minibatches import MAX_BATCH_TOKENS
from .decoding import (
    Decoding,
    DecodingLimits,
    DecodingParameters,
    Ranges,
    Search,
    checkpoint_search,
    ranges,
    resolve,
)
from .encoder import TextEncoder
from .generator import Generator
from .sources import Pieces, RunningSources, Source
from .stream import Follower
from .texts import check_text

_DEFAULT_SOURCE_LENGTH = 512
# Tokenizers without a limit of their own report a length of this order.
_UNLIMITED = 1_000_000


class TextGenerationOptions(Decoding, DecodingLimits, RuntimeOptions):
    """Settings of text generation: those of `Decoding`, their limits, and these.

    Attributes:
        max_source_length: Most tokens of a text (of a sentence, where texts are split); None is as
            many as the checkpoint takes.
        truncation: Whether of a longer text the first part is read, instead of refusing it.
        max_text_characters: The longest text accepted, before it is tokenized.
        max_batch_tokens: Most tokens of the texts that run together, times the beams of their
            search; a longer text runs alone.
        prefix: Text put before each text or sentence; None is the one that the checkpoint's
            configuration names for the task (T5), if it does.
    """

    max_source_length: PositiveInt | None = None
    truncation: bool = False
    max_text_characters: PositiveInt = 20_000
    max_batch_tokens: PositiveInt = MAX_BATCH_TOKENS
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """A network that writes texts, and what goes with it.

    Attributes:
        generator: From tokens to new texts.
        encoder: From a piece of a text to tokens.
        accepted: What requests may choose.
        defaults: What they do not choose.
    """

    generator: Generator
    encoder: TextEncoder
    accepted: Ranges
    defaults: Search


class TextGeneration(Runtime[Source, Search, Writer]):
    """Generates a text from each text. A task chooses prefix, languages and pieces."""

    settings_class = TextGenerationOptions
    parameters_class = DecodingParameters
    text_inputs = frozenset({"text"})
    options: TextGenerationOptions

    def task(self) -> str:
        """The task's name in a checkpoint's `task_specific_params`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement task")

    def set_languages(self, tokenizer: Any) -> int | None:
        """Sets the tokenizer's languages; gives the token that every text begins with, if any.

        Raises:
            ConfigurationError: the settings name a language that the tokenizer does not know.
        """
        return None

    def pieces(self, text: str) -> Pieces:
        """The pieces of a text that are generated from on their own."""
        return Pieces([text.strip()], ["", ""])

    def setup(self) -> Writer:
        """Loads the tokenizer and the network.

        Raises:
            ConfigurationError: the checkpoint is no encoder-decoder or incomplete, or a setting
                does not fit it.
        """
        options = self.options
        tokenizer = load_tokenizer(self.checkpoint)
        first_token = self.set_languages(tokenizer)
        network: Any = load_network(AutoModelForSeq2SeqLM, self.checkpoint, self.placement)
        config = network.config
        known = getattr(config, "task_specific_params", None) or {}
        task = known.get(self.task(), {})
        positions = getattr(config, "max_position_embeddings", None)
        accepted = ranges(options, getattr(config, "max_decoder_position_embeddings", positions))
        defaults = resolve(
            options,
            checkpoint_search(network.generation_config, task, accepted),
            accepted,
            kind="setting",
            error=ConfigurationError,
        )
        encoder = TextEncoder(
            tokenizer,
            _source_length(
                options.max_source_length,
                tokenizer,
                getattr(config, "max_encoder_position_embeddings", positions),
            ),
            truncation=options.truncation,
            prefix=task.get("prefix", "") if options.prefix is None else options.prefix,
        )
        generator = Generator(
            network,
            tokenizer,
            encoder,
            first_token,
            max_texts=options.max_batch_size,
            max_tokens=options.max_batch_tokens,
            observer=self,
        )
        return Writer(generator, encoder, accepted, defaults)

    def accept(self, parameters: DecodingParameters) -> Search:
        """How to decode: the request's parameters, then the settings', then the checkpoint's own.

        Raises:
            InvalidInput: a parameter is out of its limits, or contradicts another one.
        """
        model = self.model
        return resolve(
            parameters, model.defaults, model.accepted, kind="parameter", error=InvalidInput
        )

    def prepare(self, item: Item) -> Source:
        """Divides the text into pieces and tokenizes them.

        Raises:
            InvalidInput: the text is empty, too long, or holds control characters.
        """
        text: str = item["text"]
        check_text(text, "text", self.options.max_text_characters)
        pieces = self.pieces(text)
        ids = [
            self.model.encoder(piece, "text", f"{pieces.name} {number}" if pieces.name else "")
            for number, piece in enumerate(pieces.texts, 1)
        ]
        return Source(pieces, ids)

    def length(self, item: Source) -> int:
        """Tokens of the text, over all its pieces."""
        return sum(len(ids) for ids in item.ids)

    @property
    def work_limit(self) -> float:
        """Tokens."""
        return self.options.max_batch_tokens

    def running(self, parameters: Search) -> RunningSources:
        return RunningSources(self.model.generator, parameters)

    def shared(self, parameters: Search) -> Hashable:
        return parameters.shared

    def followed(self, item: Source, give: Callable[[Outputs], None]) -> Source:
        return replace(item, follower=Follower(lambda part: give({"text": part})))


def _source_length(wanted: int | None, tokenizer: Any, positions: int | None) -> int:
    limits = [] if positions is None else [positions]
    if 0 < tokenizer.model_max_length < _UNLIMITED:
        limits.append(tokenizer.model_max_length)
    limit = min(limits, default=_DEFAULT_SOURCE_LENGTH)
    # Relative positions (T5) have no end: a longer text is for the user to choose.
    if wanted is not None and positions is not None and wanted > limit:
        raise ConfigurationError(
            f"setting 'max_source_length' = {wanted}: the checkpoint takes at most {limit} tokens"
        )
    return wanted or limit
