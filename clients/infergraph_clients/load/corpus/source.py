"""Payloads: V2 JSON requests, media and texts from files, arguments, or made-up inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from infergraph.v2 import Tensor

from ...errors import ServerError, Unreachable
from ...payloads import Metadata, Payload, build_tensors, parse_input, read_request
from ...payloads.synthetic import make_payloads
from ...transports import Route, make_transport
from ..configuration import PayloadSource, Target
from ..errors import LoadError

_MEDIA = frozenset({".wav", ".flac", ".ogg", ".mp3", ".jpg", ".jpeg", ".png", ".webp"})
_REQUESTS = frozenset({".json", ".jsonl"})
_SUFFIXES = (*sorted(_REQUESTS), *sorted(_MEDIA), ".txt")


def ask_metadata(route: Route, *, needed: bool = False) -> Metadata:
    """What the server says of itself and of the model; nothing where it does not say it.

    Raises:
        LoadError: it does not, and the metadata are `needed`.
    """

    async def ask() -> Metadata:
        transport = make_transport(route)
        try:
            return await transport.metadata()
        except (ServerError, Unreachable) as error:
            if needed:
                raise LoadError(f"the model's metadata cannot be read: {error}") from None
            return Metadata()
        finally:
            await transport.close()

    return asyncio.run(ask())


def read_payloads(source: PayloadSource, metadata: Metadata) -> list[Payload]:
    """The payloads; those of files in the order of their names.

    Args:
        source: Where they are.
        metadata: Of the model, which say what `inputs` and synthetic inputs are to be.

    Raises:
        LoadError: no source or several, or a folder without a file to send.
        UsageError: a file cannot be read or is not what it should be.
    """
    given = [
        name for name in ("path", "inputs", "synthetic") if getattr(source, name) not in (None, ())
    ]
    if len(given) != 1:
        raise LoadError(
            f"payload has {' and '.join(given) or 'no source'}; accepted: one of path (--payload), "
            "inputs (NAME=VALUE) and synthetic (--synthetic)"
        )
    if source.synthetic is not None:
        return make_payloads(source.synthetic, metadata.inputs)
    if source.inputs:
        tensors = build_tensors([parse_input(each) for each in source.inputs], metadata.inputs)
        return [Payload("inputs", tensors)]
    return _read_files(source)


def settle(
    target: Target, source: PayloadSource, payloads: Sequence[Payload] | None = None
) -> tuple[Target, list[Payload]]:
    """The target with its format decided, and the payloads that it is sent.

    The server is asked only where its metadata decide something.

    Args:
        target: What is called.
        source: Where the payloads are.
        payloads: The payloads, where they need not be read.

    Raises:
        LoadError, UsageError: as `read_payloads`, or the target contradicts itself.
    """
    route = target.route()
    # Seldon's pipelines have no metadata; nor has a server that is not there.
    reads = payloads is None
    asks = target.format == "auto" or (reads and source.path is None)
    needed = reads and source.synthetic is not None
    metadata = ask_metadata(route, needed=needed) if asks else Metadata()
    settled = target.settled(route.settled(metadata))
    return settled, read_payloads(source, metadata) if payloads is None else list(payloads)


def payload_order(
    order: Literal["random", "cycle"], payloads: int, count: int, generator: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Which payload each of `count` requests sends: indices, int32 [count]."""
    if order == "cycle":
        return np.arange(count, dtype=np.int32) % payloads
    return generator.integers(0, payloads, count, np.int32)


def _read_files(source: PayloadSource) -> list[Payload]:
    path = Path(source.path or "")
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in _SUFFIXES)
        if not files:
            raise LoadError(
                f"payload folder '{path}' has no file to send; accepted: {', '.join(_SUFFIXES)}"
            )
    elif not path.exists():
        raise LoadError(f"payload '{path}' does not exist")
    elif path.suffix.lower() not in _SUFFIXES:
        raise LoadError(
            f"payload '{path}' ends in '{path.suffix}'; accepted: {', '.join(_SUFFIXES)}"
        )
    else:
        files = [path]
    template = None if source.template is None else _requests(Path(source.template))[0]
    payloads: list[Payload] = []
    for file in files:
        if file.suffix.lower() in _REQUESTS:
            payloads += _requests(file)
        else:
            payloads.append(_item(file, source.input, template))
    if not payloads:
        raise LoadError(f"payload '{path}' has no request in it")
    return payloads


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LoadError(f"payload '{file}' cannot be read: {error.strerror}") from None


def _requests(file: Path) -> Sequence[Payload]:
    text = _read(file)
    if file.suffix.lower() != ".jsonl":
        return [_request(file, file.stem, text)]
    return [
        _request(file, f"{file.stem}:{number}", line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]


def _request(file: Path, name: str, text: bytes) -> Payload:
    return read_request(text, name, f"payload '{name}' of '{file}'")


def _item(file: Path, name: str | None, template: Payload | None) -> Payload:
    if name is None:
        raise LoadError(
            f"payload.input is missing: which input tensor takes '{file.name}' and its like?"
        )
    data = _read(file)
    if file.suffix.lower() not in _MEDIA:
        try:
            data = data.decode().strip().encode()
        except UnicodeDecodeError:
            raise LoadError(f"payload '{file}' is not UTF-8 text") from None
    if not data:
        raise LoadError(f"payload '{file}' is empty")
    tensor = Tensor.of_bytes(name, [data])
    if template is None:
        return Payload(file.name, [tensor])
    others = [each for each in template.tensors if each.name != name]
    return Payload(
        file.name, [tensor, *others], template.parameters, template.outputs, nulls=template.nulls
    )
