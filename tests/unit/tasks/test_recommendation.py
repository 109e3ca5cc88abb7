from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tasks.dlrm import DlrmConfig, mlp, save
from infergraph.v2 import Message, Tensor
from zoo.clicks import held_out

from .conftest import MODEL_SETTINGS, Serve

CONFIG = DlrmConfig(
    dense_features=3,
    table_rows=[5, 4, 2],
    hotness=[1, 3, 1],
    dimension=2,
    bottom=[4, 2],
    top=[6, 1],
)
PARTS = ("bottom-mlp", "embedding-bags", "interaction", "top-mlp")
Arrays = dict[str, npt.NDArray[Any]]


def weights(config: DlrmConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    networks = {
        "bottom": mlp(config.dense_features, config.bottom),
        "top": mlp(config.features, config.top),
    }
    tables = torch.randn(sum(config.table_rows), config.dimension)
    named = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    return {**named, "tables": tables}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, CONFIG, weights(CONFIG))
    return tmp_path


def shipped(model: str) -> str:
    return str(MODEL_SETTINGS / model / "embedded")


def declared(config: DlrmConfig) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "dense", "datatype": "FP32", "shape": [-1, config.dense_features]},
            {"name": "indices", "datatype": "INT64", "shape": [-1, len(config.feature_of)]},
        ]
    }


async def load(serve: Serve, folder: Path, config: DlrmConfig = CONFIG, **extra: Any) -> Runtime:
    return await serve("dlrm", str(folder), declared=declared(config), **extra)


async def answer(runtime: Runtime, **arrays: npt.NDArray[Any]) -> Arrays:
    message = Message([Tensor.of(name, array) for name, array in arrays.items()])
    found = await runtime.infer(message, RequestContext())
    return {tensor.name: tensor.data for tensor in found.tensors}


