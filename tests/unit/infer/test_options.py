from __future__ import annotations

import pytest

import infergraph
from infergraph_clients.infer.cli import parse_arguments


def test_options_may_stand_between_inputs() -> None:
    args = parse_arguments(["nlp", "text=a", "--trace", "text=b", "--url", "grpc://h:1", "c=d"])
    assert (args.model, args.inputs) == ("nlp", ["text=a", "text=b", "c=d"])
    assert (args.trace, args.url) == (True, "grpc://h:1")


def test_defaults() -> None:
    args = parse_arguments(["nlp"])
    assert args.repeat == 1
    assert args.outputs == args.inputs == args.parameter == args.header == []
    assert args.deadline is args.compression is args.url is args.protocol is args.request is None
    flags = (
        "asynchronous",
        "trace",
        "traceparent",
        "stream",
        "insecure",
        "seldon",
        "unchecked",
        "json",
    )
    assert not any(getattr(args, flag) for flag in (*flags, "json"))


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


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"infergraph-infer {infergraph.__version__}\n"
