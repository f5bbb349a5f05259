"""RecBole's side of a backbone that comes from outside it: what its class says of its data set and its options.

A model class may have `dataset_class`, the class of data set that RecBole builds for it, and `options_files`, YAML
files with default options, read where RecBole reads its own `properties/model/NAME.yaml`; later files win, and what
the user gives wins over all of them; of `eval_args`, each entry for itself (RecBole would fill what the user leaves out
with defaults of its own, and lose that ratings are tested as they stand in the rows).  Its class method
`settle_options(config, given)`, where it has one, completes options that follow from others and refuses what cannot be;
`given` holds the names that the user gave.  Registered by `import burnish`.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .compat import after_import
from .compat.hook import replace_everywhere


def install() -> None:
    """Register the changes; each is made once, when its module is loaded."""
    after_import("recbole.config.configurator", read_declared_options)
    after_import("recbole.config.configurator", settle_options)
    after_import("recbole.data.utils", build_declared_dataset)


def read_declared_options(module: ModuleType) -> None:
    """Let `Config` read the option files of the model's class."""
    config_class = module.Config
    load, merge = config_class._load_internal_config_dict, config_class._get_final_config_dict

    @functools.wraps(load)
    def _load_internal_config_dict(self: Any, model: Any, model_class: Any, dataset: Any) -> None:
        load(self, model, model_class, dataset)
        for file in getattr(model_class, "options_files", ()):
            self._update_internal_config_dict(file)

    @functools.wraps(merge)
    def _get_final_config_dict(self: Any) -> dict[str, Any]:
        options: dict[str, Any] = merge(self)
        declared = self.internal_config_dict.get("eval_args")
        given = self.external_config_dict.get("eval_args")
        if (
            getattr(self.model_class, "options_files", ())
            and isinstance(declared, dict)
            and isinstance(given, dict)
        ):
            options["eval_args"] = {**declared, **given}
        return options

    config_class._load_internal_config_dict = _load_internal_config_dict
    config_class._get_final_config_dict = _get_final_config_dict


def settle_options(module: ModuleType) -> None:
    """Let the model's class complete and check the options that a `Config` ends with."""
    config_class = module.Config
    initialise = config_class.__init__

    @functools.wraps(initialise)
    def initialise_and_settle(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        settle = getattr(self.model_class, "settle_options", None)
        if settle is not None:
            settle(self, frozenset(self.external_config_dict))

    config_class.__init__ = initialise_and_settle


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
