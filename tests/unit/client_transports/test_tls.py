"""TLS: whom a client trusts, and who it says it is."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web

from infergraph.v2.schema import METHODS, SERVICE
from infergraph_clients.errors import Unreachable, UsageError
from infergraph_clients.transports import Client, Endpoint, Route, Tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of self-signed certificates with their keys: the server's, and the client's."""
    folder = tmp_path_factory.mktemp("pem")
    for name, subject in (("server", "localhost"), ("client", "me")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True,
            capture_output=True,
        )  # fmt: skip
    return folder


@contextlib.asynccontextmanager
async def serving(scheme: str, pem: Path, asks: bool) -> AsyncIterator[str]:
    """A server that answers metadata; with `asks` to clients alone that show the certificate."""
    if scheme == "https":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem / "server.pem", pem / "server.key")
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pem / "client.pem")

        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"inputs": [], "parameters": {"tls": request.secure}})

        application = web.Application()
        application.add_routes([web.get("/v2", answer), web.get("/v2/models/m", answer)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
        yield f"https://localhost:{runner.addresses[0][1]}"
        await runner.cleanup()
        return

    async def metadata(request: Any, context: Any) -> Any:
        answer = METHODS["ModelMetadata"].response()
        answer.parameters["tls"].bool_param = True
        return answer

    method = METHODS["ModelMetadata"]
    handler = grpc.unary_unary_rpc_method_handler(
        metadata, method.request.FromString, method.response.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"ModelMetadata": handler}),)
    )
    chain = ((pem / "server.key").read_bytes(), (pem / "server.pem").read_bytes())
    roots = (pem / "client.pem").read_bytes() if asks else None
    credentials = grpc.ssl_server_credentials([chain], roots, asks)
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    yield f"grpcs://localhost:{port}"
    await server.stop(None)


async def ask(url: str, **tls: Any) -> Any:
    async with Client(Route(Endpoint.parse(url), "m", tls=Tls(**tls), connect_s=10)) as client:
        return (await client.metadata()).parameters


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
async def test_a_server_is_trusted_by_its_authority_or_without_a_question(
    scheme: str, pem: Path
) -> None:
    async with serving(scheme, pem, asks=False) as url:
        assert await ask(url, ca=str(pem / "server.pem")) == {"tls": True}
        with pytest.raises(Unreachable, match=f"no connection to {url}: "):
            await ask(url)
        with pytest.raises(Unreachable, match=f"no connection to {url}: "):
            await ask(url, ca=str(pem / "client.pem"))


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
async def test_any_certificate_is_taken(scheme: str, pem: Path) -> None:
    async with serving(scheme, pem, asks=False) as url:
        # Its name is not localhost's either.
        address = url.replace("localhost", "127.0.0.1")
        # In another loop: the server's certificate is fetched by a call that blocks.
        asked = asyncio.to_thread(lambda: asyncio.run(ask(address, insecure=True)))
        assert await asked == {"tls": True}


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
async def test_a_server_may_ask_who_the_client_is(scheme: str, pem: Path) -> None:
    async with serving(scheme, pem, asks=True) as url:
        ca, own, key = (str(pem / name) for name in ("server.pem", "client.pem", "client.key"))
        assert await ask(url, ca=ca, certificate=own, key=key) == {"tls": True}
        with pytest.raises(Exception, match=r"no connection to|broke off|no answer"):
            await ask(url, ca=ca)


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ({"ca": "missing.pem"}, "tls ca 'missing.pem': No such file"),
        ({"key": "k.pem"}, "tls key 'k.pem' has no certificate"),
        ({"certificate": "missing.pem"}, "tls certificate 'missing.pem': No such file"),
    ],
)
@pytest.mark.parametrize("scheme", ["https", "grpcs"])
async def test_files_that_cannot_be_used(scheme: str, tls: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        await ask(f"{scheme}://localhost:1", **tls)