def rows(count: int, seed: int = 0) -> Arrays:
    """Rows for `CONFIG`, of the second feature none, one, two or three indices."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, size, count) for size in (5, 4, 4, 4, 2)]
    indices = np.stack(columns, axis=1)
    indices[:, 1:4][rng.random((count, 3)) < 0.5] = -1
    return {"dense": rng.normal(0, 1, (count, 3)).astype(np.float32), "indices": indices}


def expected(config: DlrmConfig, arrays: Arrays) -> npt.NDArray[np.float64]:
    """The probabilities by numpy in 64 bits, row by row and index by index."""
    held = {name: value.double().numpy() for name, value in weights(config).items()}

    def network(name: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        layers = sorted({key.split(".")[1] for key in held if key.startswith(f"{name}.")}, key=int)
        for layer in layers:
            values = held[f"{name}.{layer}.weight"] @ values + held[f"{name}.{layer}.bias"]
            values = values if layer == layers[-1] else np.maximum(values, 0)
        return values

    starts = np.cumsum([0, *config.table_rows])
    probabilities = []
    for dense, indices in zip(arrays["dense"], arrays["indices"], strict=True):
        vectors = [network("bottom", dense.astype(np.float64))]
        for feature in range(len(config.table_rows)):
            bag = np.zeros(config.dimension)
            for column, index in enumerate(indices):
                if config.feature_of[column] == feature and index >= 0:
                    bag += held["tables"][starts[feature] + index]
            vectors.append(bag)
        if config.interaction == "cat":
            features = np.concatenate(vectors)
        else:
            count = len(vectors)
            products = [vectors[row] @ vectors[at] for row in range(count) for at in range(row)]
            features = np.array([*vectors[0], *products])
        probabilities.append(1 / (1 + np.exp(-network("top", features))))
    return np.array(probabilities)


@pytest.mark.parametrize("count", [1, 7, 64])
async def test_the_probabilities(count: int, folder: Path, serve: Serve) -> None:
    runtime = await load(serve, folder)

    found = await answer(runtime, **rows(count))

    assert found["probability"].dtype == np.float32
    np.testing.assert_allclose(found["probability"], expected(CONFIG, rows(count)), atol=1e-6)


async def test_one_index_for_each_feature(tmp_path: Path, serve: Serve) -> None:
    config = CONFIG.model_copy(update={"hotness": []})
    save(tmp_path, config, weights(config))
    runtime = await load(serve, tmp_path, config)
    arrays = rows(9)
    arrays["indices"] = np.abs(arrays["indices"][:, [0, 1, 4]])

    for _ in range(2):
        found = await answer(runtime, **arrays)
        np.testing.assert_allclose(found["probability"], expected(config, arrays), atol=1e-6)
        # And with a category that is not known.
        arrays["indices"] = arrays["indices"].copy()
        arrays["indices"][3, 2] = -1


async def test_vectors_may_be_concatenated(tmp_path: Path, serve: Serve) -> None:
    config = CONFIG.model_copy(update={"interaction": "cat"})
    save(tmp_path, config, weights(config))
    runtime = await load(serve, tmp_path, config)

    found = await answer(runtime, **rows(5))

    np.testing.assert_allclose(found["probability"], expected(config, rows(5)), atol=1e-6)


async def test_tables_in_16_bits_stay_so(tmp_path: Path, serve: Serve) -> None:
    tensors = weights(CONFIG)
    save(tmp_path, CONFIG, {**tensors, "tables": tensors["tables"].half()})
    runtime = await load(serve, tmp_path)

    found = await answer(runtime, **rows(8))

    assert runtime.model.bags.tables.dtype == torch.float16
    np.testing.assert_allclose(found["probability"], expected(CONFIG, rows(8)), atol=2e-3)


async def test_four_parts_are_the_whole(serve: Serve) -> None:
    """The checkpoints that are shipped."""
    drawn = held_out(300)
    whole = await serve("dlrm", shipped("dlrm"))
    wanted = await answer(whole, dense=drawn.dense, indices=drawn.indices)

    known: Arrays = {"dense": drawn.dense, "indices": drawn.indices}
    for part in PARTS:
        runtime = await serve(part, shipped(part))
        known |= await answer(runtime, **{spec.name: known[spec.name] for spec in runtime.inputs})

    np.testing.assert_allclose(known["probability"], wanted["probability"], rtol=0, atol=1e-6)
    assert 0.2 < known["probability"].std() < 0.4


def test_the_parts_are_slices_of_one_checkpoint() -> None:
    whole = MODEL_SETTINGS / "dlrm" / "embedded"
    tensors = load_file(whole / "model.safetensors")
    found: dict[str, torch.Tensor] = {}
    for part in PARTS:
        folder = MODEL_SETTINGS / part / "embedded"
        assert (folder / "config.json").read_text() == (whole / "config.json").read_text()
        if part != "interaction":
            found |= load_file(folder / "model.safetensors")

    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("row", "column", "value", "text"),
    [
        (2, 0, 5, "row 2: 5 for feature 0 (column 0); accepted: 0 to 4, or -1 for none"),
        (0, 2, 4, "row 0: 4 for feature 1 (column 2); accepted: 0 to 3, or -1 for none"),
        (3, 4, -2, "row 3: -2 for feature 2 (column 4); accepted: 0 to 1, or -1 for none"),
        (1, 3, 2**62, f"row 1: {2**62} for feature 1 (column 3)"),
    ],
)
async def test_an_index_outside_its_table_is_refused_and_nobody_elses_request(
    row: int, column: int, value: int, text: str, folder: Path, serve: Serve
) -> None:
    runtime = await load(serve, folder)
    bad = rows(4, seed=1)
    bad["indices"][row, column] = value
    before, after = rows(6, seed=2), rows(5, seed=3)

    answers = await asyncio.gather(
        *(answer(runtime, **each) for each in (before, bad, after)), return_exceptions=True
    )

    assert isinstance(answers[1], InvalidInput)
    assert f"tensor 'indices', {text}" in str(answers[1])
    for arrays, found in ((before, answers[0]), (after, answers[2])):
        assert isinstance(found, dict)
        np.testing.assert_allclose(found["probability"], expected(CONFIG, arrays), atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
async def test_what_is_no_number_is_refused(value: float, folder: Path, serve: Serve) -> None:
    runtime = await load(serve, folder)
    arrays = rows(4)
    arrays["dense"][2, 1] = value

    with pytest.raises(InvalidInput, match=rf"tensor 'dense', row 2: {value} in column 1; accepte"):
        await answer(runtime, **arrays)


async def test_rows_of_requests_that_run_together_are_not_mixed(folder: Path, serve: Serve) -> None:
    runtime = await load(serve, folder, max_batch_size=16)
    requests = [rows(1 + seed % 21, seed=seed) for seed in range(60)]

    answers = await asyncio.gather(*(answer(runtime, **each) for each in requests))

    for arrays, found in zip(requests, answers, strict=True):
        np.testing.assert_allclose(found["probability"], expected(CONFIG, arrays), atol=1e-6)


async def test_tables_are_mapped_and_may_be_larger_than_memory(
    tmp_path: Path, serve: Serve
) -> None:
    """128 GiB of zeros that take no room on the disk, but for one row at the end."""
    row_count, dimension = 2**33, 4
    config = DlrmConfig(
        dense_features=3, table_rows=[row_count], dimension=dimension, bottom=[4], top=[1]
    )
    tensors = weights(config.model_copy(update={"table_rows": [1]}))
    save(tmp_path, config, tensors)
    entries, content = {}, b""
    for name in ("bottom.0.weight", "bottom.0.bias", "top.0.weight", "top.0.bias"):
        held = tensors[name].numpy().tobytes()
        offsets = [len(content), len(content) + len(held)]
        entries[name] = {"dtype": "F32", "shape": [*tensors[name].shape], "data_offsets": offsets}
        content += held
    size = row_count * dimension * 4
    offsets = [len(content), len(content) + size]
    entries["tables"] = {"dtype": "F32", "shape": [row_count, dimension], "data_offsets": offsets}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header + content)
        stream.truncate(stream.tell() + size)
        stream.seek(-dimension * 4, 2)
        stream.write(np.full(dimension, 2, np.float32).tobytes())
    runtime = await load(serve, tmp_path, config)

    bags = runtime.model.bags(torch.tensor([[0], [row_count - 1]]))

    assert bags.tolist() == [[[0.0] * 4], [[2.0] * 4]]
    with pytest.raises(InvalidInput, match=f"accepted: 0 to {row_count - 1}"):
        await answer(runtime, dense=np.zeros((1, 3), np.float32), indices=np.array([[row_count]]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bottom": [4, 3]}, "the MLPs end in 3 and 1; accepted: 'dimension' = 2 and 1"),
        ({"hotness": [1, 2]}, "'hotness' has 2 entries; accepted: 3, one for each of 'table_rows'"),
        ({"table_rows": []}, "config.json: table_rows: "),
        ({"dense_features": "many"}, "config.json: dense_features: "),
        ({"table_rows": [5, 4, 3]}, "'tables' is [11, 2]; accepted: [12, 2]"),
        ({"top": [7, 1]}, "its top MLP is not as config.json says: "),
    ],
)
async def test_a_checkpoint_that_is_none_fails_at_load(
    changes: dict[str, Any], text: str, folder: Path, serve: Serve
) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    with pytest.raises(ConfigurationError) as caught:
        await load(serve, folder)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("config.json", b"\xff\xfe", "config.json: it: Invalid JSON"),
        # What it says to be as long as its header is more than there is memory, or than a number.
        ("model.safetensors", b"\0" * 7 + b"\x40{}", "cannot load the network of the checkpoint"),
        ("model.safetensors", b"\xff" * 16, "cannot load the network of the checkpoint"),
        ("model.safetensors", b"\2" + b"\0" * 7 + b"[]", "cannot load the network of the checkp"),
    ],
)
async def test_a_damaged_file_of_a_checkpoint_is_named(
    name: str, content: bytes, text: str, folder: Path, serve: Serve
) -> None:
    (folder / name).write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        await load(serve, folder)

    assert text in str(caught.value)


async def test_a_checkpoint_without_the_parts_tensors_fails_at_load(
    tmp_path: Path, serve: Serve
) -> None:
    save(tmp_path, CONFIG, {"tables": weights(CONFIG)["tables"]})

    with pytest.raises(
        ConfigurationError, match=r"lacks tensors: bottom\.\*, top\.\*; it has: tab"
    ):
        await load(serve, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="cannot load the network of the checkpoint"):
        await load(serve, tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no config\.json"):
        await load(serve, tmp_path)


@pytest.mark.parametrize(
    ("part", "inputs", "text"),
    [
        ("all", {"dense": [-1, -1], "indices": [-1, 5]}, "accepted for part 'all' of this checkp"),
        ("bottom-mlp", {"dense": [-1, 3], "indices": [-1, 5]}, "dense FP32 [-1, 3]"),
        ("top-mlp", {"dense": [-1, 3], "indices": [-1, 5]}, "accepted for part 'top-mlp' of thi"),
        ("middle", {"dense": [-1, 3], "indices": [-1, 5]}, "'interaction' or 'top-mlp'"),
    ],
)
async def test_declarations_that_are_not_the_parts_fail_at_load(
    part: str, inputs: dict[str, list[int]], text: str, folder: Path, serve: Serve
) -> None:
    made = [
        {"name": name, "datatype": "INT64" if name == "indices" else "FP32", "shape": shape}
        for name, shape in inputs.items()
    ]

    with pytest.raises(ConfigurationError) as caught:
        await serve("dlrm", str(folder), declared={"inputs": made}, part=part)

    assert text in str(caught.value)


async def test_other_columns_than_the_checkpoints_are_refused(folder: Path, serve: Serve) -> None:
    runtime = await load(serve, folder)
    arrays = rows(2)

    with pytest.raises(InvalidInput, match=r"tensor 'indices' has shape \[2, 4\]; accepted"):
        await answer(runtime, dense=arrays["dense"], indices=arrays["indices"][:, :4])
