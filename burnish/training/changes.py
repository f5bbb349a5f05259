"""What training changed in a model: its weights, and what it keeps beside them.

RecBole's models keep much of their state in plain attributes (MultiVAE counts updates for its annealing, DiffRec
keeps a loss history, NCL cluster centres, KGAT its attention).  A resumed run builds the same model by the same
code and then needs exactly what changed since: a `Baseline` is taken before training, `changes` gives what differs
afterwards, and `apply` puts it onto a model built anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.errors import DataError
from burnish.files.portable import NotPortableError, Packer, unpack

from .fitting import check_fits, check_name, kind_of

#: Containers longer than this are compared by identity and length, not item by item.
LONGEST = 4096
#: Arrays larger than this (bytes) are compared by identity, not by content.
LARGEST = 1 << 26

Place = tuple[tuple[str, Any], ...]
_PLAIN = (type(None), bool, int, float, complex, str, np.generic)
#: Objects of these packages are looked into; all others (data sets, configs, loggers) are compared by identity.
_OPEN = ("recbole.model", "burnish")
_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Baseline:
    """How a model looked before training.  Holds references and digests, no copies."""

    def __init__(self, model: nn.Module) -> None:
        self._packages: tuple[str, ...] = _OPEN
        own = _own_package(type(model))
        if own is not None:
            self._packages = (*_OPEN, own)
        self._objects: set[Place] = set()
        self._marks = {place: _mark(value) for place, value, _ in self._walk((), model, set(), self._objects)}

    def changes(self, model: nn.Module, packer: Packer) -> tuple[list[dict[str, Any]], list[str]]:
        """Every leaf that is new, gone, replaced or changed in place; parameters and buffers in any case.

        Gives the entries for `apply`, and the places that changed but hold what no file can.
        """
        entries: list[dict[str, Any]] = []
        left_out: list[str] = []
        now: set[Place] = set()
        objects: set[Place] = set()
        for place, value, always in self._walk((), model, set(), objects):
            now.add(place)
            if place[:-1] not in self._objects:
                continue  # inside an object that came into being in training, see below
            mark = _mark(value)
            before = self._marks.get(place)
            if not always and before is not None and _same(before, mark):
                continue
            same_object = before is not None and before[0] == "tensor" and before[1] is value
            try:
                tree = packer.pack(value)
            except NotPortableError:
                left_out.append(path_of(place))
                continue
            entries.append({"place": [list(step) for step in place], "value": tree, "in_place": same_object})
        entries += [
            {"place": [list(step) for step in place], "gone": True}
            for place in self._marks
            if place not in now and place not in objects and not _is_there(model, place)
        ]
        # What burnish makes when it is first needed is made again when it is next needed.
        created = [place for place in objects - self._objects if place[:-1] in self._objects]
        left_out += [path_of(place) for place in created if not _is_ours(model, place)]
        return entries, left_out

    def check_place(self, model: nn.Module, place: Place, holder: Any, entry: Mapping[str, Any]) -> None:
        """Raise `DataError` where a file must not change a place: no training changes it.

        holder: what the place is in.  A place is a leaf of the model as it was before training, or a new one in an
        object of it.
        """
        what = path_of(place)
        if place[:-1] not in self._objects or place in self._objects:
            raise DataError(f"{what} is not a part of the model that training changes")
        owner: Any = model
        for kind, key in place[:-1]:
            if kind == "a":
                check_name(what, owner, key)
            owner = _contents(owner)[key]
        kind, key = place[-1]
        if (kind == "k") != isinstance(holder, dict | list):
            raise DataError(f"{what} is not a part of the model")
        if kind == "a":
            check_name(what, holder, key)
        current = _contents(holder)[key] if place in self._marks else None
        registry = place[-2][1] if len(place) > 1 else None
        if registry in ("_parameters", "_modules") and place not in self._marks:
            raise DataError(f"{what} is no parameter of the model")
        if entry.get("gone"):
            check_fits(what, current, None)
            return
        value = entry["value"]
        if registry in ("_parameters", "_buffers") and kind_of(value) not in ("tensor", kind_of(current)):
            raise DataError(f"{what} is a tensor, and the file has a {kind_of(value)} for it")
        own = _own_package(type(model))
        check_fits(what, current, value, texts=own is not None and _is_of(holder, own, model))

    def _walk(
        self, place: Place, value: Any, visited: set[int], objects: set[Place]
    ) -> Iterator[tuple[Place, Any, bool]]:
        """(place, leaf, whether it counts as changed in any case); `objects` gathers the places of the rest."""
        registry = bool(place) and place[-1][1] in _REGISTRIES
        inside = self._inside(value, registry, visited)
        if inside is None:
            if isinstance(value, Tensor):
                if id(value) in visited:
                    return  # an alias: a GRU lists its parameters a second time
                visited.add(id(value))
            known = len(place) > 1 and place[-2][1] in ("_parameters", "_buffers")
            yield place, value, (known and value is not None) or isinstance(value, torch.Generator)
            return
        if id(value) in visited:
            return
        visited.add(id(value))
        objects.add(place)
        for step, item in inside:
            yield from self._walk((*place, step), item, visited, objects)

    def _inside(
        self, value: Any, registry: bool, visited: set[int]
    ) -> list[tuple[tuple[str, Any], Any]] | None:
        """The parts of an object or container that hold parts of the model, None for a leaf."""
        if isinstance(value, (*_PLAIN, Tensor, np.ndarray, type)):
            return None
        if isinstance(value, dict):
            if not registry and not self._holds_parts(value.values(), visited):
                return None
            return [(("k", key), item) for key, item in value.items() if isinstance(key, str | int)]
        if isinstance(value, list | tuple):
            if self._holds_parts(value, visited):
                return [(("k", index), item) for index, item in enumerate(value)]
            return None
        if not self._is_open(value):
            return None
        kept = vars(value)
        if not isinstance(value, nn.Module) and _states_itself(type(value)):
            # A class that says which of its attributes are worth keeping is taken at its word.
            stated = value.__getstate__()
            kept = {name: item for name, item in kept.items() if name in stated and stated[name] is item}
        return [(("a", name), item) for name, item in kept.items()]

    def _holds_parts(self, items: Collection[Any], visited: set[int]) -> bool:
        return len(items) <= LONGEST and any(
            self._is_open(item) or (isinstance(item, Tensor) and id(item) in visited) for item in items
        )

    def _is_open(self, value: Any) -> bool:
        if isinstance(value, nn.Module):
            return True
        if isinstance(value, type) or callable(value) or not hasattr(value, "__dict__"):
            return False
        module = type(value).__module__
        return any(module == package or module.startswith(f"{package}.") for package in self._packages)


def apply(
    model: nn.Module, baseline: Baseline, entries: list[dict[str, Any]], tensors: Mapping[str, Tensor]
) -> None:
    """Put changes onto a model that was built as the first one was.

    Tensors that training changed in place are changed in place, so that optimizers and aliases keep seeing them.
    baseline: of this model.
    Raises `DataError` where the model has no such place (it was built from other options or by other code), and for
    what training never changes: methods, hooks, options, texts of RecBole's and burnish's classes.
    """
    with torch.no_grad():
        for entry in entries:
            place = tuple((str(kind), key) for kind, key in entry["place"])
            try:
                holder: Any = model
                for step in place[:-1]:
                    holder = _contents(holder)[step[1]]
                if not entry.get("gone"):
                    entry = {**entry, "value": unpack(entry["value"], tensors)}
                baseline.check_place(model, place, holder, entry)
                contents = _contents(holder)
                if entry.get("gone"):
                    contents.pop(place[-1][1], None)
                    continue
                _put(contents, place, entry["value"], bool(entry["in_place"]), _device(model))
            except DataError as error:
                raise DataError(f"the saved state does not fit the model: {error}") from error
            except (KeyError, IndexError, AttributeError, TypeError, RuntimeError) as error:
                raise DataError(
                    f"the saved state does not fit the model that was built: {path_of(place)} ({error!r}). "
                    f"The options, the data or the versions of RecBole and burnish differ from those of the run."
                ) from error


def _put(contents: Any, place: Place, value: Any, in_place: bool, device: torch.device) -> None:
    key = place[-1][1]
    current = contents[key] if isinstance(contents, list) or key in contents else None
    if isinstance(current, torch.Generator) and isinstance(value, torch.Generator):
        current.set_state(value.get_state())
    elif isinstance(current, Tensor) and isinstance(value, Tensor):
        registered = len(place) > 1 and place[-2][1] in ("_parameters", "_buffers")
        if (in_place or registered) and current.layout == value.layout == torch.strided:
            if current.shape != value.shape:
                raise RuntimeError(f"shape {list(current.shape)} here, {list(value.shape)} in the file")
            current.detach().copy_(value)
        else:
            contents[key] = value.to(current.device)
    else:
        contents[key] = _moved(value, device)


def _moved(value: Any, device: torch.device) -> Any:
    """Tensors that came into being during training, on the model's device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    if isinstance(value, dict):
        return type(value)((key, _moved(item, device)) for key, item in value.items())
    return value


