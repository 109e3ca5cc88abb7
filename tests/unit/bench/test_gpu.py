"""The benchmark of GPUs, run on the CPU: that it measures what it says, and where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tests.bench import gpu

EMBEDDED = Path(__file__).parents[3] / "model-settings" / "sentiment" / "embedded"
SMALL = gpu.Extent(batches=(1, 2), rounds=1, enlarged=1, copied=2**16, matrix=64, bert=EMBEDDED)


async def test_without_a_gpu_it_says_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    await gpu.run(tmp_path, 1)

    assert capsys.readouterr().out == "\nGPU: left out; torch sees no CUDA device here\n"


@pytest.mark.exhaustive
async def test_everything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await gpu.measure(torch.device("cpu"), tmp_path, SMALL)

    told = capsys.readouterr().out
    throughput = re.findall(r"^(\S.*), (fp32|bf16|fp16) +([\d.]+) +([\d.]+)$", told, re.MULTILINE)
    assert [(title, name) for title, name, *_ in throughput] == [
        (title, name)
        for title in (
            "detector",
            "classifier of images",
            "classifier of texts",
            "speech recognition",
        )
        for name in ("fp32", "bf16", "fp16")
    ]
    assert all(float(rate) > 0 for *_, first, second in throughput for rate in (first, second))
    # Of the embedded checkpoints' answers to their own world no format changes any.
    assert re.findall(r"^(.*\S)  +2 of 2 +2 of 2$", told, re.MULTILINE) == [
        "detector",
        "classifier of images",
        "classifier of texts",
        "speech recognition",
    ]
    assert len(re.findall(r"GB/s of pixels, \d+\.\d% of the copies", told)) == 3
    assert len(re.findall(r"TFLOP/s, \d+\.\d% of the matrix peak", told)) == 3
    assert re.search(r"at once take \d+% of what they take one after the other", told)
