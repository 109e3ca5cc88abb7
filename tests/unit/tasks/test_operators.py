from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tasks.operators import Operators
from infergraph.v2 import Message, Tensor
from tests.pictures import encoded, pattern

from .conftest import Serve

COLUMN, ROWS, BOXES = ["BYTES", [-1, 1]], ["BYTES", [-1, -1]], ["FP32", [-1, -1, 4]]
SCORES, COUNT = ["FP32", [-1, -1]], ["INT64", [-1, 1]]
FOUND = {"num_detections": COUNT, "boxes": BOXES, "scores": SCORES, "labels": ROWS}
Tensors = dict[str, list[Any]]


async def load(
    serve: Serve,
    operations: Sequence[dict[str, Any]] | str,
    inputs: Tensors,
    outputs: Tensors,
    optional: Sequence[str] = (),
    **extra: Any,
) -> Runtime:
    def declared(tensors: Tensors) -> list[dict[str, Any]]:
        return [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, (datatype, shape) in tensors.items()
        ]

    return await serve(
        "annotation-filter",
        declared={"inputs": declared(inputs), "outputs": declared(outputs)},
        operations=operations,
        optional_outputs=list(optional),
        **extra,
    )


def tensors(**values: Any) -> Message:
    made = []
    for name, value in values.items():
        array = np.array(value)
        if array.dtype.kind == "U":
            texts = [text.encode() for text in array.ravel().tolist()]
            made.append(Tensor.of_bytes(name, texts, list(array.shape)))
        elif array.dtype.kind == "S":
            made.append(Tensor.of_bytes(name, array.ravel().tolist(), list(array.shape)))
        else:
            made.append(Tensor.of(name, array.astype(np.int64 if array.dtype.kind == "i" else "f")))
    return Message(made)


async def answer(runtime: Runtime, **values: Any) -> dict[str, Any]:
    """The outputs as lists, texts as str."""
    message = await runtime.infer(tensors(**values), RequestContext())
    return {
        each.name: each.data.astype(str).tolist()
        if each.datatype == "BYTES"
        else each.data.tolist()
        for each in message.tensors
    }


def three_boxes() -> dict[str, Any]:
    """Two images of three rows: of the second one only the first is real."""
    boxes = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    boxes[1, 1:] = 0
    return {
        "num_detections": [[3], [1]],
        "boxes": boxes,
        "scores": np.array([[0.9, 0.8, 0.4], [0.3, 0, 0]], np.float32),
        "labels": [["car", "dog", "car"], ["dog", "", ""]],
    }


THRESHOLD = {
    "kind": "threshold",
    "tensors": ["boxes", "scores", "labels"],
    "count": "num_detections",
    "value": 0.5,
}


def grouped(*prefixes: str) -> Tensors:
    return {f"{prefix}{name}": spec for prefix in prefixes for name, spec in FOUND.items()}


async def test_a_threshold_divides_rows_and_groups_of_none_are_left_out(serve: Serve) -> None:
    outputs = grouped("kept_", "rest_")
    runtime = await load(serve, [{**THRESHOLD, "rest": "rest_"}], FOUND, outputs, [*outputs])

    found = await answer(runtime, **three_boxes())

    assert isinstance(runtime, Operators)
    # Nothing of the second image is kept, so the group has the row of the first alone.
    assert found["kept_num_detections"] == [[2]]
    assert found["kept_num_detections_item"] == [[0]]
    assert found["kept_labels"] == [["car", "dog", ""]]
    assert found["kept_scores"] == [[pytest.approx(0.9), pytest.approx(0.8), 0]]
    assert found["kept_boxes"] == [[[0, 1, 2, 3], [4, 5, 6, 7], [0, 0, 0, 0]]]
    assert found["rest_num_detections"] == [[1], [1]]
    assert found["rest_labels"] == [["car", "", ""], ["dog", "", ""]]
    assert found["rest_boxes"] == [
        [[8, 9, 10, 11], [0] * 4, [0] * 4],
        [[12, 13, 14, 15], [0] * 4, [0] * 4],
    ]
    assert "rest_labels_item" not in found


