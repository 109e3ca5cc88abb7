"""The memory that models need.

A process needs `PROCESS`, once, whatever it serves, and each model in it

    model = 2 * 4 bytes * weights + activations
    activations = 4 bytes * weights + item * max_batch_size + 96 MiB

An item takes 8 MiB, or 64 KiB where a model takes nothing but a fixed number of numbers for each.
`weights` are the numbers in its checkpoint's files, read from their headers. They are computed with
in fp32, 4 bytes each, whatever the files hold; twice, since a model that is loaded anew is there
beside the one that still answers. What a batch leaves in between grows with the network's width, as
its weights do, and with the batch. A model without a checkpoint counts `PLAIN`, one of
another runtime `STOCK`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints import TORCHVISION, checkpoint_sources
from ..errors import ConfigurationError
from ..settings import EMBEDDED, RuntimeOptions
from ..tensors import TensorSpec
from ..weights import SAFETENSORS, find_weights, parts_of, weights_in
from .quantity import MIB

DECODING = 256 * MIB
"""What images and audio that are being decoded may take, of all models of a process."""
BODIES = 64 * MIB
"""What bodies and messages of requests may be, one of them and all that a process holds."""
PROCESS = 896 * MIB + DECODING + BODIES
"""Python, torch and the libraries around it, the server (843 MiB as measured), decoding, bodies."""
ROUTER_PROCESS = 192 * MIB + 9 * BODIES
"""The same of a process that serves routers only, without torch (175 MiB as measured).

It holds a body as it came, as tensors and as what goes to the next step, and an answer again. Four
times a body were measured of one, and that what was freed is not all given back: 640 MiB in all.
"""
PLAIN = 32 * MIB
"""A model that computes without a checkpoint, or a router."""
STOCK = 1024 * MIB
"""A model of another runtime, whose checkpoint is not known here."""
_WEIGHT = 4
_ITEM = 8 * MIB
_ROW = MIB // 16
_BATCH = 96 * MIB
_BATCH_SIZE = int(RuntimeOptions.model_fields["max_batch_size"].default)
_LONGEST_HEADER = 100_000_000
"""Bytes; what reads safetensors takes no longer one."""


def model_memory(
    model: str,
    folder: Path,
    extra: Mapping[str, Any],
    variant: str | None,
    inputs: Sequence[TensorSpec] = (),
) -> int:
    """Bytes that a model needs beside what its process does.

    Args:
        model: Its name.
        folder: Its folder.
        extra: `parameters.extra` of its settings.
        variant: The variant to serve; the settings' own if None.
        inputs: The tensors that it declares.

    Raises:
        ConfigurationError: there is no such variant, or its checkpoint is not on this machine.
    """
    if "variants" not in extra:
        return PLAIN
    wanted = variant or str(extra.get("variant", EMBEDDED))
    weights = sum(
        _weights(model, name, source)
        for name, source in checkpoint_sources(model, folder, [wanted], extra).items()
    )
    if not weights:
        return PLAIN
    of_numbers = inputs and all(
        spec.datatype != "BYTES" and min(spec.shape[1:], default=-1) > 0 for spec in inputs
    )
    item = _ROW if of_numbers else _ITEM
    return 3 * _WEIGHT * weights + item * batch_size(model, extra) + _BATCH


def checkpoint_bytes(folder: Path) -> int:
    """The size of all files that a model's folder holds."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _weights(model: str, name: str, source: str) -> int:
    folder = Path(source)
    if not folder.is_absolute():
        found = _cached(source)
        if found is None:
            cure = f"say memory: {{{model}: 2Gi}} in a --values file"
            if not source.startswith(TORCHVISION):
                cure = f"get it by infergraph fetch, or {cure}"
            raise ConfigurationError(
                f"model '{model}': {name} is '{source}', which is not on this machine as a folder, "
                f"so its memory is not known; {cure}"
            )
        folder = found
    try:
        names = [each.name for each in folder.iterdir()]
        if find_weights(names) is None:
            return 0
        file = weights_in(folder)
        return sum(_numbers(folder / part) for part in parts_of(file, names) or [file])
    except (OSError, ConfigurationError) as error:
        raise ConfigurationError(f"model '{model}': {name}: {error}") from None


def _cached(source: str) -> Path | None:
    """The folder of a checkpoint of a hub that was fetched before; torchvision's are none."""
    if source.startswith(TORCHVISION):
        return None
    from ..hub import cached_snapshot

    id, _, revision = source.partition("@")
    return cached_snapshot(id, revision or None)


def _numbers(file: Path) -> int:
    """How many numbers a file of weights holds."""
    if file.suffix != Path(SAFETENSORS).suffix:
        # Pickles tell only when they are read; most hold fp32, and fp16 is the worst case.
        return file.stat().st_size // 2
    try:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > _LONGEST_HEADER:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(stream.read(size))
        return sum(
            math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # Such as a pointer of Git LFS, whose file was not fetched.
        raise ConfigurationError(f"{file} is no file of safetensors: {error}") from None


def batch_size(model: str, extra: Mapping[str, Any]) -> int:
    """The setting `max_batch_size` of `parameters.extra`; raises ConfigurationError."""
    given = extra.get("max_batch_size", _BATCH_SIZE)
    try:
        size = int(given)
    except (ValueError, TypeError, OverflowError):
        size = -1
    if size < 0:
        raise ConfigurationError(
            f"model '{model}': setting 'max_batch_size' = {given!r:.60}; accepted: a number from 0 "
            "on"
        )
    return size
