"""The option `noise`: interactions that never happened, among those that a model is trained on.

They are put into the training part once the data are split, so validation and test are what they are without noise, and
so is what is trained on otherwise.  What may be drawn is what a user has in no part (`burnish.noise.draw.inject`): the
noise knows which pairs are held out, as it could be no noise else.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import Field

from burnish.errors import ConfigurationError, DataError, UnsupportedError, warn
from burnish.noise.kinds import Kind
from burnish.strict import Strict, validated

if TYPE_CHECKING:
    from burnish.noise.draw import Noisy

#: burnish's own option.
OPTION = "noise"


class Noise(Strict):
    """How much noise of which kind.

    share: of the training interactions, 0.2 for one in five besides.  kind: one of `burnish.noise.kinds.KINDS`, which
    `noise.inject` describes.  seed: None for the run's own, so that each seed has other noise, and all arms of a seed
    the same.
    """

    share: float = Field(gt=0, le=1)
    kind: Kind = "uniform"
    seed: int | None = Field(default=None, ge=0)


def named(value: Any) -> Noise | None:
    """What the option's value asks for: a share, or settings; None for no noise.

    Raises `UnknownNameError` for a setting that does not exist, `ConfigurationError` for one that cannot be.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = {"share": value}
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{OPTION} = {value!r}: give a share of the training interactions, such as 0.2, or settings, as in "
            f"{{share: 0.2, kind: popular, seed: 1}}; null for none"
        )
    return validated(Noise, value, OPTION, kind="setting")


def as_option(value: Any) -> dict[str, Any] | None:
    """The option with everything written out.  Raises what `named` does."""
    noise = named(value)
    return None if noise is None else noise.model_dump()


def settle_noise(config: Any) -> None:
    """Write the option out among what was given, and refuse it for models whose rows are no single interactions."""
    noise = named(config[OPTION])
    if noise is None:
        return
    given = config.external_config_dict
    if OPTION in given:
        given[OPTION] = noise.model_dump()
    config.final_config_dict[OPTION] = noise.model_dump()
    import recbole.data.dataset as kinds

    sequential = config["MODEL_TYPE"].name == "SEQUENTIAL"
    own = getattr(config.model_class, "dataset_class", None) or getattr(
        kinds, f"{config['model']}Dataset", None
    )
    if sequential or own is not None:
        what = (
            "histories in the order of time"
            if sequential
            else f"what {getattr(own, '__name__', own)} makes of the interactions"
        )
        raise UnsupportedError(
            f"{OPTION} = {noise.model_dump()!r}: {config['model']} is trained on {what}, and noise is put among single "
            f"interactions; leave it out, or take a backbone of users and items, such as BPR or LightGCN"
        )


def add_noise(module: ModuleType) -> None:
    """Let RecBole's data sets have noise in their training part where the config asks for it."""
    build = module.Dataset.build

    @functools.wraps(build)
    def built(self: Any) -> Any:
        parts = build(self)
        noise = named(self.config[OPTION])
        return parts if noise is None else [_noisy(self, parts, noise), *parts[1:]]

    module.Dataset.build = built


def _noisy(whole: Any, parts: list[Any], noise: Noise) -> Any:
    """The training part with noise at its end."""
    import numpy as np  # here, as the plug-in imports this file, and a broken library is told by name elsewhere

    from burnish.noise.draw import inject

    training, *held = parts
    user, item = whole.uid_field, whole.iid_field
    if item is None or not len(training.inter_feat):  # without rows: told elsewhere
        return training

    def ids(field: str, of: list[Any]) -> Any:
        return np.concatenate([np.asarray(part.inter_feat[field], np.int64) for part in of])

    seed = whole.config["seed"] if noise.seed is None else noise.seed
    try:
        noisy = inject(
            ids(user, [training]),
            ids(item, [training]),
            n_items=whole.item_num,
            share=noise.share,
            kind=noise.kind,
            seed=seed,
            first_item=1,
            known=(ids(user, held), ids(item, held)) if held else None,
        )
    except DataError as error:
        raise DataError(f"{OPTION} = {noise.model_dump()!r}, on {whole.dataset_name!r}: {error}") from error
    if not noisy.is_noise.any():
        warn(
            f"{OPTION} = {noise.model_dump()!r}, on {whole.dataset_name!r}: of {len(training.inter_feat):,} training "
            f"interactions that is less than one, so there is no noise; give a larger share"
        )
    return training.copy(rows_with_noise(training.inter_feat, user, item, noisy, seed))


def rows_with_noise(features: Any, user: str, item: str, noisy: Noisy, seed: int) -> Any:
    """RecBole's rows of interactions, and the noise at their end: copies of random rows of its users with its items.

    So a noisy row has a time, a rating and a label that its user gave.  features: the clean rows, in the order of
    `noisy`.  user, item: the columns.
    """
    import numpy as np  # here, as above
    import torch

    n = len(features)
    owner = features[user].numpy()
    shuffled = np.random.default_rng(seed).permutation(n)
    by_user = shuffled[np.argsort(owner[shuffled], kind="stable")]
    starts = np.searchsorted(owner[by_user], noisy.users[n:])
    source = np.concatenate([np.arange(n), by_user[starts]])
    rows = features[torch.as_tensor(source)]
    rows.interaction[item] = torch.as_tensor(noisy.items).to(rows[item].dtype)
    return rows
