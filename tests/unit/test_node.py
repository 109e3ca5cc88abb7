"""What a node takes of a message, hands on, chooses and joins."""

from __future__ import annotations

import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.node import ALL, NONE, Node, join
from infergraph.settings import RuntimeOptions, load_options
from infergraph.v2 import Message, Tensor


def message(**values: str) -> Message:
    return Message(
        [Tensor.of_bytes(name, [value.encode()]) for name, value in values.items()], "seven"
    )


def values(message: Message) -> dict[str, str]:
    return {each.name: each.data.item().decode() for each in message.tensors}


async def mirrored(taken: Message) -> Message:
    """A model's answer that says what it was given."""
    answer = message(**{f"{name}_out": value for name, value in values(taken).items()})
    answer.id, answer.parameters = taken.id, dict(taken.parameters)
    return answer


async def test_without_names_a_model_is_given_all_but_what_is_handed_on() -> None:
    node = Node(passes={"context": []})

    answer = await node.infer(message(audio="a", context="c"), mirrored, "m")

    assert values(answer) == {"audio_out": "a", "context": "c"}
    assert answer.id == "seven"


async def test_names_are_those_of_the_graph_and_the_first_that_is_there_is_taken() -> None:
    node = Node(inputs={"q": ["none", "first", "second"]}, outputs={"q_out": "step.q"})

    answer = await node.infer(message(second="2", first="1", other="x"), mirrored, "m")

    assert values(answer) == {"step.q": "1"}


async def test_a_model_does_not_compute_without_what_it_needs() -> None:
    node = Node(needs=[["a", "b"], ["c"]], passes={"a": [], "c": []})

    async def never(taken: Message) -> Message:
        raise AssertionError(taken)

    assert values(await node.infer(message(a="1"), never, "m")) == {"a": "1"}
    assert values(await node.infer(message(c="1"), never, "m")) == {"c": "1"}
    found = await node.infer(message(b="1", c="2"), mirrored, "m")
    assert values(found) == {"b_out": "1", "c": "2"}


async def test_an_output_goes_before_what_came_by_its_name() -> None:
    node = Node(inputs={"x": ["x"]}, outputs={"x_out": "label"}, passes={"label": []})

    assert values(await node.infer(message(x="new", label="old"), mirrored, "m")) == {
        "label": "new"
    }


async def test_what_no_later_node_reads_is_not_handed_on() -> None:
    node = Node(inputs={"x": ["x"]}, outputs={"x_out": "unsure"}, passes={"image": ["unsure"]})

    async def sure(taken: Message) -> Message:
        return message(sure="yes")

    assert values(await node.infer(message(x="1", image="i"), mirrored, "m")) == {
        "unsure": "1",
        "image": "i",
    }
    assert values(await node.infer(message(x="1", image="i"), sure, "m")) == {}


def test_routes_name_a_child_or_all_or_none() -> None:
    node = Node(branches=[["a"], ["b", "c"]], gives=["d"])

    assert node.route(message(a="1"), "m") == 0
    assert node.route(message(c="1", d="1"), "m") == 1
    assert node.route(message(a="1", b="1"), "m") == ALL
    assert node.route(message(d="1"), "m") == NONE
    # What is not of the answer is left behind by a child.
    assert node.route(message(d="1", e="1"), "m") == 0
    assert Node(branches=[[], ["b"]], gives=[]).route(message(b="1"), "m") == ALL
    assert Node(branches=[["a"]], gives=["d"], answers=[["d"]]).route(message(), "m") == 0
    # Of one whose model computes of what its children answer, one is asked in any case.
    assert Node(branches=[["a"], ["b"]]).route(message(d="1"), "m") == 0
    with pytest.raises(InvalidInput, match="m: it has no branches to choose from"):
        Node().route(message(), "m")


def test_answers_are_joined_by_names_and_of_one_name_the_first_is_taken() -> None:
    first, second = message(a="1", b="2"), message(b="other", c="3")
    first.parameters["p"] = 1

    joined = join([first, second])

    assert values(joined) == {"a": "1", "b": "2", "c": "3"}
    assert (joined.id, joined.parameters) == ("seven", {"p": 1})
    assert values(Node(gives=["c", "a", "z"]).joined(joined, "m")) == {"a": "1", "c": "3"}


def test_an_answer_that_lacks_an_output_is_an_error() -> None:
    node = Node(gives=["a", "b"], answers=[["a"], ["b", "c"]])

    assert values(node.joined(message(a="1", b="2"), "m")) == {"a": "1", "b": "2"}
    with pytest.raises(InvalidInput, match="which is a and b or c; came: b"):
        node.joined(message(b="2", z="3"), "m")


def test_names_that_a_model_does_not_declare_are_refused() -> None:
    node = Node(inputs={"x": ["a"]}, outputs={"y": "b"})

    node.check(["x", "z"], ["y"])
    node.check([], [])
    with pytest.raises(ConfigurationError, match="inputs names 'x', which the model does not dec"):
        node.check(["z"], ["y"])
    with pytest.raises(ConfigurationError, match=r"outputs names 'y'.*accepted: q"):
        node.check(["x"], ["q"])


def test_it_is_a_setting_that_is_also_accepted_as_text() -> None:
    text = '{"passes": {"context": []}, "gives": ["a"]}'

    options = load_options(RuntimeOptions, "m", {"node": text})

    assert options.node == Node(passes={"context": []}, gives=["a"])
    with pytest.raises(ConfigurationError, match=r"'node.pases'; did you mean 'passes'\?"):
        load_options(RuntimeOptions, "m", {"node": '{"pases": {}}'})
    with pytest.raises(ConfigurationError, match="setting 'node'"):
        load_options(RuntimeOptions, "m", {"node": "{"})
