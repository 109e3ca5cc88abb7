"""`infergraph-load worker`: sends for a coordinator on another machine."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import threading

from ..engine import protocol
from ..engine.coordinator import start_worker
from ..errors import LoadError

DESCRIPTION = """\
Listens for a coordinator, which is any infergraph-load command with --workers, and starts a process
for each connection; that process sends what the coordinator tells it to, and reports to it.

  export INFERGRAPH_LOAD_TOKEN=...     # the same on all machines
  infergraph-load worker --listen 10.0.0.7:9100
  infergraph-load run --workers 10.0.0.7:9100,10.0.0.8:9100 ...     # on another machine

Only who knows the token is let in. What is said is not encrypted, the headers of requests among it:
listen on a network that you trust, or through an SSH tunnel. Ctrl-C ends it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--listen",
        default="127.0.0.1:9100",
        metavar="HOST:PORT",
        help="where it listens; port 0 takes a free one (default 127.0.0.1:9100)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Listens until it is told to end; see `main` for the status."""
    key = protocol.token()
    host, port = protocol.address_of(arguments.listen)
    try:
        server = socket.create_server((host, port))
    except OSError as error:
        raise LoadError(f"--listen {arguments.listen}: {error.strerror or error}") from None
    processes: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, _interrupt)
    with server:
        where = ":".join(map(str, server.getsockname()[:2]))
        print(f"listening on {where}", file=sys.stderr, flush=True)
        try:
            while True:
                opened, peer = server.accept()
                processes[:] = [each for each in processes if each.poll() is None]
                # A stranger who says nothing holds up nobody.
                threading.Thread(
                    target=_serve, args=(opened, peer[0], key, processes), daemon=True
                ).start()
        except KeyboardInterrupt:
            return 130
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def _serve(
    opened: socket.socket, peer: str, key: bytes, processes: list[subprocess.Popen[bytes]]
) -> None:
    with opened:
        if protocol.admit(opened, key):
            processes.append(start_worker(opened))
            print(f"sends for {peer}", file=sys.stderr, flush=True)
        else:
            print(f"{peer} does not know the token", file=sys.stderr, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
