"""REST servers that know one model, `m`, and answer its inference as no server should."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import BinaryIO

_METADATA = b'{"name": "m", "platform": "", "inputs": [], "outputs": []}'


def response(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP response, which may promise more than it holds."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {size}\r\n\r\n".encode() + body


ODD_ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "half": response(b'{"outputs": [', length=1000),
    "no http": b"\x00\x01junk\r\n\r\n",
    "html": response(b"<html>hello</html>"),
    "empty": response(b""),
    "a list": response(b"[1]"),
    "no outputs": response(b'{"model_name": "m"}'),
    "too few values": response(
        b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1]}]}'
    ),
    "a proxy's error": response(b"<html>bad gateway</html>", "502 Bad Gateway"),
}
"""What an inference is answered with, before the connection ends."""


@contextlib.contextmanager
def odd_server(answer: bytes | None) -> Iterator[str]:
    """The URL of a server that answers so; None for a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, answer), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # Wakes the thread up, which only closing does not.
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, answer: bytes | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, answer), daemon=True).start()


def _answer(connection: socket.socket, answer: bytes | None) -> None:
    with connection, connection.makefile("rb") as requests:
        while (request := _read(requests)) is not None:
            if request.startswith(b"GET"):
                connection.sendall(response(_METADATA))
            elif answer is not None:
                connection.sendall(answer)
                return


def _read(requests: BinaryIO) -> bytes | None:
    """The first line of the next request; None at the end."""
    first = requests.readline()
    size = 0
    while line := requests.readline().strip():
        name, _, value = line.partition(b":")
        size = int(value) if name.lower() == b"content-length" else size
    requests.read(size)
    return first or None