async def test_a_group_of_none_is_padding_where_it_is_not_optional(serve: Serve) -> None:
    runtime = await load(serve, [{**THRESHOLD, "kept": ""}], FOUND, FOUND)

    found = await answer(runtime, **three_boxes())

    assert found["num_detections"] == [[2], [0]]
    assert found["labels"] == [["car", "dog", ""], ["", "", ""]]
    assert found["boxes"][1] == [[0] * 4] * 3


@pytest.mark.parametrize(
    ("comparison", "kept"),
    [(">", [0]), (">=", [0, 1]), ("=", [1]), ("<=", [1, 2]), ("<", [2])],
)
async def test_comparisons(comparison: str, kept: list[int], serve: Serve) -> None:
    operation = {**THRESHOLD, "comparison": comparison, "value": 0.5}
    runtime = await load(serve, [operation], FOUND, grouped("kept_"))
    scores = [0.75, 0.5, 0.25]

    found = await answer(
        runtime,
        num_detections=[[3]],
        boxes=np.zeros((1, 3, 4)),
        scores=np.array([scores]),
        labels=[["a", "b", "c"]],
    )

    assert found["kept_labels"][0][: len(kept)] == ["abc"[row] for row in kept]
    assert found["kept_num_detections"] == [[len(kept)]]


async def test_a_threshold_of_each_label(serve: Serve) -> None:
    operation = {**THRESHOLD, "labels": "labels", "values": {"car": 0.95, "dog": 0.1}}
    runtime = await load(serve, [operation], FOUND, grouped("kept_"))

    found = await answer(runtime, **three_boxes())

    assert found["kept_labels"] == [["dog", "", ""], ["dog", "", ""]]


ROUTED = {"accepted_label": COLUMN, "escalate_label": COLUMN}
SURE = {
    "kind": "threshold",
    "tensors": ["label"],
    "scores": "score",
    "value": 0.5,
    "kept": "accepted_",
    "rest": "escalate_",
}
CLASSIFIED: Tensors = {"label": COLUMN, "score": ["FP32", [-1, 1]]}


async def test_a_label_is_accepted_or_escalated(serve: Serve) -> None:
    runtime = await load(serve, [SURE], CLASSIFIED, ROUTED, [*ROUTED])

    found = await answer(runtime, label=[["a"], ["b"], ["c"]], score=[[0.9], [0.1], [0.5]])

    assert found["accepted_label"] == [["a"], ["c"]]
    assert found["accepted_label_item"] == [[0], [2]]
    assert found["escalate_label"] == [["b"]]
    assert found["escalate_label_item"] == [[1]]


async def test_what_reads_an_absent_tensor_does_nothing(serve: Serve) -> None:
    shouted = {
        "kind": "map",
        "texts": "accepted_label",
        "values": {"a": "A"},
        "into": "shouted",
    }
    outputs = {"shouted": COLUMN, **ROUTED}
    runtime = await load(serve, [SURE, shouted], CLASSIFIED, outputs, [*outputs])

    found = await answer(runtime, label=[["a"], ["a"]], score=[[0.1], [0.9]])

    assert (found["shouted"], found["shouted_item"]) == ([["A"]], [[1]])


async def test_a_group_that_is_made_anew_is_there_again(serve: Serve) -> None:
    none, some = {**THRESHOLD, "value": 0.95}, {**THRESHOLD, "value": 0.85}
    outputs = grouped("kept_")
    runtime = await load(serve, [none, some], FOUND, outputs, [*outputs])

    found = await answer(runtime, **three_boxes())

    assert (found["kept_num_detections"], found["kept_labels"]) == ([[1]], [["car", "", ""]])
    assert found["kept_labels_item"] == [[0]]


