"""Values come back from JSON and tensors as they went in, and foreign files are refused."""

from __future__ import annotations

import json
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from burnish.errors import ConfigurationError, DataError
from burnish.files.portable import NotPortableError, Packer, read_file, unpack, write_file


def there_and_back(value: Any, folder: Path) -> Any:
    packer = Packer()
    tree = packer.pack(value)
    write_file(folder / "file.safetensors", tree, packer.tensors)
    assert [path.name for path in folder.iterdir()] == ["file.safetensors"]
    return unpack(*read_file(folder / "file.safetensors", "a value"))


PLAIN = [
    None,
    True,
    -3,
    0.1,
    float("inf"),
    'text with "quotes" and ü',
    (1, (2.5, "x"), []),
    {1: "a", "b": (2,), (3, 4): None, "$": "kind"},
    OrderedDict([("z", 1), ("a", 2)]),
    {3, 1},
    np.float32(0.1),
    np.int64(7),
    random.Random(3).getstate(),
]


@pytest.mark.parametrize("value", PLAIN, ids=[str(number) for number in range(len(PLAIN))])
def test_plain_values(value: Any, tmp_path: Path) -> None:
    read = there_and_back(value, tmp_path)
    assert read == value
    assert type(read) is type(value)
    if isinstance(value, OrderedDict):
        assert list(read) == list(value)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4).t(),
        torch.tensor(5),
        torch.empty(0, 3),
        torch.tensor([True, False]),
        torch.randn(2, 3, dtype=torch.complex64),
        torch.randn(4, dtype=torch.bfloat16),
        torch.nn.Parameter(torch.randn(2)),
    ],
    ids=["transposed", "number", "empty", "bool", "complex", "bfloat16", "parameter"],
)
def test_tensors(tensor: torch.Tensor, tmp_path: Path) -> None:
    read = there_and_back({"a": tensor, "same": tensor}, tmp_path)
    for copy in read.values():
        assert torch.equal(copy, tensor.detach())
        assert copy.dtype == tensor.dtype


def test_sparse_tensors_keep_their_order(tmp_path: Path) -> None:
    indices = torch.tensor([[1, 0, 1], [2, 1, 2]])
    loose = torch.sparse_coo_tensor(indices, torch.tensor([1.0, 2.0, 3.0]), (2, 3))
    read = there_and_back([loose, loose.coalesce(), loose.to_sparse_csr()], tmp_path)
    assert torch.equal(read[0]._indices(), indices)
    assert [one.is_coalesced() for one in read[:2]] == [False, True]
    assert read[2].layout == torch.sparse_csr
    for one in read:
        assert torch.equal(one.to_dense(), loose.to_dense())


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "uint32", "uint64", "bool", "<U3", "object"])
def test_arrays(dtype: str, tmp_path: Path) -> None:
    array = (
        np.array([["1", "0"], ["12", "3"]]).astype(dtype if dtype in ("<U3", "object") else int).astype(dtype)
    )
    read = there_and_back(array, tmp_path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil", "dok"])
def test_scipy_matrices(format: str, tmp_path: Path) -> None:
    matrix = scipy.sparse.random(4, 5, 0.4, random_state=1).asformat(format)
    read = there_and_back(matrix, tmp_path)
    assert read.format == format
    np.testing.assert_array_equal(read.toarray(), matrix.toarray())


def test_a_generator_goes_on(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    read = there_and_back(generator, tmp_path)
    assert torch.equal(torch.rand(4, generator=read), torch.rand(4, generator=generator))


def test_objects_with_code_are_refused() -> None:
    for value in (object(), lambda: 1, torch.nn.Linear(1, 1), [np.array([object()])], Path("x")):
        with pytest.raises(NotPortableError):
            Packer().pack(value)


def test_files_of_others(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    with pytest.raises(DataError, match="does not exist; a value should be there"):
        read_file(path, "a value")
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match="is damaged"):
        read_file(path, "a value")
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, str(path))
    with pytest.raises(DataError, match="was not written by burnish"):
        read_file(path, "a value")
    save_file({"a": torch.ones(2)}, str(path), metadata={"burnish": "{"})
    with pytest.raises(DataError, match="is not JSON"):
        read_file(path, "a value")
    save_file({}, str(path), metadata={"burnish": json.dumps({"$": "code", "parts": [], "shape": []})})
    with pytest.raises(DataError, match="kind 'code' is not known"):
        unpack(*read_file(path, "a value"))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.safetensors"
    write_file(path, [1], {})

    def fail(*_: Any) -> None:
        raise OSError(28, "disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ConfigurationError, match=r"cannot be written \(No space left on device\)"):
        write_file(path, [2], {})
    assert read_file(path, "a value")[0] == [1]
    assert [one.name for one in tmp_path.iterdir()] == ["file.safetensors"]
