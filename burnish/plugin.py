"""What burnish adds to RecBole: to its configs, to the classes that these build, and to the epochs of its trainers.

Registered by `import burnish` and made when RecBole is imported, before or after.  From then on RecBole's own
`run_recbole`, `load_data_and_model` and trainers work with enhanced models and with backbones from outside.  For
RecBole's plain ones nothing changes, but that options are settled without which they would stop (`burnish.settled`).
Mends are in `burnish.compat`, the same work in less time in `burnish.speed`.

All of it is here, in one wrapper each, because the order of effects matters: see `change_config` and `train_epoch`.

A model class may have `dataset_class`, the class of data set that RecBole builds for it, and `options_files`, YAML
files with default options; later files win, and what the user gives wins over all of them.  Its class method
`settle_options(config, given)`, where it has one, completes options that follow from others and refuses what cannot be;
`given` holds the names that the user gave.  A class with `users_a_batch` is trained over users, not interactions: a
batch has so many ids of users and no other column, and each user that has any interaction is there once an epoch.
`option_schemas` are pydantic models of options that are mappings, by name: they are checked before data are read.  Its
class method `digest_beside` is what `Enhancer.digest_beside` is for enhancers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from burnish.own.classes import named_by
from burnish.sequences.epochs import train_by_windows
from burnish.sequences.options import check as check_sequence_options
from burnish.splits.noisy_training import settle_noise
from burnish.stopping import check_stopping, let_stop

from .compat import after_import
from .compat.hook import replace_everywhere


def install() -> None:
    """Register the changes; each is made once, when its module is loaded."""
    after_import("recbole.config.configurator", change_config)
    after_import("recbole.data.dataset.dataset", split_by_name)
    after_import("recbole.data.utils", build_declared_dataset)
    after_import("recbole.quick_start.quick_start", build_configured_class)
    after_import("recbole.trainer.trainer", change_trainers)


def _wrap(owner: type, name: str, new: Callable[..., Any]) -> None:
    """Let `owner.name` be `new(original, self, ...)`."""
    original = vars(owner)[name]

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return new(original, self, *args, **kwargs)

    setattr(owner, name, wrapped)


# ---------------------------------------------------------------------- configs


def change_config(module: ModuleType) -> None:
    """Let a `Config` do more while it is made, in this order.

    1. `attach_block`: `config.model_class` is the model's class with the `enhancers:` block of a file, a dictionary or
       the command line.
    2. `read_defaults`: the option files of that class are read after RecBole's for it, columns are named as the files
       do, `split` is put among `eval_args` (`burnish.splits`), and what the class needs and nobody gave is settled
       (`burnish.settled`).
    3. `keep_declared_evaluation`: what the user gives is put over them; of `eval_args`, each entry for itself.
    4. `finish`: once RecBole has completed all options, the steps of `FINISHING`.
    """
    config_class = module.Config
    _wrap(config_class, "_get_model_and_dataset", attach_block)
    _wrap(config_class, "_load_internal_config_dict", read_defaults)
    _wrap(config_class, "_get_final_config_dict", keep_declared_evaluation)
    _wrap(config_class, "__init__", finish)


def attach_block(find: Callable[..., Any], config: Any, model: Any, dataset: Any) -> Any:
    """The model's name, its class with what the `enhancers:` block asks for, and the data set's name."""
    from burnish.enhancers.attach import enhance
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone

    if model is None:
        model = config.external_config_dict.get("model")
    of_files = config.file_config_dict
    with named_by("a config file" if model == of_files.get("model") else None):
        if isinstance(model, str):
            model = find_backbone(model)  # names the nearest model where RecBole only says no
    name, cls, dataset = find(config, model, dataset)
    block = config.external_config_dict.get("enhancers")
    with named_by("a config file" if block == of_files.get("enhancers") else None):
        return name, enhance(cls, *make_enhancers(block)) if block else cls, dataset


def read_defaults(load: Callable[..., None], config: Any, model: Any, model_class: Any, dataset: Any) -> None:
    """RecBole's defaults for the class, those of its `options_files`, and what is settled for it."""
    load(config, model, model_class, dataset)
    for file in getattr(model_class, "options_files", ()):
        config._update_internal_config_dict(file)
    from burnish.settled import settle  # late: `burnish setup` and `burnish doctor` go without what it needs
    from burnish.settled.own_names import name_columns
    from burnish.splits.by_time import settle_split

    name_columns(config)
    settle_split(config)
    settle(config)


