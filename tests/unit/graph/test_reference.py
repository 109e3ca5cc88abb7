from __future__ import annotations

import pytest

from infergraph.graph.reference import (
    ExternalReference,
    Reference,
    ReferenceSyntaxError,
    SourceReference,
    group,
    parse_tensor_key,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step", Reference("step", "outputs")),
        ("step.outputs", Reference("step", "outputs")),
        ("step.outputs.t", Reference("step", "outputs", "t")),
        ("step.inputs", Reference("step", "inputs")),
        ("step.inputs.t", Reference("step", "inputs", "t")),
        ("p", Reference("p", "inputs")),
        ("p.inputs", Reference("p", "inputs")),
        ("p.inputs.t", Reference("p", "inputs", "t")),
        ("p.outputs", Reference("p", "outputs")),
    ],
)
def test_parses(text: str, expected: Reference) -> None:
    assert Reference.parse(text, "p") == expected


@pytest.mark.parametrize("text", ["step.t", "step.outputs.t.u", "step.", "step..t", "a.b.c.d"])
def test_refuses_malformed(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError, match="is no reference") as caught:
        Reference.parse(text, "p")
    assert not caught.value.empty


@pytest.mark.parametrize("text", ["", ".outputs", ".step"])
def test_tells_empty_ones_apart(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError) as caught:
        Reference.parse(text, "p")
    assert caught.value.empty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q", ExternalReference("q", None, "outputs")),
        ("q.outputs.t", ExternalReference("q", None, "outputs", "t")),
        ("q.inputs", ExternalReference("q", None, "inputs")),
        ("q.step.s", ExternalReference("q", "s", "outputs")),
        ("q.step.s.outputs.t", ExternalReference("q", "s", "outputs", "t")),
    ],
)
def test_parses_external(text: str, expected: ExternalReference) -> None:
    assert ExternalReference.parse(text) == expected


@pytest.mark.parametrize("text", ["", "q.step", "q.t", "q.outputs.t.u", "q.step.s.t.u", "q..t"])
def test_refuses_malformed_external(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError):
        ExternalReference.parse(text)


@pytest.mark.parametrize("text", ["b", "p.inputs", "p.inputs.t", "s.outputs.t"])
def test_text_parses_to_itself(text: str) -> None:
    reference = Reference.parse(text, "p")
    assert Reference.parse(str(reference), "p") == reference


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a", "p"], [("a", "outputs", ()), ("p", "inputs", ())]),
        (["a.outputs.x", "b", "a.outputs.y"], [("a", "outputs", ("x", "y")), ("b", "outputs", ())]),
        (["a", "a.outputs.x"], [("a", "outputs", ("x",))]),
        (["a.outputs.x", "a"], [("a", "outputs", ("x",))]),
        (["a.inputs.x", "a"], [("a", "inputs", ("x",)), ("a", "outputs", ())]),
        (["a.outputs.x", "a.outputs.x"], [("a", "outputs", ("x",))]),
        ([], []),
    ],
    ids=["two", "order of first mention", "named wins", "named first", "ports", "twice", "none"],
)
def test_groups_by_source(texts: list[str], expected: list[object]) -> None:
    grouped = group(Reference.parse(text, "p") for text in texts)
    assert list(grouped) == [SourceReference(*one) for one in expected]  # type: ignore[misc]


def test_tensor_keys_have_three_parts() -> None:
    assert parse_tensor_key("a.outputs.x") == Reference("a", "outputs", "x")
    for key in ("a", "a.x", "a.outputs", "a.outputs.x.y", "a.output.x", ""):
        with pytest.raises(ReferenceSyntaxError):
            parse_tensor_key(key)