async def test_counts_by_label_of_the_rows_that_are_real(serve: Serve) -> None:
    by_label = {"kind": "count", "count": "num_detections", "of": ["dog", "car", "cat"]}
    in_all = {"kind": "count", "count": "num_detections", "into": "total"}
    outputs: Tensors = {"counts": ["INT64", [-1, 3]], "total": COUNT}
    runtime = await load(serve, [by_label, in_all], FOUND, outputs)

    found = await answer(runtime, **three_boxes())

    assert found == {"counts": [[1, 2, 0], [1, 0, 0]], "total": [[3], [1]]}


async def test_a_group_of_none_counts_nothing(serve: Serve) -> None:
    counted = {
        "kind": "count",
        "texts": "kept_labels",
        "count": "kept_num_detections",
        "of": ["car"],
    }
    outputs: Tensors = {"kept_labels": ROWS, "counts": COUNT}
    runtime = await load(serve, [THRESHOLD, counted], FOUND, outputs, ["kept_labels"])

    found = await answer(runtime, **three_boxes())

    assert (found["counts"], found["kept_labels_item"]) == ([[1], [0]], [[0]])


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        ({"kind": "map", "texts": "kept_labels", "values": {}}, ROWS),
        ({"kind": "margin", "boxes": "kept_boxes", "count": None, "factor": 1.1}, BOXES),
    ],
    ids=["map", "margin"],
)
async def test_what_is_made_of_a_group_of_none_is_absent_too(
    operation: dict[str, Any], shape: list[Any], serve: Serve
) -> None:
    operations = [THRESHOLD, {**operation, "into": "made"}]
    runtime = await load(serve, operations, FOUND, {"made": shape}, ["made"])

    found = await answer(runtime, **three_boxes())

    # Of the second image no row is left.
    assert (len(found["made"]), found["made_item"]) == (1, [[0]])


@pytest.mark.parametrize(("other", "mapped"), [(None, "bird"), ("else", "else"), ("", "")])
async def test_labels_are_mapped(other: str | None, mapped: str, serve: Serve) -> None:
    operation = {"kind": "map", "values": {"puppy": "dog"}, "other": other}
    runtime = await load(serve, [operation], {"label": COLUMN}, {"label": COLUMN})

    found = await answer(runtime, label=[["puppy"], ["bird"]])

    assert found == {"label": [["dog"], [mapped]]}


async def test_padding_is_not_mapped(serve: Serve) -> None:
    operation = {"kind": "map", "texts": "labels", "values": {}, "other": "thing"}
    runtime = await load(serve, [{**operation, "count": "num_detections"}], FOUND, {"labels": ROWS})

    found = await answer(runtime, **three_boxes())

    assert found["labels"] == [["thing"] * 3, ["thing", "", ""]]


@pytest.mark.parametrize(
    ("settings", "passing"),
    [
        ({}, ["Free rice", "rice, FREE!"]),
        ({"ignore_case": False}, []),
        ({"whole_words": False}, ["Free rice", "freedom", "rice, FREE!"]),
        ({"words": ["dom", "so what"]}, ["so what then"]),
        ({"words": ["fr.e"]}, []),
    ],
)
async def test_keywords(settings: dict[str, Any], passing: list[str], serve: Serve) -> None:
    operation = {"kind": "keyword", "tensors": ["text"], "words": ["free"], "kept": "", **settings}
    runtime = await load(serve, [operation], {"text": COLUMN}, {"text": COLUMN}, ["text"])
    texts = ["Free rice", "freedom", "rice, FREE!", "so what then", ""]

    found = await answer(runtime, text=[[text] for text in texts])

    assert found.get("text", []) == [[text] for text in passing]
    if passing:
        assert found["text_item"] == [[texts.index(text)] for text in passing]


ORDERS = {"order": r"\border (?P<number>\d+)", "greeting": "^(hello|hi)\\b"}


