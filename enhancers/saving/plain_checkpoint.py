"""A checkpoint as RecBole's trainer writes it, of a plain model, without a trace of burnish."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from burnish.enhancers.attach import is_enhanced, split_enhanced
from burnish.errors import unknown_name
from burnish.files.whole import written_whole

if TYPE_CHECKING:
    from recbole.config import Config

_PROGRESS = ("epoch", "cur_step", "best_valid_score")


def write_plain_checkpoint(
    model: nn.Module, path: str | Path, config: Config, progress: Mapping[str, Any]
) -> Path:
    """Write a plain model as RecBole's `Trainer._save_checkpoint` does, whole or not at all.

    progress: `epoch`, `cur_step`, `best_valid_score`; what is missing is as before training.
    The optimizer is new: what an optimizer remembered belongs to the raw tables, not to the refined ones.
    Raises `ConfigurationError` where the path cannot be written and `UnknownNameError` for other progress.
    """
    for name in progress:
        if name not in _PROGRESS:
            raise unknown_name("progress", name, _PROGRESS)
    path = Path(path)
    plain = plain_config(config)
    worst = -np.inf if plain["valid_metric_bigger"] else np.inf
    state = {
        "config": plain,
        "epoch": progress.get("epoch", 0),
        "cur_step": progress.get("cur_step", 0),
        "best_valid_score": progress.get("best_valid_score", worst),
        "state_dict": model.state_dict(),
        "other_parameter": model.other_parameter(),  # type: ignore[operator]
        "optimizer": _new_optimizer(model, plain).state_dict(),
    }
    with written_whole(path) as beside:
        torch.save(state, beside, pickle_module=_PlainPickle, pickle_protocol=4)
    return path


def plain_config(config: Config) -> Config:
    """A copy of a configuration with the plain model class and without the `enhancers` block."""
    plain = copy.copy(config)
    for name, value in list(vars(config).items()):
        if isinstance(value, dict):
            kept = {key: inner for key, inner in value.items() if not _is_ours(key)}
            plain.__dict__[name] = kept
    plain.__dict__["model_class"] = split_enhanced(config.model_class)[0]
    return plain


class _PlainPickler(pickle.Pickler):
    """Writes the plain class and the plain configuration wherever an enhanced one turns up.

    DIN and DIEN put a whole module into their checkpoint, with the data set and its configuration inside.
    """

    def reducer_override(self, thing: Any) -> Any:
        from recbole.config import Config

        if isinstance(thing, Config) and is_enhanced(thing.model_class):
            return plain_config(thing).__reduce_ex__(4)
        if isinstance(thing, type) and is_enhanced(thing):
            return copy.copy, (split_enhanced(thing)[0],)  # a copy of a class is the class
        return NotImplemented


class _PlainPickle:
    """What `torch.save` takes for a pickle module."""

    Pickler = _PlainPickler


def _is_ours(key: Any) -> bool:
    return isinstance(key, str) and (key == "enhancers" or key.startswith("enhancers."))


def _new_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """The optimizer that RecBole's trainer would make, without the folders and log files of a trainer."""
    from recbole.trainer import Trainer

    maker = object.__new__(Trainer)
    maker.config, maker.model, maker.logger = config, model, getLogger()
    maker.learner, maker.learning_rate = config["learner"], config["learning_rate"]
    maker.weight_decay = config["weight_decay"]
    return maker._build_optimizer()
