"""Streamed texts: joined they are the whole answer, and what nobody reads is not generated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import torch

from infergraph.batching import BatchAbandoned
from infergraph.tasks.text.decoding import Search
from infergraph.tasks.text.generation import Source, TextGeneration

from ..conftest import Checks, Serve, step_threads
from ..text_families import FAMILIES, served

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


def parts(runtime: TextGeneration, item: Source, search: Search) -> Iterator[str]:
    """The parts of a streamed text, each the answer's only output."""
    with closing(runtime.stream(item, search)) as stream:
        for answer in stream:
            assert answer.keys() == {"text"}
            yield answer["text"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[TextGeneration], list[str]]:
    """`steps(runtime)`: "encode" and "decode" for each call of its network's two halves."""

    def note(runtime: TextGeneration) -> list[str]:
        made: list[str] = []
        network = runtime.model.generate._network
        for name, half in (("encode", network.get_encoder()), ("decode", network.get_decoder())):
            half.register_forward_pre_hook(lambda *_, name=name: made.append(name))
        return made

    return note


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("family", FAMILIES)
async def test_the_parts_are_the_whole_answer(
    family: str, search: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served(family, checkpoint, serve)
    item, chosen = asked(runtime, TEXT, SEARCHES[search])
    whole = runtime.predict_batch([item], chosen)[0]["text"]

    streamed = list(parts(runtime, item, chosen))

    assert "".join(streamed) == whole
    assert all(streamed)
    pieces = len(item.ids)
    if search == "beams":
        assert len(streamed) <= pieces
    else:
        assert len(streamed) > 4 * len({ids.tobytes() for ids in item.ids})


async def test_a_stream_that_is_closed_generates_no_further_token(
    checkpoint: Callable[[str], str], serve: Serve, steps: Callable[[TextGeneration], list[str]]
) -> None:
    runtime = await served("bart", checkpoint, serve)
    item, search = asked(runtime, TEXT, {"num_beams": 1, "min_new_tokens": 20})
    made = steps(runtime)
    stream = parts(runtime, item, search)
    for _ in range(3):
        next(stream)
    done = list(made)
    assert len(step_threads()) == 1

    stream.close()

    assert made == done
    assert made.count("encode") == 1
    assert 3 <= made.count("decode") < 12
    assert not step_threads()


@pytest.mark.parametrize("beams", [1, 3])
async def test_a_stream_that_nobody_waits_for_ends(
    beams: int,
    checkpoint: Callable[[str], str],
    serve: Serve,
    checks: Checks,
    steps: Callable[[TextGeneration], list[str]],
) -> None:
    runtime = await served("marian", checkpoint, serve)
    item, search = asked(runtime, TEXT, {"num_beams": beams, "min_new_tokens": 15})
    made = steps(runtime)
    checks.restart(abandoned_at=9)

    with pytest.raises(BatchAbandoned):
        list(parts(runtime, item, search))

    assert checks.made == 9
    assert made.count("encode") == 1
    assert 1 <= made.count("decode") < 9
    assert not step_threads()
    checks.restart()
    whole = runtime.predict_batch([item], search)[0]["text"]
    assert "".join(parts(runtime, item, search)) == whole


async def test_a_sentence_that_comes_twice_is_generated_once(
    checkpoint: Callable[[str], str], serve: Serve, steps: Callable[[TextGeneration], list[str]]
) -> None:
    runtime = await served("marian", checkpoint, serve)
    item, search = asked(runtime, "The lamp. The lamp. The lamp.", {"num_beams": 1})
    made = steps(runtime)

    text = "".join(parts(runtime, item, search))

    assert made.count("encode") == 1
    first = text[: len(text) // 3]
    assert text == " ".join([first] * 3)


@pytest.mark.parametrize("text", ["...", "?!\n--"])
async def test_what_is_no_sentence_is_one_part(
    text: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("marian", checkpoint, serve)
    item, search = asked(runtime, text, {"num_beams": 1})

    assert list(parts(runtime, item, search)) == [text]


async def test_a_text_of_which_nothing_is_said_is_one_empty_part(
    checkpoint: Callable[[str], str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await served("bart", checkpoint, serve)
    item, search = asked(runtime, "the lamp", {"num_beams": 1})
    monkeypatch.setattr(
        runtime.model.generate._tokenizer, "decode", lambda tokens, skip_special_tokens: " "
    )

    assert list(parts(runtime, item, search)) == [""]


async def test_a_network_that_fails_fails_the_stream(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("bart", checkpoint, serve)
    item, search = asked(runtime, "the lamp", {"num_beams": 1, "min_new_tokens": 9})
    left = iter(range(3))

    def fail(*_: Any) -> None:
        if next(left, None) is None:
            raise RuntimeError("out of memory")

    runtime.model.generate._network.get_decoder().register_forward_pre_hook(fail)

    with pytest.raises(RuntimeError, match="out of memory"):
        list(parts(runtime, item, search))
    assert not step_threads()


async def test_a_stream_computes_as_its_model_does(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await served("bart", checkpoint, serve)
    item, search = asked(runtime, "the lamp", {"num_beams": 1})
    seen: set[tuple[int, bool]] = set()
    runtime.model.generate._network.register_forward_pre_hook(
        lambda *_: seen.add((torch.get_num_threads(), torch.is_inference_mode_enabled()))
    )
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    # As another model does that is loaded later.
    other = threading.Thread(target=torch.set_num_threads, args=(before + 2,))
    other.start()
    other.join()
    try:
        list(parts(runtime, item, search))
    finally:
        torch.set_num_threads(before)

    assert seen == {(before + 1, True)}
    assert not torch.is_inference_mode_enabled()