def _is_ours(model: nn.Module, place: Place) -> bool:
    value: Any = model
    for step in place:
        value = _contents(value)[step[1]]
    return type(value).__module__.split(".")[0] == "burnish"


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return first.device if first is not None else torch.device("cpu")


def _contents(holder: Any) -> Any:
    return holder if isinstance(holder, dict | list | tuple) else vars(holder)


def _is_there(model: nn.Module, place: Place) -> bool:
    """Whether there is something: an attribute that its class no longer thinks worth keeping is not gone."""
    holder: Any = model
    for _, key in place:
        contents = _contents(holder) if hasattr(holder, "__dict__") or _is_container(holder) else {}
        if isinstance(contents, dict):
            if key not in contents:
                return False
        elif not (isinstance(key, int) and key < len(contents)):
            return False
        holder = contents[key]
    return True


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _own_package(model: type) -> str | None:
    """The package of a model that is neither RecBole's nor ours."""
    package = model.__module__.split(".")[0]
    return None if package in ("recbole", "torch", "burnish") else package


def _is_of(holder: Any, package: str, model: nn.Module) -> bool:
    """Whether an object (or a container in the model) is of a package."""
    shown = model if isinstance(holder, dict | list) else holder
    return type(shown).__module__.split(".")[0] == package


def _states_itself(cls: type) -> bool:
    return any("__getstate__" in vars(base) for base in cls.__mro__ if base is not object)


