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
    monkeypatch.setattr(registry, "_newest", {})


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


def test_a_generation_is_found_by_the_plain_name() -> None:
    second, tenth, other = Named("asr_2"), Named("asr_10"), Named("asr-2_11")
    for each in (tenth, second, other):
        registry.register(each)

    assert registry.find("asr") is tenth
    assert registry.find("asr_2") is second

    registry.unregister(tenth)
    assert registry.find("asr") is second

    registry.unregister(second)
    assert registry.find("asr") is None
    assert registry.find("asr-2") is other


def test_a_name_of_its_own_comes_before_generations() -> None:
    plain, generation = Named("asr"), Named("asr_2")
    registry.register(generation)
    registry.register(plain)

    assert registry.find("asr") is plain
