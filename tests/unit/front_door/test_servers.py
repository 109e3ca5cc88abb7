"""The servers as they listen: addresses, certificates, logs, and how they stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import uvicorn
from mlserver import Settings
from mlserver.handlers import DataPlane
from mlserver.registry import MultiModelRegistry
from mlserver.rest import RESTServer as StockRestServer
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from infergraph.errors import ConfigurationError
from infergraph.front_door import servers
from infergraph.front_door.servers import RestServer
from infergraph.request import RequestContext
from infergraph.transports import connect
from infergraph.v2 import Message
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import SERVICE
from tests.unit.front_door.certificates import Authority, Certificate
from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import BODY, Echo, kept_loggers, settle
from tests.unit.front_door.listening import listening

BODY_OF_CALL = encode_request("echo", "", Message([], "seven"), {})


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def call(channel: grpc.aio.Channel) -> bytes:
    answer: bytes = await channel.unary_unary(f"/{SERVICE}/ModelInfer")(BODY_OF_CALL)
    return answer


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6")),
    ],
)
async def test_it_listens_and_answers(
    serve: Serve, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "infergraph")
    async with (
        listening(serve, host) as at,
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(at.grpc) as channel,
    ):
        url = f"http://{at.rest}/v2/models/echo/infer"
        async with session.post(url, json=BODY) as response:
            assert (response.status, (await response.json())["id"]) == (200, "seven")
        async with session.get(f"http://{at.metrics}/metrics") as response:
            assert "rest_server_requests_total" in await response.text()
        assert b"seven" in await call(channel)

    assert f"REST: listening on http://{at.rest}" in caplog.messages
    assert f"gRPC: listening on {at.grpc}" in caplog.messages


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signed(authority: Authority) -> Certificate:
    return authority.sign("server")


@pytest.fixture(scope="module")
def of_client(authority: Authority) -> Certificate:
    return authority.sign("client")


def client_context(authority: Authority, own: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.own.certificate))
    if own is not None:
        context.load_cert_chain(str(own.certificate), str(own.key))
    return context


def channel_to(
    address: str, authority: Authority, own: Certificate | None = None
) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.own.certificate.read_bytes(),
        own and own.key.read_bytes(),
        own and own.certificate.read_bytes(),
    )
    return grpc.aio.secure_channel(address, credentials)


async def test_all_three_servers_speak_tls_only(
    serve: Serve, authority: Authority, signed: Certificate
) -> None:
    tls = {"tls_certificate": str(signed.certificate), "tls_key": str(signed.key)}
    async with listening(serve, **tls) as at, aiohttp.ClientSession() as session:
        context = client_context(authority)
        url = f"{at.rest}/v2/models/echo/infer"
        async with session.post(f"https://{url}", json=BODY, ssl=context) as response:
            assert (response.status, (await response.json())["id"]) == (200, "seven")
        async with session.get(f"https://{at.metrics}/metrics", ssl=context) as response:
            assert response.status == 200
        async with channel_to(at.grpc, authority) as channel:
            assert b"seven" in await call(channel)

        for plain in (at.rest, at.metrics):
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{plain}/v2")
        async with grpc.aio.insecure_channel(at.grpc) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await call(channel)


async def test_clients_may_be_asked_for_certificates(
    serve: Serve, authority: Authority, signed: Certificate, of_client: Certificate
) -> None:
    tls = {
        "tls_certificate": str(signed.certificate),
        "tls_key": str(signed.key),
        "tls_client_ca": str(authority.own.certificate),
    }
    async with listening(serve, **tls) as at, aiohttp.ClientSession() as session:
        known = client_context(authority, of_client)
        for url in (f"https://{at.rest}/v2", f"https://{at.metrics}/metrics"):
            async with session.get(url, ssl=known) as response:
                assert response.status == 200
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await session.get(url, ssl=client_context(authority))
        async with channel_to(at.grpc, authority, of_client) as channel:
            assert b"seven" in await call(channel)
        async with channel_to(at.grpc, authority) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await call(channel)


@pytest.mark.parametrize("broken", ["absent", "no PEM"])
@pytest.mark.parametrize("setting", ["tls_certificate", "tls_key", "tls_client_ca"])
async def test_a_file_that_cannot_be_used_is_named(
    serve: Serve,
    signed: Certificate,
    authority: Authority,
    tmp_path: Path,
    setting: str,
    broken: str,
) -> None:
    path = tmp_path / "broken.pem"
    if broken == "no PEM":
        path.write_text("no PEM")
    tls = {
        "tls_certificate": str(signed.certificate),
        "tls_key": str(signed.key),
        "tls_client_ca": str(authority.own.certificate),
    }

    with pytest.raises(ConfigurationError, match=rf"front door: .*{setting} \S*broken\.pem"):
        await serve(**{**tls, setting: str(path)})


async def test_a_key_of_another_certificate_is_refused(
    serve: Serve, signed: Certificate, of_client: Certificate
) -> None:
    with pytest.raises(ConfigurationError, match="are not PEM files of a certificate and its key"):
        await serve(tls_certificate=str(signed.certificate), tls_key=str(of_client.key))


# How they are made


async def test_a_port_that_is_taken_is_a_clear_error(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        front = await serve({"grpc_port": port})

        with pytest.raises(ConfigurationError, match=f"gRPC cannot listen on 127.0.0.1:{port}"):
            await front.server._grpc_server.start()


async def test_a_wrong_setting_keeps_the_server_from_being_made(serve: Serve) -> None:
    with pytest.raises(ConfigurationError, match="setting 'max_in_flight'"):
        await serve(max_in_flight=0)


async def test_parts_of_mlservers_own_are_refused() -> None:
    settings = Settings()
    data_plane = DataPlane(settings, MultiModelRegistry())
    try:
        with pytest.raises(ConfigurationError) as caught:
            RestServer(settings, data_plane, None)
    finally:
        for metric in vars(data_plane).values():
            if isinstance(metric, MetricWrapperBase):
                REGISTRY.unregister(metric)

    assert str(caught.value) == (
        "the server's registry is MultiModelRegistry and its repository handlers are NoneType; "
        "accepted: those of the front door"
    )
    assert issubclass(RestServer, StockRestServer)


class Attached(Echo):
    server: Settings | None = None

    def attach_server(self, settings: Settings) -> None:
        self.server = settings


async def test_a_model_of_ours_is_told_the_servers_settings(serve: Serve) -> None:
    front = await serve({"http_port": 1234})

    model = await front.load(Attached)

    assert model.server is front.server._settings
    assert model.server.http_port == 1234


async def test_our_log_goes_where_mlservers_does(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logging.NullHandler()
    theirs, ours = logging.getLogger("mlserver"), logging.getLogger("infergraph")
    monkeypatch.setattr(theirs, "handlers", [handler])
    monkeypatch.setattr(theirs, "level", logging.WARNING)
    with kept_loggers("infergraph"):
        for _ in range(2):
            servers._share_log_handlers()

        assert ours.level == logging.WARNING
        assert ours.handlers.count(handler) == 1
        assert ours.propagate is False


# How they stop


class FakeGrpc:
    def __init__(self) -> None:
        self.graces: list[float] = []

    async def stop(self, grace: float) -> None:
        self.graces.append(grace)


async def test_the_grpc_server_stops_with_grace_and_says_so_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    front = await serve(grace_seconds=7)
    caplog.set_level(logging.INFO, "infergraph")
    server: Any = front.server._grpc_server
    server._server = FakeGrpc()

    await server.stop(sig=15)
    await server.stop()

    assert server._server.graces == pytest.approx([7.0, 7.0], abs=1.0)
    assert max(server._server.graces) <= 7.0
    assert caplog.messages == ["gRPC: waiting up to 7 s for calls in flight"]


async def test_no_call_stops_the_grpc_server_before_its_pipelines_are_answered(
    serve: Serve,
) -> None:
    front = await serve()
    server: Any = front.server._grpc_server
    server._server = FakeGrpc()

    front.desk.drain.enter()
    calls = [asyncio.create_task(server.stop(sig=15)) for _ in range(2)]
    await settle()
    assert server._server.graces == []
    front.desk.drain.leave()
    await asyncio.gather(*calls)

    assert len(server._server.graces) == 2


async def test_a_hops_call_without_a_request_does_not_hold_the_grpc_server(serve: Serve) -> None:
    async with listening(serve, grace_seconds=600) as at:
        transport = connect(f"grpc://{at.grpc}")
        await transport.infer("echo", Message([], "kept"), RequestContext())
        await asyncio.wait_for(at.front.server._grpc_server.stop(sig=15), 60)
        await transport.close()


async def test_streams_without_a_request_do_not_hold_the_grpc_server(serve: Serve) -> None:
    body = encode_request("echo", "", Message([]), {"parts": 2})
    async with (
        listening(serve, grace_seconds=600) as at,
        grpc.aio.insecure_channel(at.grpc) as channel,
    ):
        model: Any = await at.front.server._model_registry.get_model("echo")
        idle, busy = (channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")() for _ in range(2))
        await idle.write(body)
        for _ in range(2):
            await idle.read()
        model.gate = asyncio.Event()
        await busy.write(body)
        await busy.read()

        stopping = asyncio.create_task(at.front.server._grpc_server.stop(sig=15))
        assert await asyncio.wait_for(idle.code(), 60) is grpc.StatusCode.UNAVAILABLE
        assert await idle.details() == "the server is stopping; ask another one, or later"
        assert not stopping.done()
        model.gate.set()
        assert isinstance(await busy.read(), bytes)
        assert await busy.code() is grpc.StatusCode.UNAVAILABLE
        await asyncio.wait_for(stopping, 60)


async def test_a_grpc_connection_ends_after_its_age_and_the_next_call_gets_another(
    serve: Serve,
) -> None:
    async with (
        listening(serve, grpc_connection_age_s=0.2) as listens,
        grpc.aio.insecure_channel(listens.grpc) as channel,
    ):
        live = channel.unary_unary(f"/{SERVICE}/ServerLive")
        await live(b"")
        state = channel.get_state()
        assert state is grpc.ChannelConnectivity.READY
        await asyncio.wait_for(channel.wait_for_state_change(state), 60)
        await live(b"")


async def test_the_rest_server_waits_for_what_is_left_of_the_grace(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = await serve(grace_seconds=7)
    waits: list[float | None] = []

    async def shutdown(self: uvicorn.Server, sockets: object = None) -> None:
        waits.append(self.config.timeout_graceful_shutdown)

    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    server = servers._Server(uvicorn.Config("no:app"), front.desk.settings, front.desk.drain)

    await server.shutdown()
    assert front.desk.drain.begin()
    await server.shutdown()

    assert waits[0] == 7.0
    assert waits[1] is not None
    assert 0 <= waits[1] < 7.0
