"""`burnish.run`: train and test one model, enhanced or not, the way RecBole does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .inputs.arguments import either, keywords_checked, listed_files, options_of
from .progress import epochs_shown

if TYPE_CHECKING:
    from burnish.enhancers.registry import Spec

    from .train import TrainingResult


@keywords_checked("config")
def run(
    model: str | type | None = None,
    dataset: str | None = None,
    *,
    enhancers: Spec = None,
    config_files: Sequence[str | Path] | Path | str = (),
    config: Mapping[str, Any] | Path | str | None = None,
    seed: int | None = None,
    folder: Path | str | None = None,
    save_every: int = 1,
    resume: Path | str | None = None,
    show_progress: bool = True,
    trust: bool = False,
    config_file_list: Sequence[str | Path] | Path | str | None = None,
    config_dict: Mapping[str, Any] | None = None,
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
    config_files : path or sequence of paths
        YAML files with RecBole's own options, or one; later files win.
    config : mapping or path, optional
        RecBole's own options; they win over the files.  The path of a YAML file stands for the options in it.
    seed : int, optional
        RecBole's `seed`; wins over `config`.
    folder : Path or str, optional
        Where the log, the checkpoint, the weights (`model.safetensors`), the state of training and the results
        (`result.json`, `config.json`, `per_user.parquet`) go; by default only the checkpoint is kept, in RecBole's
        `checkpoint_dir`.
    save_every : int, default 1
        With a folder, save the state of training after each so many epochs; 0 saves none.
    resume : Path or str, optional
        The folder of an interrupted run, to go on from its last saved epoch, bit for bit as if it had not been
        interrupted.  Everything else is read from there: what is given all the same must agree (`epochs` may rise).
    show_progress : bool, default True
        Show one bar of the epochs while somebody watches (a terminal or a notebook), and the line that sums up the
        data.  RecBole's own bars, one for each epoch and evaluation, come back with `config={"show_progress": True}`.
    trust : bool, default False
        Allow what can execute code: unpickling the pretrained models that options name (`pre_model_path`, ...), and,
        with `resume`, importing the modules of the run's model and enhancers.
    config_file_list, config_dict
        RecBole's names of `config_files` and `config`.

    Returns
    -------
    TrainingResult
        Unrounded metrics (`test_result["ndcg@10"]`), one row a user (`per_user`), the trained `model` and its data set.

    Raises
    ------
    BurnishError
        For a name, an option or a data set that cannot be used, an option in `config` that is almost the name of one
        and that nobody reads; for a keyword that is no argument of this function, with the place where it belongs.
    FinishedError
        With `resume`, for a run that has nothing left to do: `burnish.load_run` opens it, and its figures are in
        `result.json`.

    Examples
    --------
    >>> result = burnish.run("BPR", "ml-100k", enhancers="rvrec", config={"epochs": 20})  # doctest: +SKIP
    >>> result.test_result["ndcg@10"]  # doctest: +SKIP
    >>> burnish.recommend(result, ["196"], k=5)  # doctest: +SKIP
    """
    from burnish.enhancers.zoo import find_backbone
    from burnish.errors import ConfigurationError

    from . import train as training
    from .options import refuse_misspelt
    from .run_folder import write_results

    files = either(config_files, config_file_list, ("config_files", "config_file_list"), nothing=())
    options = options_of(either(config, config_dict, ("config", "config_dict")))
    common: dict[str, Any] = {
        "enhancers": enhancers,
        "config_files": listed_files(files),
        "options": options,
        "seed": seed,
        "show_progress": False,
        "trust": trust,
    }
    if resume is not None:
        if folder is not None and Path(folder).resolve() != Path(resume).resolve():
            raise ConfigurationError(
                f"folder = {str(folder)!r} and resume = {str(resume)!r}: a resumed run stays in its folder; "
                f"leave folder out"
            )
        with epochs_shown(show_progress) as on_epoch:
            return training.resume(
                resume,
                model=model,
                dataset=dataset,
                save_every=save_every or 1,
                on_epoch=on_epoch,
                keep_result=partial(write_results, folder=Path(resume)),
                **common,
            )
    model, dataset = (
        model or _of_options("model", files, options),
        dataset or _of_options("dataset", files, options),
    )
    if model is None or dataset is None:
        raise ConfigurationError(
            "give a model and a dataset, or resume=FOLDER to go on with an interrupted run"
        )
    if isinstance(config or config_dict, Mapping):
        refuse_misspelt(options, [find_backbone(model)], place="config")
    with epochs_shown(show_progress) as on_epoch:
        return training.train(
            model,
            dataset,
            folder=Path(folder) if folder is not None else None,
            save_every=save_every if folder is not None else 0,
            on_epoch=on_epoch,
            keep_result=None if folder is None else partial(write_results, folder=Path(folder)),
            **common,
        )


def _of_options(name: str, files: Any, options: Mapping[str, Any]) -> Any:
    """A name that options or files may carry, as for the command line."""
    from burnish.files.yamls import read_yaml

    found = [read_yaml(file).get(name) for file in listed_files(files)] + [options.get(name)]
    return next((one for one in reversed(found) if one is not None), None)