async def test_a_regular_expression_labels_texts(serve: Serve) -> None:
    operation = {"kind": "regex", "labels": ORDERS, "ignore_case": True}
    outputs = {"label": COLUMN, "text": COLUMN}
    runtime = await load(serve, [operation], {"text": COLUMN}, outputs, ["label"])

    found = await answer(runtime, text=[["Hi, my order 7?"], ["HELLO you"], ["reorder 5"]])

    assert (found["label"], found["label_item"]) == ([["order"], ["greeting"]], [[0], [1]])
    assert len(found["text"]) == 3


async def test_a_text_that_nothing_matches_gets_the_other_label(serve: Serve) -> None:
    operation = {"kind": "regex", "labels": ORDERS, "other": "none", "max_characters": 9}
    runtime = await load(serve, [operation], {"text": COLUMN}, {"label": COLUMN})

    assert await answer(runtime, text=[["hm"], ["hi"]]) == {"label": [["none"], ["greeting"]]}
    with pytest.raises(InvalidInput, match=r"item 1.*a text of 10 characters; accepted: at most 9"):
        await answer(runtime, text=[["hm"], ["h" * 10]])


async def test_a_sample_is_a_share_and_depends_on_nothing_but_the_item(serve: Serve) -> None:
    operation = {"kind": "sample", "tensors": ["text"], "share": 0.25, "kept": ""}
    runtime = await load(serve, [operation], {"text": COLUMN}, {"text": COLUMN}, ["text"])
    again = await load(
        serve, [{**operation, "seed": 1}], {"text": COLUMN}, {"text": COLUMN}, ["text"]
    )
    texts = [[f"text {number}"] for number in range(2000)]

    kept = (await answer(runtime, text=texts))["text"]
    alone = [await answer(runtime, text=[text]) for text in texts[:40]]

    assert 420 < len(kept) < 580
    assert [each["text"][0] for each in alone if each] == [
        text for text in texts[:40] if text in kept
    ]
    other = (await answer(again, text=texts))["text"]
    assert 420 < len(other) < 580
    assert other != kept


async def test_a_sample_draws_for_each_row_and_by_where_its_tensors_end(serve: Serve) -> None:
    operation = {
        "kind": "sample",
        "tensors": ["labels", "names"],
        "count": "num_detections",
        "share": 0.5,
    }
    inputs: Tensors = {"num_detections": COUNT, "labels": ROWS, "names": ROWS}
    outputs: Tensors = {"kept_labels": ROWS}
    runtime = await load(serve, [operation], inputs, outputs)
    rows = range(40)

    found = await answer(
        runtime,
        num_detections=[[40], [40]],
        labels=[[f"{row}a" for row in rows], [str(row) for row in rows]],
        names=[["b"] * 40, ["ab"] * 40],
    )

    first, second = ({label.strip("a") for label in own} - {""} for own in found["kept_labels"])
    assert 8 < len(first) < 32
    assert 8 < len(second) < 32
    assert first != second


@pytest.mark.parametrize(("share", "count"), [(0, 0), (1, 3)])
async def test_a_sample_of_none_and_of_all(share: float, count: int, serve: Serve) -> None:
    operation = {"kind": "sample", "tensors": ["labels"], "count": "num_detections", "kept": ""}
    runtime = await load(
        serve, [{**operation, "share": share}], FOUND, {"num_detections": COUNT, "labels": ROWS}
    )

    assert (await answer(runtime, **three_boxes()))["num_detections"][0] == [count]


def image(width: int, height: int) -> bytes:
    return encoded(pattern(width, height))


def image_tensor(*images: bytes) -> Message:
    return Message([Tensor.of_bytes("image", list(images))])


async def test_a_margin_ends_at_the_image(serve: Serve) -> None:
    inputs = {"image": COLUMN, "boxes": BOXES, "num_detections": COUNT}
    operation = {"kind": "margin", "factor": 1.5, "image": "image"}
    runtime = await load(serve, [operation], inputs, {"boxes": BOXES})
    boxes = np.array([[[20, 10, 40, 20], [0, 0, 60, 40], [7, 7, 9, 9]]], np.float32)
    request = [
        *image_tensor(image(64, 48)).tensors,
        Tensor.of("boxes", boxes),
        Tensor.of("num_detections", np.array([[2]])),
    ]

    found = await runtime.infer(Message(request), RequestContext())

    # The third row is padding. What came is not written to.
    wanted = [[15, 7.5, 45, 22.5], [0, 0, 64, 48], [7, 7, 9, 9]]
    assert found.tensors[0].data.tolist() == [wanted]
    assert boxes[0, 0].tolist() == [20, 10, 40, 20]


