"""Train one model as `recbole.quick_start.run_recbole` does, and keep what a fair comparison needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.enhancers.attach import enhancers_of, split_enhanced
from burnish.enhancers.registry import make_enhancers
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError
from burnish.files.yamls import read_yaml
from burnish.own.classes import is_place, loaded_only

from .asked_first import check_asked
from .bases import begin_from
from .first import Places, anew_on_other_data
from .inputs.arguments import listed_files, options_of
from .one_run import train_and_test
from .record import SavedRun, read_run
from .request import Request
from .result import Epoch, TrainingResult
from .run_folder import alone_in_folder, lacking_result, refuse_data_folder, told_of_replaced
from .session import alone
from .state import FinishedError, StateKeeper, latest_state, refuse_interrupted
from .teachers import read_teachers


@alone()
@alone_in_folder
def train(
    model: str | type,
    dataset: str,
    *,
    enhancers: Mapping[str, Any] | Iterable[Any] | str | None = None,
    config_files: Sequence[str | Path] | Path | str = (),
    options: Mapping[str, Any] | Path | str | None = None,
    seed: int | None = None,
    folder: Path | str | None = None,
    show_progress: bool = False,
    keep_checkpoint: bool = True,
    command_line: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    evaluate_test: bool = True,
    save_every: int = 0,
    bases: Path | str | None = None,
    wait: bool = True,
    trust: bool = False,
    keep_result: Callable[[TrainingResult], list[str]] | None = None,
) -> TrainingResult:
    """Train `model` on `dataset` with RecBole's own config, data, trainer, early stopping and evaluation.

    Random numbers are drawn in the order of `run_recbole`, so a plain backbone gets the same metrics.

    Parameters
    ----------
    model
        A backbone's name, a RecBole model class or where it is (`mine.py:Tower`, `package.module:Tower`), or a class
        from `enhance`.
    dataset
        The name of a folder of atomic files in `data_path`, or "ml-100k", which RecBole brings.
    enhancers
        What to attach: a block `{"rvrec": {"weight": 0.1}}`, "rvrec,euclid2d", names or `Enhancer` objects.  None takes
        the `enhancers` block of `options` or of the config files; `{}` attaches none.
    config_files
        RecBole YAML files, later ones win.
    options
        RecBole options with typed values; they win over the files.  Strings are read as literals, never evaluated.  Two
        options are burnish's own: `threads` (torch threads while this runs) and `tensorboard` (write TensorBoard files
        into `folder`).
    seed
        Wins over the `seed` of options and files.
    folder
        Receives log.txt, checkpoint.pth (RecBole's own), run.json and model.safetensors (the same weights, read without
        executing anything: see `load_run`), and nothing is written elsewhere.  Without a folder there is no log file,
        and the checkpoint goes to RecBole's `checkpoint_dir`.
    keep_checkpoint
        False removes the checkpoint once the test set was evaluated, and writes no files of our own.
    command_line
        True lets `--option=value` of `sys.argv` win over everything, as in RecBole.
    on_epoch
        Called after each training epoch, and again after its validation.
    evaluate_test
        False leaves the test set alone (tuning).
    save_every
        Save the state of training after each so many epochs, so that `resume` can go on from there; 0 saves none.
        Needs a folder.
    bases
        Where runs are kept that are trained first (`guided: {base: auto}`, `compress: {teachers: softmax}`), each used
        by every run with the same options; by default `base` and `teachers` in the folder, and without a folder nothing
        is kept.
    wait
        Wait for what another process trains in `bases`; false raises `first.InHandError`, before anything is done.
    trust
        Let RecBole unpickle the pretrained models that options name (NeuMF's `mf_pretrain_path`, S3Rec's
        `pre_model_path`, ...): reading a pickle can run any code in it.
    keep_result
        Writes the result into the folder, and gives the names of the files; called before the run counts as finished,
        so that a finished run has its results.

    Raises
    ------
    BurnishError
        `UnknownNameError`, `ConfigurationError`, `DataError` or `NonFiniteError`; a `ConfigurationError` also where the
        folder holds an interrupted run that can be resumed.  A finished run is replaced, once data and options are
        known to be fit for training.

    Warns
    -----
    UserWarning
        For a RecBole option that nobody reads, with the nearest known name; for a finished run that is replaced.
    """
    request = Request.gather(model, dataset, enhancers, config_files, options, seed, show_progress)
    target = Path(folder) if folder is not None else None
    if save_every and (target is None or not keep_checkpoint):
        raise ConfigurationError(
            f"save_every = {save_every}: states are saved in a folder; give one (folder=...)"
        )
    if save_every:
        StateKeeper.check(save_every)
    if target is not None:
        refuse_data_folder(target)
        refuse_interrupted(target)
    check_asked(enhancers_of(request.model), split_enhanced(request.model)[0])
    shared = None if bases is None else Path(bases)
    places = Places(needed_first, target, shared, save_every, on_epoch, trust, wait)
    return anew_on_other_data(
        lambda: train_and_test(
            request,
            target,
            save_every=save_every,
            on_epoch=on_epoch,
            keep_checkpoint=keep_checkpoint,
            visible=command_line,
            evaluate_test=evaluate_test,
            trust=trust,
            keep_result=keep_result,
            on_forgotten=told_of_replaced(target),
            **needed_first(request, places),
        ),
        places,
    )


def needed_first(request: Request, places: Places) -> dict[str, Any]:
    """What a run begins from and learns from, trained first where that is asked for."""
    return {"base": begin_from(request, places), "teachers": read_teachers(request, places)}


@alone()
@alone_in_folder
def resume(
    folder: Path | str,
    *,
    model: str | type | None = None,
    dataset: str | None = None,
    enhancers: Mapping[str, Any] | Iterable[Any] | str | None = None,
    config_files: Sequence[str | Path] | Path | str = (),
    options: Mapping[str, Any] | Path | str | None = None,
    seed: int | None = None,
    show_progress: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    save_every: int = 1,
    trust: bool = False,
    keep_result: Callable[[TrainingResult], list[str]] | None = None,
) -> TrainingResult:
    """Go on with a run that was interrupted, from the end of its last saved epoch: bit for bit as if it had not been.

    Parameters
    ----------
    folder
        Of the run (`train(..., folder=, save_every=)` or `burnish run --output`).  Everything else is read from it;
        what is given all the same must be as it was, but for `epochs`, which may be larger, and options that say where
        and how to show (`record.FREE`).  A run without a saved state starts from its first epoch.
    keep_result
        As for `train`.  With it, a finished run whose results are missing or damaged is tested again.

    Raises
    ------
    FinishedError
        When nothing is left to do.
    ConfigurationError
        Naming the first option that differs.
    DataError
        For damaged files or changed data.
    """
    saved = read_run(folder)
    if isinstance(model, str) and model != saved.model and not is_place(model):
        raise ConfigurationError(f"model = {model!r}, but {saved.folder} holds a run of {saved.model!r}")
    # What is given is imported as given; what the run names, with trust only.
    base = None if model is None else find_backbone(model)
    known, extra = split_enhanced(base) if base is not None else (None, ())
    if trust:
        saved.know_enhancers(trust=True)
    made = None if enhancers is None else make_enhancers(enhancers)
    with loaded_only(trust):
        cls = saved.find_class(trust=trust, known=known)
        saved.know_enhancers(trust=trust)
        return _go_on(
            saved,
            cls if base is None or not extra else base,
            dataset=dataset,
            enhancers={} if made is None and extra else made,
            settings=_settings(saved, config_files, options),
            seed=seed,
            show_progress=show_progress,
            on_epoch=on_epoch,
            save_every=save_every,
            trust=trust,
            keep_result=keep_result,
        )


def _settings(
    saved: SavedRun,
    config_files: Sequence[str | Path] | Path | str,
    options: Mapping[str, Any] | Path | str | None,
) -> dict[str, Any]:
    """RecBole's options of a run that goes on."""
    settings: dict[str, Any] = dict(saved.options)
    for file in listed_files(config_files):
        settings.update(read_yaml(file))
    settings.update(options_of(options, "options"))
    for name in ("model", "dataset", "enhancers"):
        settings.pop(name, None)
    return settings


