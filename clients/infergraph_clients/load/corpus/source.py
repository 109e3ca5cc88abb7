"""Payloads from files: V2 JSON requests, media and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from ..configuration import PayloadSource
from ..errors import LoadError
from ..v2.payload import Payload, Tensor, tensor_from_json

_MEDIA = frozenset({".wav", ".flac", ".ogg", ".mp3", ".jpg", ".jpeg", ".png", ".webp"})
_REQUESTS = frozenset({".json", ".jsonl"})
_SUFFIXES = (*sorted(_REQUESTS), *sorted(_MEDIA), ".txt")


def read_payloads(source: PayloadSource) -> list[Payload]:
    """The payloads, in the order of their names.

    Raises:
        LoadError: a file cannot be read or is not what it should be, or there is none.
    """
    path = Path(source.path)
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
    template = _template(source)
    payloads: list[Payload] = []
    for file in files:
        suffix = file.suffix.lower()
        if suffix == ".jsonl":
            payloads += _request_lines(file)
        elif suffix == ".json":
            payloads.append(_request(file, file.stem, _read(file)))
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


def _request_lines(file: Path) -> list[Payload]:
    lines = _read(file).splitlines()
    return [
        _request(file, f"{file.stem}:{number}", line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _request(file: Path, name: str, text: bytes) -> Payload:
    try:
        document = orjson.loads(text)
        inputs = document.get("inputs") if isinstance(document, dict) else None
        if not isinstance(inputs, list) or not inputs:
            raise ValueError("it has no inputs")
        tensors = tuple(tensor_from_json(each) for each in inputs)
    except (ValueError, OverflowError, TypeError) as error:
        raise LoadError(f"payload '{name}' of '{file}' is not a V2 request: {error}") from None
    parameters: dict[str, Any] = document.get("parameters") or {}
    return Payload(name, tensors, parameters)


def _template(source: PayloadSource) -> Payload | None:
    if source.template is None:
        return None
    file = Path(source.template)
    return _request(file, file.stem, _read(file))


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
    others = template.tensors if template is not None else ()
    tensor = Tensor(name, "BYTES", (1, 1), [data])
    tensors = (tensor, *(each for each in others if each.name != name))
    return Payload(file.name, tensors, template.parameters if template is not None else {})
