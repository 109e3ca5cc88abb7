"""The whole command, against a transport that answers by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infergraph.v2 import Tensor
from infergraph_clients.errors import ServerError, Unreachable
from infergraph_clients.payloads import Metadata, Payload, TensorSpec
from infergraph_clients.transports import Answer, Reply, Route
from infergraph_clients.video import cli
from tests.terminals import use_stdout
from tests.unit.annotation.answers import VIDEO
from tests.unit.video.files import giant, number_of, picture, read_video, write_video

FRAMES = 5


class VideoServer:
    """A client of a server that finds two objects in every frame.

    Attributes:
        specs: The inputs of its model.
        routes: What was connected to.
        asked: How often metadata were asked for.
        payloads: What was sent.
        timeout_s: The time limit of the last of it.
        errors: By number of the request, what it ends with instead.
        unknown: Whether the server has no such model.
        interrupts_at: The request at which Ctrl-C is pressed.
    """

    def __init__(self) -> None:
        self.specs: tuple[TensorSpec, ...] = (TensorSpec("image", "BYTES", (-1, 1)),)
        self.routes: list[Route] = []
        self.asked = 0
        self.payloads: list[Payload] = []
        self.timeout_s: float | None = None
        self.errors: dict[int, Exception] = {}
        self.unknown = False
        self.answer: dict[str, Any] = dict(VIDEO)
        self.interrupts_at: int | None = None

    def connect(self, route: Route) -> VideoServer:
        self.routes.append(route)
        return self

    async def __aenter__(self) -> VideoServer:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def metadata(self) -> Metadata:
        self.asked += 1
        if self.unknown:
            raise ServerError("NOT_FOUND", "no model video")
        return Metadata(self.specs)

    async def infer(self, payload: Payload, *, timeout_s: float | None) -> Reply:
        number = len(self.payloads)
        self.payloads.append(payload)
        self.timeout_s = timeout_s
        if number == self.interrupts_at:
            os.kill(os.getpid(), signal.SIGINT)
            # The signal is handled some steps of the loop later: nothing is answered before.
            await asyncio.Event().wait()
        if number in self.errors:
            raise self.errors[number]
        tensors = [Tensor.of(name, data) for name, data in self.answer.items()]
        return Reply(Answer(tensors), 0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> VideoServer:
    made = VideoServer()
    monkeypatch.setattr(cli, "Client", made.connect)
    monkeypatch.chdir(tmp_path)
    write_video(Path("in.mp4"), FRAMES)
    return made


def lines(file: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_a_video_and_its_lines(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["video", "in.mp4", "--output", "out.mp4", "--jsonl", "out.jsonl"]) == 0
    rate, images = read_video(Path("out.mp4"))
    assert rate == 10
    assert [image.size for image in images] == [(64, 48)] * FRAMES
    # The car's box begins at (10, 20), on black.
    assert all(np.asarray(image)[25:40, 9:12].max() > 60 for image in images)
    assert [line["index"] for line in lines()] == list(range(FRAMES))
    assert [line["answer"]["boxes"][0]["objects"] for line in lines()] == ["sedan"] * FRAMES
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("video at in.mp4: 5 frames in ")
    assert "10 objects; latency p50 " in err
    assert (server.asked, server.routes[0].model) == (1, "video")


def test_what_is_sent(server: VideoServer) -> None:
    arguments = ["--jsonl", "out.jsonl", "--timeout-ms", "250", "--parameter", "resnet.k=2"]
    assert cli.main(["video", "in.mp4", *arguments, "--header", "authorization=x"]) == 0
    request, (route,) = server.payloads[3], server.routes
    (tensor,) = request.tensors
    assert (tensor.name, tensor.datatype, tensor.shape) == ("image", "BYTES", (1, 1))
    assert tensor.data[0, 0].startswith(b"\xff\xd8")
    assert route.headers == {"infergraph-timeout-ms": "250", "authorization": "x"}
    assert request.parameters == {"resnet.k": 2}
    assert server.timeout_s == 1.25


def test_a_pipeline_of_seldon_is_sent_without_metadata(server: VideoServer) -> None:
    assert cli.main(["video.pipeline", "in.mp4", "--jsonl", "out.jsonl"]) == 0
    assert server.asked == 0
    assert server.routes[0].model == "video"
    assert server.routes[0].headers == {"seldon-model": "video.pipeline"}


def test_another_input(server: VideoServer) -> None:
    server.specs = (TensorSpec("picture", "BYTES", (-1, 1)),)
    assert cli.main(["m", "in.mp4", "--jsonl", "out.jsonl", "--input-name", "picture"]) == 0
    assert server.payloads[0].tensors[0].name == "picture"


def test_a_folder_to_a_folder(server: VideoServer) -> None:
    Path("in").mkdir()
    for number in range(3):
        picture(number, (200, 150)).save(f"in/{number}.png")
    assert cli.main(["video", "in", "--output", "out", "--every", "2"]) == 0
    assert sorted(file.name for file in Path("out").iterdir()) == ["0.jpg", "2.jpg"]
    with Image.open("out/2.jpg") as made:
        # Between what is drawn on it and its caption.
        assert number_of(made.crop((0, 80, 200, 120))) == 2
    assert len(server.payloads) == 2


def test_lines_on_stdout(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["video", "in.mp4", "--jsonl", "-", "--frames", "2", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 1]
    assert err == ""
    assert not Path("-").exists()


def test_lines_stay_json_on_a_terminal_that_lacks_letters(
    server: VideoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in").mkdir()
    picture(0).save("in/Größe.png")
    printed = use_stdout(monkeypatch, "ascii")
    assert cli.main(["video", "in", "--jsonl", "-", "--quiet"]) == 0
    assert json.loads(printed())["name"] == "Größe"


def test_progress(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["video", "in.mp4", "--jsonl", "out.jsonl", "--progress"]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("video at in.mp4: 5 frames")


def test_frames_that_fail(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.errors = {1: ServerError("INTERNAL", "out of memory"), 3: ServerError("INTERNAL", "x")}
    arguments = ["video", "in.mp4", "--output", "out.mp4", "--jsonl", "out.jsonl"]
    assert cli.main([*arguments, "--in-flight", "1"]) == 1
    assert [line["error"] for line in lines()][:2] == [
        None,
        {"class": "ServerError", "status": "INTERNAL", "text": "out of memory"},
    ]
    images = read_video(Path("out.mp4"))[1]
    assert len(images) == FRAMES
    red, right = (np.asarray(images[index])[-8:, :, 0].mean() for index in (1, 2))
    assert red > right + 20
    assert capsys.readouterr().err.endswith("; 2 errors (INTERNAL: 2)\n")


@pytest.mark.parametrize("in_flight", ["1", "8"])
@pytest.mark.parametrize("place", ["0", "1", "2"])
def test_a_picture_with_too_many_pixels_is_an_error_of_its_frame(
    server: VideoServer, capsys: pytest.CaptureFixture[str], place: str, in_flight: str
) -> None:
    Path("in").mkdir()
    for name in {"0", "1", "2"} - {place}:
        picture(0).save(f"in/{name}.jpg")
    Path(f"in/{place}.png").write_bytes(giant())
    arguments = ["--jsonl", "out.jsonl", "--output", "out", "--in-flight", in_flight]
    assert cli.main(["video", "in", *arguments]) == 1
    told = {line["name"]: line["error"] for line in lines()}
    assert list(told) == ["0", "1", "2"]
    assert [name for name, error in told.items() if error] == [place]
    assert told[place]["class"] == "UnreadableFrame"
    assert told[place]["text"].startswith(f"{place}.png: Image size (200000000 pixels) exceeds")
    assert {file.stem for file in Path("out").iterdir()} == set(told) - {place}
    assert len(server.payloads) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_pictures_none_of_which_can_be_read(
    server: VideoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").mkdir()
    for name in "abc":
        Path(f"in/{name}.png").write_bytes(b"junk")
    assert cli.main(["video", "in", "--jsonl", "out.jsonl", "--in-flight", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "none of the first 3 frames was answered; the first: a.png: cannot identify" in line
    assert (server.payloads, Path("out.jsonl").exists()) == ([], False)


def test_an_answer_that_is_of_no_frame_is_an_error_of_it(server: VideoServer) -> None:
    server.answer = {"label": np.array([[b"a"], [b"b"]], object)}
    assert cli.main(["video", "in.mp4", "--jsonl", "out.jsonl"]) == 2
    assert not Path("out.jsonl").exists()


def test_what_fails_inside_the_pipeline_is_an_error_of_its_frame(server: VideoServer) -> None:
    failed = np.empty((1, 1), object)
    failed[0, 0] = b"no image"
    server.answer = {
        "error": failed, "error_status": np.array([[400]]), "error_item": np.array([[0]]),
    }  # fmt: skip
    assert cli.main(["video", "in.mp4", "--jsonl", "out.jsonl"]) == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unreachable("no connection to grpc://h:1"), "no connection to grpc://h:1"),
        (ServerError("400", "no image"), "400: no image"),
    ],
)
def test_first_frames_that_all_fail(
    server: VideoServer, capsys: pytest.CaptureFixture[str], error: Exception, text: str
) -> None:
    server.errors = dict.fromkeys(range(FRAMES), error)
    arguments = ["--output", "out.mp4", "--jsonl", "out.jsonl", "--in-flight", "3"]
    assert cli.main(["video", "in.mp4", *arguments]) == 2
    assert capsys.readouterr() == (
        "",
        f"infergraph-video: video: none of the first 3 frames was answered; the first: {text}\n",
    )
    assert [path.name for path in Path().iterdir()] == ["in.mp4"]


def test_a_server_that_is_gone(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.errors = {number: Unreachable("no connection") for number in range(2, FRAMES)}
    arguments = ["--output", "out.mp4", "--jsonl", "out.jsonl", "--in-flight", "2"]
    assert cli.main(["video", "in.mp4", *arguments]) == 1
    assert [line["error"] is None for line in lines()] == [True, True, False, False]
    assert len(read_video(Path("out.mp4"))[1]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "infergraph-video: video: no connection; frame 3 is the last one"
    )


def test_ctrl_c_leaves_files_of_what_was_done(
    server: VideoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.interrupts_at = 3
    arguments = ["--output", "out.mp4", "--jsonl", "out.jsonl", "--in-flight", "1"]
    assert cli.main(["video", "in.mp4", *arguments]) == 130
    done = len(lines())
    assert [line["index"] for line in lines()] == list(range(done))
    assert len(read_video(Path("out.mp4"))[1]) == done
    assert done == 3
    assert f"video at in.mp4: {done} frames in " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["in.mp4"], "nothing to write; accepted: --output, --jsonl, or both"),
        (["in.mp4", "--output", "out.gif"], "--output out.gif: accepted: a file that ends with"),
        (["in.mp4", "--output", "in.mp4"], "--output in.mp4 is the input"),
        (["in.mp4", "--jsonl", "./in.mp4"], "--jsonl in.mp4 is the input"),
        (["in.mp4", "--output", "x.mp4", "--jsonl", "x.mp4"], "--jsonl x.mp4 is the output"),
        (["in.mp4", "--jsonl", "no/where"], "--jsonl no/where: there is no folder no"),
        (["in.mp4", "--jsonl", "."], "--jsonl .: it is a folder"),
        (["no.mp4", "--jsonl", "x"], "no.mp4: no such file or folder"),
        (["in.mp4", "--jsonl", "x", "--url", "h:1"], "url 'h:1': it has no scheme"),
        (["in.mp4", "--jsonl", "x", "--header", "x"], "--header 'x'; accepted: NAME=VALUE"),
        (
            ["in.mp4", "--jsonl", "x", "--input-name", "text"],
            "it takes no image as 'text' BYTES; accepted: image BYTES [-1, 1]",
        ),
    ],
)
def test_bad_arguments_are_one_line_and_2_and_nothing_is_sent(
    server: VideoServer, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert cli.main(["video", *arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith(f"infergraph-video: video: {problem}")
    assert (out, server.payloads) == ("", [])


def test_no_such_model(server: VideoServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.unknown = True
    assert cli.main(["vidio", "in.mp4", "--jsonl", "-"]) == 2
    assert capsys.readouterr() == ("", "infergraph-video: vidio: NOT_FOUND: no model video\n")


@pytest.mark.parametrize(
    "option",
    [["--in-flight", "0"], ["--size", "64"], ["--size", "0x9"], ["--quality", "96"],
     ["--fps", "0"], ["--fps", "1/0"], ["--every", "-1"], ["--timeout-ms", "x"]],
)  # fmt: skip
def test_values_that_make_no_sense(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["video", "in.mp4", "--jsonl", "x", *option])
    assert end.value.code == 2
    assert f"{option[1]!r}; accepted: " in capsys.readouterr().err


def test_what_is_not_imported() -> None:
    program = "import infergraph_clients.video.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not {"infergraph.runtime", "mlserver", "tritonclient", "grpc", "av"} & set(
        done.stdout.split()
    )


def test_number_of_a_picture() -> None:
    assert [number_of(picture(number)) for number in range(9)] == list(range(9))
