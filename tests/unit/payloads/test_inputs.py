from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.errors import UsageError
from infergraph_clients.payloads import TensorSpec, build_tensors, parse_input
from infergraph_clients.payloads.inputs import read_file

TEXT = TensorSpec("text", "BYTES", (-1, 1))
NUMBERS = TensorSpec("numbers", "FP32", (-1, 3))
COUNT = TensorSpec("count", "INT8", (-1, 1))
FLAG = TensorSpec("flag", "BOOL", (-1, 1))


def build(*arguments: str, specs: tuple[TensorSpec, ...] = (TEXT, NUMBERS, COUNT, FLAG)) -> Any:
    return build_tensors([parse_input(argument) for argument in arguments], specs)


def build_one(*arguments: str, specs: tuple[TensorSpec, ...] = ()) -> Tensor:
    (tensor,) = build(*arguments, specs=specs) if specs else build(*arguments)
    assert isinstance(tensor, Tensor)
    return tensor


def problem_of(*arguments: str, specs: tuple[TensorSpec, ...] = (TEXT, NUMBERS, COUNT)) -> str:
    with pytest.raises(UsageError) as caught:
        build(*arguments, specs=specs)
    return str(caught.value)


def save(folder: Path, array: npt.NDArray[Any], name: str = "array.npy") -> str:
    np.save(folder / name, array)
    return f"@{folder / name}"


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("text=hello", "text", "hello"),
        ("text=", "text", ""),
        ("text=a=b", "text", "a=b"),
        ("text=@@home", "text", "@home"),
        ("text=@@@home", "text", "@@home"),
        ("text=a@b", "text", "a@b"),
        ("text=größer", "text", "größer"),
        ("numbers=[1, 2]", "numbers", "[1, 2]"),
    ],
)
def test_a_text_argument(argument: str, name: str, value: str) -> None:
    given = parse_input(argument)
    assert (given.name, given.value) == (name, value)


@pytest.mark.parametrize("argument", ["hello", "=hello", "", "@file"])
def test_what_is_no_argument_is_named(argument: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_input(argument)
    assert str(caught.value) == f"{argument!r} is no input; accepted: NAME=text, NAME=@file"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"one\ntwo\n", "one\ntwo"),
        (b"one\r\n", "one"),
        (b"one\n\n", "one\n"),
        (b"one", "one"),
        ("größer\n".encode(), "größer"),
        (b"", ""),
    ],
)
def test_a_text_file_is_text_without_the_end_of_its_last_line(
    tmp_path: Path, content: bytes, text: str
) -> None:
    path = tmp_path / "article.txt"
    path.write_bytes(content)
    assert read_file(path) == text