async def test_tiles_cover_an_image(serve: Serve) -> None:
    operation = {"kind": "tile", "rows": 2, "columns": 2, "overlap": 0.5}
    outputs = {"boxes": BOXES, "num_detections": COUNT}
    runtime = await load(serve, [operation], {"image": COLUMN}, outputs)

    found = await runtime.infer(image_tensor(image(60, 30), image(6, 3)), RequestContext())

    tiles = {each.name: each.data.tolist() for each in found.tensors}
    wanted = [[0, 0, 40, 20], [20, 0, 60, 20], [0, 10, 40, 30], [20, 10, 60, 30]]
    assert tiles["boxes"][0] == wanted
    assert tiles["boxes"][1] == [[side / 10 for side in box] for box in wanted]
    assert tiles["num_detections"] == [[4], [4]]


async def test_regions_are_in_proportion_to_the_image(serve: Serve) -> None:
    operation = {"kind": "regions", "regions": [[0, 0, 10, 5], [20, 10, 40, 30]], "size": [60, 30]}
    outputs = {"boxes": BOXES, "num_detections": COUNT}
    runtime = await load(serve, [operation], {"image": COLUMN}, outputs)

    found = await runtime.infer(image_tensor(image(60, 30), image(120, 30)), RequestContext())

    boxes = {each.name: each.data.tolist() for each in found.tensors}
    assert boxes["boxes"][0] == [[0, 0, 10, 5], [20, 10, 40, 30]]
    assert boxes["boxes"][1] == [[0, 0, 20, 5], [40, 10, 80, 30]]
    assert boxes["num_detections"] == [[2], [2]]
    with pytest.raises(InvalidInput, match=r"item 1: tensor 'image': .*; accepted: the bytes of a"):
        await runtime.infer(image_tensor(image(60, 30), b"no image"), RequestContext())


TILED: Tensors = {
    "boxes": ["FP32", [-1, -1, -1, 4]],
    "scores": ["FP32", [-1, -1, -1]],
    "labels": ["BYTES", [-1, -1, -1]],
    "num_detections": ["INT64", [-1, -1]],
    "tiles": BOXES,
}
MERGED: Tensors = {**FOUND, "boxes": ["FP32", [-1, 3, 4]]}


def in_tiles(**changes: Any) -> dict[str, Any]:
    """A car that two tiles see, a dog in the same place, and padding of a high score."""
    return {
        "boxes": np.array(
            [[[[20, 0, 40, 10], [0] * 4], [[0, 0, 20, 10], [1, 0, 20, 10]]]], np.float32
        ),
        "scores": np.array([[[0.8, 0.99], [0.9, 0.7]]], np.float32),
        "labels": [[["car", ""], ["car", "dog"]]],
        "num_detections": [[1, 2]],
        "tiles": np.array([[[0, 0, 40, 20], [20, 0, 60, 20]]], np.float32),
        **changes,
    }


async def test_tiles_are_merged(serve: Serve) -> None:
    operation = {"kind": "tile-merge", "tiles": "tiles", "most": 3}
    runtime = await load(serve, [operation], TILED, MERGED)

    found = await answer(runtime, **in_tiles())

    assert found["num_detections"] == [[2]]
    assert found["labels"] == [["car", "dog", ""]]
    assert found["boxes"] == [[[20, 0, 40, 10], [21, 0, 40, 10], [0] * 4]]
    assert found["scores"] == [[pytest.approx(0.9), pytest.approx(0.7), 0]]
    with pytest.raises(InvalidInput, match=r"'num_detections': \[1, 3\]; accepted: 0 to 2"):
        await answer(runtime, **in_tiles(num_detections=[[1, 3]]))
    with pytest.raises(InvalidInput, match="accepted: as many in each"):
        await answer(runtime, **in_tiles(num_detections=[[1, 2, 0]]))


