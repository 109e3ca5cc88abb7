"""An imitation of a model hub, on loopback: it serves repositories and counts what it is asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

Files = Mapping[str, bytes]


def files_of(folder: str | Path) -> dict[str, bytes]:
    """The files of a checkpoint's folder."""
    return {each.name: each.read_bytes() for each in Path(folder).iterdir() if each.is_file()}


class ImitationHub:
    """Repositories by id; each has the branch `main` and any other revisions.

    Attributes:
        asked: The requests so far: method and path.
        failing: Files that are answered with status 403.
        silent: Set to accept requests and never answer them.
        weights_may_go: Cleared, safetensors are not sent.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Files]] = {}
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.silent = False
        self.ended = threading.Event()
        self.weights_may_go = threading.Event()
        self.weights_may_go.set()

    def add(self, id: str, files: Files, *revisions: str) -> str:
        """Puts files into a repository, by default on `main`; returns the commit's hash."""
        digest = hashlib.sha1()
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        commit = digest.hexdigest()
        for revision in (*(revisions or ("main",)), commit):
            self.repositories.setdefault(id, {})[revision] = files
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            id, revision = "/".join(parts[2:4]), "/".join(parts[5:]) or "main"
            return self._described(id, revision)
        if len(parts) < 5:
            return 404, {}, b""
        id, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        files = self.repositories.get(id, {}).get(revision, {})
        if name in self.failing:
            return 403, {}, b""
        if name not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = files[name]
        headers = {"ETag": f'"{_etag(name, content)}"', "X-Repo-Commit": self._commit(id, files)}
        return 200, headers, content

    def _described(self, id: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        if id not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        files = self.repositories[id].get(revision)
        if files is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        siblings = [{"rfilename": name, "size": len(files[name])} for name in files]
        described = {"id": id, "sha": self._commit(id, files), "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(described).encode()

    def _commit(self, id: str, files: Files) -> str:
        known = self.repositories[id]
        return next(name for name in known if len(name) == 40 and known[name] is files)


def _etag(name: str, content: bytes) -> str:
    """As the hub: SHA-256 of large files, Git's hash of small ones."""
    if name.endswith((".safetensors", ".bin")):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving(hub: ImitationHub) -> Iterator[str]:
    """Serves a hub; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            if hub.silent:
                hub.ended.wait()
                self.close_connection = True
                return
            if self.command == "GET" and self.path.endswith("safetensors"):
                hub.weights_may_go.wait()
            status, headers, content = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        hub.ended.set()
        hub.weights_may_go.set()
        # Those that nobody waits for any more.
        for each in threading.enumerate():
            if each.name == "infergraph-fetch":
                each.join()
        close_session()
        server.shutdown()
        thread.join()
        server.server_close()


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Has this process take an address for the hub, and a folder for its cache."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
