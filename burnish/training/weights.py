"""The weights of a model as a file, `model.safetensors`, and back into a model of the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.errors import DataError
from burnish.files.portable import NotPortableError, Packer, read_file, unpack, write_file
from burnish.own.classes import file_of, shown

from .classes import own_source
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
        state = {name: unpack(value, tensors) for name, value in tree["state"].items()}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise DataError(unlike(model, state) or str(error)) from error
        clear_kept(model)  # propagated by other weights
        others = {name: unpack(value, tensors) for name, value in tree["others"].items()}
        _check_others(model, others)
        facts = dict(tree["facts"])
    except Exception as error:  # a damaged description may have anything in the place of anything
        raise DataError(f"{path} does not fit {type(model).__name__}: {error}{_cure(model)}") from error
    if others:
        device = next((p.device for p in model.parameters()), None)
        moved = {k: v.to(device) if isinstance(v, Tensor) and device else v for k, v in others.items()}
        model.load_other_parameter(moved)
    return facts


def unlike(model: Any, state: Mapping[str, Any], most: int = 3) -> str:
    """Where a state dict is not one of a model, in words; empty where names and shapes are the same.

    most: so many tensors are named, and the number of all others is told.
    """
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    kept = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    found = [
        f"{name} is {list(kept[name].shape)} there and {list(own[name].shape)} in the model"
        for name in own
        if name in kept and own[name].shape != kept[name].shape
    ]
    found += [f"the model has no {name}" for name in kept if name not in own]
    found += [f"{name} of the model is not there" for name in own if name not in kept]
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more


def _cure(model: Any) -> str:
    plain = split_enhanced(type(model))[0]
    if not own_source(plain):
        return ""
    return (
        f". The code of {plain.__name__}{f' ({shown(file)})' if (file := file_of(plain)) else ''}, or what it reads, "
        f"is not what the run was trained by: put it back as it was, or train anew"
    )


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
