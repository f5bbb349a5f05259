"""`burnish.run`: train and test one model, enhanced or not, the way RecBole does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.enhancers.registry import Spec

    from .train import TrainingResult


def run(
    model: str | type | None = None,
    dataset: str | None = None,
    *,
    enhancers: Spec = None,
    config_files: Sequence[str | Path] = (),
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    folder: Path | str | None = None,
    save_every: int = 1,
    resume: Path | str | None = None,
    show_progress: bool = True,
    trust: bool = False,
) -> TrainingResult:
    """Train a model with early stopping on validation data, then test the best epoch.

    Random numbers, order and metrics are those of RecBole's `run_recbole`.

    Parameters
    ----------
    model : str or type, optional
        A backbone's name, a RecBole model class or where it is (`"mine.py:Tower"`, `"package.module:Tower"`), or a
        class from `enhance`; left out only with `resume`.
    dataset : str, optional
        "ml-100k" (comes with RecBole), or a folder of atomic files under RecBole's `data_path`; left out only with
        `resume`.
    enhancers : mapping, str or iterable, optional
        What to attach, as in a YAML block: `{"rvrec": {"weight": 0.1}}`, "rvrec", or enhancers.  A class of your own
        stands there by where it is: `{"own.py:Gain": {"weight": 0.1}}`.
    config_files : sequence of str or Path
        YAML files with RecBole's own options; later files win.
    config : mapping, optional
        RecBole's own options; they win over the files.
    seed : int, optional
        RecBole's `seed`; wins over `config`.
    folder : Path or str, optional
        Where the log, the checkpoint, the weights (`model.safetensors`) and the state of training go; by default only
        the checkpoint is kept, in RecBole's `checkpoint_dir`.
    save_every : int, default 1
        With a folder, save the state of training after each so many epochs; 0 saves none.
    resume : Path or str, optional
        The folder of an interrupted run, to go on from its last saved epoch, bit for bit as if it had not been
        interrupted.  Everything else is read from there: what is given all the same must agree (`epochs` may rise).
    show_progress : bool, default True
        Show RecBole's progress bars.
    trust : bool, default False
        Allow what can execute code: unpickling the pretrained models that options name (`pre_model_path`, ...), and,
        with `resume`, importing the modules of the run's model and enhancers.

    Returns
    -------
    TrainingResult
        Unrounded metrics (`test_result["ndcg@10"]`), one row a user (`per_user`), the trained `model` and its data set.

    Raises
    ------
    BurnishError
        For a name, an option or a data set that cannot be used.

    Examples
    --------
    >>> result = burnish.run("BPR", "ml-100k", enhancers="rvrec", config={"epochs": 20})  # doctest: +SKIP
    >>> result.test_result["ndcg@10"]  # doctest: +SKIP
    >>> burnish.recommend(result, ["196"], k=5)  # doctest: +SKIP
    """
    from burnish.errors import ConfigurationError

    from . import train as training

    common: dict[str, Any] = {
        "enhancers": enhancers,
        "config_files": config_files,
        "options": config,
        "seed": seed,
        "show_progress": show_progress,
        "trust": trust,
    }
    if resume is not None:
        if folder is not None and Path(folder).resolve() != Path(resume).resolve():
            raise ConfigurationError(
                f"folder = {str(folder)!r} and resume = {str(resume)!r}: a resumed run stays in its folder; "
                f"leave folder out"
            )
        return training.resume(resume, model=model, dataset=dataset, save_every=save_every or 1, **common)
    if model is None or dataset is None:
        raise ConfigurationError(
            "give a model and a dataset, or resume=FOLDER to go on with an interrupted run"
        )
    return training.train(
        model,
        dataset,
        folder=Path(folder) if folder is not None else None,
        save_every=save_every if folder is not None else 0,
        **common,
    )
