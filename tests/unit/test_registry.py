from __future__ import annotations

import pytest

from infergraph import registry
from infergraph.request import RequestContext
from infergraph.v2 import Message


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    async def infer(self, message: Message, context: RequestContext) -> Message:
        return message


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_loaded", {})


def test_a_registered_servable_is_found_by_its_name_only() -> None:
    asr = Named("asr")
    registry.register(asr)

    assert registry.find("asr") is asr
    assert registry.find("qa") is None


def test_an_unregistered_servable_is_forgotten() -> None:
    asr = Named("asr")
    registry.register(asr)
    registry.unregister(asr)

    assert registry.find("asr") is None


def test_a_reload_keeps_the_newer_one_though_the_older_unregisters_later() -> None:
    older, newer = Named("asr"), Named("asr")
    registry.register(older)
    registry.register(newer)

    registry.unregister(older)

    assert registry.find("asr") is newer


def test_unregistering_what_never_registered_does_nothing() -> None:
    loaded = Named("asr")
    registry.register(loaded)

    registry.unregister(Named("asr"))
    registry.unregister(Named("qa"))

    assert registry.find("asr") is loaded
