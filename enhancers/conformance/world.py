"""RecBole's objects around one model: config, data, model, trainer, built as `run_recbole` builds them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.compat.habits import command_line, tensorboard_in

from .data import NAME, PERMUTED, SCORES, write_data, write_permuted, write_scores
from .presets import preset

_numbers = itertools.count(1)


@dataclass
class World:
    """One model in its surroundings.

    Parameters
    ----------
    config
        RecBole's config.
    dataset
        The whole data set.
    train, valid, test
        RecBole's loaders.
    model
        The (perhaps enhanced) backbone, freshly initialised.
    trainer
        RecBole's trainer of it.
    """

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any
    model: Any
    trainer: Any

    def batch(self) -> Any:
        """The first training batch, the same at every call (the random streams are put back)."""
        from burnish.randomness import forked_randomness

        # Knowledge models: KGAT and MKR train in turns, the others at once.
        if hasattr(self.train, "set_mode"):
            from recbole.utils import KGDataLoaderState

            in_turns = type(self.trainer).__name__ in ("KGATTrainer", "MKRTrainer")
            self.train.set_mode(KGDataLoaderState.RS if in_turns else KGDataLoaderState.RSKG)
        with forked_randomness(0, self.config["device"]):
            return next(iter(self.train)).to(self.config["device"])


def build_world(
    model: str | type,
    folder: Path,
    *,
    options: Mapping[str, Any] | None = None,
    category: str | None = None,
    data: str | None = None,
) -> World:
    """Build everything for one model on the conformance data.

    Parameters
    ----------
    model
        A backbone's name or class, plain or enhanced.
    folder
        Where data lie and checkpoints go; the conformance data are written there when they are missing.
    options
        RecBole options over the model's preset.
    category
        What kind of model your own is; see `check_backbone`.
    data
        The name of another data set inside `folder`.

    Returns
    -------
    World
        Config, data, model and trainer.
    """
    name = model if isinstance(model, str) else model.__name__
    prepare_folder(folder)
    settings = {
        **preset(name, category),
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "text_folder": str(folder / "text"),  # of backbones that read reviews
        **(options or {}),
    }
    world = world_of(model, data or NAME, settings)
    # RecBole names a checkpoint by the second; two worlds of one second must not share it.
    world.trainer.saved_model_file = str(folder / "saved" / f"{name}-{next(_numbers)}.pth")
    return world


def world_of(model: str | type, dataset: str, options: Mapping[str, Any]) -> World:
    """A model on a data set, built as `run_recbole` builds them, whatever the command line says.

    model: a backbone's name or class, plain or enhanced.  options: RecBole options.
    """
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_trainer, init_seed

    with command_line(False):
        config = Config(model=model, dataset=dataset, config_dict=dict(options))
    init_seed(config["seed"], config["reproducibility"])
    whole = create_dataset(config)
    train, valid, test = data_preparation(config, whole)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    built = config.model_class(config, train._dataset).to(config["device"])
    with tensorboard_in(None):
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, built)
    return World(config, whole, train, valid, test, built, trainer)


def prepare_folder(folder: Path) -> None:
    """Make what worlds need in `folder`: the conformance data, scores of its items and a place for checkpoints."""
    (folder / "saved").mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists():
        write_data(folder)
    if not (folder / PERMUTED).exists():
        write_permuted(folder)
    if not (folder / SCORES).exists():
        write_scores(folder)
