"""Enhancers out of a RecBole checkpoint, which is a pickle: only for files that the user says are trusted."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from burnish.enhancers.attach import enhancer_from, split_enhanced
from burnish.errors import DataError
from burnish.own.classes import put_on_path

from .files import FORMAT, VERSION, Manifest, SavedEnhancer, version

_PREFIX = "enhancers.attached."


def is_pickle(path: Path) -> bool:
    """Whether a file is a torch archive or a bare pickle, by its first bytes and its table of contents."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def load_trusted(path: Path) -> dict[str, Any]:
    """A RecBole checkpoint, unpickled; whoever calls this has asked the user.  Raises `DataError`.

    The class of its model is imported, from the working directory, too.
    """
    put_on_path(os.getcwd())
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, AttributeError, ImportError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a RecBole checkpoint: {error}") from error
    if not isinstance(checkpoint, dict) or not {"config", "state_dict"} <= set(checkpoint):
        raise DataError(f"{str(path)!r} is not a RecBole checkpoint: it has no 'config' and 'state_dict'")
    return checkpoint


def read_recbole_checkpoint(path: Path) -> tuple[Manifest, dict[str, Tensor]]:
    """The enhancers in a RecBole checkpoint, with a manifest that knows nothing about tables.

    Raises `DataError` for another file and for a plain model's checkpoint.
    """
    checkpoint = load_trusted(path)
    base, recipe = split_enhanced(checkpoint["config"].model_class)
    if not recipe:
        raise DataError(f"{str(path)!r} is the checkpoint of a plain {base.__name__}: it holds no enhancers")
    state = checkpoint["state_dict"]
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        burnish=version(),
        backbone=base.__name__,
        step=int(state.get("enhancers._extra_state", 0)),
        output=None,
        tables=[],
        enhancers=[
            SavedEnhancer(
                name=cls.name,
                options=enhancer_from(cls, text).config.model_dump(mode="json"),
                row_tensors={},
            )
            for cls, text in recipe
        ],
        checksums={},
    )
    tensors = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    return manifest, tensors


def rebuild(checkpoint: dict[str, Any]) -> nn.Module:
    """The model of a checkpoint that was read already, built on its data set as RecBole's quick start does.

    Unlike quick start it starts no log file.  The data set must be where the configuration says.
    """
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import init_seed

    config = checkpoint["config"]
    if not torch.cuda.is_available():
        config["device"], config["use_gpu"] = torch.device("cpu"), False
    init_seed(config["seed"], config["reproducibility"])
    train = data_preparation(config, create_dataset(config))[0]
    init_seed(config["seed"], config["reproducibility"])
    model = config.model_class(config, train._dataset).to(config["device"])
    model.load_state_dict(checkpoint["state_dict"])
    model.load_other_parameter(checkpoint.get("other_parameter"))
    return model