async def test_boxes_without_tiles_are_merged(serve: Serve) -> None:
    runtime = await load(serve, [{"kind": "tile-merge", "most": 3}], FOUND, MERGED)
    one, far = [0.0, 0, 10, 10], [50.0, 0, 60, 10]

    found = await answer(
        runtime,
        num_detections=[[3]],
        boxes=np.array([[one, one, far, one]]),
        scores=np.array([[0.5, 0.6, 0.4, 0.9]]),
        labels=[["car", "car", "car", "car"]],
    )

    assert found["boxes"] == [[one, far, [0] * 4]]
    assert found["scores"][0][:2] == [pytest.approx(0.6), pytest.approx(0.4)]


async def test_texts_are_put_together(serve: Serve) -> None:
    operation = {"kind": "concatenate", "count": "num_detections", "separator": " "}
    runtime = await load(serve, [operation], FOUND, {"text": COLUMN})

    assert (await answer(runtime, **three_boxes()))["text"] == [["car dog car"], ["dog"]]


SENTENCE = {
    "kind": "sentence",
    "texts": "labels",
    "count": "num_detections",
    "plurals": {"bus": "buses", "man": "men", "policeman": "policemen"},
    "skip": ["unknown"],
}


@pytest.mark.parametrize(
    ("descriptions", "sentence"),
    [
        ([], "I see nothing."),
        (["unknown", ""], "I see nothing."),
        (["a red bus"], "I see a red bus."),
        (["a red bus", "a dog", "a red bus", "unknown"], "I see two red buses and a dog."),
        (["a dog", "an old man", "a bus", "an old man"], "I see a dog, two old men and a bus."),
        (["a policeman"] * 13, "I see 13 policemen."),
        (["a man"] * 12, "I see twelve men."),
        # Of what is no noun that it knows, and of what does not end with one.
        (["a dog", "a dog"], "I see a dog, twice."),
        (["a bus on a street"] * 3, "I see a bus on a street, three times."),
        (["the man", "the man"], "I see the man, twice."),
    ],
)
async def test_descriptions_become_a_sentence(
    descriptions: list[str], sentence: str, serve: Serve
) -> None:
    runtime = await load(
        serve, [SENTENCE], {"num_detections": COUNT, "labels": ROWS}, {"sentence": COLUMN}
    )
    # Another item beside it, and padding that is no description.
    rows = [[*descriptions, "a bus"], ["a bus"] * (len(descriptions) + 1)]

    found = await answer(runtime, num_detections=[[len(descriptions)], [1]], labels=rows)

    assert found == {"sentence": [[sentence], ["I see a bus."]]}


@pytest.mark.parametrize("count", [-1, 4])
async def test_a_count_that_cannot_be_fails_its_own_request_only(serve: Serve, count: int) -> None:
    runtime = await load(serve, [{**THRESHOLD, "kept": ""}], FOUND, FOUND)
    bad = {**three_boxes(), "num_detections": [[3], [count]]}

    good, refused = await asyncio.gather(
        answer(runtime, **three_boxes()), answer(runtime, **bad), return_exceptions=True
    )

    assert isinstance(good, dict)
    assert good["num_detections"] == [[2], [0]]
    assert isinstance(refused, InvalidInput)
    assert f"item 1: tensor 'num_detections': {count}; accepted: 0 to 3" in str(refused)


