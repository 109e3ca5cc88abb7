"""`TextGeneration`: what translation and summarization share.

Input and output are `text` BYTES [-1, 1] (UTF-8). Any encoder-decoder checkpoint runs: Marian,
M2M100, NLLB, mBART, BART, Pegasus, T5. A request may choose how to decode by its parameters.
"""

from __future__ import annotations

import collections.abc
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from pydantic import PositiveInt
from transformers import AutoModelForSeq2SeqLM

from ...errors import ConfigurationError, InvalidInput
from ...runtime import Item, Outputs, Runtime
from ...settings import RuntimeOptions
from ..checkpoints.pretrained import load_network, load_tokenizer
from ..minibatches import MAX_BATCH_TOKENS, minibatches
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
from .encoder import Ids, TextEncoder
from .generator import Generator
from .texts import check_text

_DEFAULT_SOURCE_LENGTH = 512
# Source tokens that take as long as the steps of a generation, most of whose time does not depend
# on how many texts it is for.
_CALL = 512
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
class Pieces:
    """A text in pieces that are generated from on their own.

    Attributes:
        texts: The pieces; none is blank. May be empty, when nothing is to be generated.
        between: What stands before, between and after them, one more than there are pieces.
        name: What a piece is, for error texts; empty when the one piece is the whole text.
    """

    texts: Sequence[str]
    between: Sequence[str]
    name: str = ""

    def joined(self, generated: Sequence[str]) -> str:
        """The whole text of the pieces' new texts."""
        parts = [self.between[0]]
        for text, after in zip(generated, self.between[1:], strict=True):
            parts += (text, after)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Source:
    """A text in pieces, and the tokens of each."""

    pieces: Pieces
    ids: Sequence[Ids]


@dataclass(frozen=True, slots=True)
class Writer:
    """A network that writes texts, and what goes with it.

    Attributes:
        generate: From tokens to new texts.
        encoder: From a piece of a text to tokens.
        accepted: What requests may choose.
        defaults: What they do not choose.
    """

    generate: Generator
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
        generate = Generator(network, tokenizer, first_token, self.observe_padding)
        return Writer(generate, encoder, accepted, defaults)

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

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Source], parameters: Search) -> list[Outputs]:
        """One `text` per item; pieces of all items run together, equal ones once if they may."""
        pieces: list[Ids] = [ids for item in items for ids in item.ids]
        keys = [_key(ids, parameters, number) for number, ids in enumerate(pieces)]
        sources = dict(zip(keys, pieces, strict=True))
        generated = dict(
            zip(sources, self._generated(list(sources.values()), parameters), strict=True)
        )
        texts = iter([generated[key] for key in keys])
        return [{"text": item.pieces.joined(list(islice(texts, len(item.ids))))} for item in items]

    def stream(self, item: Source, parameters: Search) -> Iterator[Outputs]:
        """The `text` of one item in parts, as it is generated, piece by piece.

        Joined, the parts are the text that `predict_batch` gives, but for its rounding in batches.
        Closing the iterator ends the generation.

        Yields:
            `text`, only what is new; at least one, which is empty where the whole text is.
        """
        pieces = item.pieces
        generated: dict[bytes, str] = {}
        empty = True
        # What stands between pieces goes with the part after it.
        before = pieces.between[0]
        numbered = enumerate(zip(item.ids, pieces.between[1:], strict=True))
        for number, (ids, after) in numbered:
            key = _key(ids, parameters, number)
            with contextlib.closing(self._streamed(ids, key, parameters, generated)) as parts:
                for part in parts:
                    yield {"text": before + part}
                    before, empty = "", False
            before += after
        if before or empty:
            yield {"text": before}

    def _streamed(
        self, ids: Ids, key: bytes, search: Search, generated: dict[bytes, str]
    ) -> collections.abc.Generator[str, None, None]:
        """The text of a piece in parts; one whose `key` was `generated` before comes at once."""
        if key in generated:
            yield generated[key]
            return
        generated[key] = ""
        batch = self.model.encoder.batch([ids], self.placement.device)
        with contextlib.closing(self.model.generate.stream(batch, search)) as parts:
            for part in parts:
                generated[key] += part
                yield part

    def _generated(self, sources: Sequence[Ids], search: Search) -> list[str]:
        generate, encoder = self.model.generate, self.model.encoder
        texts = [""] * len(sources)
        for indices in minibatches(
            [len(ids) for ids in sources],
            generate.max_rows or self.options.max_batch_size,
            min_fill=0.5 if generate.padded else 1,
            call=_CALL,
            most=self.options.max_batch_tokens / search.num_beams,
        ):
            batch = encoder.batch([sources[index] for index in indices], self.placement.device)
            self.observe_padding(
                sum(len(sources[index]) for index in indices), batch["input_ids"].numel()
            )
            for index, text in zip(indices, generate(batch, search), strict=True):
                texts[index] = text
        return texts


def _key(ids: Ids, search: Search, number: int) -> bytes:
    """Equal for pieces that have one text: of those drawn without a seed, each has its own."""
    drawn = search.do_sample and search.seed is None
    return ids.tobytes() + (number.to_bytes(8, "little") if drawn else b"")


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
