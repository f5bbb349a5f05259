"""The weights of a model as a file, `model.safetensors`, and back into a model of the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from burnish.errors import DataError
from burnish.files.portable import NotPortableError, Packer, read_file, unpack, write_file

from .fitting import check_fits
from .record import MODEL_FILE


def write_model(path: Path, model: Any, facts: Mapping[str, Any] | None = None) -> None:
    """Write a model's state dict, under its plain keys, and what RecBole calls its other parameters.

    facts: a few numbers to keep with it, such as the epoch.
    """
    packer = Packer("other.")
    state: dict[str, Any] = {}
    for name, value in model.state_dict().items():
        # Sparse buffers and the extra state of enhancers are packed as they come.
        state[name] = packer.add(name, value) if _is_plain(value) else packer.pack(value)
    others = {}
    for name, value in model.other_parameter().items() if hasattr(model, "other_parameter") else ():
        if isinstance(value, nn.Module):
            continue  # DIN lists a sub-module here, whose parameters are in the state dict
        try:
            others[name] = packer.pack(value)
        except NotPortableError:
            continue  # built again by the model's constructor
    write_file(
        path, {"format": 1, "state": state, "others": others, "facts": dict(facts or {})}, packer.tensors
    )


def load_model(path: Path, model: Any) -> dict[str, Any]:
    """Put the weights of `write_model` into a model, and give the facts kept with them.

    Raises `DataError` for a damaged file, or one whose names or shapes are not those of the model.
    """
    tree, tensors = read_file(path, "the weights of a trained model")
    try:
        model.load_state_dict({name: unpack(value, tensors) for name, value in tree["state"].items()})
        others = {name: unpack(value, tensors) for name, value in tree["others"].items()}
        _check_others(model, others)
        facts = dict(tree["facts"])
    except Exception as error:  # a damaged description may have anything in the place of anything
        raise DataError(f"{path} does not fit {type(model).__name__}: {error}") from error
    if others:
        device = next((p.device for p in model.parameters()), None)
        moved = {k: v.to(device) if isinstance(v, Tensor) and device else v for k, v in others.items()}
        model.load_other_parameter(moved)
    return facts


def weights_of(folder: Path, named: str) -> dict[str, Tensor]:
    """The tensors of the model in a run's folder, by the names of its state dict.

    named: what messages call the run.  Raises `DataError` where there are none, or they are damaged.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise DataError(f"{named} holds no trained weights ({MODEL_FILE}): train it to its end")
    tree, tensors = read_file(path, "the weights of a trained model")
    try:
        state = {name: unpack(value, tensors) for name, value in tree["state"].items()}
    except Exception as error:  # a damaged description may have anything in the place of anything
        raise DataError(f"{path} is damaged: {error!r}; train it again") from error
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _check_others(model: Any, others: Mapping[str, Any]) -> None:
    """RecBole sets whatever it is given; these are the names that a model says it has, and values of their kinds."""
    named = set(getattr(model, "other_parameter_name", ()))
    with suppress(AttributeError):  # one that comes into being in training
        named |= set(model.other_parameter())
    for name, value in others.items():
        if name not in named:
            raise DataError(f"it has a value {name!r}, which is none of the model's {sorted(named)}")
        check_fits(repr(name), getattr(model, name, None), value)


def _is_plain(value: Any) -> bool:
    import torch

    return isinstance(value, Tensor) and value.layout == torch.strided