def _go_on(
    saved: SavedRun,
    model: type,
    *,
    dataset: str | None,
    enhancers: Iterable[Any] | Mapping[str, Any] | None,
    settings: dict[str, Any],
    seed: int | None,
    show_progress: bool,
    on_epoch: Callable[[Epoch], None] | None,
    save_every: int,
    trust: bool,
    keep_result: Callable[[TrainingResult], list[str]] | None,
) -> TrainingResult:
    """What `resume` does once it has the class.  enhancers: None for those of the run."""
    if dataset is not None and dataset != saved.dataset:
        raise ConfigurationError(
            f"dataset = {dataset!r}, but {saved.folder} holds a run on {saved.dataset!r}"
        )
    chosen: Any = enhancers
    if enhancers is None:
        chosen = saved.enhancers = saved.placed_enhancers()
    request = Request.gather(model, saved.dataset, chosen, (), settings, seed, show_progress)
    state = latest_state(saved.folder)
    epochs = settings.get("epochs")
    lacking = lacking_result(saved) if saved.finished and keep_result is not None else None
    _check_resumable(saved, state, epochs, again=lacking is not None)
    saved.refuse_changed_code(request.model)
    StateKeeper.check(save_every)
    places = Places(needed_first, saved.folder, None, save_every, on_epoch, trust)
    first = _as_it_began(request, saved)
    # With a state it has begun already.
    begun = begin_from(first, places, made_in=saved.made_in) if state is None else None
    teachers = read_teachers(first, places, made_in=saved.made_in)
    return train_and_test(
        request,
        saved.folder,
        saved=saved,
        state=state,
        save_every=save_every,
        on_epoch=on_epoch,
        trust=trust,
        keep_result=keep_result,
        base=begun,
        teachers=teachers,
    )


def _as_it_began(request: Request, saved: SavedRun) -> Request:
    """The request as what is trained first was trained by it: with no more epochs than the run had at first."""
    options = {name: value for name, value in request.options.items() if name != "epochs"}
    kept = {name: value for name, value in saved.options.items() if name == "epochs"}
    return replace(request, options={**options, **kept})


def _check_resumable(saved: SavedRun, state: Any, epochs: Any, *, again: bool) -> None:
    """again: a finished run is to be tested again."""
    before = saved.config["epochs"]
    if epochs is not None and epochs < before:
        raise ConfigurationError(
            f"epochs = {epochs}, but the run began with {before}; epochs can only be raised"
        )
    if not saved.finished or again:
        return
    if state is None:
        raise FinishedError(
            f"the run in {saved.folder} is finished; it saved no states, so it cannot be lengthened"
        )
    if state[0]["stopped"]:
        raise FinishedError(
            f"the run in {saved.folder} is finished: validation stopped improving, in epoch {state[0]['epoch'] + 1}"
        )
    if epochs is None or epochs <= state[0]["epoch"] + 1:
        raise FinishedError(
            f"the run in {saved.folder} is finished after {state[0]['epoch'] + 1} epochs; give more epochs "
            f"(--epochs) to go on"
        )
