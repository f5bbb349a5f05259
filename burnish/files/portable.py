"""Values as JSON and tensors: what a run leaves on disk is read back without executing anything.

A value (numbers, text, lists, tuples, dictionaries, tensors, arrays, sparse matrices, generators) becomes a tree
that JSON can hold, in which tensors are named.  One safetensors file holds both: the tensors, and the tree as text
in its header.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from burnish.errors import DataError

from .jsons import parse_json
from .whole import save_tensors, written_whole

#: The key that marks a mapping of the tree as something else than a mapping.
_KIND = "$"
_HEADER = "burnish"


class NotPortableError(TypeError):
    """A value that JSON and tensors cannot hold: an object with code behind it."""


class Packer:
    """Packs values; their tensors gather in `tensors`, under names that start with `prefix`."""

    def __init__(self, prefix: str = "t") -> None:
        self.tensors: dict[str, Tensor] = {}
        self._prefix = prefix

    def pack(self, value: Any) -> Any:
        """The tree of a value.  Raises `NotPortableError` for an object of a class that is not listed above."""
        if value is None or isinstance(value, bool | str) or type(value) in (int, float):
            return value
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            return {_KIND: "number", "dtype": value.dtype.str, "value": value.item()}
        if scipy.sparse.issparse(value):
            return self._matrix(value)
        if isinstance(value, list):
            return [self.pack(item) for item in value]
        if type(value) is tuple or isinstance(value, set | frozenset | torch.Size):
            kind = type(value).__name__ if isinstance(value, set | frozenset) else "tuple"
            return {_KIND: kind, "items": [self.pack(item) for item in value]}
        if isinstance(value, dict):
            kind = "ordered" if isinstance(value, OrderedDict) else "dict"
            return {_KIND: kind, "items": [[self.pack(key), self.pack(item)] for key, item in value.items()]}
        if isinstance(value, torch.Generator):
            return {_KIND: "generator", "state": self.pack(value.get_state())}
        raise NotPortableError(f"{type(value).__module__}.{type(value).__qualname__}")

    def add(self, name: str, tensor: Tensor) -> dict[str, Any]:
        """Keep a strided tensor under a name of its own; gives its place in the tree."""
        kept = tensor.detach()
        if kept.is_complex():
            self.tensors[name] = torch.view_as_real(kept.resolve_conj()).contiguous().cpu().clone()
            return {_KIND: "complex", "name": name}
        # A copy: the file is written while nothing else may hold its memory twice, and training goes on.
        self.tensors[name] = kept.cpu().contiguous().clone()
        return {_KIND: "tensor", "name": name}

    def _tensor(self, value: Tensor) -> dict[str, Any]:
        kept = value.detach()
        if kept.layout == torch.sparse_coo:
            coalesced = kept.is_coalesced()
            parts = (kept._indices(), kept._values())
            return {
                _KIND: "coo",
                "parts": [self._tensor(part) for part in parts],
                "shape": list(kept.shape),
                "coalesced": coalesced,
            }
        if kept.layout == torch.sparse_csr:
            parts = (kept.crow_indices(), kept.col_indices(), kept.values())  # type: ignore[assignment]
            return {
                _KIND: "csr",
                "parts": [self._tensor(part) for part in parts],
                "shape": list(kept.shape),
            }
        if kept.layout != torch.strided:
            raise NotPortableError(f"a tensor with layout {kept.layout}")
        return self.add(f"{self._prefix}{len(self.tensors)}", kept)

    def _array(self, value: np.ndarray) -> dict[str, Any]:
        if value.dtype.kind in "OUSV":
            return {_KIND: "texts", "dtype": value.dtype.str, "items": self.pack(value.tolist())}
        if value.dtype.kind in "Mm" or value.dtype == np.longdouble:
            raise NotPortableError(f"an array of {value.dtype}")
        plain = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="), copy=False))
        if plain.dtype in (np.uint16, np.uint32, np.uint64):
            return {_KIND: "unsigned", "dtype": plain.dtype.str, "value": self._array(plain.view(np.uint8))}
        tensor = torch.from_numpy(plain.copy())
        return {_KIND: "array", "value": self._tensor(tensor), "matrix": isinstance(value, np.matrix)}

    def _matrix(self, value: Any) -> dict[str, Any]:
        csr = value.tocsr()
        parts = (csr.data, csr.indices, csr.indptr)
        return {
            _KIND: "scipy",
            "parts": [self._array(part) for part in parts],
            "shape": list(value.shape),
            "format": value.format,
            "array": isinstance(value, scipy.sparse.sparray),
        }


def unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value of a tree that `Packer.pack` made; tensors come as they are in `tensors`."""
    if isinstance(tree, list):
        return [unpack(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind = tree[_KIND]
    if kind == "tensor":
        return tensors[tree["name"]]
    if kind == "complex":
        return torch.view_as_complex(tensors[tree["name"]])
    if kind in ("tuple", "set", "frozenset"):
        items = [unpack(item, tensors) for item in tree["items"]]
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
    if kind in ("dict", "ordered"):
        pairs = [(unpack(key, tensors), unpack(item, tensors)) for key, item in tree["items"]]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    if kind == "number":
        return np.dtype(tree["dtype"]).type(tree["value"])
    if kind == "texts":
        return np.array(unpack(tree["items"], tensors), dtype=np.dtype(tree["dtype"]))
    if kind == "unsigned":
        return unpack(tree["value"], tensors).view(np.dtype(tree["dtype"]))
    if kind == "array":
        array = unpack(tree["value"], tensors).numpy()
        return np.asmatrix(array) if tree["matrix"] else array
    if kind == "generator":
        generator = torch.Generator()
        generator.set_state(unpack(tree["state"], tensors))
        return generator
    return _unpack_sparse(kind, tree, [unpack(part, tensors) for part in tree["parts"]])


def _unpack_sparse(kind: str, tree: Mapping[str, Any], parts: list[Any]) -> Any:
    shape = tuple(tree["shape"])
    if kind == "coo":
        sparse = torch.sparse_coo_tensor(parts[0], parts[1], shape, check_invariants=True)
        return sparse._coalesced_(True) if tree["coalesced"] else sparse
    if kind == "csr":
        return torch.sparse_csr_tensor(parts[0], parts[1], parts[2], size=shape, check_invariants=True)
    if kind == "scipy":
        family = scipy.sparse.csr_array if tree["array"] else scipy.sparse.csr_matrix
        return family(tuple(parts), shape=shape).asformat(tree["format"])
    raise DataError(f"a value of kind {kind!r} is not known; the file is of a later burnish, or damaged")


def write_file(path: Path, tree: Any, tensors: Mapping[str, Tensor]) -> None:
    """Write one file with a tree and its tensors: whole or not at all, and on the disk when this returns."""
    with written_whole(path, durable=True) as beside:
        save_tensors(beside, tensors, {_HEADER: json.dumps(tree)})


def read_file(path: Path, what: str) -> tuple[Any, dict[str, Tensor]]:
    """The tree and the tensors in a file of `write_file`.

    what: what the file should be, for the message.  Raises `DataError` when it is missing, cut off or foreign.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; {what} should be there")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged (cut off, or not a safetensors file): {error}. It should hold {what}."
        ) from error
    if _HEADER not in header:
        raise DataError(f"{path} was not written by burnish: it should hold {what}")
    try:
        return parse_json(header[_HEADER]), tensors
    except ValueError as error:
        raise DataError(f"{path} is damaged: its description is not JSON ({error})") from error
