"""`burnish.load_run`: the trained model of a run's folder, built by the code that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.zoo import find_backbone
from burnish.errors import DataError, warn
from burnish.own.classes import loaded_only

from .inputs.arguments import options_of
from .record import MODEL_FILE, check_same_options, read_run
from .request import make_config
from .session import alone
from .stages import Run
from .trained_model import TrainedModel
from .weights import load_model


@alone()
def load_run(
    folder: Path | str,
    *,
    model: str | type | None = None,
    options: Mapping[str, Any] | Path | str | None = None,
    trust: bool = False,
) -> TrainedModel:
    """Read the trained model in a run's folder, with its data.

    The data are read and split, and the model is built, as for training.  Nothing from the files is executed.

    Parameters
    ----------
    folder : Path or str
        The folder of the run (`burnish run --output`, `burnish.run(folder=)`).
    model : str or type, optional
        The class of the model, where it is neither RecBole's nor announced by a package: the class itself, or where it
        is (`"mine.py:Tower"`, `"package.module:Tower"`).
    options : mapping or path, optional
        RecBole options that may differ from the run's, such as `data_path`, `device` or `show_progress`; or the path of
        a YAML file with them.
    trust : bool, default False
        Import the modules that `run.json` names for the model's class and for enhancers, and unpickle the pretrained
        models that its options name: this executes code.

    Returns
    -------
    TrainedModel
        With `config`, `dataset`, the loaders `train`, `valid` and `test`, and `model`, in evaluation mode.

    Raises
    ------
    DataError
        For a folder that is not a run's, damaged files, or data that are not those of the run.
    ConfigurationError
        For an option that would change the model.

    Examples
    --------
    >>> run = burnish.load_run("out")  # doctest: +SKIP
    >>> burnish.recommend(run, ["196"], k=5)  # doctest: +SKIP
    """
    saved = read_run(folder)
    weights = saved.folder / MODEL_FILE
    if not weights.is_file():
        raise DataError(
            f"{saved.folder} holds no trained weights yet ({MODEL_FILE}): the run stopped before its first "
            f"epoch was kept, or its model has none that can be saved (trees)"
        )
    if not saved.finished:
        warn(
            f"{saved.folder} holds a run that has not ended: its best epoch so far is used; `burnish run --resume "
            f"{saved.folder}` goes on with it"
        )
    known = None if model is None else split_enhanced(find_backbone(model))[0]
    with loaded_only(trust):
        base = saved.find_class(trust=trust, known=known)
        saved.know_enhancers(trust=trust)
        saved.tell_changed_code(base)
        saved.enhancers = saved.placed_enhancers()
        given = options_of(options, "options")
        config = make_config(base, saved.dataset, saved.enhancers, {**saved.options, **given})
        check_same_options(saved, config)
        run = Run(config, None, trust=trust)
        run.prepare(saved.data, trainer=False)
    load_model(weights, run.model)
    run.model.eval()
    return run.trained()
