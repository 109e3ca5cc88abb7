"""What coordinator and workers say to each other, over a socket: JSON, and raw contents behind it.

A message is `!IQ` (the length of its JSON, and of all its blobs), the JSON, then the blobs: bytes
and arrays, in the place of each of which the JSON has its length. Nothing in it is ever executed.
A worker that listens on the network first proves, and is shown, that both sides hold the same
token, which itself does not travel; the messages are not encrypted.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter

from ..errors import LoadError

_T = TypeVar("_T")

TOKEN = "INFERGRAPH_LOAD_TOKEN"
"""The environment variable that holds the token."""
_VERSION = 2
_BLOB = "$blob"
_HEAD = struct.Struct("!IQ")
_CHUNK = 1 << 20
_SMALL = 4_096
"""Bytes that a peer may send before it has shown that it knows the token."""
_LARGEST = 1 << 34
_SECONDS = 10.0


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        kind: What it is, for example `start`.
        values: What JSON can hold, and dataclasses, bytes and arrays, wherever they stand. They
            arrive as dictionaries, bytes and arrays; `read` makes dataclasses of them.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, kind: str, content: Any) -> Message:
        """A message that holds a dataclass."""
        return cls(kind, _fields(content))

    def read(self, kind: type[_T]) -> _T:
        """The dataclass that it holds."""
        return TypeAdapter(kind).validate_python(self.values)

    def encode(self) -> bytes:
        """The message as it travels."""
        blobs: list[bytes] = []

        def replaced(value: Any) -> Any:
            if isinstance(value, BaseModel):
                return value.model_dump()
            if is_dataclass(value):
                return _fields(value)
            dtype = None
            if isinstance(value, np.ndarray):
                # Fields of records have names.
                dtype = value.dtype.descr if value.dtype.names else value.dtype.str
                value = value.tobytes()
            if not isinstance(value, bytes):
                raise TypeError(f"{type(value).__name__} cannot be told to a worker")
            blobs.append(value)
            return {_BLOB: len(value), "dtype": dtype}

        text = json.dumps({"kind": self.kind, "values": self.values}, default=replaced).encode()
        return b"".join([_HEAD.pack(len(text), sum(map(len, blobs))), text, *blobs])


def _fields(content: Any) -> dict[str, Any]:
    return {each.name: getattr(content, each.name) for each in fields(content)}


class Parser:
    """Cuts what arrives into messages.

    Args:
        limit: Bytes of a message, at most.
    """

    def __init__(self, limit: int = _LARGEST) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now. LoadError if it is no message."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            text_size, size = _HEAD.unpack_from(self._buffer)
            if text_size + size > self.limit:
                raise LoadError(f"a message of {text_size + size} bytes; accepted: {self.limit}")
            end = _HEAD.size + text_size + size
            if len(self._buffer) < end:
                return
            whole = bytes(self._buffer[:end])
            del self._buffer[:end]
            yield _decode(whole, _HEAD.size + text_size)


def _decode(whole: bytes, start: int) -> Message:
    def replaced(value: dict[str, Any]) -> Any:
        nonlocal start
        if _BLOB not in value:
            return value
        begin, start = start, start + int(value[_BLOB])
        data = whole[begin:start]
        if value["dtype"] is None:
            return data
        dtype = value["dtype"]
        descr = [tuple(each) for each in dtype] if isinstance(dtype, list) else dtype
        return np.frombuffer(data, np.dtype(descr))

    try:
        head = json.loads(whole[_HEAD.size : start], object_hook=replaced)
        return Message(head["kind"], head["values"])
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"what arrived is no message of a worker: {error!r}") from None


class Connection:
    """One end of a connection between coordinator and worker.

    Args:
        opened: The socket; it is closed with the connection.
        name: Of the other end, in messages to the user.
        limit: Bytes of a message, at most.
    """

    def __init__(self, opened: socket.socket, name: str, limit: int = _LARGEST) -> None:
        self.name = name
        self.socket = opened
        self._parser = Parser(limit)

    def send(self, message: Message) -> None:
        """Sends a message; OSError if the other end is gone."""
        self.socket.sendall(message.encode())

    def receive(self) -> list[Message]:
        """What has arrived, after waiting for some. EOFError if the other end is gone."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise EOFError
        return [*self._parser.feed(data)]

    def ask(self, message: Message) -> Message:
        """The answer to a message, of a worker that says nothing else at this time.

        Raises:
            OSError, EOFError: the worker is gone, or does not answer in time.
        """
        self.socket.settimeout(_SECONDS)
        try:
            self.send(message)
            return self.next()
        finally:
            self.socket.settimeout(None)

    def next(self) -> Message:
        """The one message that comes next. EOFError if the other end is gone."""
        while not (messages := self.receive()):
            continue
        (message,) = messages
        return message

    def close(self) -> None:
        """Ends it."""
        self.socket.close()


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; LoadError if it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65_536:
        raise LoadError(f"worker '{text}'; accepted: HOST:PORT")
    return host.strip("[]"), int(port)


def token() -> bytes:
    """The token of the environment; LoadError if there is none."""
    found = os.environ.get(TOKEN, "")
    if len(found) < 8:
        raise LoadError(
            f"{TOKEN} is {'too short' if found else 'not set'}; accepted: one text of at least 8 "
            "characters, the same for the coordinator and its workers"
        )
    return found.encode()


def _proof(key: bytes, nonce: str, role: str) -> str:
    return hmac.new(key, f"{role}:{nonce}".encode(), "sha256").hexdigest()


def connect(text: str, key: bytes) -> Connection:
    """A connection to a worker that listens at `HOST:PORT`.

    Raises:
        LoadError: it cannot be reached, or has another token or version.
    """
    try:
        opened = socket.create_connection(address_of(text), timeout=_SECONDS)
    except OSError as error:
        raise LoadError(f"worker '{text}' cannot be reached: {error.strerror or error}") from None
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = Connection(opened, text)
    try:
        nonce = secrets.token_hex(16)
        greeting = connection.next()
        if greeting.values.get("version") != _VERSION:
            raise LoadError(f"worker '{text}' is of another version of infergraph-load")
        proof = _proof(key, greeting.values["nonce"], "coordinator")
        answer = connection.ask(Message("proof", {"nonce": nonce, "proof": proof}))
        if not hmac.compare_digest(answer.values["proof"], _proof(key, nonce, "worker")):
            raise EOFError
    except (OSError, EOFError, ValueError, KeyError):
        connection.close()
        raise LoadError(f"worker '{text}' does not accept the token of {TOKEN}") from None
    except LoadError:
        connection.close()
        raise
    return connection


def admit(opened: socket.socket, key: bytes) -> bool:
    """Whether who has connected to this worker knows the token; a worker's side of `connect`."""
    opened.settimeout(_SECONDS)
    nonce = secrets.token_hex(16)
    connection = Connection(opened, "coordinator", _SMALL)
    try:
        connection.send(Message("hello", {"version": _VERSION, "nonce": nonce}))
        message = connection.next()
        if not hmac.compare_digest(message.values["proof"], _proof(key, nonce, "coordinator")):
            return False
        proof = _proof(key, message.values["nonce"], "worker")
        connection.send(Message("proof", {"proof": proof}))
        opened.settimeout(None)
    except (OSError, EOFError, LoadError, ValueError, KeyError, TypeError):
        return False
    return True