def keep_declared_evaluation(merge: Callable[..., dict[str, Any]], config: Any) -> dict[str, Any]:
    """All options, with the declared entries of `eval_args` that the user leaves out.

    RecBole would fill them with defaults of its own, and lose that ratings are tested as they stand in the rows.
    """
    options = merge(config)
    declared = config.internal_config_dict.get("eval_args")
    given = config.external_config_dict.get("eval_args")
    if (
        getattr(config.model_class, "options_files", ())
        and isinstance(declared, dict)
        and isinstance(given, dict)
    ):
        options["eval_args"] = {**declared, **given}
    return options


def finish(initialise: Callable[..., None], config: Any, *args: Any, **kwargs: Any) -> None:
    """Make the config, then take the steps of `FINISHING`."""
    initialise(config, *args, **kwargs)
    for step in FINISHING:
        step(config)


def record_enhancers(config: Any) -> None:
    """Let `config["enhancers"]` be the options that were used."""
    from burnish.enhancers.attach import enhancer_options

    options = enhancer_options(config.model_class)
    if options:
        config.final_config_dict["enhancers"] = options


def settle_options(config: Any) -> None:
    """Let the model's class complete and check the options."""
    settle = getattr(config.model_class, "settle_options", None)
    if settle is not None:
        settle(config, frozenset(config.external_config_dict))


#: What is done with a config that has all its options, in this order: what a class settles is checked after it.
FINISHING = (record_enhancers, settle_options, check_sequence_options, check_stopping, settle_noise)


# ---------------------------------------------------------------------- what configs build


def build_configured_class(module: ModuleType) -> None:
    """Let quick start build the class that the config holds, where it would look the plain one up by name."""

    def get_model(name: str) -> Callable[[Any, Any], Any]:
        def build(config: Any, dataset: Any) -> Any:
            return config.model_class(config, dataset)

        return build

    module.get_model = get_model  # type: ignore[attr-defined]


def split_by_name(module: ModuleType) -> None:
    """Let data sets be split as the option `split` says, and then have the `noise` that is asked for."""
    from burnish.splits.by_time import cut_by_time
    from burnish.splits.noisy_training import add_noise

    cut_by_time(module)
    add_noise(module)


def build_declared_dataset(module: ModuleType) -> None:
    """Let `create_dataset` build the data set of the model's class."""
    create: Any = module.create_dataset

    @functools.wraps(create)
    def create_dataset(config: Any) -> Any:
        declared = getattr(config.model_class, "dataset_class", None)
        # A saved data set is a pickle that RecBole itself looks for; ours are built from the files every time.
        if declared is None:
            return create(config)
        for option in ("save_dataset", "dataset_save_path"):
            if config[option]:
                from .errors import ConfigurationError

                raise ConfigurationError(
                    f"{option} = {config[option]!r}: the data set of {config['model']} is read from its files every "
                    f"time, never from a pickle; leave this option out"
                )
        return declared(config)

    replace_everywhere(module, "create_dataset", create_dataset)


# ---------------------------------------------------------------------- trainers

#: Gives the enhancers of a trainer's model, by trainer, training and validation data, the runs that they need first;
#: `burnish` puts it here, as training stands above this file.
first_runs: Callable[[Any, Any, Any], None] | None = None


def change_trainers(module: ModuleType) -> None:
    """Let every trainer of RecBole's make and train enhanced models.

    See `optimise_enhancers`, `fit_candidates` and `train_epoch`.
    """
    for trainer in list(vars(module).values()):
        if not isinstance(trainer, type) or trainer.__module__ != module.__name__:
            continue
        if "__init__" in vars(trainer):
            _wrap(trainer, "__init__", optimise_enhancers)
        if "fit" in vars(trainer):
            _wrap(trainer, "fit", fit_candidates)
        if "_train_epoch" in vars(trainer):
            _wrap(trainer, "_train_epoch", train_epoch)


