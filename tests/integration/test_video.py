"""`infergraph-video` and `infergraph demo --save`, as a user would run them."""

from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.exhaustive import one_in, only
from tests.unit.video.files import read_video, write_video
from tests.video_stub import video_stub
from zoo.scenes import scene

from .conftest import Connect
from .server import COMMAND_SECONDS, REPOSITORY, ServerProcess

PROGRAM = [sys.executable, "-m", "infergraph_clients.video"]
SEED = 12
PIPELINES = ("video", "video-monitoring", "nsfw")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder of three pictures of streets."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(3):
        scene(SEED + number, "held-out").image.save(folder / f"{number}.jpg", quality=90)
    return folder


@pytest.mark.parametrize("protocol", only(["grpc"], ["grpc", "rest"]))
@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_real_pipelines(
    models: ServerProcess,
    connect: Connect,
    scenes: Path,
    tmp_path: Path,
    pipeline: str,
    protocol: str,
) -> None:
    """Each frame has its own answer, the one that it has alone."""
    url = models.grpc_url if protocol == "grpc" else models.url
    output, jsonl = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = run(pipeline, scenes, "--url", url, "--output", output, "--jsonl", jsonl)
    assert done.returncode == 0, done.stderr
    told = lines(jsonl)
    assert [line["name"] for line in told] == ["0", "1", "2"]
    client = connect(models, protocol)
    for number, line in enumerate(told):
        image = (scenes / f"{number}.jpg").read_bytes()
        answer = await client.infer(pipeline, {"image": [image]})
        assert set(line["answer"]) <= set(answer.names)
        counts = {
            name: int(answer[name].item()) for name in answer.names if name.endswith("detections")
        }
        assert counts["num_detections"] > 0
        assert counts == {name: line["answer"][name] for name in counts}
        for name in answer.names:
            if name.endswith("boxes"):
                count = counts[name.removesuffix("boxes") + "num_detections"]
                told_boxes = [each["box"] for each in line["answer"][name]]
                assert np.allclose(told_boxes, answer[name][0, :count], atol=0.01)
    rate, images = read_video(output)
    assert (rate, len(images)) == (25, 3)
    assert {image.size for image in images} == {(640, 384)}


@pytest.mark.parametrize("pipeline", one_in(len(PIPELINES), PIPELINES))
def test_demo_saves_a_picture(models: ServerProcess, tmp_path: Path, pipeline: str) -> None:
    saved = tmp_path / "out.png"
    command = [sys.executable, "-m", "infergraph.cli", "demo", pipeline]
    done = subprocess.run(
        [*command, "--url", models.grpc_url, "--save", str(saved)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"Drawn: {saved}"
    with Image.open(saved) as picture:
        drawn = np.asarray(picture.convert("RGB")).astype(int)
    with Image.open(io.BytesIO(_sample(pipeline))) as sample:
        plain = np.asarray(sample.convert("RGB")).astype(int)
    # The caption is below.
    assert drawn.shape[0] > plain.shape[0]
    assert drawn.shape[1] == plain.shape[1]
    # Something is found in the sample, so something is drawn, and most of it is left.
    touched = np.any(drawn[: plain.shape[0]] != plain, axis=2).mean()
    assert 0.005 < touched < 0.5


def _sample(pipeline: str) -> bytes:
    file = REPOSITORY / "model-settings" / pipeline / "request.json"
    (image,) = json.loads(file.read_text())["inputs"]
    return base64.b64decode(image["data"][0])


def test_a_frame_that_fails(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.mp4", 6)
    output, jsonl = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with video_stub(lambda request: request == 2) as url:
        arguments = ("--output", output, "--jsonl", jsonl, "--in-flight", "1")
        done = run("video", video, "--url", url, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "; 5 objects; " in done.stderr
    assert done.stderr.endswith("; 1 error (500: 1)\n")
    told = lines(jsonl)
    assert [line["index"] for line in told] == list(range(6))
    assert told[2]["error"] == {"class": "ServerError", "status": "500", "text": "out of memory"}
    assert told[3]["answer"] == {
        "num_detections": 1,
        "num_found": 2,
        "boxes": [{"box": [0.0, 0.0, 32.0, 48.0], "scores": 0.5, "labels": "car"}],
    }
    rate, images = read_video(output)
    assert (rate, len(images), images[0].size) == (10, 6, (64, 48))


def test_ctrl_c(tmp_path: Path) -> None:
    """The sixth frame is never answered; what came before it is in the files."""
    video = write_video(tmp_path / "in.mp4", 20)
    output, jsonl = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arrived, released = threading.Event(), threading.Event()

    def hold(request: int) -> bool:
        if request == 5:
            arrived.set()
            released.wait(COMMAND_SECONDS)
        return False

    with video_stub(hold) as url:
        arguments = ["video", video, "--url", url, "--output", output, "--jsonl", jsonl]
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments), "--in-flight", "1"],
            cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert arrived.wait(COMMAND_SECONDS)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=COMMAND_SECONDS)
        finally:
            released.set()
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert errors.startswith(f"video at {video}: 5 frames in ")
    assert "Traceback" not in errors
    assert [line["index"] for line in lines(jsonl)] == list(range(5))
    assert len(read_video(output)[1]) == 5


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server(tmp_path: Path, scheme: str) -> None:
    video = write_video(tmp_path / "in.mp4", 2)
    output = tmp_path / "out.mp4"
    done = run("video", video, "--url", f"{scheme}://127.0.0.1:1", "--output", output)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"infergraph-video: video: no connection to {scheme}://127.0.0.1:1: ")
    assert not output.exists()


def test_the_example_sends_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    Image.new("RGB", (40, 20)).save(picture)
    program = [sys.executable, "-m", "infergraph_clients.examples.image"]
    with video_stub() as url:
        done = subprocess.run(
            [*program, "video", str(picture), "--url", url.removeprefix("http://")],
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True,
        )  # fmt: skip
    assert [line.split()[:5] for line in done.stdout.splitlines()] == [
        ["num_detections", "1"],
        ["num_found", "2"],
        ["boxes", "0.0", "0.0", "20.0", "20.0"],
        ["scores", "0.5", "0.0", "0.0", "0.0"],
        ["labels", "car"],
    ]
