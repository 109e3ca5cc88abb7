"""Streamed texts: joined they are the whole answer, and what nobody reads is not generated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from infergraph.request import RequestContext
from infergraph.runtime import Outputs
from infergraph.tasks.text.decoding import Search
from infergraph.tasks.text.generation import TextGeneration
from infergraph.tasks.text.sources import Source
from infergraph.v2 import Message, Tensor
from tests.exhaustive import one_in

from ..conftest import Ask, Serve
from ..text_families import FAMILIES, TEXTS, paired, served

# Four sentences, of which one comes twice, with blanks and line breaks between them.
TEXT = "The lamp. He counts!\n\n- Seven gulls.  The lamp."
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"num_beams": 1},
    "greedy, rules": {
        "num_beams": 1,
        "min_new_tokens": 9,
        "max_new_tokens": 16,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.4,
    },
    "sampled": {"do_sample": True, "temperature": 1.3, "top_k": 12, "seed": 7},
    "beams": {"num_beams": 3},
}


def asked(runtime: TextGeneration, text: str, parameters: dict[str, Any]) -> tuple[Source, Search]:
    """What the runtime makes of a request."""
    given = runtime.parameters_class
    assert given is not None
    return runtime.prepare({"text": text}), runtime.accept(given(**parameters))


def parts(runtime: TextGeneration, source: Source, search: Search) -> list[str]:
    """The parts of a text that is followed, each the answer's only output."""
    given: list[Outputs] = []
    running = runtime.running(search)
    running.add(7, runtime.followed(source, given.append), search)
    ended: list[Any] = []
    while not ended:
        ended = running.step()
    ((number, last),) = ended
    assert number == 7
    answers = given if last is None else [*given, last]
    assert all(answer.keys() == {"text"} for answer in answers)
    return [answer["text"] for answer in answers]


def message(text: str, parameters: dict[str, Any]) -> Message:
    return Message([Tensor.of_bytes("text", [text.encode()])], parameters=parameters)


async def streamed(runtime: TextGeneration, text: str, parameters: dict[str, Any]) -> list[str]:
    answers = runtime.infer_stream(message(text, parameters), RequestContext())
    return [answer.tensors[0].data.item().decode() async for answer in answers]


@pytest.fixture
def steps() -> Callable[[TextGeneration], list[str]]:
    """`steps(runtime)`: "encode" and "decode" for each call of its network's two halves."""

    def note(runtime: TextGeneration) -> list[str]:
        made: list[str] = []
        network = runtime.model.generator.network
        for name, half in (("encode", network.get_encoder()), ("decode", network.get_decoder())):
            half.register_forward_pre_hook(lambda *_, name=name: made.append(name))
        return made

    return note


@pytest.mark.parametrize(("family", "search"), one_in(3, paired(FAMILIES, [*SEARCHES])))
async def test_the_parts_are_the_whole_answer(
    family: str, search: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served(family, checkpoint, serve)
    (whole,) = (await ask(runtime, SEARCHES[search], text=[TEXT]))["text"]

    given = parts(runtime, *asked(runtime, TEXT, SEARCHES[search]))

    assert "".join(given) == whole
    assert all(given)
    pieces = runtime.prepare({"text": TEXT}).ids
    if search == "beams":
        assert len(given) <= len(pieces)
    else:
        assert len(given) > 4 * len({ids.tobytes() for ids in pieces}) - len(pieces)


async def test_a_text_that_is_dropped_is_not_written_on(
    checkpoint: Callable[[str], str], serve: Serve, steps: Callable[[TextGeneration], list[str]]
) -> None:
    runtime = await served("bart", checkpoint, serve)
    source, search = asked(runtime, TEXT, {"num_beams": 1, "min_new_tokens": 20})
    given: list[Outputs] = []
    made = steps(runtime)
    running = runtime.running(search)
    running.add(0, runtime.followed(source, given.append), search)
    for _ in range(4):
        assert running.step() == []
    done, had = list(made), list(given)

    running.drop(0)

    assert running.step() == []
    assert (made, given) == (done, had)
    assert made.count("encode") == 1
    assert 1 <= len(had) <= 4


async def test_a_sentence_that_comes_twice_is_generated_once(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("marian", checkpoint, serve)
    read: list[int] = []
    runtime.model.generator.network.get_encoder().register_forward_pre_hook(
        lambda module, given, named: read.append(len(named["input_ids"])), with_kwargs=True
    )

    text = "".join(parts(runtime, *asked(runtime, "The lamp. The lamp. The lamp.", {})))

    assert read == [1]
    first = text[: len(text) // 3]
    assert text == " ".join([first] * 3)


@pytest.mark.parametrize("text", ["...", "?!\n--"])
async def test_what_is_no_sentence_is_one_part(
    text: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("marian", checkpoint, serve)

    assert await streamed(runtime, text, {"num_beams": 1}) == [text]


async def test_a_text_of_which_nothing_is_said_is_one_empty_part(
    checkpoint: Callable[[str], str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await served("bart", checkpoint, serve)
    monkeypatch.setattr(
        runtime.model.generator.tokenizer, "decode", lambda tokens, skip_special_tokens: " "
    )

    assert await streamed(runtime, "the lamp", {"num_beams": 1}) == [""]


async def test_streams_and_other_requests_of_many_lengths_do_not_meet(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    steps: Callable[[TextGeneration], list[str]],
) -> None:
    runtime = await served("bart", checkpoint, serve)
    asks = [
        (text, {"num_beams": 1, "min_new_tokens": most, "max_new_tokens": most})
        for text, most in zip(TEXTS, (3, 24, 9, 17, 5, 12), strict=True)
    ]
    alone = [(await ask(runtime, given, text=[text]))["text"][0] for text, given in asks]
    made = steps(runtime)

    answers = await asyncio.gather(
        *(streamed(runtime, text, given) for text, given in asks),
        *(ask(runtime, given, text=[text]) for text, given in asks),
    )

    assert ["".join(given) for given in answers[:6]] == alone
    assert [answer["text"][0] for answer in answers[6:]] == alone
    # Together, and equal texts once: fewer steps than two for each token.
    assert made.count("decode") < 2 * sum(given["max_new_tokens"] for _, given in asks) / 3


async def test_after_a_failure_a_stream_goes_on_where_it_was(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await served("bart", checkpoint, serve)
    search = {"num_beams": 1, "min_new_tokens": 9, "max_new_tokens": 12}
    expected = [(await ask(runtime, search, text=[text]))["text"][0] for text in TEXTS[:2]]
    left = iter(range(5))

    def fail_once(*_: Any) -> None:
        if next(left, None) == 4:
            raise RuntimeError("out of memory")

    runtime.model.generator.network.get_decoder().register_forward_pre_hook(fail_once)
    answers = await asyncio.gather(*(streamed(runtime, text, search) for text in TEXTS[:2]))

    assert ["".join(given) for given in answers] == expected
    assert next(left, None) is None
