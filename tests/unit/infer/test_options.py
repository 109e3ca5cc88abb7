from __future__ import annotations

import pytest

from infergraph_clients.infer.errors import UsageError
from infergraph_clients.infer.options import parse_arguments, parse_headers, parse_parameters
from infergraph_clients.infer.tensors import Parameter


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("4", 4),
        ("-4", -4),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("greedy", "greedy"),
        ('"4"', "4"),
        ("", ""),
        ("a=b", "a=b"),
        # Not values of V2 parameters, so text as they stand.
        ("null", "null"),
        ("[1, 2]", "[1, 2]"),
        ('{"a": 1}', '{"a": 1}'),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
    ],
)
def test_a_parameter_is_json_or_else_text(text: str, value: Parameter) -> None:
    parsed = parse_parameters([f"summarization.num_beams={text}"])
    assert parsed == {"summarization.num_beams": value}
    assert type(parsed["summarization.num_beams"]) is type(value)


def test_the_last_of_equal_names_holds() -> None:
    assert parse_parameters(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


@pytest.mark.parametrize("argument", ["num_beams", "=4", ""])
def test_a_parameter_has_a_name_and_a_value(argument: str) -> None:
    with pytest.raises(UsageError, match=r"--parameter '.*'; accepted: NAME=VALUE"):
        parse_parameters([argument])


def test_a_header_keeps_its_value_as_it_is() -> None:
    headers = parse_headers(["authorization=Bearer a=b==", "X-Empty="])
    assert headers == {"authorization": "Bearer a=b==", "X-Empty": ""}


@pytest.mark.parametrize("name", ["two words", "a:b", "naïve", "a\n"])
def test_what_is_no_header_name_is_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headers([f"{name}=x"])
    assert f"--header {name!r} is no header name" in str(caught.value)


@pytest.mark.parametrize("value", ["sécret", "secret\r\nhost: evil", "secret\0"])
def test_a_header_value_that_cannot_travel_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headers([f"authorization={value}"])
    assert "--header authorization: its value is not printable ASCII" in str(caught.value)
    assert "cret" not in str(caught.value)


def test_options_may_stand_between_inputs() -> None:
    args = parse_arguments(["nlp", "text=a", "--trace", "text=b", "--url", "grpc://h:1", "c=d"])
    assert (args.model, args.inputs) == ("nlp", ["text=a", "text=b", "c=d"])
    assert (args.trace, args.url) == (True, "grpc://h:1")


def test_defaults() -> None:
    args = parse_arguments(["nlp"])
    assert args.repeat == 1
    assert args.outputs == args.inputs == args.parameter == args.header == []
    assert args.deadline is args.compression is args.url is args.protocol is args.request is None
    flags = ("asynchronous", "trace", "seldon", "unchecked", "json")
    assert not any(getattr(args, flag) for flag in flags)


def test_outputs_are_separated_by_commas() -> None:
    assert parse_arguments(["nlp", "--outputs", "summary, language"]).outputs == [
        "summary",
        "language",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--repeat", "0"], "'0'; accepted: a whole number above 0"),
        (["--repeat", "1.5"], "'1.5'; accepted: a whole number above 0"),
        (["--repeat", "-3"], "'-3'; accepted: a whole number above 0"),
        (["--deadline", "0"], "'0'; accepted: milliseconds above 0"),
        (["--deadline", "soon"], "'soon'; accepted: milliseconds above 0"),
        (["--deadline", "nan"], "'nan'; accepted: milliseconds above 0"),
        (["--deadline", "inf"], "'inf'; accepted: milliseconds above 0"),
        (["--outputs", "a,,b"], "'a,,b'; accepted: names with commas between them"),
        (["--outputs", ""], "''; accepted: names with commas between them"),
        (["--protocol", "soap"], "invalid choice: 'soap'"),
        (["--compression", "brotli"], "invalid choice: 'brotli'"),
        (["--dead", "5"], "unrecognized arguments: --dead"),
    ],
)
def test_a_bad_option_ends_the_command_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["nlp", *arguments])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
