"""A REST server of one model, `video`, that finds objects in a picture by its size alone."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from infergraph.v2.request import Limits
from infergraph.v2.rest import decode_request
from infergraph.v2.rest_tensors import LENGTH_HEADER

ROWS = 4
METADATA = {
    "name": "video",
    "platform": "",
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1, 1]}],
    "outputs": [],
}
Fails = Callable[[int], bool]


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def outputs(width: int, height: int) -> list[dict[str, Any]]:
    """One car in the left half of the picture, and one object too many to be told."""
    padding = ROWS - 1
    box = [0.0, 0.0, width / 2, float(height)]
    return [
        tensor("num_detections", "INT64", [1, 1], [1]),
        tensor("num_found", "INT64", [1, 1], [2]),
        tensor("boxes", "FP32", [1, ROWS, 4], [*box, *[0.0] * 4 * padding]),
        tensor("scores", "FP32", [1, ROWS], [0.5, *[0.0] * padding]),
        tensor("labels", "BYTES", [1, ROWS], ["car", *[""] * padding]),
    ]


@contextlib.contextmanager
def video_stub(fails: Fails = lambda request: False) -> Iterator[str]:
    """The URL of the server.

    Args:
        fails: Whether the inference of this number, counted from 0, is answered with 500.
    """
    server = _Server(fails)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Connections that the command keeps open must not hold up the end of the test.
    block_on_close = False

    def __init__(self, fails: Fails) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fails = fails
        self.asked = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._send(200, METADATA if "/models/" in self.path else {"name": "stub", "version": ""})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        length = self.headers.get(LENGTH_HEADER)
        request = decode_request(body, None if length is None else int(length), Limits())
        with self.server.lock:
            number, self.server.asked = self.server.asked, self.server.asked + 1
        if self.server.fails(number):
            self._send(500, {"error": "out of memory"})
            return
        (image,) = request.message.tensors
        with Image.open(io.BytesIO(image.data[0, 0])) as picture:
            self._send(200, {"model_name": "video", "outputs": outputs(*picture.size)})

    def log_message(self, format: str, *args: object) -> None: ...

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
