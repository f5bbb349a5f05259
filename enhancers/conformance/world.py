"""RecBole's objects around one model: config, data, model, trainer, built as `run_recbole` builds them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .data import NAME, PERMUTED, SCORES, write_data, write_permuted, write_scores
from .presets import preset

_numbers = itertools.count(1)


@dataclass
class World:
    """One model in its surroundings.

    train, valid, test: RecBole's loaders.  model: the (perhaps enhanced) backbone, freshly initialised.
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

        if hasattr(
            self.train, "set_mode"
        ):  # knowledge models: KGAT and MKR train in turns, the others at once
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
    """Build everything for one model.

    model: a backbone's name or class, plain or enhanced.
    folder: where data lie and checkpoints go; the conformance data are written there when they are missing.
    options: RecBole options over the model's preset.  category: see `preset`.
    data: the name of another data set inside `folder`.
    """
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_trainer, init_seed

    name = model if isinstance(model, str) else model.__name__
    prepare_folder(folder)
    settings = {
        **preset(name, category),
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "text_folder": str(folder / "text"),  # of backbones that read reviews
        **(options or {}),
    }
    with _own_arguments():
        config = Config(model=model, dataset=data or NAME, config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    made = config.model_class(config, train._dataset).to(config["device"])
    with _no_tensorboard():
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, made)
    # RecBole names a checkpoint by the second; two worlds of one second must not share it.
    trainer.saved_model_file = str(folder / "saved" / f"{name}-{next(_numbers)}.pth")
    return World(config, dataset, train, valid, test, made, trainer)


def prepare_folder(folder: Path) -> None:
    """Make what worlds need in `folder`: the conformance data, scores of its items and a place for checkpoints."""
    (folder / "saved").mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists():
        write_data(folder)
    if not (folder / PERMUTED).exists():
        write_permuted(folder)
    if not (folder / SCORES).exists():
        write_scores(folder)


class _Nowhere:
    """A TensorBoard writer that writes nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


@contextmanager
def _no_tensorboard() -> Iterator[None]:
    """RecBole's trainers begin a folder of TensorBoard files where they are started."""
    from recbole.trainer import trainer

    before = trainer.get_tensorboard
    trainer.get_tensorboard = lambda logger: _Nowhere()
    try:
        yield
    finally:
        trainer.get_tensorboard = before


@contextmanager
def _own_arguments() -> Iterator[None]:
    """RecBole's Config reads `sys.argv`, which here belongs to somebody else."""
    before = sys.argv
    sys.argv = before[:1]
    try:
        yield
    finally:
        sys.argv = before
