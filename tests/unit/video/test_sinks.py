from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from infergraph_clients.errors import UsageError
from infergraph_clients.video.output import VIDEOS, OutputError, check_sink, open_sink
from tests.unit.video.files import number_of, picture, read_video


def write(path: Path, *pictures: Image.Image, rate: Fraction = Fraction(10)) -> None:
    sink = open_sink(path, rate)
    for number, each in enumerate(pictures):
        sink.add(f"picture-{number}", each)
    sink.close()


@pytest.mark.parametrize("ending", VIDEOS)
def test_a_video_holds_what_was_added(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    write(path, *map(picture, range(6)))
    rate, images = read_video(path)
    assert rate == 10
    assert [number_of(image) for image in images] == list(range(6))
    assert {image.size for image in images} == {(64, 48)}


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(10, 3)])
def test_the_rate_is_kept(tmp_path: Path, rate: Fraction) -> None:
    path = tmp_path / "out.mp4"
    write(path, *map(picture, range(4)), rate=rate)
    found, images = read_video(path)
    assert found is not None
    assert float(found) == pytest.approx(float(rate), rel=1e-3)
    assert len(images) == 4


def test_h264_where_there_is_any(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", picture(0))
    with av.open(str(tmp_path / "out.mp4")) as container:
        codec = container.streams.video[0].codec_context.name
    assert codec == ("h264" if "libx264" in av.codecs_available else "mpeg4")


def test_without_h264_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    write(tmp_path / "out.mp4", *map(picture, range(3)))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert [number_of(image) for image in read_video(tmp_path / "out.mp4")[1]] == [0, 1, 2]


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (63, 47)])
def test_odd_sizes_are_made_even_at_their_far_edges(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "out.mp4"
    white = Image.new("RGB", size, (200, 200, 200))
    write(path, white)
    (image,) = read_video(path)[1]
    assert image.size == (64, 48)
    assert np.abs(np.asarray(image).astype(int) - 200).max() < 12


def test_pictures_of_other_sizes_are_fitted_into_the_first(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    grey = (200, 200, 200)
    write(path, Image.new("RGB", (64, 48), grey), Image.new("RGB", (100, 200), grey))
    pixels = np.asarray(read_video(path)[1][1].convert("L"))
    assert pixels.shape == (48, 64)
    assert pixels[:, 26:38].mean() > 180
    assert max(pixels[:, :16].mean(), pixels[:, 48:].mean()) < 20


def test_a_folder_of_jpegs(tmp_path: Path) -> None:
    write(tmp_path / "out", *map(picture, range(3)))
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [f"picture-{number}.jpg" for number in range(3)]
    assert [number_of(Image.open(file)) for file in files] == [0, 1, 2]


def test_nothing_added(tmp_path: Path) -> None:
    write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mp4", "OUT.MKV", "out", "there", "there/", "there.d"])
def test_accepted(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.d").mkdir()
    check_sink(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("out.gif", r"accepted: a file that ends with \.mp4, \.mkv, \.mov, \.avi, or a folder"),
        ("missing/out.mp4", "there is no folder .*missing"),
        ("missing/out", "there is no folder .*missing"),
        ("file", "it is a file"),
    ],
)
def test_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=f"--output .*{name}.*{text}"):
        check_sink(tmp_path / name)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    for path in (tmp_path / "taken" / "out.mp4", tmp_path / "taken" / "out"):
        with pytest.raises(OutputError, match=r"taken.*Not a directory"):
            write(path, picture(0))
