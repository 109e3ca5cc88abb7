"""What Seldon's Kafka broker has to let through for a pipeline, measured by its sample request."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import ConfigurationError
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


def check_limit(pipeline: str, sample: Path, limit: int) -> None:
    """Raises ConfigurationError where a stated limit does not let the sample through."""
    size = message_size(sample)
    if size > limit:
        raise ConfigurationError(
            f"pipeline '{pipeline}': its sample is {size} bytes in Kafka, over the broker-limit of "
            f"{limit}, and callers would wait for ever; raise message.max.bytes and "
            f"replica.fetch.max.bytes to {quantity(needed_limit(sample))}, or use --via-router"
        )
