"""`infergraph demo --save`, against a server that runs already."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infergraph.cli import main
from infergraph.cli.pictures import save
from infergraph.errors import ConfigurationError
from infergraph.v2 import Message, Tensor
from tests.pictures import encoded
from tests.unit.cli.workspaces import ROUTER, write_model
from tests.video_stub import video_stub

WIDTH, HEIGHT = 96, 64
GREY = (90, 90, 90)
BLANK = Image.new("RGB", (WIDTH, HEIGHT), GREY)


def write_sample(models: Path, content: bytes) -> None:
    """A model `video` with a sample request of this image."""
    write_model(models, "video", ROUTER, uri="../../pipelines/chain.yaml")
    image = {
        "name": "image", "datatype": "BYTES", "shape": [1, 1],
        "parameters": {"content_type": "base64"}, "data": [base64.b64encode(content).decode()],
    }  # fmt: skip
    (models / "video" / "request.json").write_text(json.dumps({"inputs": [image]}))


def changed(file: Path | str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where the picture's own part is no longer grey."""
    return np.asarray(np.any(np.asarray(Image.open(file))[:HEIGHT] != GREY, axis=2))


def test_what_was_answered_is_drawn(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample(models, encoded(BLANK))
    with video_stub() as url:
        assert main(["demo", "video", "--url", url, "--save", "out.png"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == ["Drawn:", "out.png"]
    # Rows behind the only object are not printed.
    assert ["boxes", "[0", "0", "48", "64]"] in lines
    assert ["labels", '"car"'] in lines
    # The stub finds a car in the left half.
    touched = changed("out.png")
    assert touched[30, 0]
    assert touched[30, 47]
    assert touched[HEIGHT - 1, :48].all()
    assert not touched[:, 50:].any()


@pytest.mark.parametrize(
    ("save", "content", "text"),
    [
        ("out.gif", encoded(BLANK), "--save out.gif: accepted: a name ending with .png, .jpg,"),
        ("out", encoded(BLANK), "--save out: accepted: a name ending with .png"),
        ("no/out.png", encoded(BLANK), "--save no/out.png: there is no folder no"),
        ("there.png", encoded(BLANK), "--save there.png: there.png cannot be written"),
        ("out.png", b"text", "the sample request of video has no image to draw on; its inputs:"),
    ],
)
def test_refused_before_anything_is_asked(
    models: Path, capsys: pytest.CaptureFixture[str], save: str, content: bytes, text: str
) -> None:
    write_sample(models, content)
    Path("there.png").mkdir()
    # Nothing listens there, and the error is not about that.
    assert main(["demo", "video", "--url", "grpc://127.0.0.1:1", "--save", save]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("infergraph demo: --save")
    assert text in line
    assert out == ""


def message(**rows: Sequence[object]) -> Message:
    """An answer about several pictures."""
    return Message([Tensor.of(name, np.array(row)) for name, row in rows.items()])


def test_several_pictures_have_a_number_each(tmp_path: Path) -> None:
    request = Message([Tensor.of_bytes("image", [encoded(BLANK)] * 2)])
    corners = np.array([[[0, 0, 40, 40]], [[50, 20, 90, 60]]], np.float32)
    answer = Message([*message(num_detections=[[1], [1]]).tensors, Tensor.of("boxes", corners)])
    written = save(tmp_path / "out.png", request, answer, "video")
    assert [file.name for file in written] == ["out-1.png", "out-2.png"]
    first, second = map(changed, written)
    assert first[20, 0]
    assert not first[:, 50:].any()
    assert second[40, 50]
    assert not second[:, :48].any()


def test_an_answer_of_another_batch(tmp_path: Path) -> None:
    request = Message([Tensor.of_bytes("image", [encoded(BLANK)] * 2)])
    with pytest.raises(ConfigurationError, match="the answer to 2 pictures has rows that are none"):
        save(tmp_path / "out.png", request, message(num_detections=[[1]] * 3), "video")