async def test_what_is_no_number_or_no_text_is_refused(serve: Serve) -> None:
    labelled = {**THRESHOLD, "labels": "labels", "values": {"car": 0.1}}
    runtime = await load(serve, [labelled], FOUND, grouped("kept_"))
    scores = np.array([[0.1, np.nan, 0.2], [0, 0, 0]], np.float32)

    with pytest.raises(InvalidInput, match="tensor 'scores', row 1: nan; accepted: a number"):
        await answer(runtime, **{**three_boxes(), "scores": scores})
    labels = [[b"car", b"car", b"c\xff"], [b"car", b"car", b"car"]]
    with pytest.raises(InvalidInput, match=r"'labels', row 2: not valid UTF-8 \(byte 1 is 0xff"):
        await answer(runtime, **{**three_boxes(), "labels": labels})
    with pytest.raises(InvalidInput, match="tensor 'scores': 2 rows; accepted: 3, as tensor 'box"):
        await answer(runtime, **{**three_boxes(), "scores": scores[:, :2]})


async def test_operations_may_come_as_text(serve: Serve) -> None:
    """Seldon hands all parameters on as strings."""
    text = '[{"kind": "map", "values": {"a": "b"}}]'
    runtime = await load(serve, text, {"label": COLUMN}, {"label": COLUMN})

    assert await answer(runtime, label=[["a"]]) == {"label": [["b"]]}


@pytest.mark.parametrize(
    ("operations", "inputs", "outputs", "text"),
    [
        ([], FOUND, FOUND, "setting 'operations'"),
        ([{"kind": "blur"}], FOUND, FOUND, "'blur' found using 'kind' does not match any of"),
        ([{"kind": "map", "values": {}}], {}, FOUND, "no inputs or no outputs are declared"),
        (
            [{"kind": "map", "values": {}}],
            FOUND,
            FOUND,
            "operation 'map': it reads tensor 'label', which is no declared input and which no "
            "operation before it gives; there are: num_detections, boxes, scores, labels",
        ),
        (
            [{"kind": "map", "texts": "scores", "values": {}}],
            FOUND,
            FOUND,
            "operation 'map': tensor scores FP32 [-1, -1]; accepted: BYTES [-1, -1]",
        ),
        (
            [{**THRESHOLD, "count": None}],
            FOUND,
            FOUND,
            "tensor boxes FP32 [-1, -1, 4]; accepted: [-1, 1], unless 'count' is given",
        ),
        ([{**THRESHOLD, "rest": "kept_"}], FOUND, FOUND, "'kept' and 'rest' are both 'kept_'"),
        ([{**THRESHOLD, "values": {"car": 1}}], FOUND, FOUND, "'labels' and 'values' go together"),
        ([SURE], CLASSIFIED, ROUTED, "declared output 'accepted_label' may be absent; name it"),
        ([SURE], CLASSIFIED, {"sure": COLUMN}, "output 'sure' is no input and no operation gives"),
        (
            [{"kind": "count", "texts": "label"}],
            CLASSIFIED,
            {"counts": COLUMN},
            "declared output 'counts BYTES [-1, 1]': the operations give it as INT64 [-1, 1]",
        ),
        (
            [{"kind": "regex", "texts": "label", "labels": {"x": "("}}],
            CLASSIFIED,
            {"label": COLUMN},
            "operation 'regex': the pattern '(' of label 'x': missing ), unterminated",
        ),
        (
            [{"kind": "tile", "rows": 20, "columns": 20}],
            {"image": COLUMN},
            FOUND,
            "operation 'tile': 400 tiles; accepted: at most 300",
        ),
        (
            [{"kind": "regions", "regions": [[0, 0, 61, 5]], "size": [60, 30]}],
            {"image": COLUMN},
            {"boxes": BOXES},
            "operation 'regions': region [0.0, 0.0, 61.0, 5.0] of an image of 60x30 pixels; accep",
        ),
        (
            [{"kind": "keyword", "tensors": ["label"], "texts": "label", "words": [" "]}],
            CLASSIFIED,
            {"label": COLUMN},
            "'words' = [' ']; accepted: words that are not empty",
        ),
    ],
)
async def test_operations_that_do_not_fit_fail_at_load(
    operations: list[dict[str, Any]], inputs: Tensors, outputs: Tensors, text: str, serve: Serve
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(serve, operations, inputs, outputs)

    assert text in str(caught.value)
