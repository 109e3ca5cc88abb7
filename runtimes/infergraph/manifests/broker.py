"""What Seldon's Kafka broker has to let through for a pipeline, measured by its sample request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..catalog import SAMPLE
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError
from ..graph import Finding
from .documents import Document
from .quantity import MIB, quantity

DEFAULT_LIMIT = MIB
"""`message.max.bytes` of a broker that nobody has changed, about."""
_ROOM = 4
"""How many times the sample a request may be; base64 alone makes a media file a third larger."""


def message_size(sample: Path) -> int:
    """Bytes of the largest message that a pipeline's sample makes of its request, one item.

    Each hop stores its own copy of what it sends on, so that the request, which may be read by
    every step, counts whole.

    Raises:
        ConfigurationError: the sample cannot be read.
    """
    try:
        tensors = json.loads(sample.read_text(encoding="utf-8"))["inputs"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(f"{sample}: no V2 request can be read: {error}") from None
    return len(json.dumps(tensors, ensure_ascii=False).encode())


def needed_limit(sample: Path) -> int:
    """The least limit to run a pipeline with: room for four times its sample, from 1 MiB on."""
    return max(DEFAULT_LIMIT, -(-_ROOM * message_size(sample) // MIB) * MIB)


def over_limit(sample: Path, limit: int) -> tuple[str, str] | None:
    """What is wrong where a limit does not let a sample through, and the cure; else None."""
    size = message_size(sample)
    if size <= limit:
        return None
    return (
        f"its sample is {size} bytes in Kafka, over the broker-limit of {limit}, and callers would "
        "wait for ever",
        f"raise message.max.bytes and replica.fetch.max.bytes to {quantity(needed_limit(sample))}, "
        "or use --via-router",
    )


def check_messages(
    documents: Iterable[Document], catalog: Mapping[str, ModelDeclaration], limit: int
) -> Iterator[Finding]:
    """The Pipelines whose samples a broker's limit does not let through.

    Args:
        catalog: The pipelines whose samples are known, by name.
    """
    for document in documents:
        known = catalog.get(document.name) if document.kind == "Pipeline" else None
        if known is None or known.folder is None or not (known.folder / SAMPLE).exists():
            continue
        over = over_limit(known.folder / SAMPLE, limit)
        if over is not None:
            yield document.finding("broker-limit", ("metadata", "name"), *over)
