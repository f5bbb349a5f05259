"""Small data: an epoch of a few steps, by which RecBole's numbers of epochs mean little training."""

from __future__ import annotations

from typing import Any, NamedTuple

from burnish.enhancers.host import Host
from burnish.errors import warn
from burnish.stopping import first_counted

#: An epoch of fewer steps is told.  ml-100k, on which RecBole's defaults work, has 40 of interactions and 15 of users.
FEW = 10


#: Where a config has the names of the enhancers' options that somebody wrote, such as `softmax.users`.
WRITTEN = "options_of_enhancers_written"


class Steps(NamedTuple):
    """What an epoch of training goes over.

    number: of steps.  rows, what: of so many interactions or users.  option, size: which says how many a step has.
    chosen: whether somebody gave that, also where it is the default.
    """

    number: int
    rows: int
    what: str
    option: str
    size: int
    chosen: bool


def warn_of_few_steps(config: Any, model: Any, loader: Any, epochs: int) -> None:
    """One warning where an epoch has fewer than `FEW` steps, so that RecBole's defaults train next to nothing.

    Nothing is said of what was chosen: the size of a batch, or both `epochs` and `stopping_step`.

    Parameters
    ----------
    config
        Of the run; its `external_config_dict` has what was given.
    loader
        Of the training split.
    epochs
        How many there are at most.
    """
    if config["MODEL_TYPE"].name in ("TRADITIONAL", "DECISIONTREE") or epochs <= 1:
        return  # one epoch, of no steps
    steps = _steps(config, model, loader)
    if (
        steps.number >= FEW
        or steps.chosen
        or {"epochs", "stopping_step"} <= config.external_config_dict.keys()
    ):
        return
    smaller = 1 << max(0, (steps.rows // FEW).bit_length() - 1)  # a power of two, with which there are FEW
    cure = f"a smaller {steps.option}, such as {smaller}, or " if smaller < steps.size else ""
    patience = int(config["stopping_step"]) * int(config["eval_step"])
    patience += (first_counted(config) or 1) - 1 if patience > 0 else 0
    stops = f"early stopping waits for {_counted(patience * steps.number)}, and " if patience > 0 else ""
    length = f"{_counted(steps.number)} ({steps.rows:,} {steps.what}, {steps.option} = {steps.size})"
    whole = f"{stops}{epochs} epochs are {_counted(epochs * steps.number)}"
    warn(
        f"an epoch of {config['model']} on {config['dataset']} is {length}: {whole}. Give {cure}more epochs and a "
        f"larger stopping_step"
    )


def _steps(config: Any, model: Any, loader: Any) -> Steps:
    from recbole.data.dataloader import UserDataLoader

    dataset = loader._dataset
    n_users = len(dataset.inter_feat[dataset.uid_field].unique())
    host = getattr(model, "enhancers", None)
    objective = host.replacement if isinstance(host, Host) else None
    size = getattr(model, "users_a_batch", None) if objective is None else objective.users_a_batch
    if size is not None:
        if objective is None:
            option, chosen = _of_backbone(config, model)
        else:
            option = f"{objective.enhancer.name}.users"
            # A class that was enhanced before tells what is not at its default.
            chosen = bool(objective.enhancer.config.given("users")) or option in config.__dict__.get(
                WRITTEN, ()
            )
        return Steps(-(-n_users // size), n_users, "users", option, int(size), chosen)
    of_users = isinstance(getattr(loader, "general_dataloader", loader), UserDataLoader)
    rows, what = (n_users, "users") if of_users else (len(dataset), "interactions")
    option = "train_batch_size"
    return Steps(len(loader), rows, what, option, int(config[option]), option in config.external_config_dict)


def _of_backbone(config: Any, model: Any) -> tuple[str, bool]:
    """The option by which a backbone says how many users a batch has, and whether somebody gave it."""
    for option, schema in getattr(model, "option_schemas", {}).items():
        if "users" in schema.model_fields:
            return f"{option}.users", "users" in (config[option] or {})
    return "users_a_batch", False


def _counted(steps: int) -> str:
    return f"{steps:,} step{'' if steps == 1 else 's'}"