def path_of(place: Place) -> str:
    """A place as one would write it: `encoder.update`, `table['user']`."""
    path = ""
    for kind, key in place:
        if key in _REGISTRIES:
            continue
        plain = kind == "a" or (isinstance(key, str) and key.isidentifier())
        path += f".{key}" if plain else f"[{key!r}]"
    return path.lstrip(".") or "the model"


def _mark(value: Any) -> tuple[Any, ...]:
    """What tells whether a leaf changed; holds the objects compared, so that none is mistaken for a later one."""
    if isinstance(value, Tensor):
        inference = value.is_inference()
        return ("tensor", value, None if inference else value._version)
    if isinstance(value, _PLAIN):
        return ("plain", type(value), value)
    if isinstance(value, np.ndarray):
        if value.nbytes > LARGEST or value.dtype.hasobject:
            return ("object", value, None)
        digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
        return ("array", value.shape, digest)
    if isinstance(value, list | tuple) and len(value) <= LONGEST:
        return ("items", type(value), tuple(_mark(item) for item in value))
    if isinstance(value, dict) and len(value) <= LONGEST:
        items = tuple((_mark(key), _mark(item)) for key, item in value.items())
        return ("items", type(value), tuple(mark for pair in items for mark in pair))
    return ("object", value, len(value) if isinstance(value, list | tuple | dict | set) else None)


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    if one[0] != other[0]:
        return False
    kind = one[0]
    if kind in ("tensor", "object"):
        return one[1] is other[1] and one[2] == other[2]
    if kind == "items":
        return (
            one[1] is other[1]
            and len(one[2]) == len(other[2])
            and all(_same(a, b) for a, b in zip(one[2], other[2], strict=True))
        )
    if kind == "plain":
        return one[1] is other[1] and bool(one[2] == other[2] or (one[2] != one[2] and other[2] != other[2]))
    return one[1:] == other[1:]
