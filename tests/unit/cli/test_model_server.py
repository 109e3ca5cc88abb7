from __future__ import annotations

import io
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infergraph.cli import model_server
from infergraph.cli.model_server import ModelServer, choose_ports, load_error
from infergraph.declaration import ModelDeclaration
from infergraph.download import Progress
from infergraph.errors import ConfigurationError, StageUnavailable

NOTICE = (
    "2026-01-01 10:00:00,000 [mlserver] ERROR - Some of the models failed to load during startup!"
)
FRAME = ['  File "model.py", line 3, in load', "    self.setup()"]
NEXT = "2026-01-01 10:00:00,100 [mlserver.grpc] INFO - stopping"
START = "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("log", "text"),
    [
        ([], None),
        (["2026-01-01 10:00:00,000 [mlserver] INFO - fine"], None),
        ([NOTICE, START, *FRAME, "infergraph.errors.ConfigurationError: no GPU", NEXT], "no GPU"),
        ([NOTICE, START, *FRAME, "OSError: no such file", NEXT], "OSError: no such file"),
        ([NOTICE, START, *FRAME, "KeyboardInterrupt"], "KeyboardInterrupt"),
        (
            [
                *(NOTICE, START, *FRAME, "KeyError: 'a'", ""),
                *("During handling of the above exception, another exception occurred:", ""),
                *(START, *FRAME, "ValueError: bad a", NEXT, START, *FRAME, "OSError: later"),
            ],
            "ValueError: bad a",
        ),
        ([START, *FRAME, "ModuleNotFoundError: No module named 'x'"],
         "ModuleNotFoundError: No module named 'x'"),
    ],
)  # fmt: skip
def test_load_error_from_the_log(log: list[str], text: str | None) -> None:
    assert load_error(log) == text


def test_free_ports_differ_and_given_ones_are_kept() -> None:
    ports = choose_ports(http=1234)
    assert ports.http == 1234
    assert len({ports.http, ports.grpc, ports.metrics}) == 3
    assert 0 not in (ports.grpc, ports.metrics)


@pytest.mark.parametrize("given", [(1234, 1234, 0), (1234, 0, 1234), (0, 1234, 1234)])
def test_a_port_that_is_given_twice_is_refused(given: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"have to differ; 0 stands for any free port"):
        choose_ports(*given)


def test_a_free_port_is_none_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter((5000, 5001))

    class Holder:
        def __enter__(self) -> Holder:
            return self

        def __exit__(self, *_: object) -> None: ...

        def bind(self, address: object) -> None: ...

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", next(free)

    monkeypatch.setattr(model_server.socket, "socket", Holder)

    assert choose_ports(grpc=5000, metrics=80).http == 5001


def test_a_log_that_nobody_reads_ends_the_wait_and_not_the_reading(tmp_path: Path) -> None:
    heard = []

    def head(line: str) -> None:
        heard.append(line)
        if len(heard) == 2:
            raise BrokenPipeError(32, "Broken pipe")

    model = ModelDeclaration(name="slow", inputs=(), outputs=(), implementation="", folder=tmp_path)
    server = ModelServer(
        "server",
        [model],
        host="127.0.0.1",
        ports=choose_ports(),
        base_settings=tmp_path / "settings.json",
        environment={},
        on_line=head,
    )
    log = io.StringIO("one\ntwo\nthree\nfour\n")
    child: Any = SimpleNamespace(stdout=log, poll=lambda: None)
    server._process = child

    server._read(child)

    assert heard == ["one", "two"]
    assert list(server._log) == ["one", "two", "three", "four"]
    with pytest.raises(BrokenPipeError):
        server.wait_until_ready(600)


def test_who_does_not_speak_http_is_not_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = ModelServer(
            "server",
            [],
            host="127.0.0.1",
            ports=choose_ports(http=port),
            base_settings=tmp_path / "settings.json",
            environment={},
        )

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\0\0\x12\4\0\0\0\0\0\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        assert not server._is_ready("model")
        answering.join()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = ModelServer(
            "server",
            [],
            host="127.0.0.1",
            ports=choose_ports(http=port),
            base_settings=tmp_path / "settings.json",
            environment={},
        )
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is not free"):
            server.start()
        server.stop(1)


@pytest.mark.parametrize("progresses", [True, False])
def test_the_wait_for_models_goes_on_while_weights_are_coming(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    progresses: bool,
) -> None:
    progress = Progress("'owner/one' from hub", total=2_000_000)
    progress.add(1_000_000)
    progress._logged -= 3600
    with caplog.at_level("INFO", logger="infergraph"):
        progress.log()
    (line,) = caplog.messages
    clock = [0.0]
    model = ModelDeclaration(name="slow", inputs=(), outputs=(), implementation="", folder=tmp_path)
    server = ModelServer(
        "server",
        [model],
        host="127.0.0.1",
        ports=choose_ports(),
        base_settings=tmp_path / "settings.json",
        environment={},
    )
    said = f"2026-01-01 10:00:00,000 [infergraph.hub] INFO - {line if progresses else 'loading'}"

    def is_ready(name: str) -> bool:
        clock[0] += 400
        child: Any = SimpleNamespace(stdout=io.StringIO(f"{said}\n"))
        server._read(child)
        return clock[0] > 3000

    monkeypatch.setattr(server, "_is_ready", is_ready)
    monkeypatch.setattr(server, "check", lambda: None)
    clock_of = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: None)
    monkeypatch.setattr(model_server, "time", clock_of)

    if progresses:
        server.wait_until_ready(600)
        assert clock[0] > 3000
    else:
        with pytest.raises(StageUnavailable, match="server: not ready after 600 s: slow"):
            server.wait_until_ready(600)
