"""What coordinator and workers say to each other: JSON, and raw contents behind it.

A message is the length of its JSON, the JSON, then blobs: bytes and arrays, in the place of each of
which the JSON has its length. Nothing in it is ever executed. It travels by the standard library's
`multiprocessing.connection`, by which a worker that listens on the network also proves, and is
shown, that both sides hold the same token, which itself does not travel. Messages are not
encrypted.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import struct
from dataclasses import dataclass, field, fields, is_dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any, TypeVar, cast

import numpy as np
from pydantic import BaseModel, TypeAdapter

from ..errors import LoadError

_T = TypeVar("_T")
TOKEN = "INFERGRAPH_LOAD_TOKEN"
"""The environment variable that holds the token."""
_VERSION = 2
_BLOB = "$blob"
_HEAD = struct.Struct("!I")
_GREETING_SECONDS = 10
_LONGEST_GREETING = 4_096
_ANSWER_SECONDS = 60.0
"""The first answer of a worker takes as long as its process takes to start."""
_NO_GREETING = (
    *(AuthenticationError, AssertionError, EOFError, OSError),
    *(LoadError, ValueError, KeyError, TypeError),
)


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
        content: _T = _adapter(cast(Any, kind)).validate_python(self.values)
        return content

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
        return b"".join([_HEAD.pack(len(text)), text, *blobs])

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """The message that has arrived. LoadError if it is none."""
        start = _HEAD.size

        def replaced(value: dict[str, Any]) -> Any:
            nonlocal start
            if _BLOB not in value:
                return value
            begin, start = start, start + int(value[_BLOB])
            blob, dtype = data[begin:start], value["dtype"]
            if dtype is None:
                return blob
            kind = [tuple(each) for each in dtype] if isinstance(dtype, list) else dtype
            return np.frombuffer(blob, np.dtype(kind))

        try:
            (size,) = _HEAD.unpack_from(data)
            text, start = data[start : start + size], start + size
            head = json.loads(text, object_hook=replaced)
            return cls(head["kind"], head["values"])
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise LoadError(f"what arrived is no message of a worker: {error!r}") from None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # It takes milliseconds to make, which a message several times a second has not.
    return TypeAdapter(kind)


def _fields(content: Any) -> dict[str, Any]:
    return {each.name: getattr(content, each.name) for each in fields(content)}


def send(connection: Connection, message: Message) -> None:
    """Sends a message; OSError if the other end is gone."""
    connection.send_bytes(message.encode())


def receive(connection: Connection) -> Message:
    """The message that comes next. EOFError or OSError if the other end is gone, or falls silent.

    LoadError if it is no message.
    """
    return Message.decode(connection.recv_bytes())


def ask(connection: Connection, message: Message) -> Message:
    """The answer to a message, of a worker that says nothing else at this time; else as `receive`.

    TimeoutError, which is an OSError, if it does not answer in time.
    """
    send(connection, message)
    if not connection.poll(_ANSWER_SECONDS):
        raise TimeoutError
    return receive(connection)


def connection_of(opened: socket.socket, silent_s: int = 0) -> Connection:
    """The connection of a socket, which it takes over.

    Args:
        opened: The socket.
        silent_s: Seconds in which more of a message must come once it has begun; 0 for no limit.
    """
    opened.setblocking(True)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        opened.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", silent_s, 0))
    return Connection(opened.detach())


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


def connect(text: str, key: bytes) -> socket.socket:
    """A connection to a worker that listens at `HOST:PORT`.

    Raises:
        LoadError: it cannot be reached, or has another token or version.
    """
    try:
        opened = socket.create_connection(address_of(text), timeout=_GREETING_SECONDS)
    except OSError as error:
        raise LoadError(f"worker '{text}' cannot be reached: {error.strerror or error}") from None
    version = _greeted(opened, key, first=False)
    if version != _VERSION:
        opened.close()
        if version is None:
            raise LoadError(f"worker '{text}' does not accept the token of {TOKEN}")
        raise LoadError(f"worker '{text}' is of another version of infergraph-load")
    return opened


def admit(opened: socket.socket, key: bytes) -> bool:
    """Whether who has connected to this worker knows the token; a worker's side of `connect`."""
    return _greeted(opened, key, first=True) is not None


def _greeted(opened: socket.socket, key: bytes, *, first: bool) -> int | None:
    """The other side's version; None if it does not know the token, or says nothing in time."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.closing(connection_of(opened.dup(), _GREETING_SECONDS)) as connection:
        try:
            for challenge in (first, not first):
                (deliver_challenge if challenge else answer_challenge)(connection, key)
            send(connection, Message("hello", {"version": _VERSION}))
            greeting = Message.decode(connection.recv_bytes(_LONGEST_GREETING))
            return int(greeting.values["version"])
        except _NO_GREETING:
            return None
