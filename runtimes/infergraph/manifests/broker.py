"""What Seldon's Kafka broker has to let through for a pipeline, as its sample shows.

Each hop is a message of its own: the request, what each step is sent and what it answers, and the
pipeline's answer. Their sizes are in `messages.json` beside the sample, as they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog import SAMPLE
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError
from ..graph import Finding
from .documents import Document
from .quantity import MIB, quantity

MESSAGES = "messages.json"
"""The file of the sizes of a sample's messages: `request`, their bytes by name, and the `sample`
that they are of."""
REQUEST = "the request"
DEFAULT_LIMIT = MIB
"""`message.max.bytes` of a broker that nobody has changed, about."""
_ROOM = 4
"""How many times the sample a request may be."""


@dataclass(frozen=True)
class Largest:
    """The largest message that a pipeline's sample makes.

    Attributes:
        size: Its bytes.
        name: What it is: the request, or what a step is sent or answers.
        is_measured: Whether all messages are known; else it is the request, and answers may be
            larger.
    """

    size: int
    name: str
    is_measured: bool = True

    @property
    def needed_limit(self) -> int:
        """The least limit to run the pipeline with: room for four times this, from 1 MiB on."""
        return max(DEFAULT_LIMIT, -(-_ROOM * self.size // MIB) * MIB)

    def over_limit(self, limit: int) -> tuple[str, str] | None:
        """What is wrong where a limit does not let it through, and the cure; else None."""
        if self.size <= limit:
            return None
        return (
            f"{self.name} of its sample is {self.size} bytes in Kafka, over the broker-limit of "
            f"{limit}, and callers would wait for ever",
            "raise message.max.bytes and replica.fetch.max.bytes to "
            f"{quantity(self.needed_limit)}, or use --via-router",
        )


def largest_message(folder: Path) -> Largest | None:
    """The largest message of the sample in a pipeline's folder; None without a sample.

    Raises:
        ConfigurationError: the sample cannot be read, or the sizes beside it are of another one.
    """
    sample = folder / SAMPLE
    if not sample.exists():
        return None
    request = sample_size(sample)
    file = folder / MESSAGES
    if not file.exists():
        return Largest(request, REQUEST, is_measured=False)
    content = _read(file)
    sizes = content.get("messages")
    if not isinstance(sizes, dict) or not all(type(each) is int for each in sizes.values()):
        raise ConfigurationError(f"{file}: holds no sizes of messages; remove it")
    if content.get("sample") != request:
        raise ConfigurationError(
            f"{file}: measured with a sample of {content.get('sample')} bytes, and {SAMPLE} beside "
            f"it has {request}; remove it, or measure anew with make messages"
        )
    name, size = max(sizes.items(), key=lambda each: each[1], default=(REQUEST, request))
    return Largest(size, name)


def sample_size(sample: Path) -> int:
    """Bytes of a sample's tensors as JSON; raises ConfigurationError where it has none."""
    try:
        tensors = _read(sample)["inputs"]
    except LookupError:
        raise ConfigurationError(f"{sample}: no V2 request: it has no inputs") from None
    return len(json.dumps(tensors, ensure_ascii=False).encode())


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: holds a {type(content).__name__}; accepted: an object")
    return content


def check_messages(
    documents: Iterable[Document], catalog: Mapping[str, ModelDeclaration], limit: int
) -> Iterator[Finding]:
    """The Pipelines whose samples a broker's limit does not let through.

    Args:
        catalog: The pipelines whose samples are known, by name.
    """
    for document in documents:
        known = catalog.get(document.name) if document.kind == "Pipeline" else None
        if known is None or known.folder is None:
            continue
        largest = largest_message(known.folder)
        over = None if largest is None else largest.over_limit(limit)
        if over is not None:
            yield document.finding("broker-limit", ("metadata", "name"), *over)