@pytest.mark.parametrize("name", ["question.wav", "picture.jpg", "noname"])
def test_any_other_file_is_its_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"RIFF\x00\xff\n")
    given = parse_input(f"audio=@{path}")
    assert (given.name, given.source, given.value) == ("audio", str(path), b"RIFF\x00\xff\n")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.wav", b"", "is empty"),
        ("latin.txt", b"gr\xf6sser", "is not UTF-8 text"),
        ("junk.npy", b"junk", "is not an array that numpy.save has written"),
        ("empty.npy", b"", "is not an array that numpy.save has written"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_file(path)
    assert str(caught.value) == f"{path} {problem}"


@pytest.mark.parametrize("name", ["missing.wav", "missing.npy", "missing.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_file(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: No such file or directory"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        read_file(tmp_path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    argument = save(tmp_path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="is not an array"):
        parse_input(f"numbers={argument}")


@pytest.mark.parametrize("specs", [(TEXT,), ()])
def test_a_name_given_several_times_is_a_batch(specs: tuple[TensorSpec, ...]) -> None:
    (tensor,) = build("text=one", "text=zwölf", specs=specs)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("text", "BYTES", (2, 1))
    assert tensor.data.ravel().tolist() == [b"one", "zwölf".encode()]


def test_an_argument_that_is_no_text_is_sent_as_its_bytes() -> None:
    # As Python hands on the byte 0xFF of a command line.
    assert build_one("text=a\udcff").data.ravel().tolist() == [b"a\xff"]


def test_tensors_are_in_the_order_of_their_first_argument() -> None:
    tensors = build("numbers=[1,2,3]", "text=a", "numbers=[4,5,6]", "text=b")
    assert [(tensor.name, tensor.shape) for tensor in tensors] == [
        ("numbers", (2, 3)),
        ("text", (2, 1)),
    ]
    assert tensors[0].data.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_text_and_files_may_be_one_batch(tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(b"RIFF\xff")
    tensor = build_one("text=a", f"text=@{tmp_path / 'audio.wav'}")
    assert tensor.data.ravel().tolist() == [b"a", b"RIFF\xff"]


@pytest.mark.parametrize(
    ("shape", "built"), [((-1,), (2,)), ((-1, 1), (2, 1)), ((-1, 1, 1), (2, 1, 1))]
)
def test_bytes_take_the_declared_number_of_dimensions(
    shape: tuple[int, ...], built: tuple[int, ...]
) -> None:
    spec = TensorSpec("text", "BYTES", shape)
    assert build_one("text=a", "text=b", specs=(spec,)).shape == built


@pytest.mark.parametrize(
    ("argument", "datatype", "values"),
    [
        ("numbers=[1.5, 2, 3]", "FP32", [[1.5, 2.0, 3.0]]),
        ("numbers=[[1, 2, 3], [4, 5, 6]]", "FP32", [[1, 2, 3], [4, 5, 6]]),
        ("count=7", "INT8", [[7]]),
        ("count=[7]", "INT8", [[7]]),
        ("count=[[7], [-8]]", "INT8", [[7], [-8]]),
        ("flag=true", "BOOL", [[True]]),
    ],
)
def test_json_values_become_numbers(argument: str, datatype: str, values: list[Any]) -> None:
    tensor = build_one(argument)
    assert (tensor.datatype, tensor.data.tolist()) == (datatype, values)
    assert tensor.data.dtype == {"FP32": "f4", "INT8": "i1", "BOOL": "?"}[datatype]


def test_a_null_is_not_a_number() -> None:
    assert np.isnan(build_one("numbers=[null, 1, 2]").data[0, 0])


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("numbers=hello", "'hello' is no such value; accepted: a .npy file or a JSON value"),
        ("count=128", "'128' is no such value"),
        ("count=1.5", "'1.5' is no such value"),
        ("count=true", "'true' is no such value"),
        ("count=null", "'null' is no such value"),
        ("numbers=[[1, 2, 3], [4]]", "is no such value"),
        ("numbers=[[[[1, 2, 3]]]]", "has shape [1, 1, 1, 3]; accepted: [-1, 3]"),
        ("txt=hello", "no input 'txt'; did you mean 'text'? accepted: text, numbers, count"),
        ("zzz=hello", "no input 'zzz'; accepted: text, numbers, count"),
    ],
)
def test_a_value_that_the_input_cannot_hold_is_named(argument: str, problem: str) -> None:
    assert problem in problem_of(argument)


def test_a_long_value_is_not_repeated_in_full() -> None:
    problem = problem_of("count=" + "x" * 5000)
    assert "'" + "x" * 37 + "...'" in problem
    assert len(problem) < 200


def test_a_file_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(b"RIFF")
    problem = problem_of(f"numbers=@{tmp_path / 'audio.wav'}")
    assert "input 'numbers' is FP32 [-1, 3]; accepted: a .npy file or a JSON value" in problem
    assert "audio.wav" in problem


def test_an_unknown_datatype_is_named() -> None:
    specs = (TensorSpec("odd", "FP8", (-1, 1)),)
    assert problem_of("odd=1", specs=specs).startswith("input 'odd' is FP8; accepted: BOOL, UINT8")


def test_bf16_is_kept_as_float32(tmp_path: Path) -> None:
    specs = (TensorSpec("half", "BF16", (-1, 2)),)
    file = save(tmp_path, np.array([[3, 4]], np.float32))
    (tensor,) = build_tensors([parse_input("half=[1.5, 2]"), parse_input(f"half={file}")], specs)
    assert (tensor.datatype, tensor.data.dtype) == ("BF16", np.float32)
    assert tensor.data.tolist() == [[1.5, 2], [3, 4]]


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_an_array_is_a_batch_or_one_item_of_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(3, dtype=np.float32).reshape(shape)
    tensor = build_one(f"numbers={save(tmp_path, array)}", "numbers=[7, 8, 9]")
    assert tensor.data.tolist() == [[0, 1, 2], [7, 8, 9]]


def test_an_array_of_the_other_byte_order_is_turned(tmp_path: Path) -> None:
    array = np.array([[1, 2, 3]], dtype=">f4")
    tensor = build_one(f"numbers={save(tmp_path, array)}")
    assert tensor.data.tolist() == [[1, 2, 3]]
    assert tensor.data.dtype.isnative


def test_an_array_of_another_datatype_is_not_converted_silently(tmp_path: Path) -> None:
    problem = problem_of(f"numbers={save(tmp_path, np.zeros((1, 3)))}")
    assert "input 'numbers' is FP32 [-1, 3], but" in problem
    assert "holds float64; save it with .astype('float32')" in problem


def test_an_array_that_v2_has_no_datatype_for_is_named(tmp_path: Path) -> None:
    problem = problem_of(f"numbers={save(tmp_path, np.zeros((1, 3), complex))}", specs=())
    assert "holds complex128; accepted: bool, uint8" in problem


@pytest.mark.parametrize("dtype", ["U", "S"])
@pytest.mark.parametrize("specs", [(TEXT,), ()])
def test_an_array_of_texts(tmp_path: Path, dtype: str, specs: tuple[TensorSpec, ...]) -> None:
    argument = save(tmp_path, np.array([["one"], ["two"]], dtype=dtype))
    (tensor,) = build(f"text={argument}", specs=specs)
    assert (tensor.datatype, tensor.shape) == ("BYTES", (2, 1))
    assert tensor.data.ravel().tolist() == [b"one", b"two"]


def test_without_a_declaration_arrays_stay_as_they_are(tmp_path: Path) -> None:
    one = save(tmp_path, np.ones((2, 4), np.int16), "one.npy")
    two = save(tmp_path, np.zeros((1, 4), np.int16), "two.npy")
    (tensor,) = build(f"x={one}", f"x={two}", specs=())
    assert (tensor.datatype, tensor.shape) == ("INT16", (3, 4))
    assert tensor.data.sum(axis=1).tolist() == [4, 4, 0]


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (np.ones((1, 4)), np.ones((1, 5)), "arrays of shapes [1, 4], [1, 5] cannot be one batch"),
        (np.array(1.0), np.array(2.0), "arrays of shapes [], [] cannot be one batch"),
        (
            np.ones((1, 4)),
            np.ones((1, 4), np.float32),
            "arrays of float32, float64 cannot be one batch",
        ),
    ],
)
def test_arrays_that_do_not_fit_together(
    tmp_path: Path, first: npt.NDArray[Any], second: npt.NDArray[Any], problem: str
) -> None:
    arguments = [f"x={save(tmp_path, first, '1.npy')}", f"x={save(tmp_path, second, '2.npy')}"]
    assert problem in problem_of(*arguments, specs=())


def test_arrays_and_texts_are_not_one_tensor(tmp_path: Path) -> None:
    argument = save(tmp_path, np.ones((1, 4)))
    assert "cannot be one tensor" in problem_of(f"x={argument}", "x=1", specs=())
