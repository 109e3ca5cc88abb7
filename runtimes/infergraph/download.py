"""Downloads: what a server must give within a time, how far it is, and single files."""

from __future__ import annotations

import concurrent.futures
import hashlib
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import constants

from .checkpoints import PROGRESS
from .errors import ConfigurationError

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

ANSWER_S = 15.0
"""The longest that a server may give nothing, while no file is coming."""

_LOGGED_EVERY_S = 10.0
_STALLED_S = 60.0
_COUNTED_S = 600.0


class Progress:
    """What a download has done so far; told by its thread, looked at by the one that waits."""

    def __init__(self, what: str, total: int = 0) -> None:
        self.what = what
        self.total = total
        self._bytes = 0
        self._open = 0
        self._heard = self._logged = time.monotonic()
        self._logged_bytes = 0
        self._lock = threading.Lock()

    def opened(self) -> None:
        """Bytes of a file begin to come."""
        with self._lock:
            self._open += 1
            self._heard = time.monotonic()

    def closed(self) -> None:
        """A file has come, or has failed to."""
        with self._lock:
            self._open -= 1
            self._heard = time.monotonic()

    def add(self, count: int) -> None:
        """So many bytes more have come."""
        with self._lock:
            self._bytes += count
            self._heard = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds for which an answer has been waited for; 0 while a file is coming."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._heard

    def log(self) -> None:
        """Logs how much has come, if the last time was a while ago, and a file is still coming."""
        now = time.monotonic()
        # Libraries count in pieces of megabytes: of a slow file none may be counted for long.
        slow = self._open and now - self._heard < _COUNTED_S
        still = slow or self._bytes != self._logged_bytes
        if now - self._logged < _LOGGED_EVERY_S or not still:
            return
        self._logged, self._logged_bytes = now, self._bytes
        of = f" of {megabytes(self.total)}" if self.total else ""
        logger.info("%s %s%s of %s", PROGRESS, megabytes(self._bytes), of, self.what)


def watched(call: Callable[[Progress], Value], progress: Progress) -> Value:
    """What a call to the network gives; logs its progress.

    Raises:
        ConfigurationError: nothing came within `ANSWER_S`. The call then goes on in a thread that
            nobody waits for: sockets know no limit of all the addresses and attempts together.
    """
    outcome: concurrent.futures.Future[Value] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(call(progress))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="infergraph-fetch", daemon=True).start()
    while not concurrent.futures.wait([outcome], timeout=0.5).done:
        if progress.silent_s > ANSWER_S:
            raise ConfigurationError(
                f"cannot fetch {progress.what}: nothing came within {ANSWER_S:g} s"
            )
        progress.log()
    return outcome.result()


def fetch_file(url: str, path: Path, sha256: str) -> None:
    """Fetches a file, unless it is there, and checks it, also one that was there.

    Args:
        url: Where it is.
        path: Where it goes; it appears there when all of it has come.
        sha256: What the hash of its contents begins with, in hexadecimal digits.

    Raises:
        ConfigurationError: it is damaged, its server cannot be reached or has no such file, or
            HF_HUB_OFFLINE is set and it is not there.
    """
    if path.is_file():
        found = sha256_of(path)
        if not found.startswith(sha256):
            raise ConfigurationError(
                f"the file {path} is damaged: its SHA-256 begins with {found[: len(sha256)]}, not "
                f"with {sha256}; remove it, and it is fetched again"
            )
        return
    what = f"'{path.name}' from {host_of(url)}"
    if constants.HF_HUB_OFFLINE:
        raise ConfigurationError(
            f"{path} is not there, and HF_HUB_OFFLINE forbids to fetch it; `infergraph fetch` gets "
            "it where there is a network"
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")

    def fetch(progress: Progress) -> str:
        hashed = hashlib.sha256()
        with urllib.request.urlopen(url, timeout=_STALLED_S) as source, part.open("wb") as target:
            progress.total = int(source.headers.get("Content-Length") or 0)
            progress.opened()
            try:
                while block := source.read(2**18):
                    hashed.update(block)
                    target.write(block)
                    progress.add(len(block))
            finally:
                progress.closed()
        return hashed.hexdigest()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        logger.info("%s %s", PROGRESS, what)
        found = watched(fetch, Progress(what))
        if not found.startswith(sha256):
            raise ConfigurationError(
                f"{what} came damaged: its SHA-256 begins with {found[: len(sha256)]}, not with "
                f"{sha256}"
            )
        os.replace(part, path)
    except ConfigurationError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            raise ConfigurationError(f"cannot fetch {what}: status {error.code}") from None
    except Exception as error:
        raise ConfigurationError(f"cannot fetch {what}: {in_words(error)}") from None
    finally:
        part.unlink(missing_ok=True)


def host_of(url: str) -> str:
    """The host and port of a URL, without the credentials that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def in_words(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hash_of(file, hashlib.sha256())


def hash_of(file: Path, hashed: Any) -> str:
    """What an object of hashlib gives once a file was added to it, in hexadecimal digits."""
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            hashed.update(block)
    digest: str = hashed.hexdigest()
    return digest


def megabytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:,.1f} MB"