def optimise_enhancers(
    initialise: Callable[..., None], trainer: Any, config: Any, model: Any, *args: Any, **kwargs: Any
) -> None:
    """Let optimizers that a trainer makes from parts of its model have the enhancers' parameters too.

    RecVAE's trainer makes one from the encoder's and one from the decoder's parameters.
    """
    from torch.optim import Optimizer

    initialise(trainer, config, model, *args, **kwargs)
    host = getattr(model, "enhancers", None)
    if not hasattr(model, "begin_epoch") or host is None:
        return
    host.check_trying()
    if host.trying is not None:  # every candidate has its turn, however many are worse than the best so far
        trainer.epochs = trainer.stopping_step = len(host.trying.candidates())
        trainer.eval_step = 1
    for optimizer in [value for value in vars(trainer).values() if isinstance(value, Optimizer)]:
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        missing = [p for p in host.parameters() if id(p) not in known]
        if missing:
            optimizer.add_param_group({"params": missing})


def fit_candidates(
    fit: Callable[..., Any], trainer: Any, train_data: Any, valid_data: Any = None, *args: Any, **kwargs: Any
) -> Any:
    """Fit, once it is sure that validation can choose among candidates where a model tries some.

    What enhancers begin from or learn from is trained before (`first_runs`).

    Raises `ConfigurationError` where several are to be tried and there is nothing to choose by.
    """
    trying = getattr(getattr(trainer.model, "enhancers", None), "trying", None)
    if trying is not None and not valid_data and len(trying.candidates()) > 1:
        from .errors import ConfigurationError

        raise ConfigurationError(
            f"enhancer {trying.name!r} chooses among {len(trying.candidates())} candidates by validation, and the "
            f"split has no validation rows; give eval_args a split with some, or options that leave one candidate"
        )
    if first_runs is not None:  # where a trainer calls its parent's fit, everything is given already
        first_runs(trainer, train_data, valid_data)
    return fit(trainer, train_data, valid_data, *args, **kwargs)


def train_epoch(
    train: Callable[..., Any],
    trainer: Any,
    train_data: Any,
    epoch_idx: int,
    loss_func: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An epoch, on windows of whole histories where the config asks for that, announced to the enhancers.

    Windows come first: enhancers see the rows and the loss of the epoch as it is then carried out.  Before it, early
    stopping is held off where that is asked for (`stopping_from`).
    """
    if getattr(getattr(trainer.model, "enhancers", None), "trying", None) is None:
        let_stop(trainer, epoch_idx)
    return train_by_windows(
        lambda loss: train_enhanced(
            lambda batches: train(trainer, batches, epoch_idx, loss, *args, **kwargs),
            trainer,
            train_data,
            epoch_idx,
        ),
        trainer,
        train_data,
        loss_func,
    )


def train_enhanced(train: Callable[[Any], Any], trainer: Any, train_data: Any, epoch: int) -> Any:
    """Tell an enhanced model which epoch begins, through `begin_epoch`, and let its enhancers take part in it.

    A backbone that trains over users (`users_a_batch`) goes over users.

    train: an epoch on the batches that it is given.
    """
    begin = getattr(trainer.model, "begin_epoch", None)
    # Trainers call their parent's _train_epoch, some of them twice: one epoch is announced once.
    if begin is not None and trainer.__dict__.get("_burnish_epoch") != epoch:
        trainer.__dict__["_burnish_epoch"] = epoch
        begin(epoch)
    host = getattr(trainer.model, "enhancers", None)
    if begin is None or host is None:
        from burnish.enhancers.epoch_batches import own_batches

        return train(own_batches(trainer.model, train_data, epoch))
    if host.trying is not None:
        host.try_candidate(epoch)
        return 0.0
    from burnish.enhancers.weights.loss import NoPlaceForWeightsError

    host.state.optimizer = getattr(trainer, "optimizer", None)
    try:
        try:
            with host.training_epoch(train_data, epoch) as batches:
                return train(batches)
        except NoPlaceForWeightsError as error:
            if not host.falls_back(error):
                raise
        with host.training_epoch(train_data, epoch) as batches:
            return train(batches)
    finally:
        host.state.optimizer = None
