"""`burnish.load_run`: the trained model of a run's folder, built by the code that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish.errors import DataError

from .identity import find_class
from .record import MODEL_FILE, check_same_options, read_run
from .weights import load_model


@dataclass
class LoadedRun:
    """A trained model in its surroundings, as `load_run` builds them."""

    config: Any
    dataset: Any
    train: Any
    valid: Any
    test: Any
    model: Any


def load_run(
    folder: Path | str,
    *,
    model: type | None = None,
    options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> LoadedRun:
    """The trained model of a run's folder with its data, built as for training.  Executes nothing from the files.

    model: the plain class, where it is neither RecBole's nor announced by a package.
    options: RecBole options that may differ from the run's (`FREE`, and the device): such as `data_path`.
    trust: import the module that `run.json` names for the model's class.
    Raises `DataError` for a folder that is no run's, damaged files, or data that are not those of the run, and
    `ConfigurationError` for an option that would change the model.
    """
    from .request import make_config
    from .stages import Run

    saved = read_run(folder)
    weights = saved.folder / MODEL_FILE
    if not weights.is_file():
        raise DataError(
            f"{saved.folder} holds no trained weights yet ({MODEL_FILE}): the run stopped before its first "
            f"epoch was kept, or its model has none that can be saved (trees)"
        )
    base = find_class(saved.model, trust=trust, known=model)
    saved.enhancers = saved.placed_enhancers()
    config = make_config(base, saved.dataset, saved.enhancers, {**saved.options, **(options or {})})
    check_same_options(saved, config)
    run = Run(config, None)
    run.prepare(saved.data, trainer=False)
    load_model(weights, run.model)
    run.model.eval()
    return LoadedRun(config, run.dataset, run.train_data, run.valid_data, run.test_data, run.model)
